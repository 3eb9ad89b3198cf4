"""The sandbox back end of `make up`: an HTTP service that fails and dawdles as its callers ask it to.

In: POST /<type> with a message's own fields, which may carry `sandbox`: `delay`, `status`, `times`, `detail`.
Out: a JSON body that suits the type, or the error that was asked for. Served by granian, called by the workers.
"""

import asyncio
import hashlib
import json
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TYPES = ("deskpro-feedback", "Opportunity", "Estimate", "Vehicle", "Customer", "Order")
_REMEMBERED_KEYS = 100_000
_NO_BODY = {204, 304}

_calls: OrderedDict[str, int] = OrderedDict()
"""How often each Idempotency-Key has called; the oldest are forgotten first."""


class BadWish(Exception):
    """`sandbox` holds something that can't be obeyed."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a payload's `sandbox` asks for."""

    delay: float = 0.0
    status: int = 200
    times: int | None = None
    detail: str = ""

    def status_of_call(self, number: int) -> int:
        """Return the status of the `number`th call (from 1) with one Idempotency-Key."""
        return self.status if self.times is None or number <= self.times else 200


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one call."""
    if scope["type"] != "http":
        return
    if scope["method"] != "POST":
        await _answer(send, 405, {"detail": "The sandbox takes POST only."})
        return
    key = dict(scope["headers"]).get(b"idempotency-key", b"").decode("latin-1")
    try:
        wish = read_wish(await _body(receive))
    except BadWish as bad:
        await _answer(send, 400, {"detail": str(bad)})
        return
    status = wish.status_of_call(_count_call(key))
    await asyncio.sleep(wish.delay)
    message_type = scope["path"].strip("/")
    await _answer(send, status, _success(message_type, key) if status < 300 else _failure(status, wish))


def read_wish(body: bytes) -> Wish:
    """Read `sandbox` out of a payload. Raises BadWish, whose text goes into the answer."""
    try:
        payload = json.loads(body or b"{}")
    except ValueError:
        raise BadWish("The body is not JSON.") from None
    asked = payload.get("sandbox", {}) if isinstance(payload, dict) else {}
    if not isinstance(asked, dict):
        raise BadWish("sandbox must be an object.")
    return Wish(
        delay=_number(asked, "delay", default=0, lowest=0, highest=3600),
        status=int(_number(asked, "status", default=200, lowest=200, highest=599)),
        times=int(_number(asked, "times", default=0, lowest=0, highest=10**9)) if "times" in asked else None,
        detail=str(asked.get("detail", "")),
    )


def _number(asked: dict[str, Any], name: str, *, default: float, lowest: float, highest: float) -> float:
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise BadWish(f"sandbox.{name} must be a number from {lowest:g} to {highest:g}.")
    return value


def _count_call(key: str) -> int:
    """Count a call; one without a key is always the first."""
    if not key:
        return 1
    _calls[key] = _calls.get(key, 0) + 1
    if len(_calls) > _REMEMBERED_KEYS:
        _calls.popitem(last=False)
    return _calls[key]


def _success(message_type: str, key: str) -> dict[str, Any]:
    """Return what a service of that type would say: the same for the same Idempotency-Key."""
    if message_type == "deskpro-feedback":
        return {"ticket_id": int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) if key else 1234567890}
    made = uuid.uuid5(uuid.NAMESPACE_URL, f"{message_type}/{key}") if key else uuid.uuid4()
    return {f"{message_type[:1].lower()}{message_type[1:]}Id": str(made)}


def _failure(status: int, wish: Wish) -> dict[str, Any]:
    return {"detail": wish.detail or f"The sandbox was asked to answer {status}."}


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        event = await receive()
        parts.append(event.get("body", b""))
        if not event.get("more_body"):
            return b"".join(parts)


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    text = b"" if status in _NO_BODY else json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
