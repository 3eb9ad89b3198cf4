"""A back end that logs its calls: a real HTTP server in a thread of the test."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntrue"
_LATENCY = 0.02


class Backend:
    """Answers `true` to every call, and remembers its Idempotency-Key: `calls` counts them by key."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.url = ""
        self._loop: asyncio.AbstractEventLoop
        self._ended: asyncio.Event
        self._served = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="back end", daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._served.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(timeout=10)

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        self._served.set()
        await self._ended.wait()
        server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                await reader.readexactly(int(headers.get("content-length", 0)))
                self.calls[headers["idempotency-key"]] += 1
                await asyncio.sleep(_LATENCY)
                writer.write(_OK)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a worker that was killed hangs up in the middle
        finally:
            writer.close()


@contextmanager
def running() -> Iterator[Backend]:
    """Serve while the block runs."""
    backend = Backend()
    backend.start()
    try:
        yield backend
    finally:
        backend.stop()
