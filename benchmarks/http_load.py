"""A client that costs next to nothing: ready-made bytes over connections that are kept open.

What sends the load shares the machine with what is measured, so it mustn't need what an ordinary client library does.
"""

import asyncio
import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PAUSE = 0.002
"""Seconds between two looks at whether something is done: without a pause the looking would take a core."""


class Answer(NamedTuple):
    """An answer of HTTP/1.1; `head` is its status line and headers as they came."""

    status: int
    head: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return next(line for line in self.head.split("\r\n") if line.lower().startswith(f"{name}:")).split(":", 1)[1]


class Connection:
    """One connection: a call after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, call: bytes) -> Answer:
        self._writer.write(call)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = next(line for line in head.split("\r\n") if line.lower().startswith("content-length:"))
        body = await self._reader.readexactly(int(length[15:]))
        return Answer(int(head[9:12]), head, body)

    def close(self) -> None:
        self._writer.close()


def call(method: str, path: str, *, headers: Mapping[str, str] | None = None, body: Any = None) -> bytes:
    """Make the bytes of a call."""
    text = b"" if body is None else json.dumps(body).encode()
    lines = {"Host": "bench", "Content-Length": str(len(text)), "Content-Type": "application/json", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + text


def once(url: str, call: bytes) -> Answer:
    """Make one call."""

    async def make_it() -> Answer:
        connection = await Connection.to(url)
        answer = await connection.send(call)
        connection.close()
        return answer

    return asyncio.run(make_it())


def count_in_stream(url: str, call: bytes, wanted: bytes) -> int:
    """Make one call, read its answer to the end of its chunks, and count what is wanted in it."""
    parts = urlsplit(url)
    count, tail = 0, b""
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(call)
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            piece = connection.recv(1 << 18)
            assert piece, "the stream broke off"
            # What is wanted may lie across two pieces, and begin in neither alone.
            count += (tail[1 - len(wanted) :] + piece).count(wanted)
            tail = (tail + piece)[-64:]
    return count


def repeat(url: str, calls: Sequence[bytes], *, seconds: float, connections: int = 16) -> int:
    """Send the calls in turn, over so many connections at once, for so long; return how many were answered with 2xx."""

    async def keep_sending(first: int, end: float) -> int:
        connection = await Connection.to(url)
        sent = 0
        while time.monotonic() < end:
            answer = await connection.send(calls[(first + sent) % len(calls)])
            assert answer.status < 300, answer
            sent += 1
        connection.close()
        return sent

    async def all_of_them() -> int:
        end = time.monotonic() + seconds
        return sum(await asyncio.gather(*(keep_sending(first, end) for first in range(connections))))

    return asyncio.run(all_of_them())
