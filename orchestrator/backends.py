"""The HTTP handler: carries a message out by calling a back end.

In: a message, and where its type's back end is. Out: its answer as JSON text, or `Rejected`, `RetryLater`, `TooSlow`;
any other exception is ours, and retried. Called by processing on the worker's event loop, many at once.
"""

import asyncio
import http.cookiejar
import re
import ssl
import urllib.parse
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import httpx2
from django.conf import settings

from orchestrator import answers, handlers, tracing

OURS = frozenset({"idempotency-key", "request-id", "x-message-type", "x-external-reference", "traceparent"})
"""The headers, in lower case, that every call carries and no configured header replaces."""

FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect", "upgrade"}
)
"""The headers, in lower case, that belong to the HTTP client alone."""

_RETRIED = frozenset({408, 425, 429})
_TOO_MANY = 429
_DOWN = frozenset({502, 503, 504})
# Space to tilde without the percent sign, which marks what is encoded.
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_EDGE_SPACES = re.compile(r"^ +| +$")

_CALLS_A_CLIENT = 20
"""Each call costs its client a look at every connection it keeps: 20 cost little, 500 would cost 5 ms a call."""


@dataclass(slots=True)
class _Lent:
    """An HTTP client with connections of its own, and how many calls use it now."""

    client: httpx2.AsyncClient
    calls: int = 0


_lent: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Lent]] = weakref.WeakKeyDictionary()


class NotReached(handlers.RetryLater):
    """There was no connection: nothing was sent, so whatever the message holds, it is not to blame."""


class Down(handlers.RetryLater):
    """The back end, or what stands before it, does not work: 502, 503, 504, a broken connection, half an answer."""


class Busy(handlers.RetryLater):
    """429: the back end has too many calls of ours, not of this message's."""


class AnswerRefused(Exception):
    """The back end answered with what we never take: a redirect, or more bytes than WAYBILL_MAX_ANSWER_BYTES."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message type's back end is. It is the type's handler: called with one message on the event loop.

    `headers` are secrets: they are never logged or shown.
    """

    url: str
    timeout: float  # seconds for the whole call, the answer's last byte included
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    async def __call__(self, work: handlers.Work) -> handlers.JSONText:
        """Carry one message out."""
        with lend_client() as client:
            return await call(work, target=self, client=client)


def open_client() -> httpx2.AsyncClient:
    """Return the running event loop's first HTTP client, made now if it has none."""
    clients = _lent.setdefault(asyncio.get_running_loop(), [])
    return clients[0].client if clients else _add_client(clients).client


@contextmanager
def lend_client() -> Iterator[httpx2.AsyncClient]:
    """Lend one call the first of the running event loop's clients that has few calls, so that few calls share one."""
    clients = _lent.setdefault(asyncio.get_running_loop(), [])
    lent = next((lent for lent in clients if lent.calls < _CALLS_A_CLIENT), None) or _add_client(clients)
    lent.calls += 1
    try:
        yield lent.client
    finally:
        lent.calls -= 1


def _add_client(clients: list[_Lent]) -> _Lent:
    """Make one more client.

    The window bounds the calls in flight, so the pools don't. Neither proxies nor cookies: a call depends on its
    back end's row alone. `SSL_CERT_FILE` names a company's own authority.
    """
    client = httpx2.AsyncClient(
        verify=_certificates(),
        trust_env=False,
        http2=False,
        follow_redirects=False,
        timeout=None,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=_CALLS_A_CLIENT, keepalive_expiry=5.0),
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        headers={"User-Agent": "waybill", "Accept": "application/json", "Accept-Encoding": "identity"},
    )
    clients.append(_Lent(client))
    return clients[-1]


@cache
def _certificates() -> ssl.SSLContext:
    """Read the authorities once: it takes longer than a call."""
    return httpx2.create_ssl_context()


async def close_clients() -> None:
    """Close the running event loop's HTTP clients, if any were ever opened, and their connections."""
    for lent in _lent.pop(asyncio.get_running_loop(), []):
        await lent.client.aclose()


