"""`--max-in-flight`: too many open requests of one client are 429 in the door's own words."""

from collections.abc import Callable

import pytest

from tests.acceptance.contract.api import WAITS, Api, assert_refused, fresh, message, request


@pytest.fixture(scope="module")
def limited(make_client: Callable[..., Api]) -> Api:
    return make_client("--max-in-flight", "2")


def test_too_many_in_flight_are_429_until_one_ends(limited: Api, scripted: str) -> None:
    open_ones = [limited.submit(message(scripted, **WAITS)), limited.submit(message(scripted, **WAITS), message())]
    reference = fresh()

    for door, item in (
        ("/api/v1/requests", message("Echo", reference)),
        ("/api/v1/messages/Echo", message("Echo", reference)),
    ):
        answer = limited.post(door, request(item))

        assert_refused(answer, 429)
        assert answer.headers["Retry-After"].isdigit()
    assert limited.search(("externalReference", reference)) == []
    limited.cancelled(open_ones[0])
    limited.done()
    limited.cancelled(open_ones[1])


def test_finished_requests_do_not_count(limited: Api) -> None:
    for _ in range(5):
        limited.done(message())

    assert limited.search(("messageStatus", ["Queued", "Processing"])) == []


def test_a_429_is_not_kept_under_its_key(limited: Api, scripted: str) -> None:
    open_ones = [limited.submit(message(scripted, **WAITS)) for _ in range(2)]
    body, headers = request(), {"Idempotency-Key": fresh("key")}
    assert_refused(limited.post("/api/v1/requests", body, headers=headers), 429)
    limited.cancelled(open_ones[1])

    answer = limited.post("/api/v1/requests", body, headers=headers)

    assert answer.status_code == 202
    limited.cancelled(open_ones[0])
    limited.finished(answer.headers["Request-Id"])


def test_a_replay_is_answered_when_nothing_more_is_taken(limited: Api, scripted: str) -> None:
    body, headers = request(message(scripted, **WAITS)), {"Idempotency-Key": fresh("key")}
    first = limited.post("/api/v1/requests", body, headers=headers)
    second = limited.submit(message(scripted, **WAITS))

    again = limited.post("/api/v1/requests", body, headers=headers)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    for request_id in (second, first.headers["Request-Id"]):
        limited.cancelled(request_id)
