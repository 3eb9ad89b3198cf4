"""What a back end's answer means: a result, a refusal's text, a wish for the next try.

In: status, headers and body of an HTTP answer, none of it to be trusted. Out: what the ledger can keep.
Called by `backends.py`. Pure: no network, no database.
"""

import codecs
import email.utils
import re
from datetime import UTC, datetime
from typing import Any

import httpx2
import orjson

from orchestrator import handlers, json_text

LONGEST_REFUSAL = 1000
"""Characters of a refusal's text that the client is shown."""

_REFUSAL_FIELDS = ("detail", "message", "cause")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_CHARSETS = re.compile(r"(utf-(8|16|32)|iso-8859-([1-9]|1[013-6])|windows-125[0-8])", re.ASCII | re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]+", re.ASCII)


def read_result(*, body: bytes, charset: str | None) -> handlers.JSONText:
    """Return a 2xx answer's body as JSON text, just as it came; what is not strictly JSON becomes `{"text": …}`.

    An empty body is null. The declared content type doesn't matter: many services send JSON as text, and some send
    text as JSON.
    """
    content = body.removeprefix(codecs.BOM_UTF8).strip()
    if not content:
        return handlers.JSONText("null")
    try:
        json_text.check(content)
        return handlers.JSONText(content.decode())
    except json_text.BadJSON:
        return handlers.JSONText(orjson.dumps({"text": _decode(body, charset)}).decode())


def read_refusal(*, status: int, body: bytes) -> str:
    """Return what an error answer says: its `detail`, `message` or `cause`, or a neutral text."""
    content = _parse(body)
    fields = content if isinstance(content, dict) else {}
    texts = (_clean(text) for name in _REFUSAL_FIELDS if isinstance(text := fields.get(name), str))
    return next(filter(None, texts), f"The back end refused the message (status {status})")


def read_wish(headers: httpx2.Headers) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110 §10.2.3: seconds, or a date), or None without a sensible one.

    A date is measured against the answer's own `Date`, so that neither clock need be right.
    """
    wish = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(wish):
        return float(wish)
    when = _read_date(wish)
    if when is None:
        return None
    now = _read_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (when - now).total_seconds())


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError:
        return None


def _decode(body: bytes, charset: str | None) -> str:
    """Decode what is no JSON as well as can be, without what the ledger can't keep."""
    # Python's other codecs are no charsets, or quadratic.
    known = charset if charset is not None and _CHARSETS.fullmatch(charset) else "utf-8"
    return _UNPRINTABLE.sub("", body.decode(known, errors="replace"))


def _clean(text: str) -> str:
    """Bound a text that a client will be shown, and take out what can't be printed."""
    printable = _UNPRINTABLE.sub(" ", text).strip()
    return printable if len(printable) <= LONGEST_REFUSAL else printable[: LONGEST_REFUSAL - 1] + "…"


def _read_date(text: str) -> datetime | None:
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
