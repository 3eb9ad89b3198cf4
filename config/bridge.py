"""From the ASGI server to Django's WSGI handler, which is twice as fast for plain views as Django's own ASGI path.

In: the server's scope, receive and send. Out: Django's answer. Called by `asgi.py` for all that is no static file.

A thread of a fixed pool is held only while Django works: the body was read before, in the event loop, and the answer
goes out after. When the pool's queue is full, the answer is 503 at once.

A view streams by returning a `StreamingHttpResponse`; it says nothing to us beforehand.
- With a plain iterator, each chunk is one turn in the pool: between two chunks no thread and no database connection is
  held, however slowly the client reads. So each `next()` must be whole in itself: one short statement, no transaction
  or cursor left open.
- With an async iterator the event loop pulls it: for what waits (events). It must not block.
A view that has nothing to say yet returns a `Later`: it is asked anew when what it waits for has come, and meanwhile no
thread, no place in the queue and no connection is held (long polls).
A failure in mid-stream cuts the connection, so that the client can tell. A client that goes away ends its stream.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog
from django.db import close_old_connections
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from config import environ, metering
from config.handler import Handler
from config.uploads import Receive, Upload, Uploads
from orchestrator.api import problems, waiting

log = structlog.get_logger(__name__)

Scope = Mapping[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_Result = TypeVar("_Result")

_WATCHED = (b"livez", b"readyz", b"metrics")
_BODILESS = frozenset({204, 304})
_END = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out: a whole body, or a response that is still to be streamed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    stream: StreamingHttpResponse | None = None
    later: waiting.Later | None = None
    route: str | None = None


_GONE = Answer(499, [], b"")
"""For a client that went away while it waited: nobody reads it."""


class Bridge:
    """One per process."""

    def __init__(self, *, threads: int, queue: int, patience: float, uploads: Uploads) -> None:
        """Load Django's handler with its middleware. `patience`: seconds until a call that hangs is answered 503."""
        self._handler = Handler()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="django")
        # A busy process is not a dead one, and one whose database hangs is not ready, but alive; and
        # its figures are wanted just then.
        self._watchers = {name: ThreadPoolExecutor(1, thread_name_prefix=name.decode()) for name in _WATCHED}
        self._room = threads + queue
        self._patience = patience
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one HTTP request over."""
        answer = await self._answer(scope, receive)
        await self._send(answer, scope, receive, send)

    def close(self) -> None:
        """Let the work that was begun end."""
        self._pool.shutdown(wait=True)
        for pool in self._watchers.values():
            pool.shutdown(wait=True)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers = environ.join_headers(scope["headers"])
        try:
            async with self._uploads.body(receive, headers=headers) as upload:
                return await self._ask_until_answered(scope, headers, upload, receive)
        except problems.Problem as problem:
            return _whole(problems.respond(scope["path"], problem))
        except Exception:
            log.exception("unanticipated failure outside Django", method=scope["method"], path=scope["path"])
            return _whole(problems.respond(scope["path"], problems.Problem(500, "Internal server error")))

    async def _ask_until_answered(
        self, scope: Scope, headers: Mapping[bytes, bytes], upload: Upload, receive: Receive
    ) -> Answer:
        call = environ.build(scope, headers, await upload.read())
        if watcher := self._watchers.get(scope["raw_path"].strip(b"/").partition(b"/")[0]):
            return await self._patiently(asyncio.get_running_loop().run_in_executor(watcher, self._run, call))
        answer = await self._ask_django(call)
        while answer.later is not None:
            upload.release()
            if not await _wait_or_leave(answer.later, receive):
                return replace(_GONE, route=answer.route)
            answer = await self._ask_django(environ.build(scope, headers, b"", waited=answer.later))
        return answer

    async def _ask_django(self, call: dict[str, Any]) -> Answer:
        if self._room <= 0:
            raise problems.Problem(503, "The service is too busy at present, please try again")
        self._room -= 1
        job = asyncio.get_running_loop().run_in_executor(self._pool, self._run, call)
        job.add_done_callback(self._make_room)
        return await self._patiently(job)

    async def _patiently(self, job: "asyncio.Future[Answer]") -> Answer:
        """Wait for Django, but not for ever: a database that stands still answers neither yes nor no.

        The thread is left to it, and may yet commit: the caller can't know, and an idempotency key makes that safe.
        """
        done, _ = await asyncio.wait({job}, timeout=self._patience)
        if not done:
            raise problems.Problem(503, "The service is unavailable at present, please try again")
        return job.result()

    def _make_room(self, job: "asyncio.Future[Answer]") -> None:
        self._room += 1
        _ = job.cancelled() or job.exception()  # of one that nobody waits for any more, too

    def _run(self, call: dict[str, Any]) -> Answer:
        """Call Django in a thread. Its database connection goes back to the pool before the answer goes out."""
        response: Any = self._handler(call, _start_response)
        if isinstance(response, waiting.Later):
            response.close()
            return Answer(response.status_code, [], b"", later=response, route=getattr(response, "route", None))
        if response.streaming:
            close_old_connections()
            return Answer(response.status_code, _encode_headers(response), b"", response, route=response.route)
        try:
            return _whole(response)
        finally:
            response.close()

    async def _in_pool(self, job: Callable[..., _Result], *arguments: Any) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, job, *arguments)

    async def _send(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        head_only = scope["method"] == "HEAD"
        head = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        await send({**head, metering.ROUTE: answer.route})
        if answer.stream is None:
            await send({"type": "http.response.body", "body": b"" if head_only else answer.body})
            return
        try:
            if not head_only:
                await self._stream(answer.stream, receive, send)
        except Exception:
            log.exception("a stream broke off", method=scope["method"], path=scope["path"])
            return  # without the last message: the server cuts the connection
        finally:
            await self._in_pool(answer.stream.close)
        await send({"type": "http.response.body", "body": b""})

    async def _stream(self, response: StreamingHttpResponse, receive: Receive, send: Send) -> None:
        """Send chunk after chunk until there are no more or the client is gone."""
        pull = self._chunks(response)
        gone = asyncio.ensure_future(_wait_until_gone(receive))
        try:
            while True:
                chunk = asyncio.ensure_future(pull())
                await asyncio.wait({chunk, gone}, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    await _abandon(chunk)
                    return
                if chunk.result() is _END:
                    return
                await send({"type": "http.response.body", "body": chunk.result(), "more_body": True})
        finally:
            gone.cancel()

    def _chunks(self, response: StreamingHttpResponse) -> Callable[[], Awaitable[Any]]:
        """Return what fetches the next chunk, or `_END`."""
        if response.is_async:
            waiting: AsyncIterator[bytes] = aiter(response)
            return lambda: _next_waited_for(waiting)
        iterator = iter(response)
        return lambda: self._in_pool(_next_in_thread, iterator)


def _next_in_thread(iterator: Iterator[bytes]) -> Any:
    try:
        return next(iterator, _END)
    finally:
        close_old_connections()


async def _next_waited_for(iterator: AsyncIterator[bytes]) -> Any:
    return await anext(iterator, _END)


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _wait_or_leave(later: waiting.Later, receive: Receive) -> bool:
    """Wait until the view can be asked anew; False when its client has gone away meanwhile."""
    until = asyncio.ensure_future(later.until())
    gone = asyncio.ensure_future(_wait_until_gone(receive))
    try:
        await asyncio.wait({until, gone}, return_when=asyncio.FIRST_COMPLETED)
        return not gone.done()
    finally:
        gone.cancel()
        await _abandon(until)


async def _abandon(chunk: "asyncio.Future[Any]") -> None:
    """Give a chunk up that nobody wants: one that waits is cancelled, one in a thread ends by itself."""
    chunk.cancel()
    await asyncio.wait({chunk})


def _start_response(_status: str, _headers: list[tuple[str, str]], _failure: Any = None) -> Callable[[bytes], object]:
    """Do what WSGI asks for: nothing, since Django hands us its own response object, which says all of this."""
    return lambda _: None


def _whole(response: HttpResponseBase) -> Answer:
    content = response.content if isinstance(response, HttpResponse) else b"".join(response)
    headers = _encode_headers(response)
    if response.status_code not in _BODILESS:
        headers.append((b"content-length", str(len(content)).encode()))
    return Answer(response.status_code, headers, content, route=getattr(response, "route", None))


def _encode_headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.items()
        if name.lower() != "content-length"
    ]
    cookies = [(b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
    return headers + cookies
