"""Call a back end once, by hand, and see what it says.

In: a message type and a payload. Out: its status, how long it took, the beginning of its answer. Called by the desk.

It is a real call with the back end's own headers, and its own key; it stands in no ledger, and neither limits nor
breakers look at it: it is how an operator finds out whether a back end is well again.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass

import httpx2

from orchestrator import backends, handlers
from orchestrator.models import Backend

_LONGEST_SECONDS = 10.0
_SHOWN_BYTES = 4_000


class Unusable(Exception):
    """This message type has no back end that could be called."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a call. `status` None: there was no answer, and `text` says why."""

    status: int | None
    seconds: float
    text: str

    @property
    def succeeded(self) -> bool:
        """Whether a message would have become Complete."""
        return self.status is not None and 200 <= self.status < 300


def call(message_type: str, payload: str) -> Trial:
    """Call the back end of a type with its timeout, ten seconds at most. Raises Unusable."""
    handlers.registry.expire()  # what the operator has just saved
    known = handlers.find(message_type) if Backend.objects.filter(pk=message_type).exists() else None
    target = known.handler if known else None
    if not isinstance(target, backends.Target):
        raise Unusable(Unusable.__doc__)
    began = time.monotonic()
    status, text = asyncio.run(_call(target, message_type=message_type, payload=payload))
    return Trial(status=status, seconds=time.monotonic() - began, text=text)


async def _call(target: backends.Target, *, message_type: str, payload: str) -> tuple[int | None, str]:
    message_id = uuid.uuid4()
    work = handlers.Work(
        id=message_id,
        request_id=message_id,
        client_id=0,
        type=message_type,
        external_reference=None,
        payload=payload,
        attempt=1,
    )
    within = min(target.timeout, _LONGEST_SECONDS)
    try:
        async with asyncio.timeout(within):
            return await _exchange(work, target)
    except (TimeoutError, httpx2.TimeoutException):
        return None, f"no whole answer within {within:g} s"
    except httpx2.HTTPError as broken:
        return None, f"the connection failed: {broken!r}"
    finally:
        await backends.close_clients()


async def _exchange(work: handlers.Work, target: backends.Target) -> tuple[int, str]:
    headers = backends.build_headers(work, configured=target.headers)
    with backends.lend_client() as client:
        async with client.stream("POST", target.url, content=work.payload.encode(), headers=headers) as answer:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _SHOWN_BYTES:
                    break
            return answer.status_code, bytes(body[:_SHOWN_BYTES]).decode(errors="replace")
