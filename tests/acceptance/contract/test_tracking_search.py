"""The tracking search: which requests and messages each criterion finds."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.acceptance.contract.api import WAITS, Api, fresh, ids, message
from tests.waiting import eventually

FAILS = {"sandbox": {"status": 422, "detail": "Unable to process"}}


@pytest.fixture(scope="module")
def client(make_client: Callable[..., Api]) -> Api:
    """A client of this file alone: what it finds is what the file made."""
    return make_client()


@pytest.fixture(scope="module")
def mixed(client: Api) -> dict[str, Any]:
    """A finished request: Echo and Vehicle complete, Opportunity failed."""
    items = [message("Echo"), message("Opportunity", **FAILS), message("Vehicle")]
    return client.done(*items, errorPolicy="proceedOnError")


@pytest.fixture(scope="module")
def plain(client: Api) -> dict[str, Any]:
    """A finished request of one Echo."""
    return client.done(message("Echo"))


def shown(requests: list[dict[str, Any]], request_id: str) -> list[str]:
    """The types of the messages that the search lists for a request."""
    return [item["messageType"] for found in requests if found["id"] == request_id for item in found["payload"]]


def test_without_criteria_todays_requests_are_found(client: Api, mixed: Any, plain: Any) -> None:
    answer = client.post("/api/v1/tracking", {})

    assert answer.status_code == 200
    assert list(answer.json()) == ["data", "errors", "success"]
    assert (answer.json()["errors"], answer.json()["success"]) == ([], True)
    assert set(answer.json()["data"]) == {"search", "requests"}
    assert answer.json()["data"]["search"] == []
    assert {mixed["id"], plain["id"]} <= set(ids(answer.json()["data"]["requests"]))


@pytest.mark.parametrize(
    ("value", "types"),
    [
        ("Echo", ["Echo"]),
        (["Echo"], ["Echo"]),
        (["Vehicle", "Opportunity"], ["Opportunity", "Vehicle"]),
        (["Vehicle", "NoSuchType"], ["Vehicle"]),
        ("NoSuchType", []),
        ("echo", []),
        ("", []),
        ("Ec%", []),
    ],
)
def test_by_message_type(client: Api, mixed: Any, value: Any, types: list[str]) -> None:
    assert shown(client.search(("messageType", value)), mixed["id"]) == types


@pytest.mark.parametrize(
    ("value", "types"),
    [
        ("Failed", ["Opportunity"]),
        ("Complete", ["Echo", "Vehicle"]),
        (["Failed", "Complete"], ["Echo", "Opportunity", "Vehicle"]),
        (["Queued", "Processing", "Processed", "Cancelled", "Invalid"], []),
    ],
)
def test_by_message_status(client: Api, mixed: Any, value: Any, types: list[str]) -> None:
    assert shown(client.search(("messageStatus", value)), mixed["id"]) == types


def test_criteria_are_anded_on_the_same_message(client: Api, mixed: Any) -> None:
    def found(*criteria: tuple[str, Any]) -> list[str]:
        return shown(client.search(*criteria), mixed["id"])

    assert found(("messageType", "Opportunity"), ("messageStatus", "Failed")) == ["Opportunity"]
    assert found(("messageType", "Opportunity"), ("messageStatus", "Complete")) == []
    assert found(("messageType", ["Opportunity", "Echo"]), ("messageStatus", ["Complete", "Queued"])) == ["Echo"]
    assert found(("id", mixed["id"]), ("messageType", "Vehicle")) == ["Vehicle"]
    assert found(("messageType", "Vehicle"), ("messageType", "Echo")) == []
    assert found(("externalReference", mixed["batchReference"]), ("messageStatus", "Failed")) == ["Opportunity"]


def test_only_matching_messages_are_listed_but_all_are_counted(client: Api, mixed: Any) -> None:
    [found] = client.search(("id", mixed["id"]), ("messageStatus", "Failed"))

    assert len(found["payload"]) == 1
    assert found["messageStatusSummary"] == mixed["messageStatusSummary"]
    assert (found["messageStatusSummary"]["total"], found["messageStatusSummary"]["complete"]) == (3, 2)


def test_by_id(client: Api, other: Api, mixed: Any, plain: Any) -> None:
    assert client.search(("id", mixed["id"])) == [mixed]
    assert set(ids(client.search(("id", [mixed["id"], plain["id"]])))) == {mixed["id"], plain["id"]}
    assert ids(client.search(("id", ["no uuid", plain["id"], ""]))) == [plain["id"]]
    assert client.search(("id", mixed["id"].upper())) in ([], [mixed])
    assert client.search(("id", "no uuid")) == []
    assert client.search(("id", mixed["payload"][1]["opportunityId"])) == []  # a message's id is no request's
    assert client.search(("id", "00000000-0000-4000-8000-000000000000")) == []
    assert other.search(("id", mixed["id"])) == []


def test_by_a_messages_own_reference_or_its_requests(client: Api, other: Api, mixed: Any) -> None:
    own = mixed["payload"][2]["externalReference"]

    [by_own] = client.search(("externalReference", own))
    [by_batch] = client.search(("externalReference", [mixed["batchReference"], "no such"]))

    assert [item["externalReference"] for item in by_own["payload"]] == [own]
    assert by_batch == mixed
    assert client.search(("externalReference", [own, mixed["batchReference"]])) == [mixed]
    assert client.search(("externalReference", own[:-1])) == []
    assert client.search(("externalReference", own.upper())) == []
    assert other.search(("externalReference", own)) == []


@pytest.mark.parametrize(
    "reference", ["100%", "a_b", "é", "e\u0301", "' OR 1=1 --", "back\\slash", "🚚", " blank ", "\u2028"]
)
def test_references_are_compared_as_text(client: Api, reference: str) -> None:
    unique = reference + fresh()
    done = client.done(message("Echo", unique))

    [found] = client.search(("externalReference", unique))

    assert found == done
    assert found["payload"][0]["externalReference"] == unique


def moment(data: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(data["receivedDate"])


def dates_that_find(at: datetime) -> list[Any]:
    day, second = timedelta(days=1), timedelta(seconds=1)
    here, there = at.date().isoformat(), at.isoformat()
    east = at.astimezone(timezone(timedelta(hours=14)))
    return [
        here,
        [here],
        there,
        there.replace("+00:00", "Z"),
        at.replace(hour=0, minute=0, second=0).isoformat(),
        at.replace(hour=23, minute=59, second=59).isoformat(),
        east.isoformat(),
        [here, here],
        [(at - day).date().isoformat(), here],
        [here, (at + day).date().isoformat()],
        [there, (at + second).isoformat()],
        [there, here],
        [(at - second).isoformat(), (at + second).isoformat()],
        [(east - second).isoformat(), (east + second).isoformat()],
        ["1970-01-01", "2999-12-31"],
    ]


def dates_that_miss(at: datetime) -> list[Any]:
    day, second = timedelta(days=1), timedelta(seconds=1)
    return [
        (at - day).date().isoformat(),
        [(at + day).date().isoformat()],
        (at + day).isoformat(),
        [(at - day).date().isoformat(), (at - day).date().isoformat()],
        [(at + 2 * second).isoformat(), (at + day).isoformat()],
        ["2018-10-01T00:00:00+00:00", "2018-10-03T00:00:00+00:00"],
        [(at - day).isoformat(), (at - second).isoformat()],
    ]


@pytest.mark.parametrize("by", ["receivedDate", "recievedDate"])
def test_by_the_date_of_receipt(client: Api, plain: Any, by: str) -> None:
    at = moment(plain)

    for value in dates_that_find(at):
        assert plain in client.search((by, value)), value
    for value in dates_that_miss(at):
        assert plain not in client.search((by, value)), value


def test_today_applies_only_when_nothing_else_picks_the_request(client: Api, plain: Any) -> None:
    long_ago = ("receivedDate", "2018-10-01")

    assert plain in client.search(("messageType", "Echo"))
    assert plain in client.search(("messageStatus", "Complete"))
    assert client.search(("id", plain["id"]), long_ago) == []
    assert client.search(("externalReference", plain["batchReference"]), long_ago) == []
    assert client.search(("messageType", "Echo"), ("receivedDate", date(2018, 10, 1).isoformat())) == []


def test_open_messages_are_found_by_the_status_they_have(client: Api, scripted: str) -> None:
    waiting = client.submit(message("Echo"), message(scripted, **WAITS))
    working = client.submit(message("Vehicle", sandbox={"delay": 4}))

    def found(status: str) -> dict[str, list[str]]:
        return {
            item["id"]: item["payload"] for item in client.search(("messageStatus", status), ("id", [waiting, working]))
        }

    def settled() -> bool:
        return set(found("Queued")) == {waiting} and set(found("Processing")) == {working}

    eventually(settled, within=8, what="one message Queued for its retry and one Processing")

    assert found("Processed") == found("Processing")
    assert set(found("Complete")) == {waiting}
    [request] = client.search(("id", waiting), ("messageStatus", "Queued"))
    assert request["requestStatus"] == "Processing"  # one is Complete
    assert [item["processedTime"] for item in request["payload"]] == [None]
    counts = {"total": 2, "queued": 1, "processing": 0, "cancelled": 0, "failed": 0, "invalid": 0, "complete": 1}
    assert request["messageStatusSummary"] == counts
    assert client.seen(working)["messageStatusSummary"]["processing"] == 1
    assert client.seen(working)["requestStatus"] == "Processing"
    assert client.statuses(working) == ["OPEN"]
    client.post(f"/api/v1/requests/{waiting}/cancel")
    assert client.seen(waiting)["requestStatus"] == "Complete"  # some Cancelled, but one Complete
