"""The call of an HTTP back end: what it carries, and how its answers and failures are read."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, fresh, message
from tests.acceptance.contract.backend import BackEnd, Call

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
MIB = 1 << 20
OK: dict[str, Any] = {"status": 200}


def soon() -> tuple[str, float]:
    """A date for Retry-After four seconds from now, and when that is on the monotonic clock."""
    date = (datetime.now(UTC) + timedelta(seconds=4)).replace(microsecond=0)
    return format_datetime(date, usegmt=True), time.monotonic() + (date - datetime.now(UTC)).total_seconds()


def no(body: Any, status: int = 400) -> list[dict[str, Any]]:
    return [{"status": status, "json": body}]


COMPLETE, REJECTED, INTERNAL = "SUCCESS", "FAILURE", "INTERNAL_ERROR"
# name → script, status word, number of calls, the error's text (None: none, ...: any)
PLAYS: dict[str, tuple[list[dict[str, Any]], str, int, Any]] = {
    "json": ([OK], COMPLETE, 1, None),
    "201": ([{"status": 201}], COMPLETE, 1, None),
    "202": ([{"status": 202}], COMPLETE, 1, None),
    "no content": ([{"status": 204}], COMPLETE, 1, None),
    "empty 200": ([{"text": ""}], COMPLETE, 1, None),
    "plain text": ([{"text": "fine", "headers": {"Content-Type": "text/plain"}}], COMPLETE, 1, None),
    "rubbish said to be JSON": ([{"text": "{not json"}], COMPLETE, 1, None),
    "a NUL": ([{"hex": "610062"}], COMPLETE, 1, None),
    "a NUL in JSON": ([{"text": '{"a": "\\u0000"}'}], COMPLETE, 1, None),
    "a lone surrogate": ([{"text": '"\\ud800"'}], COMPLETE, 1, None),
    "1e200000": ([{"text": "1e200000"}], COMPLETE, 1, None),
    "NaN": ([{"text": "NaN"}], COMPLETE, 1, None),
    "deep": ([{"text": "[" * 20_000 + "]" * 20_000}], COMPLETE, 1, None),
    "1 MiB": ([{"size": MIB}], COMPLETE, 1, None),
    "408 once": ([{"status": 408}, OK], COMPLETE, 2, None),
    "425 once": ([{"status": 425}, OK], COMPLETE, 2, None),
    "429 once": ([{"status": 429}, OK], COMPLETE, 2, None),
    "500 once": ([{"status": 500}, OK], COMPLETE, 2, None),
    "502, 504": ([{"status": 502}, {"status": 504}, OK], COMPLETE, 3, None),
    "599 once": ([{"status": 599}, OK], COMPLETE, 2, None),
    "cut off once": ([{"cut": True}, OK], COMPLETE, 2, None),
    "always 500": ([{"status": 500, "json": {"detail": "secret stack trace"}}], INTERNAL, 3, ...),
    "always cut off": ([{"cut": True}], INTERNAL, 3, ...),
    "500, then 400": ([{"status": 500}, *no({"detail": "no"})], REJECTED, 2, "no"),
    "detail": (no({"detail": "the detail", "message": "m", "cause": "c"}), REJECTED, 1, "the detail"),
    "message": (no({"message": "the message", "cause": "c"}, 404), REJECTED, 1, "the message"),
    "cause": (no({"cause": "the cause"}, 409), REJECTED, 1, "the cause"),
    "422": (no({"detail": "é🚚"}, 422), REJECTED, 1, "é🚚"),
    "401": (no({"detail": "who?"}, 401), REJECTED, 1, "who?"),
    "405": (no({}, 405), REJECTED, 1, ...),
    "detail is no text": (no({"detail": [1], "message": {}}), REJECTED, 1, ...),
    "detail with a NUL": ([{"status": 400, "text": '{"detail": "a\\u0000b"}'}], REJECTED, 1, ...),
    "detail with a surrogate": ([{"status": 400, "text": '{"detail": "\\ud800"}'}], REJECTED, 1, ...),
    "a very long detail": (no({"detail": "x" * 100_000}), REJECTED, 1, ...),
    "a list": (no(["detail"]), REJECTED, 1, ...),
    "400 with no JSON": ([{"status": 400, "text": "<html>no</html>"}], REJECTED, 1, ...),
    "400 with nothing": ([{"status": 400, "text": ""}], REJECTED, 1, ...),
    "Retry-After seconds": ([{"status": 503, "headers": {"Retry-After": "3"}}, OK], COMPLETE, 2, None),
    "Retry-After on 429": ([{"status": 429, "headers": {"Retry-After": "3"}}, OK], COMPLETE, 2, None),
    "Retry-After a date": ([{"status": 503, "headers": {"Retry-After": "SOON"}}, OK], COMPLETE, 2, None),
    "Retry-After rubbish": ([{"status": 503, "headers": {"Retry-After": "soon-ish"}}, OK], COMPLETE, 2, None),
    "Retry-After negative": ([{"status": 503, "headers": {"Retry-After": "-5"}}, OK], COMPLETE, 2, None),
    "Retry-After the past": (
        [{"status": 503, "headers": {"Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}}, OK],
        COMPLETE,
        2,
        None,
    ),
}
REFUSED: dict[str, list[dict[str, Any]]] = {
    "over 1 MiB": [{"size": MIB + 1}],
    "far over 1 MiB": [{"size": 40 * MIB}],
    **{
        f"redirect {status}": [{"status": status, "headers": {"Location": "/elsewhere"}}]
        for status in (301, 302, 303, 307, 308)
    },
    "not modified": [{"status": 304}],
}


class Played:
    """How every play ended: the message as tracked, its word, the calls that came."""

    def __init__(self, demo: Api, back_end: BackEnd, kind: str) -> None:
        scripts = {**{name: play[0] for name, play in PLAYS.items()}, **REFUSED}
        scripts["Retry-After a date"][0]["headers"]["Retry-After"], self.date = soon()
        items = [message(kind, name, script=script) for name, script in scripts.items()]
        self._back_end = back_end
        self.done = demo.finished(demo.submit(*items, errorPolicy="proceedOnError"), within=60)
        words = demo.statuses(self.done["id"])
        self.word = dict(zip(scripts, words, strict=True))
        self.item = {item["externalReference"]: item for item in self.done["payload"]}
        self.id = {name: next(item[key] for key in item if key.endswith("Id")) for name, item in self.item.items()}

    def calls(self, name: str) -> list[Call]:
        return self._back_end.calls(self.id[name])

    def errors(self, name: str) -> list[str]:
        return [error["errorMessage"] for error in self.item[name].get("errors", [])]


@pytest.fixture(scope="module")
def played(demo: Api, back_end: BackEnd, scripted: str) -> Played:
    return Played(demo, back_end, scripted)


@pytest.mark.parametrize("name", PLAYS)
def test_an_answer_is_read_as_the_contract_says(played: Played, name: str) -> None:
    _, word, calls, text = PLAYS[name]

    assert played.word[name] == word
    assert len(played.calls(name)) == calls
    assert played.item[name]["messageStatus"] == ("Complete" if word == COMPLETE else "Failed")
    if text is None:
        assert "errors" not in played.item[name]
    elif text is ...:
        assert all(played.errors(name))
        assert "secret" not in str(played.errors(name))
    else:
        assert played.errors(name) == [text]


@pytest.mark.parametrize("name", REFUSED)
def test_redirects_and_answers_over_1_mib_are_refused(played: Played, name: str) -> None:
    assert played.word[name] == INTERNAL
    assert played.item[name]["messageStatus"] == "Failed"
    assert {call.path for call in played.calls(name)} == {"/work"}


def test_no_redirect_is_followed(played: Played, back_end: BackEnd) -> None:
    assert played.done["requestStatus"] == "Complete"
    assert [call for call in back_end.calls("GET") if call.path == "/elsewhere"] == []


@pytest.mark.parametrize("name", ["Retry-After seconds", "Retry-After on 429"])
def test_retry_after_in_seconds_is_honoured(played: Played, name: str) -> None:
    first, second = played.calls(name)

    assert 2.9 <= second.at - first.at < 12


def test_retry_after_as_a_date_is_honoured(played: Played) -> None:
    assert played.date - 0.1 <= played.calls("Retry-After a date")[1].at < played.date + 10


def test_the_call_carries_the_own_fields_and_these_headers(demo: Api, scripted: str, back_end: BackEnd) -> None:
    own = {"text": "é🚚", "big": 123456789012345678901234567890, "nothing": None, "deep": [{"a": [1.5]}]}
    reference, trace = fresh(), "0af7651916cd43dd8448eb211c80319c"
    body = {"batchReference": "b", "payload": [message(scripted, reference, **own), message(scripted)]}

    answer = demo.post(
        "/api/v1/requests",
        body,
        headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01", "Prefer": "return=representation"},
    )

    data = answer.json()["data"]
    demo.finished(data["id"])
    [call] = back_end.calls(data["messages"][0]["id"])
    assert (call.method, call.path) == ("POST", "/work")
    assert call.json == own
    assert call.headers["content-type"].split(";")[0] == "application/json"
    assert call.headers["idempotency-key"] == data["messages"][0]["id"]
    assert call.headers["request-id"] == data["id"]
    assert call.headers["x-message-type"] == scripted
    assert call.headers["x-external-reference"] == reference
    assert TRACEPARENT.fullmatch(call.headers["traceparent"])
    assert call.headers["traceparent"].split("-")[1] == trace
    assert "authorization" not in call.headers


def test_every_try_carries_the_same_key(played: Played) -> None:
    for call in played.calls("502, 504"):
        assert call.headers["idempotency-key"] == played.id["502, 504"]
        assert TRACEPARENT.fullmatch(call.headers["traceparent"])


@pytest.mark.parametrize("reference", ["a\r\nX-Evil: 1", "réf", "日本🚚", " blank ", "\x7f\x01", "e" * 255])
def test_no_reference_breaks_the_call(demo: Api, scripted: str, back_end: BackEnd, reference: str) -> None:
    done = demo.done(message(scripted, reference))

    assert done["messageStatusSummary"]["complete"] == 1
    [call] = back_end.calls(done["id"])
    assert "x-evil" not in call.headers
    assert done["payload"][0]["externalReference"] == reference


def test_a_slow_back_end_times_out(demo: Api, make_type: Callable[..., str], back_end: BackEnd) -> None:
    hasty = make_type("hasty", "--url", back_end.url(), "--timeout", "1", "--attempts", "2")
    slow, fine = {"wait": 2.5}, {"wait": 0.2}
    scripts = [[slow, fine], [slow], [{"status": 500}, slow], [{"drip": 8, "json": "x" * 20}]]

    done = demo.done(*[message(hasty, script=script) for script in scripts], errorPolicy="proceedOnError")

    assert demo.statuses(done["id"]) == [COMPLETE, INTERNAL, INTERNAL, INTERNAL]
    ids = [next(value for key, value in item.items() if key.endswith("Id")) for item in done["payload"]]
    assert [len(back_end.calls(key)) for key in ids] == [2, 2, 2, 2]
    assert [bool(item.get("errors")) for item in done["payload"]] == [False, True, True, True]


def test_a_back_end_that_is_not_there_is_an_internal_failure(demo: Api, make_type: Callable[..., str]) -> None:
    absent = make_type("absent", "--url", "http://127.0.0.1:9/", "--attempts", "2")
    nowhere = make_type("nowhere", "--url", "http://no-such-host.invalid/", "--attempts", "1")

    done = demo.done(message(absent), message(nowhere), errorPolicy="proceedOnError")

    assert demo.statuses(done["id"]) == [INTERNAL, INTERNAL]
    assert "127.0.0.1" not in str(done["payload"])
    assert "no-such-host" not in str([item["errors"] for item in done["payload"]])
