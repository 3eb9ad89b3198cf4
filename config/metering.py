"""Measures each HTTP call, whoever answers it: Django, the static files, or the bridge itself.

In: a call and who serves it. Out: one count a call, when its answer begins. Called by `asgi.py`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from orchestrator import traffic

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

ROUTE = "waybill.route"
"""In the message that begins an answer: the template of the path that it came by. The server never sees it."""


async def serve(server: Callable[..., Awaitable[None]], scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Have a call answered, and count it when the answer begins: a stream may go on for hours."""
    began = time.perf_counter()

    async def count_and_send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            traffic.note(
                method=scope["method"],
                route=message.pop(ROUTE, None) or _static_route(scope["path"]),
                status=message["status"],
                seconds=time.perf_counter() - began,
            )
        await send(message)

    await server(scope, receive, count_and_send)


def _static_route(path: str) -> str | None:
    return f"{settings.STATIC_URL}{{path}}" if path.startswith(settings.STATIC_URL) else None
