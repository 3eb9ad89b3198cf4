"""Request bodies on their way in, read in the event loop: no thread waits for a slow client.

In: the server's `receive`. Out: the whole body, or a refusal in neutral words.
Called by `bridge.py`. One body is bounded, and so are all bodies of the process together, chunked ones included.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from types import TracebackType
from typing import Any, Self

from orchestrator.api.problems import Problem

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

_SMALL_BYTES = 65_536
_DRAIN_SECONDS = 10.0
_DRAIN_BYTES = 128 * 1024 * 1024


class Uploads:
    """What all bodies of this process may hold together. Lives in the event loop, so plain numbers do."""

    def __init__(self, *, most_each: int, most_together: int, idle_seconds: float = 20.0) -> None:
        """Take the bounds in bytes, and how long a client may send nothing."""
        self.most_each = most_each
        self.most_together = most_together
        self.idle_seconds = idle_seconds
        self.held = 0

    def body(self, receive: Receive, *, headers: Mapping[bytes, bytes]) -> "Upload":
        """Prepare to read one body: `async with uploads.body(…) as upload`."""
        return Upload(self, receive, headers)


class Upload:
    """One body. It counts among the held ones until the `with` block ends."""

    def __init__(self, uploads: Uploads, receive: Receive, headers: Mapping[bytes, bytes]) -> None:
        """Nothing is read yet."""
        self._uploads = uploads
        self._receive = receive
        self._waits_for_leave = headers.get(b"expect", b"").lower() == b"100-continue"
        declared = headers.get(b"content-length", b"0")
        self._declared = int(declared) if declared.isdigit() else 0
        self._empty = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._whole = False
        self._size = 0

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back the room that the body took."""
        self.release()

    def release(self) -> None:
        """Give back the room that the body took: call it when the body has been dealt with."""
        self._uploads.held -= self._size
        self._size = 0

    async def read(self) -> bytes:
        """Return the whole body; raise `Problem` 400, 408, 413, 503, as a rule after the rest was drained."""
        if self._empty:
            return b""
        try:
            self._check(self._declared)
            return await self._collect()
        except Problem as refusal:
            self.release()
            if refusal.status in {413, 503}:
                await self._drain()
            raise

    def _check(self, size: int) -> None:
        if size > self._uploads.most_each:
            raise Problem(413, f"The body is longer than {self._uploads.most_each} bytes")
        others = self._uploads.held - self._size
        if size > _SMALL_BYTES and others + size > self._uploads.most_together:
            raise Problem(503, "The service is receiving too much at present, please try again")

    async def _collect(self) -> bytes:
        whole = BytesIO()  # not a list to be joined: for a moment that would be the body twice
        try:
            async with asyncio.timeout(self._uploads.idle_seconds) as patience:
                while not self._whole:
                    chunk = await self._next()
                    self._check(self._size + len(chunk))
                    self._size += len(chunk)
                    self._uploads.held += len(chunk)
                    whole.write(chunk)
                    patience.reschedule(asyncio.get_running_loop().time() + self._uploads.idle_seconds)
        except TimeoutError as stalled:
            raise Problem(408, "The body did not arrive in time", headers={"Connection": "close"}) from stalled
        return whole.getvalue()

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            # The client went away, or what it sent is no HTTP. In the second case it still reads our answer.
            raise Problem(400, "The body broke off", headers={"Connection": "close"})
        self._whole = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def _drain(self) -> None:
        """Read on and drop what comes, within reason: a client that is still sending would not see our answer."""
        if self._waits_for_leave and not self._size:
            return
        seen = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._whole and seen < _DRAIN_BYTES:
                    seen += len(await self._next())
        except (TimeoutError, Problem):
            return
