"""Messages carried out by real HTTP servers: good ones, failing ones and nasty ones."""

import asyncio
import contextlib
import email.utils
import gzip
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from orchestrator import backends, handlers

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def make_work(payload: str = '{"weight": 1.10}', **fields: Any) -> handlers.Work:
    return handlers.Work(
        **{
            "id": uuid.uuid4(),
            "request_id": uuid.uuid4(),
            "client_id": 1,
            "type": "Parcel",
            "external_reference": "ref-1",
            "payload": payload,
            "attempt": 1,
            **fields,
        }
    )


def carry_out(url: str, *works: handlers.Work, timeout: float = 10.0, headers: Any = ()) -> list[Any]:
    """Call the back end with all works at once, as a worker's loop does; the results, or what was raised."""
    target = backends.Target(url=url, timeout=timeout, headers=headers)

    async def run() -> list[Any]:
        backends.open_client()
        try:
            return await asyncio.gather(*map(target, works or [make_work()]), return_exceptions=True)
        finally:
            await backends.close_clients()

    return asyncio.run(run())


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A server that `serve` is the whole of; nothing of it is left behind."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await serve(reader, writer)
            finally:
                writer.close()
                await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.ensure_future(talk(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        await backends.close_clients()
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def carry_out_at(serve: Serve, *works: handlers.Work, timeout: float = 10.0) -> list[Any]:
    """The same against a server made for this call."""

    async def run() -> list[Any]:
        async with serving(serve) as url:
            target = backends.Target(url=url, timeout=timeout)
            return await asyncio.gather(*map(target, works or [make_work()]), return_exceptions=True)

    return asyncio.run(run())


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request's head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def saying(answer: bytes, *, once: bool = True) -> Serve:
    """A server that says these bytes to every call, and then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()
            if once:
                return

    return serve


def answering(body: bytes, *, status: str = "200 OK", headers: bytes = b"") -> Serve:
    """A server that answers every call with a whole answer."""
    length = b"Content-Length: %d\r\n" % len(body)
    return saying(b"HTTP/1.1 " + status.encode() + b"\r\n" + headers + length + b"Connection: close\r\n\r\n" + body)


class TestTheCall:
    def test_carries_the_messages_own_fields_and_who_it_is(self, httpserver: HTTPServer) -> None:
        work = make_work('{"weight": 1.10,  "id": 123456789012345678901234567890}', traceparent="00-ab-cd-01")
        httpserver.expect_request("/parcels", method="POST").respond_with_json({"ticket_id": 7})

        [result] = carry_out(httpserver.url_for("/parcels"), work)

        assert json.loads(result.text) == {"ticket_id": 7}
        request, _ = httpserver.log[0]
        assert request.get_data(as_text=True) == work.payload
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["Idempotency-Key"] == str(work.id)
        assert request.headers["Request-Id"] == str(work.request_id)
        assert request.headers["X-Message-Type"] == "Parcel"
        assert request.headers["X-External-Reference"] == "ref-1"
        assert request.headers["traceparent"] == "00-ab-cd-01"

    def test_leaves_out_what_the_message_does_not_have(self, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/").respond_with_data("")

        carry_out(httpserver.url_for("/"), make_work(external_reference=None))

        request, _ = httpserver.log[0]
        assert "X-External-Reference" not in request.headers
        assert "traceparent" not in request.headers

    def test_carries_the_configured_headers_but_never_in_place_of_ours(self, httpserver: HTTPServer) -> None:
        work = make_work()
        httpserver.expect_request("/").respond_with_data("")
        configured = (
            ("Authorization", "Bearer t"),
            ("idempotency-key", "mine"),
            ("Content-Type", "application/x+json"),
        )

        carry_out(httpserver.url_for("/"), work, headers=configured)

        request, _ = httpserver.log[0]
        assert request.headers["Authorization"] == "Bearer t"
        assert request.headers.getlist("Idempotency-Key") == [str(work.id)]
        assert request.headers.getlist("Content-Type") == ["application/x+json"]

    @pytest.mark.parametrize(
        ("reference", "header"),
        [
            ("plain ref/1", "plain ref/1"),
            ("Åsa\r\nX-Evil: 1", "%C3%85sa%0D%0AX-Evil: 1"),
            ("50%", "50%25"),
            (" edge ", "%20edge%20"),
            ("\x00\ud800", "%00?"),
        ],
    )
    def test_never_lets_a_reference_break_out_of_its_header(
        self, httpserver: HTTPServer, reference: str, header: str
    ) -> None:
        httpserver.expect_request("/").respond_with_data("")

        carry_out(httpserver.url_for("/"), make_work(external_reference=reference))

        request, _ = httpserver.log[0]
        assert request.headers["X-External-Reference"] == header
        assert "X-Evil" not in request.headers

    def test_ignores_the_machines_proxies(self, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        httpserver.expect_request("/").respond_with_data("1")

        assert carry_out(httpserver.url_for("/")) == [handlers.JSONText("1")]

    def test_keeps_no_cookies_between_calls(self, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/").respond_with_data("1", headers={"Set-Cookie": "session=1; Path=/"})

        async def call_twice() -> None:
            target = backends.Target(url=httpserver.url_for("/"), timeout=10)
            await target(make_work())
            await target(make_work())
            await backends.close_clients()

        asyncio.run(call_twice())

        assert ["Cookie" in request.headers for request, _ in httpserver.log] == [False, False]

    def test_reuses_connections(self) -> None:
        opened = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal opened
            opened += 1
            await saying(OK + b"Content-Length: 1\r\n\r\n1", once=False)(reader, writer)

        async def run() -> None:
            async with serving(serve) as url:
                for _ in range(5):
                    await backends.Target(url=url, timeout=10)(make_work())

        asyncio.run(run())

        assert opened == 1

    def test_reuses_connections_after_more_calls_than_one_client_serves(self) -> None:
        opened = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal opened
            opened += 1
            await saying(OK + b"Content-Length: 1\r\n\r\n1", once=False)(reader, writer)

        async def run() -> None:
            async with serving(serve) as url:
                target = backends.Target(url=url, timeout=10)
                for _ in range(3):
                    await asyncio.gather(*(target(make_work()) for _ in range(50)))

        asyncio.run(run())

        assert opened <= 50

    def test_two_hundred_calls_of_a_second_take_little_more_than_one(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            await asyncio.sleep(1)
            await writer_says(writer, OK + b"Content-Length: 1\r\nConnection: close\r\n\r\n1")

        async def writer_says(writer: asyncio.StreamWriter, answer: bytes) -> None:
            writer.write(answer)
            await writer.drain()

        began = time.monotonic()

        results = carry_out_at(serve, *(make_work() for _ in range(200)), timeout=60)

        assert results == [handlers.JSONText("1")] * 200
        assert time.monotonic() - began < 60  # one after the other they take 200


class TestAResult:
    @pytest.mark.parametrize(
        ("body", "result"),
        [
            (b'{"a":  1.10}', '{"a":  1.10}'),
            (b"[1, 2]\n", "[1, 2]"),
            (b"123456789012345678901234567890", "123456789012345678901234567890"),
            (b'"\\u00e5"', '"\\u00e5"'),
            (b"\xef\xbb\xbf{}", "{}"),
            (b"", "null"),
            (b" \r\n", "null"),
        ],
    )
    def test_is_the_answers_json_as_it_came(self, body: bytes, result: str) -> None:
        assert carry_out_at(answering(body)) == [handlers.JSONText(result)]

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (b"done", "done"),
            (b"<html>done</html>", "<html>done</html>"),
            (b'{"a": NaN}', '{"a": NaN}'),
            (b'{"a": 1e200000}', '{"a": 1e200000}'),
            (b'{"a": "\\u0000"}', '{"a": "\\u0000"}'),
            (b'{"a": "\\ud800"}', '{"a": "\\ud800"}'),
            (b'{"a": 1', '{"a": 1'),
            (b"[" * 5000 + b"]" * 5000, "[" * 5000 + "]" * 5000),
            (b"rub\x00bish\x1b", "rubbish"),
            (b"\xff\xfe{}", "\ufffd\ufffd{}"),
        ],
    )
    def test_that_is_not_strictly_json_is_kept_as_text(self, body: bytes, text: str) -> None:
        [result] = carry_out_at(answering(body, headers=b"Content-Type: application/json\r\n"))

        assert json.loads(result.text) == {"text": text}

    def test_is_decoded_by_its_charset_when_it_is_text(self) -> None:
        [result] = carry_out_at(
            answering("på".encode("latin-1"), headers=b"Content-Type: text/plain; charset=iso-8859-1\r\n")
        )

        assert json.loads(result.text) == {"text": "på"}

    @pytest.mark.parametrize("charset", [b"punycode", b"base64", b"no-such", b"iso-8859-99", b"\xff"])
    def test_survives_any_charset(self, charset: bytes) -> None:
        headers = b"Content-Type: text/plain; charset=" + charset + b"\r\n"

        [result] = carry_out_at(answering(b"words", headers=headers))

        assert json.loads(result.text) == {"text": "words"}

    @pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "299 Odd"])
    def test_comes_with_any_2xx(self, status: str) -> None:
        assert carry_out_at(answering(b"{}", status=status)) == [handlers.JSONText("{}")]

    def test_of_204_is_null(self) -> None:
        serve = saying(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

        assert carry_out_at(serve) == [handlers.JSONText("null")]

    def test_may_be_packed(self) -> None:
        packed = gzip.compress(b'{"packed": true}')

        result = carry_out_at(answering(packed, headers=b"Content-Encoding: gzip\r\n"))

        assert result == [handlers.JSONText('{"packed": true}')]


class TestARefusal:
    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({"detail": "No such parcel", "message": "other"}, "No such parcel"),
            ({"message": "Too heavy"}, "Too heavy"),
            ({"cause": "Unknown service: 'x'"}, "Unknown service: 'x'"),
            ({"detail": "", "cause": "Closed"}, "Closed"),
            ({"detail": ["a"], "message": "Listed"}, "Listed"),
            ({"detail": "a\x00b\x1b[31m"}, "a b [31m"),
            ({"other": "x"}, "The back end refused the message (status 422)"),
            (["x"], "The back end refused the message (status 422)"),
        ],
    )
    def test_carries_the_text_for_the_client(self, httpserver: HTTPServer, body: Any, text: str) -> None:
        httpserver.expect_request("/").respond_with_json(body, status=422)

        [refusal] = carry_out(httpserver.url_for("/"))

        assert isinstance(refusal, handlers.Rejected)
        assert str(refusal) == text

    @pytest.mark.parametrize("body", [b"", b"<html>", b'{"detail": "\\ud800"}', b"\xff", b"[" * 100_000])
    def test_without_a_readable_text_gets_a_neutral_one(self, body: bytes) -> None:
        [refusal] = carry_out_at(answering(body, status="404 Not Found"))

        assert isinstance(refusal, handlers.Rejected)
        assert str(refusal) == "The back end refused the message (status 404)"

    def test_is_bounded(self, httpserver: HTTPServer) -> None:
        httpserver.expect_request("/").respond_with_json({"detail": "x" * 100_000}, status=400)

        [refusal] = carry_out(httpserver.url_for("/"))

        assert len(str(refusal)) == 1000

    def test_with_a_body_that_is_too_long_stays_a_refusal(self, settings: Settings) -> None:
        settings.WAYBILL_MAX_ANSWER_BYTES = 100

        [refusal] = carry_out_at(answering(b'{"detail": "' + b"x" * 1000 + b'"}', status="400 Bad Request"))

        assert isinstance(refusal, handlers.Rejected)


class TestALaterTry:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
    def test_follows_a_passing_error(self, httpserver: HTTPServer, status: int) -> None:
        httpserver.expect_request("/").respond_with_json({"detail": "later"}, status=status)

        [error] = carry_out(httpserver.url_for("/"))

        assert isinstance(error, handlers.RetryLater)
        assert error.after is None
        assert str(error) == f"status {status}: later"

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "120"}, 120.0),
            ({"Retry-After": "0"}, 0.0),
            ({"Retry-After": "-1"}, None),
            ({"Retry-After": "soon"}, None),
            ({"Retry-After": "9" * 5000}, float("inf")),
            ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 07:27:00 GMT"}, 60.0),
            ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT", "Date": "Wed, 21 Oct 2026 08:00:00 GMT"}, 0.0),
            ({"Retry-After": "Wed, 99 Oct 2026 07:28:00 GMT"}, None),
        ],
    )
    def test_honours_retry_after(self, headers: dict[str, str], seconds: float | None) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()

        [error] = carry_out_at(answering(b"", status="503 Unavailable", headers=lines))

        assert isinstance(error, handlers.RetryLater)
        assert error.after == seconds

    def test_honours_a_date_by_our_clock_when_the_answer_has_none(self) -> None:
        when = email.utils.format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

        [error] = carry_out_at(answering(b"", status="429 Slow", headers=f"Retry-After: {when}\r\n".encode()))

        assert isinstance(error, handlers.RetryLater)
        assert error.after is not None
        assert 3500 < error.after <= 3600

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 200 O",
            OK + b"Content-Length: 100\r\n\r\n{",
            OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
            OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
            OK + b"Content-Length: one\r\n\r\n1",
            OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
            OK + b"X: " + b"x" * 200_000 + b"\r\n\r\n",
            b"\x16\x03\x01 this is not HTTP\r\n\r\n",
        ],
        ids=[
            "nothing",
            "half a line",
            "cut off",
            "cut chunk",
            "bad chunk",
            "bad length",
            "not gzip",
            "huge head",
            "no http",
        ],
    )
    def test_follows_half_an_answer(self, answer: bytes) -> None:
        [error] = carry_out_at(saying(answer))

        assert isinstance(error, handlers.RetryLater)

    def test_follows_a_refused_connection(self) -> None:
        [error] = carry_out("http://127.0.0.1:9/")

        assert isinstance(error, handlers.RetryLater)

    def test_follows_an_unknown_host(self) -> None:
        [error] = carry_out("http://no-such-host.invalid/")

        assert isinstance(error, handlers.RetryLater)


class TestTooSlow:
    def test_is_silence(self) -> None:
        async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()

        [error] = carry_out_at(serve, timeout=0.3)
        assert isinstance(error, handlers.TooSlow)

    def test_is_a_trickle_that_never_pauses_for_long(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK + b"Content-Length: 1000000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)

        [error] = carry_out_at(serve, timeout=0.3)

        assert isinstance(error, handlers.TooSlow)

    def test_is_a_head_that_never_ends(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            while not writer.is_closing():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)

        [error] = carry_out_at(serve, timeout=0.3)

        assert isinstance(error, handlers.TooSlow)

    def test_does_not_hold_its_neighbours(self) -> None:
        slow = make_work(external_reference="slow")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if b"slow" in await read_request(reader):
                await reader.read()
            writer.write(OK + b"Content-Length: 1\r\nConnection: close\r\n\r\n1")

        results = carry_out_at(serve, slow, make_work(), timeout=1.0)

        assert isinstance(results[0], handlers.TooSlow)
        assert results[1] == handlers.JSONText("1")


class TestWhatIsNeverTaken:
    def test_an_answer_without_end(self) -> None:
        sent = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await read_request(reader)
            writer.write(OK + b"Content-Length: 1000000000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b" " * 65536)
                sent += 65536
                await writer.drain()

        [error] = carry_out_at(serve)

        assert isinstance(error, backends.AnswerRefused)
        assert sent < 50 * 1024 * 1024

    @pytest.mark.parametrize(("size", "is_taken"), [(1024 * 1024, True), (1024 * 1024 + 1, False)])
    def test_an_answer_over_a_mebibyte(self, size: int, *, is_taken: bool) -> None:
        body = b'"' + b"x" * (size - 2) + b'"'

        [result] = carry_out_at(answering(body))

        assert isinstance(result, handlers.JSONText if is_taken else backends.AnswerRefused)

    def test_a_small_answer_that_unpacks_to_a_large_one(self) -> None:
        bomb = gzip.compress(gzip.compress(b" " * 200_000_000, compresslevel=9))

        [error] = carry_out_at(answering(bomb, headers=b"Content-Encoding: gzip, gzip\r\n"))

        assert isinstance(error, backends.AnswerRefused)

    @pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
    def test_a_redirect(self, httpserver: HTTPServer, status: int) -> None:
        seen: list[str] = []

        def elsewhere(request: Request) -> Response:
            seen.append(request.path)
            return Response("1")

        httpserver.expect_request("/old").respond_with_data("", status=status, headers={"Location": "/new"})
        httpserver.expect_request("/new").respond_with_handler(elsewhere)

        [error] = carry_out(httpserver.url_for("/old"))

        assert isinstance(error, backends.AnswerRefused)
        assert not seen

    def test_a_change_of_protocol(self) -> None:
        serve = saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")

        [error] = carry_out_at(serve)

        assert isinstance(error, backends.AnswerRefused | handlers.RetryLater)


def test_a_target_never_shows_its_headers() -> None:
    target = backends.Target(url="http://x/", timeout=1, headers=(("Authorization", "Bearer hidden"),))

    assert "hidden" not in repr(target)
