"""A back end that a test can make slow, ill or vanish while it is called: a real HTTP server in a thread of its own."""

import asyncio
import contextlib
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator import backend_types


class Service:
    """Answers with `status` after `seconds`; a payload's own `status` and `seconds` win. Remembers its calls.

    `calls` by Idempotency-Key; `began`: when each call came, monotonic; `most_at_once`: the most calls in flight, those
    of a caller that hung up not counted.
    """

    def __init__(self) -> None:
        self.status = 200
        self.seconds = 0.0
        self.headers = ""
        self.calls: Counter[str] = Counter()
        self.began: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._talks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="service", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Listen, at first on any port and later on the same."""
        if not self._thread.is_alive():
            self._thread.start()
        self._run(self._listen())

    def vanish(self) -> None:
        """Hang up, and refuse connections from now on."""
        self._run(self._hang_up())

    def end(self) -> None:
        self.vanish()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self._port, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    await self._answer(reader, writer)
        finally:
            self._talks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        payload = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        self.calls[headers["idempotency-key"]] += 1
        self.began.append(time.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._work(reader, payload.get("seconds", self.seconds))
        finally:
            self.at_once -= 1
        status = payload.get("status", self.status)
        writer.write(f"HTTP/1.1 {status} So\r\n{self.headers}Content-Length: 4\r\n\r\ntrue".encode())
        await writer.drain()

    async def _work(self, reader: asyncio.StreamReader, seconds: float) -> None:
        """Take so long, unless the caller hangs up: a worker that was killed has no call in flight."""
        with contextlib.suppress(TimeoutError):
            if not await asyncio.wait_for(reader.read(1), timeout=seconds):
                raise ConnectionResetError


@contextmanager
def running() -> Iterator[Service]:
    """Serve while the block runs."""
    service = Service()
    service.start()
    try:
        yield service
    finally:
        service.end()


def configure(back_end: Service, **settings: Any) -> str:
    """Make the service the back end of a new message type, and return its name."""
    name = f"Parcel-{uuid.uuid4().hex[:8]}"
    values: Any = {"url": back_end.url, **settings}
    backend_types.save(name, values)
    return name
