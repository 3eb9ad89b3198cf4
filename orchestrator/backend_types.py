"""The `Backend` rows as message types: read for the registry, written for the command and the admin.

In: rows of the ledger, or what an operator wishes. Out: `MessageType`s whose handler calls a back end; checked rows.
Called by `handlers` (at most once a period), `manage.py backend` and the admin.
"""

import json
import re
import urllib.parse
from collections.abc import Iterable
from typing import Any, TypedDict

import httpx2
import structlog
from django.conf import settings
from django.db import transaction

from orchestrator import backends, destinations, handlers, json_text, limits, retries, schemas, sealing
from orchestrator.models import Backend

_log = structlog.get_logger(__name__)

Headers = tuple[tuple[str, str], ...]

NAME = re.compile(r"\w|\w[\w .:+-]{0,98}\w")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)  # RFC 9110 §5.6.2
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4000}")
_LONGEST_URL = 2000
_LONGEST_TIMEOUT = 3600.0
_MOST_ATTEMPTS = 100
_LARGEST_LIMITS = {"concurrency": 100_000, "rate": 100_000.0, "burst": 100_000, "breaker": 10_000}
_SLOWEST_RATE = 1 / 86_400
_PURPOSE = "backend headers"


class Refused(ValueError):
    """A back end can't be configured so. `field` is the setting, the text says why in one line."""

    def __init__(self, field: str, text: str) -> None:
        """Keep the setting's name for the form."""
        super().__init__(text)
        self.field = field


class Changes(TypedDict, total=False):
    """What to set; what is left out stays as it was, or gets its default in a new row."""

    url: str
    timeout_seconds: float
    attempts: int
    lane: str
    concurrency: int | None
    rate: float | None
    burst: int | None
    breaker: int | None
    mandatory: bool
    headers: Headers
    schema: dict[str, Any] | None


_Values = tuple[object, ...]
_built: dict[str, tuple[_Values, handlers.MessageType | None]] = {}
"""By message type: the row's values, and what was made of them; None: it can't be used."""


def register() -> None:
    """Let the registry follow the rows."""
    handlers.registry.follow(load)


def load() -> dict[str, handlers.MessageType]:
    """Read all rows (a small table, whole) and return their types. A row that didn't change is not compiled again."""
    built = {row.message_type: _build_once(row) for row in Backend.objects.all()}
    _built.clear()
    _built.update(built)
    return {name: message_type for name, (_, message_type) in built.items() if message_type}


def save(message_type: str, changes: Changes) -> tuple[Backend, bool]:
    """Create or update one row, and return it and whether it is new. Raise `Refused` when it can't be so."""
    check(message_type, changes)
    columns: dict[str, Any] = {name: value for name, value in changes.items() if name != "headers"}
    if "headers" in changes:
        columns["headers_sealed"] = seal_headers(changes["headers"])
    with transaction.atomic():
        row = Backend.objects.select_for_update().filter(pk=message_type).first()
        is_new = row is None
        row = row or Backend(pk=message_type)
        if is_new and "url" not in changes:
            raise Refused("url", f"{message_type} is new: it needs a URL")
        for name, value in columns.items():
            setattr(row, name, value)
        _check_burst(rate=row.rate, burst=row.burst)
        row.save(force_insert=is_new)
    handlers.registry.expire()
    return row, is_new


def check(message_type: str, changes: Changes) -> None:
    """Raise `Refused` for the first setting that can't be."""
    if not NAME.fullmatch(message_type):
        raise Refused(
            "message_type", f"not a message type: {message_type!r} (letters, digits, and space . : + _ - within)"
        )
    if changes.get("lane") and not NAME.fullmatch(changes["lane"]):
        raise Refused("lane", f"not a lane's name: {changes['lane']!r} (letters, digits, and space . : + _ - within)")
    if "url" in changes:
        _check_url(changes["url"])
    if "timeout_seconds" in changes and not 0 < changes["timeout_seconds"] <= _LONGEST_TIMEOUT:
        raise Refused("timeout_seconds", f"the timeout must be more than 0 and at most {_LONGEST_TIMEOUT:g} seconds")
    if "attempts" in changes and not 1 <= changes["attempts"] <= _MOST_ATTEMPTS:
        raise Refused("attempts", f"the attempts must be from 1 to {_MOST_ATTEMPTS}")
    _check_limits(changes)
    if "rate" in changes:
        _check_burst(rate=changes["rate"], burst=changes.get("burst"))
    _check_headers(changes.get("headers", ()))
    if changes.get("schema") is not None:
        compile_schema(changes["schema"])


def parse_headers(lines: Iterable[str]) -> Headers:
    """Return the headers of lines like `Name: value`; raise `Refused` for a line that is none."""
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Refused("headers", "a header is written 'Name: value'")
        headers.append((name.strip(), value.strip()))
    _check_headers(tuple(headers))
    return tuple(headers)


def parse_rate(text: str) -> float:
    """Return the calls a second of a text like `10/s`, `600/min`, `100/h`; raise `Refused` when it is none."""
    try:
        return limits.read_rate(text)
    except ValueError as wrong:
        raise Refused("rate", str(wrong)) from wrong


