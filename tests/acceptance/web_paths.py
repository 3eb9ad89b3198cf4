"""Views that are slow, long, broken: what a web server must stand."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from config.urls import handler400, handler403, handler404, handler500
from config.urls import urlpatterns as real_paths
from orchestrator.api import rendering
from orchestrator.api.routes import route
from orchestrator.api.window import WindowView

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

_PATIENCE = 30.0


class Bodies(WindowView):
    """Tells what arrived."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return rendering.respond({name: value for name, value in request.META.items() if isinstance(value, str)})

    def post(self, request: HttpRequest) -> HttpResponse:
        body = self.body(request)
        declared = request.META["CONTENT_LENGTH"]
        return rendering.respond({"sha256": hashlib.sha256(body).hexdigest(), "declared": declared})


class Hold(WindowView):
    """Holds its thread until a file is there."""

    def get(self, request: HttpRequest) -> HttpResponse:
        Path(request.GET["began"]).touch()
        deadline = time.monotonic() + _PATIENCE
        while not Path(request.GET["until"]).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        return rendering.respond({})


class Row(WindowView):
    """Reads from the ledger."""

    def get(self, request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return rendering.respond({"row": cursor.fetchone()})


class Stream(WindowView):
    """A long answer, each chunk with a statement of its own."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return StreamingHttpResponse(_chunks(int(request.GET["chunks"])), content_type="text/plain")


def _chunks(number: int) -> Iterator[bytes]:
    for count in range(number):
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::int", [count])
            (value,) = cursor.fetchone()
        yield f"{value:<65535}\n".encode()


class Broken(WindowView):
    """Fails in mid-stream."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return StreamingHttpResponse(_break_off())


def _break_off() -> Iterator[bytes]:
    yield b"so far, so good"
    raise ZeroDivisionError


class Events(WindowView):
    """Waits in the event loop between what it sends; notes its end in a file."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return StreamingHttpResponse(_events(Path(request.GET["ended"])), content_type="text/event-stream")


async def _events(ended: Path) -> AsyncIterator[bytes]:
    try:
        yield b"data: first\n\n"
        await asyncio.sleep(_PATIENCE)
        yield b"data: second\n\n"
    finally:
        ended.touch()  # noqa: ASYNC240 - one file, in a test


class Pid(WindowView):
    """Names the process."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return rendering.respond({"pid": os.getpid()})


urlpatterns = [
    route("test/bodies", Bodies.as_view()),
    route("test/hold", Hold.as_view()),
    route("test/row", Row.as_view()),
    route("test/stream", Stream.as_view()),
    route("test/broken", Broken.as_view()),
    route("test/events", Events.as_view()),
    route("test/pid", Pid.as_view()),
    *real_paths,
]
