"""Error policy, duplicate policy, deadline, cancel: what a request asks for and what becomes of it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.contract.api import WAITS, Api, assert_refused, fresh, message, request
from tests.acceptance.contract.backend import BackEnd
from tests.waiting import eventually

FAILS = {"script": [{"status": 422, "json": {"detail": "No such thing"}}]}
SCHEMA = '{"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}'


def words(data: dict[str, Any]) -> list[str]:
    return [item["messageStatus"] for item in data["payload"]]


def called(api: Api, back_end: BackEnd, request_id: str, within: float = 10) -> None:
    """Wait until the single message of the request was called for the first time."""
    eventually(lambda: back_end.calls(request_id), within=within, what="the first call")
    assert api.seen(request_id)["id"] == request_id


@pytest.fixture(scope="module")
def strict(make_type: Callable[..., str], back_end: BackEnd, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A message type with a schema: `size` must be an integer."""
    schema: Path = tmp_path_factory.mktemp("schema") / "schema.json"
    schema.write_text(SCHEMA)
    return make_type("strict", "--url", back_end.url(), "--schema", str(schema))


@pytest.mark.parametrize("door", ["requests", "typed"])
def test_an_invalid_message_is_stored_and_the_others_go_on(demo: Api, strict: str, door: str) -> None:
    path = "/api/v1/requests" if door == "requests" else f"/api/v1/messages/{strict}"
    items = [message(strict, size=1), message(strict, size="one"), message(strict), message(strict, size=4)]

    answer = demo.post(path, request(*items, errorPolicy="proceedOnError"))

    assert answer.status_code == (202 if door == "requests" else 200)
    assert answer.json()["success"] is True
    assert {error["index"] for error in answer.json()["errors"]} == {1, 2}
    assert all(error["errorMessage"] for error in answer.json()["errors"])
    done = demo.finished(answer.headers["Request-Id"])
    assert words(done) == ["Complete", "Invalid", "Invalid", "Complete"]
    assert done["requestStatus"] == "Complete"
    assert [bool(item.get("errors")) for item in done["payload"]] == [False, True, True, False]
    assert all(item["processedTime"] for item in done["payload"])
    assert demo.statuses(done["id"]) == ["SUCCESS", "FAILURE", "FAILURE", "SUCCESS"]


@pytest.mark.parametrize("fields", [{}, {"errorPolicy": "haltOnError"}])
def test_under_halt_on_error_an_invalid_message_cancels_the_others_at_intake(
    demo: Api, strict: str, fields: dict[str, Any]
) -> None:
    body = request(message(), message(strict), message(), **fields)

    answer = demo.post("/api/v1/requests", body, headers={"Prefer": "return=representation"})

    assert answer.status_code == 202
    assert answer.json()["success"] is True
    assert [error["index"] for error in answer.json()["errors"]] == [1]
    shown = [item["messageStatus"] for item in answer.json()["data"]["messages"]]
    assert shown == ["Cancelled", "Invalid", "Cancelled"]
    data = demo.seen(answer.headers["Request-Id"])
    assert words(data) == shown
    assert data["requestStatus"] == "Cancelled"
    assert data["messageStatusSummary"]["cancelled"] == 2


def test_a_request_of_only_invalid_messages_is_complete(demo: Api, strict: str) -> None:
    data = demo.seen(demo.submit(message(strict), message(strict)))

    assert words(data) == ["Invalid", "Invalid"]
    assert data["requestStatus"] == "Complete"


def test_halt_on_error_begins_no_other_message(demo: Api, scripted: str, back_end: BackEnd) -> None:
    slow = {"script": [{"wait": 1.0}]}
    items = [message(scripted, **FAILS), *[message(scripted, **slow) for _ in range(299)]]

    done = demo.done(*items)

    summary = done["messageStatusSummary"]
    assert words(done)[0] == "Failed"
    assert summary["failed"] == 1
    assert summary["cancelled"] > 0
    assert summary["complete"] + summary["cancelled"] == 299
    assert done["requestStatus"] == "Complete"
    begun = [bool(back_end.calls(item[next(key for key in item if key.endswith("Id"))])) for item in done["payload"]]
    assert begun == [word != "Cancelled" for word in words(done)]


def test_proceed_on_error_goes_on(demo: Api, scripted: str) -> None:
    done = demo.done(message(scripted, **FAILS), message(), message(scripted), errorPolicy="proceedOnError")

    assert words(done) == ["Failed", "Complete", "Complete"]
    assert done["payload"][0]["errors"] == [{"errorMessage": "No such thing"}]
    assert done["requestStatus"] == "Complete"