def parse_schema(text: str) -> dict[str, Any]:
    """Return the JSON Schema of a file's text; raise `Refused` when it is none."""
    try:
        json_text.check(text.encode())
    except json_text.BadJSON as broken:
        raise Refused("schema", f"the schema can't be kept: {broken}") from broken
    schema = json.loads(text)
    compile_schema(schema)
    return schema  # type: ignore[no-any-return]


def compile_schema(schema: Any) -> schemas.PayloadSchema:
    """Compile a JSON Schema; raise `Refused` when it is none."""
    if not isinstance(schema, dict):
        raise Refused("schema", "the schema must be a JSON object")
    try:
        return schemas.from_json_schema(schema)
    except ValueError as broken:
        raise Refused("schema", f"not a JSON Schema: {str(broken).splitlines()[0]}") from broken


def seal_headers(headers: Headers) -> bytes | None:
    """Encrypt headers for the ledger; none at all are null."""
    return sealing.seal(json.dumps(headers).encode(), purpose=_PURPOSE) if headers else None


def unseal_headers(sealed: bytes | memoryview | None) -> Headers:
    """Return the headers of a row; raise `sealing.Unsealable` when their key is gone."""
    if sealed is None:
        return ()
    return tuple((name, value) for name, value in json.loads(sealing.unseal(bytes(sealed), purpose=_PURPOSE)))


def _build_once(row: Backend) -> tuple[_Values, handlers.MessageType | None]:
    values = tuple(getattr(row, field.attname) for field in row._meta.concrete_fields)  # noqa: SLF001 - Django's own API
    known = _built.get(row.message_type)
    return known if known and known[0] == values else (values, _build(row))


def _build(row: Backend) -> handlers.MessageType | None:
    """Turn a row into a type. A row that can't be is left out, and the log says why: the others must go on."""
    try:
        return handlers.MessageType(
            name=row.message_type,
            kind=handlers.Kind.HTTP,
            handler=backends.Target(
                url=row.url, timeout=row.timeout_seconds, headers=unseal_headers(row.headers_sealed)
            ),
            lane=row.lane,
            timeout=row.timeout_seconds,
            policy=retries.Policy.from_settings(attempts=row.attempts),
            schema=None if row.schema is None else compile_schema(row.schema),
            mandatory=row.mandatory,
            limits=limits.Limits(
                concurrency=row.concurrency,
                rate=row.rate,
                burst=row.burst,
                breaker=settings.WAYBILL_BREAKER_FAILURES if row.breaker is None else row.breaker,
            ),
        )
    except (Refused, sealing.Unsealable) as reason:
        _log.error("a back end's row can't be used", message_type=row.message_type, reason=repr(reason))
        return None


def _check_url(url: str) -> None:
    """Raise `Refused`, in words that don't repeat the URL: it may hold what must not be in a log."""
    try:
        urllib.parse.urlsplit(url).port  # noqa: B018 - raises for what the other one lets through
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as broken:
        raise Refused("url", f"not a URL: {_LIKE}") from broken
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.port == 0:
        raise Refused("url", _LIKE)
    if parsed.userinfo:
        raise Refused("url", "the URL must not hold credentials: give an Authorization header instead")
    try:
        destinations.check(parsed.raw_host.decode("ascii"))  # as it is sent: other alphabets are spelled out
    except (destinations.NoHost, destinations.Forbidden) as unusable:
        raise Refused("url", str(unusable)) from unusable
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url or parsed.fragment:
        raise Refused("url", f"the URL must have at most {_LONGEST_URL} characters, no spaces and no fragment")


_LIKE = "the URL must be like http://host/path or https://host/path"


def _check_limits(changes: Changes) -> None:
    least = {"concurrency": 1, "rate": _SLOWEST_RATE, "burst": 1, "breaker": 0}
    for name, most in _LARGEST_LIMITS.items():
        wish = changes.get(name)
        if isinstance(wish, int | float) and not least[name] <= wish <= most:
            raise Refused(name, _LIMIT_TEXTS[name])


def _check_burst(*, rate: float | None, burst: int | None) -> None:
    if burst is not None and rate is None:
        raise Refused("burst", "calls at once are part of a rate: give a rate too")


_LIMIT_TEXTS = {
    "concurrency": "the calls in flight must be from 1 to 100000",
    "rate": "the rate must be from 1 call a day to 100000 a second",
    "burst": "the calls at once must be from 1 to 100000",
    "breaker": "the failures that open the breaker must be from 1 to 10000, or 0 for none",
}


def _check_headers(headers: Headers) -> None:
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name):
            raise Refused("headers", f"not a header's name: {name!r}")
        if not _HEADER_VALUE.fullmatch(value):
            raise Refused("headers", f"the value of header {name} must be printable ASCII on one line")
        if name.lower() in backends.OURS | backends.FRAMING:
            raise Refused("headers", f"header {name} is set by Waybill itself")
