"""The sandbox back end's types: what a visitor can play with, failures and retries included."""

import time
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, message

TYPES = {
    "deskpro-feedback": "deskproFeedbackId",
    "Opportunity": "opportunityId",
    "Estimate": "estimateId",
    "Vehicle": "vehicleId",
    "Customer": "customerId",
}

PLAYS: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "Complete", "SUCCESS"),
    "empty": ({"sandbox": {}}, "Complete", "SUCCESS"),
    "delay": ({"sandbox": {"delay": 0.5}}, "Complete", "SUCCESS"),
    "created": ({"sandbox": {"status": 201}}, "Complete", "SUCCESS"),
    "no content": ({"sandbox": {"status": 204}}, "Complete", "SUCCESS"),
    "rejected": ({"sandbox": {"status": 400, "detail": "Unable to process"}}, "Failed", "FAILURE"),
    "conflict": ({"sandbox": {"status": 409, "detail": "é🚚"}}, "Failed", "FAILURE"),
    "rejected silently": ({"sandbox": {"status": 418}}, "Failed", "FAILURE"),
    "fails once": ({"sandbox": {"status": 503, "times": 1}}, "Complete", "SUCCESS"),
    "fails twice": ({"sandbox": {"status": 500, "times": 2}}, "Complete", "SUCCESS"),
    "too early once": ({"sandbox": {"status": 425, "times": 1}}, "Complete", "SUCCESS"),
    "rejected once": ({"sandbox": {"status": 400, "times": 1, "detail": "not retried"}}, "Failed", "FAILURE"),
    "a field like others": ({"name": "x", "sandbox": {"status": 200}}, "Complete", "SUCCESS"),
}


@pytest.fixture(scope="module")
def played(demo: Api) -> dict[str, tuple[dict[str, Any], str]]:
    """All plays at once, on a type of the sandbox: name → the message as tracked, its status word."""
    items = [message("Vehicle", name, **fields) for name, (fields, _, _) in PLAYS.items()]
    done = demo.done(*items, errorPolicy="proceedOnError")
    return {
        item["externalReference"]: (item, word)
        for item, word in zip(done["payload"], demo.statuses(done["id"]), strict=True)
    }


@pytest.mark.parametrize("name", PLAYS)
def test_the_sandbox_obeys(played: dict[str, tuple[dict[str, Any], str]], name: str) -> None:
    _, status, word = PLAYS[name]

    assert (played[name][0]["messageStatus"], played[name][1]) == (status, word)


def test_the_detail_becomes_the_error(played: dict[str, tuple[dict[str, Any], str]]) -> None:
    def errors(name: str) -> Any:
        return played[name][0]["errors"]

    assert errors("rejected") == [{"errorMessage": "Unable to process"}]
    assert errors("conflict") == [{"errorMessage": "é🚚"}]
    assert errors("rejected once") == [{"errorMessage": "not retried"}]
    assert errors("rejected silently")[0]["errorMessage"]
    assert "errors" not in played["nothing"][0]


@pytest.mark.parametrize("name", TYPES)
def test_each_type_is_served(demo: Api, name: str) -> None:
    done = demo.done(message(name))

    assert done["payload"][0]["messageStatus"] == "Complete"
    assert done["payload"][0]["messageType"] == name
    assert TYPES[name] in done["payload"][0]


def test_fifty_slow_calls_run_at_once(demo: Api) -> None:
    start = time.monotonic()

    done = demo.done(*[message("Estimate", sandbox={"delay": 1}) for _ in range(50)])

    assert done["messageStatusSummary"]["complete"] == 50
    assert time.monotonic() - start < 10


def test_a_sandbox_field_that_makes_no_sense_still_ends(demo: Api) -> None:
    odd: list[Any] = [1, "x", [], None, {"status": "x"}, {"delay": "x"}, {"delay": -1}, {"status": 99}, {"times": "x"}]

    items = [message("Customer", sandbox=sandbox) for sandbox in odd]
    done = demo.finished(demo.submit(*items, errorPolicy="proceedOnError"), within=60)

    assert done["requestStatus"] == "Complete"
