"""A real HTTP back end that does what each message tells it, and remembers every call.

A message's field `script` is a list of steps; the n-th call with one Idempotency-Key gets the n-th step, the last one
repeats. A step: `status`, `headers`, `json` | `text` | `hex` | `size` (bytes of JSON text), `wait` (seconds before the
answer), `cut` (close in mid-answer), `drip` (seconds over which the body trickles).
"""

import json
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


@dataclass(frozen=True)
class Call:
    """One call that came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class BackEnd(ThreadingHTTPServer):
    """The server, its log of calls by Idempotency-Key, and its address."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.log: dict[str, list[Call]] = defaultdict(list)

    def handle_error(self, *_: object) -> None:
        """A caller that hung up is expected here."""

    def url(self, path: str = "/work") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def calls(self, key: str) -> list[Call]:
        """The calls that carried this Idempotency-Key."""
        with self.lock:
            return list(self.log[key])

    def note(self, key: str, call: Call) -> int:
        with self.lock:
            self.log[key].append(call)
            return len(self.log[key])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call("POST", self.path, headers, body, time.monotonic())
        number = cast("BackEnd", self.server).note(headers.get("idempotency-key", ""), call)
        own = json.loads(body) if body else {}
        script = (own.get("script") if isinstance(own, dict) else None) or [{}]
        self._play(script[min(number, len(script)) - 1])

    def do_GET(self) -> None:
        cast("BackEnd", self.server).note("GET", Call("GET", self.path, {}, b"", time.monotonic()))
        self._play({})

    def _play(self, step: Mapping[str, Any]) -> None:
        time.sleep(step.get("wait", 0))
        content = _content(step)
        self.send_response(step.get("status", 200))
        for name, value in {"Content-Type": "application/json", **step.get("headers", {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if step.get("cut"):
            self.wfile.write(content[: len(content) // 2])
            self.connection.shutdown(socket.SHUT_RDWR)
        elif "drip" in step:
            self._drip(content, over=step["drip"])
        else:
            self.wfile.write(content)

    def _drip(self, content: bytes, *, over: float) -> None:
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(over / len(content))

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


def _content(step: Mapping[str, Any]) -> bytes:
    if "text" in step:
        return str(step["text"]).encode()
    if "hex" in step:
        return bytes.fromhex(step["hex"])
    if "size" in step:
        return b'"' + b"x" * (step["size"] - 2) + b'"'
    if step.get("status") in {204, 304}:
        return b""
    return json.dumps(step.get("json", {"fine": True})).encode()