def test_a_duplicate_of_a_message_that_stands_is_invalid(demo: Api, other: Api) -> None:
    reference = fresh()
    demo.done(message("Echo", reference))

    def again(api: Api, kind: str = "Echo", **fields: Any) -> str:
        return words(api.done(message(kind, reference), **fields))[0]

    assert again(other, duplicatePolicy="reject") == "Complete"  # another client's
    assert again(demo, kind="Vehicle", duplicatePolicy="reject") == "Complete"  # another type's
    assert again(demo, duplicatePolicy="reject") == "Invalid"
    assert again(demo, duplicatePolicy="accept") == "Complete"
    assert again(demo) == "Complete"


def test_a_duplicate_within_one_request_is_invalid(demo: Api) -> None:
    twice = fresh()
    items = [message("Echo", twice), message(), message("Echo", twice), message("Vehicle", twice)]

    answer = demo.post("/api/v1/requests", request(*items, duplicatePolicy="reject", errorPolicy="proceedOnError"))

    assert [error["index"] for error in answer.json()["errors"]] == [2]
    assert words(demo.finished(answer.headers["Request-Id"])) == ["Complete", "Complete", "Invalid", "Complete"]


def test_what_failed_or_was_cancelled_or_invalid_holds_no_reference(demo: Api, scripted: str, strict: str) -> None:
    failed, cancelled, invalid = fresh(), fresh(), fresh()
    demo.done(message(scripted, failed, **FAILS))
    demo.cancelled(demo.submit(message(scripted, cancelled, **WAITS)))
    demo.done(message(strict, invalid))

    done = demo.done(
        message(scripted, failed),
        message(scripted, cancelled),
        message(strict, invalid, size=1),
        duplicatePolicy="reject",
    )

    assert words(done) == ["Complete"] * 3


def test_of_two_duplicates_at_once_one_wins(demo: Api) -> None:
    reference, barrier = fresh(), threading.Barrier(6)

    def one(_: int) -> str:
        barrier.wait(timeout=10)
        return words(demo.done(message("Echo", reference), duplicatePolicy="reject"))[0]

    with ThreadPoolExecutor(6) as pool:
        ends = list(pool.map(one, range(6)))

    assert sorted(ends) == ["Complete", *["Invalid"] * 5]


def test_a_deadline_cancels_what_waits_and_lets_calls_finish(demo: Api, scripted: str, back_end: BackEnd) -> None:
    waits = demo.submit(message(scripted, **WAITS), deadline=2)
    under_way = demo.submit(message(scripted, script=[{"wait": 4}]), deadline=2)
    called(demo, back_end, waits)

    assert words(demo.finished(waits, within=8)) == ["Cancelled"]
    assert words(demo.finished(under_way)) == ["Complete"]
    assert demo.seen(waits)["requestStatus"] == "Cancelled"
    assert demo.statuses(waits) == ["FAILURE"]
    assert len(back_end.calls(waits)) == 1


def test_cancel_stops_what_waits(demo: Api, scripted: str, back_end: BackEnd) -> None:
    request_id = demo.submit(message(scripted, **WAITS))
    called(demo, back_end, request_id)
    eventually(lambda: words(demo.seen(request_id)) == ["Queued"], within=5, what="Queued again")
    assert demo.seen(request_id)["requestStatus"] == "Queued"
    assert demo.statuses(request_id) == ["OPEN"]

    answer = demo.post(f"/api/v1/requests/{request_id}/cancel")

    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["data", "errors", "success"]
    assert answer.json()["success"] is True
    assert answer.json()["data"] == demo.seen(request_id)
    assert words(answer.json()["data"]) == ["Cancelled"]
    assert answer.json()["data"]["requestStatus"] == "Cancelled"
    assert_refused(demo.post(f"/api/v1/requests/{request_id}/cancel"), 409)


def test_cancel_lets_a_call_under_way_finish(demo: Api, scripted: str, back_end: BackEnd) -> None:
    request_id = demo.submit(message(scripted, script=[{"wait": 1.5}]))
    called(demo, back_end, request_id)

    answer = demo.post(f"/api/v1/requests/{request_id}/cancel")

    assert answer.status_code == 200, answer.text
    assert words(answer.json()["data"]) == ["Processing"]
    assert words(demo.finished(request_id)) == ["Complete"]


def test_what_is_finished_cannot_be_cancelled(demo: Api) -> None:
    assert_refused(demo.post(f"/api/v1/requests/{demo.done()['id']}/cancel"), 409)


def test_cancel_needs_no_body_and_ignores_its_type(demo: Api) -> None:
    path = f"/api/v1/requests/{demo.done()['id']}/cancel"

    assert demo.http.post(path, auth=demo.basic).status_code == 409
    assert demo.post(path, {}).status_code == 409
