"""The server's entry: `granian --interface asgi config.asgi:application`. One port for all.

In: what comes over HTTP. Out: static files from here, everything else from Django by way of `bridge.py`.
Called by granian, once per process.
"""

import asyncio
import ctypes
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("WAYBILL_ROLE", "web")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 - Django is ready only now
from django.contrib.staticfiles import finders  # noqa: E402
from django.db import connections  # noqa: E402
from django.urls import get_resolver  # noqa: E402
from servestatic import ServeStaticASGI  # type: ignore[import-untyped] # noqa: E402

from config import metering  # noqa: E402
from config.bridge import Bridge  # noqa: E402
from config.uploads import Uploads  # noqa: E402
from orchestrator import dispatch, following, lasting, tallies, tracing  # noqa: E402

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1024 * 1024

_bridge = Bridge(
    threads=settings.WAYBILL_WEB_THREADS,
    queue=settings.WAYBILL_WEB_QUEUE,
    patience=settings.WAYBILL_ANSWER_SECONDS,
    uploads=Uploads(
        most_each=settings.WAYBILL_MAX_BODY_BYTES,
        most_together=settings.WAYBILL_WEB_BODIES * settings.WAYBILL_MAX_BODY_BYTES,
    ),
)
_figures = tallies.Writer()


def _give_large_bodies_back() -> None:
    """Have glibc map every body of its own, so that its memory goes back when it ends.

    By itself malloc raises that threshold to the first large block it frees, keeps the next ones in its heap, and the
    process grows to several times what it holds (mallopt(3), M_MMAP_THRESHOLD). Other C libraries need no such word.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _static_files() -> Any:
    """Serve what the apps bring with them, straight from where it is installed: there is nothing to collect first."""
    files = ServeStaticASGI(_bridge)
    for finder in finders.get_finders():
        for path, storage in finder.list(None):
            files.add_file_to_dictionary(f"{settings.STATIC_URL}{path}", storage.path(path), root=storage.location)
    return files


_give_large_bodies_back()
_static = _static_files()


async def application(scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request, or the server's start and end."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        serve = _static if scope["path"].startswith(settings.STATIC_URL) else _bridge
        await metering.serve(serve, scope, receive, send)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _allow_many_connections()
            _end_waits_at_a_stop()
            await asyncio.to_thread(_warm_up)
            await send({"type": "lifespan.startup.complete"})
        else:
            await asyncio.to_thread(_wind_down)
            await send({"type": "lifespan.shutdown.complete"})
            return


def _allow_many_connections() -> None:
    """Each client that waits is an open file: take as many as we may have, not the 1,024 that are usual."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _end_waits_at_a_stop() -> None:
    """Let those that wait go when a signal asks the server to stop.

    granian tells the application only when the last connection has ended, and kills it if that takes too long. Its own
    handlers hang on the event loop's wake-up, which a handler of Python's leaves as it is: both are called.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(following.WATCHER.close))


def _warm_up() -> None:
    """Load every view and open the way to the broker, so that the first client does not pay for it."""
    _ = get_resolver().url_patterns
    dispatch.warm_up()
    _figures.start()
    tracing.begin(role="web")
    lasting.set_aside()


def _wind_down() -> None:
    _bridge.close()
    _figures.stop()
    tracing.end()
    connections.close_all()
    for connection in connections.all(initialized_only=True):
        close_pool = getattr(connection, "close_pool", None)
        if close_pool is not None:
            close_pool()
