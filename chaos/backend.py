"""A back end that nobody should rely on: slow, half-open, lying and failing, as its mood is. It logs every call.

In: POSTs from the workers. Out: answers of all sorts, and `calls.jsonl`: key, request, the message's mark, the moment
at which the call arrived, and what it was answered. Runs in the event loop of `make chaos`.
"""

import asyncio
import contextlib
import itertools
import json
import random
from pathlib import Path

from chaos import journal

MOODS: dict[str, dict[str, int]] = {
    "well": {"ok": 94, "failing": 3, "slow": 2, "throttling": 1},
    "slow": {"slow": 9, "ok": 1},
    "half-open": {"half-open": 3, "ok": 7},
    "lying": {"rubbish": 2, "nul": 2, "huge-number": 2, "empty": 2, "cut": 2, "ok": 2},
    "failing": {"failing": 8, "ok": 2},
}
"""Mood → how often it answers in which way."""

WHOLE = frozenset({"ok", "slow", "rubbish", "nul", "huge-number", "empty"})
"""The answers that carry a message out; those that are no JSON are kept as text."""

_BODIES = {
    "rubbish": b"<html>nobody is home</html>",
    "nul": b'{"name": "a\\u0000b", "raw": "\x00"}',
    "huge-number": b'{"amount": 1e200000}',
    "empty": b"",
}


class Unreliable:
    """The server. `mood` may be set at any time."""

    def __init__(self, directory: Path, *, chance: random.Random) -> None:
        self.mood = "well"
        self.url = ""
        self._chance = chance
        self._log = (directory / "calls.jsonl").open("a", buffering=1)
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._log.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        finally:
            self._talks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one call; tell whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        at = journal.now()
        fields = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        kind = "refused" if fields.get("refuse") else self._choose()
        line = {
            "key": headers.get("idempotency-key"),
            "request": headers.get("request-id"),
            "mark": fields.get("mark") or fields.get("spReference"),
            "at": at,
            "answer": kind,
            "number": next(self._numbers),
        }
        self._log.write(json.dumps(line) + "\n")
        return await self._play(kind, writer)

    def _choose(self) -> str:
        kinds = MOODS[self.mood]
        return self._chance.choices(list(kinds), weights=list(kinds.values()))[0]

    async def _play(self, kind: str, writer: asyncio.StreamWriter) -> bool:
        if kind == "half-open":
            await asyncio.sleep(8)
            return False
        await asyncio.sleep(self._chance.uniform(0.5, 2) if kind == "slow" else self._chance.uniform(0, 0.03))
        status = {"refused": "422 No", "failing": "503 Not now", "throttling": "429 Later"}.get(kind, "200 OK")
        content = _BODIES.get(kind, b'{"detail": "the business says no"}' if kind == "refused" else b'{"done": true}')
        length = len(content) + (10 if kind == "cut" else 0)
        wish = "Retry-After: 1\r\n" if kind == "throttling" else ""
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{wish}Content-Length: {length}\r\n\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
        return kind != "cut"