async def call(work: handlers.Work, *, target: Target, client: httpx2.AsyncClient) -> handlers.JSONText:
    """POST the message's own fields to its back end, and return the answer's JSON text.

    Raises `Rejected` (4xx), `RetryLater` (408, 425, 429, 5xx, no or half an answer), `TooSlow`, `AnswerRefused`.
    """
    try:
        async with asyncio.timeout(target.timeout):
            return await _exchange(work, target=target, client=client)
    except (TimeoutError, httpx2.TimeoutException) as slow:
        raise handlers.TooSlow(f"no whole answer within {target.timeout:g} s") from slow
    except httpx2.ConnectError as unreached:
        raise NotReached(f"no connection: {unreached!r}") from unreached
    except httpx2.TransportError as broken:
        raise Down(f"the connection failed: {broken!r}") from broken
    except httpx2.DecodingError as garbled:
        raise Down(f"the answer could not be decoded: {garbled}") from garbled


async def _exchange(work: handlers.Work, *, target: Target, client: httpx2.AsyncClient) -> handlers.JSONText:
    with tracing.calling(target.url) as span:
        headers = build_headers(work, configured=target.headers)
        async with client.stream("POST", target.url, content=work.payload.encode(), headers=headers) as answer:
            tracing.answered(span, status=answer.status_code)
            return await _take(answer)


async def _take(answer: httpx2.Response) -> handlers.JSONText:
    """Read an answer as it begins to come, and return its result or raise what it means."""
    status = answer.status_code
    if answer.is_success:
        return answers.read_result(body=await _read(answer), charset=answer.charset_encoding)
    if not answer.is_error:
        raise AnswerRefused(f"status {status} is neither a result nor an error")
    text = answers.read_refusal(status=status, body=await _read_refusal(answer))
    if status in _RETRIED or answer.is_server_error:
        raise _later(status)(f"status {status}: {text}", after=answers.read_wish(answer.headers))
    raise handlers.Rejected(text)


def _later(status: int) -> type[handlers.RetryLater]:
    """Tell what a status that is tried again says of the back end; 500 speaks of this message only."""
    return Down if status in _DOWN else Busy if status == _TOO_MANY else handlers.RetryLater


async def _read(answer: httpx2.Response) -> bytes:
    """Read the body, unpacked, and stop at the first byte too many: it may be without end."""
    body = bytearray()
    async for part in answer.aiter_bytes():
        body += part
        if len(body) > settings.WAYBILL_MAX_ANSWER_BYTES:
            raise AnswerRefused(f"the answer is longer than {settings.WAYBILL_MAX_ANSWER_BYTES} bytes")
    return bytes(body)


async def _read_refusal(answer: httpx2.Response) -> bytes:
    """Read the body of a 4xx or 5xx. One that is too long says nothing, and changes nothing."""
    try:
        return await _read(answer)
    except AnswerRefused:
        return b""


def build_headers(work: handlers.Work, *, configured: tuple[tuple[str, str], ...] = ()) -> list[tuple[str, str]]:
    """Return a call's headers: the configured ones, and ours, which they can't replace."""
    ours = {
        "Idempotency-Key": str(work.id),
        "Request-Id": str(work.request_id),
        "X-Message-Type": work.type,
        "X-External-Reference": work.external_reference,
        "traceparent": tracing.current() or work.traceparent,
    }
    named = {name.lower() for name, _ in configured}
    content_type = [] if "content-type" in named else [("Content-Type", "application/json")]
    return [
        *content_type,
        *((name, value) for name, value in configured if name.lower() not in OURS | FRAMING),
        *((name, encode_header(value)) for name, value in ours.items() if value is not None),
    ]


def encode_header(value: str) -> str:
    """Return a header's value for any text: printable ASCII as it is, the rest (and `%`) as percent-encoded UTF-8."""
    encoded = urllib.parse.quote(value, safe=_PLAIN, errors="replace")
    return _EDGE_SPACES.sub(lambda spaces: "%20" * len(spaces[0]), encoded)
