"""What bad bodies get at every door that reads one: the window's error body, a 4xx, and nothing stored."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.contract.api import Api, assert_refused, fresh, message, request
from tests.waiting import eventually

REQUESTS, MESSAGES, TRACKING = "/api/v1/requests", "/api/v1/messages/Echo", "/api/v1/tracking"
DOORS = pytest.mark.parametrize("door", [REQUESTS, MESSAGES, TRACKING])
MARK = '"MARK"'  # where a good body of each door has a value that may be anything


def good(door: str, reference: str) -> bytes:
    """A body that the door takes, with a place to spoil."""
    if door == TRACKING:
        return b'{"search": [{"by": "externalReference", "value": "MARK"}]}'
    return json.dumps(request(message("Echo", reference, field="MARK"), batchReference=reference)).encode()


def spoil(value: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body.replace(MARK.encode(), value)


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "blanks": lambda _: b"   ",
    "cut off": lambda body: body[:-1],
    "two values": lambda body: body + b"{}",
    "single quotes": lambda body: body.replace(b'"', b"'"),
    "trailing comma": lambda body: body[:-1] + b",}",
    "a comment": lambda body: body + b"// end",
    "NaN": spoil(b"NaN"),
    "Infinity": spoil(b"Infinity"),
    "-Infinity": spoil(b"-Infinity"),
    "1e999": spoil(b"1e999"),
    "-1e999": spoil(b"-1e999"),
    "NUL escaped": spoil(b'"a\\u0000b"'),
    "NUL escaped in a key": spoil(b'{"a\\u0000b": 1}'),
    "NUL raw": spoil(b'"a\x00b"'),
    "control character": spoil(b'"a\x01b"'),
    "high surrogate": spoil(b'"\\ud800"'),
    "low surrogate": spoil(b'"\\udc00"'),
    "surrogates swapped": spoil(b'"\\udc00\\ud800"'),
    "surrogate in a key": spoil(b'{"\\ud800": 1}'),
    "surrogate as bytes": spoil(b'"\xed\xa0\x80"'),
    "bad UTF-8": spoil(b'"\xff\xfe"'),
    "UTF-8 cut off": spoil(b'"\xe2\x82"'),
    "overlong UTF-8": spoil(b'"\xc0\x80"'),
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "5,000 deep lists": spoil(b"[" * 5000 + b"]" * 5000),
    "5,000 deep objects": spoil(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "5,000 deep and never closed": spoil(b"[" * 5000),
    "only brackets": lambda _: b"[" * 100_000,
    "120 deep": spoil(b"[" * 120 + b"]" * 120),
    "leading zero": spoil(b"01"),
    "bare word": spoil(b"yes"),
    "bad escape": spoil(b'"\\x"'),
    "a list": lambda _: b"[]",
    "a text": lambda _: b'"text"',
    "a number": lambda _: b"1",
    "null": lambda _: b"null",
    "a flag": lambda _: b"true",
}


@DOORS
@pytest.mark.parametrize("name", SPOILT)
def test_a_bad_body_is_400_and_nothing_is_stored(demo: Api, door: str, name: str) -> None:
    reference = fresh()

    answer = demo.raw(door, SPOILT[name](good(door, reference)))

    assert_refused(answer, 400)
    assert demo.search(("externalReference", reference)) == []


@DOORS
def test_the_good_body_of_these_tests_is_taken(demo: Api, door: str) -> None:
    answer = demo.raw(door, good(door, fresh()))

    assert answer.status_code in {200, 202}, answer.text


def test_nesting_that_is_deep_but_allowed_is_taken(demo: Api) -> None:
    body = spoil(b"[" * 90 + b"]" * 90)(good(REQUESTS, fresh()))

    assert demo.raw(REQUESTS, body).status_code == 202


@DOORS
@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
def test_a_body_of_40_mb_is_413(demo: Api, door: str, framing: str) -> None:
    reference = fresh()
    body = spoil(b'"' + b"x" * 40_000_000 + b'"')(good(door, reference))

    answer = demo.raw(door, body if framing == "Content-Length" else pieces(body))

    assert_refused(answer, 413)
    assert demo.search(("externalReference", reference)) == []


def pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1 << 20):
        yield body[start : start + (1 << 20)]


def test_a_chunked_body_is_taken(demo: Api) -> None:
    reference = fresh()

    answer = demo.raw(REQUESTS, iter([good(REQUESTS, reference)[:20], good(REQUESTS, reference)[20:]]))

    assert answer.status_code == 202, answer.text


def test_a_body_of_nearly_32_mib_is_taken(demo: Api) -> None:
    body = spoil(b'"' + b"x" * (31 << 20) + b'"')(good(REQUESTS, fresh()))

    answer = demo.raw(REQUESTS, body)

    assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("door", [REQUESTS, MESSAGES])
def test_10_001_messages_are_400_and_nothing_is_stored(demo: Api, door: str) -> None:
    body = request(*[message(reference=f"{number}") for number in range(10_001)])

    answer = demo.post(door, body)

    assert_refused(answer, 400)
    assert demo.search(("externalReference", body["batchReference"])) == []


def test_10_000_messages_are_accepted_and_completed(demo: Api) -> None:
    answer = demo.post(REQUESTS, request(*[message(reference=f"{number}") for number in range(10_000)]))

    assert answer.status_code == 202, answer.text
    request_id = answer.headers["Request-Id"]

    def complete() -> bool:
        [found] = demo.search(("id", request_id), ("externalReference", "9999"))
        assert len(found["payload"]) == 1
        assert found["messageStatusSummary"]["total"] == 10_000
        return bool(found["requestStatus"] == "Complete" and found["messageStatusSummary"]["complete"] == 10_000)

    eventually(complete, within=40, what="10,000 Echo")


@DOORS
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data"]
)
def test_another_content_type_is_415(demo: Api, door: str, kind: str) -> None:
    assert_refused(demo.raw(door, good(door, fresh()), kind=kind), 415)


@DOORS
def test_json_with_a_charset_is_taken(demo: Api, door: str) -> None:
    answer = demo.raw(door, good(door, fresh()), kind="Application/JSON; charset=utf-8")

    assert answer.status_code in {200, 202}


@DOORS
def test_a_compressed_body_that_is_not_json_is_a_4xx(demo: Api, door: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    answer = demo.http.post(door, content=b"\x1f\x8b\x08\0\0\0", headers=headers, auth=demo.basic)

    assert_refused(answer, answer.status_code)
    assert answer.status_code in {400, 415}
