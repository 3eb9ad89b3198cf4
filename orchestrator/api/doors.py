"""What every door has in common: the headers of a POST that creates, its answer, and how refusals are told.

In: Django's request, an `Answer`, exceptions of the engine. Out: a key, preferences, a response, a `Problem`.
Called by the doors' views.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest, HttpResponse

from orchestrator import idempotency, intake, json_text, traceparent, tracing
from orchestrator.api.problems import Detail, Problem
from orchestrator.api.rendering import CONTENT_TYPE
from orchestrator.auth import Account

_BUSY_SECONDS = "1"
_IN_FLIGHT_SECONDS = "5"
_PREFERENCE = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?[^,]*')


def read_key(request: HttpRequest, *, account: Account, body: bytes) -> idempotency.Key | None:
    """Return the call's idempotency key, None when it has none. `body`: its JSON was checked. Raises BadKey."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    return idempotency.make_key(
        header=header, client_id=account.id, method=str(request.method), path=request.path, body=body
    )


def read_traceparent(request: HttpRequest) -> str | None:
    """Return the trace that the call's work belongs to: our own span of this call, else the caller's header."""
    return tracing.current() or traceparent.read(request.headers.get("traceparent"))


def prefers(request: HttpRequest, name: str, value: str) -> bool:
    """Tell whether the `Prefer` header asks for `name=value`."""
    return (preference(request, name) or "").lower() == value


def preference(request: HttpRequest, name: str) -> str | None:
    """Return what the `Prefer` header says of `name`, None if nothing (RFC 7240 §2: the first of a name counts)."""
    for found in _PREFERENCE.finditer(request.headers.get("Prefer", "")):
        if found[1].lower() == name:
            return (found[2] or "").strip('"')
    return None


def deliver(answer: idempotency.Answer) -> HttpResponse:
    """Send the answer of a door, the first or a repeated one."""
    return HttpResponse(answer.body, status=answer.status, content_type=CONTENT_TYPE, headers=dict(answer.headers))


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the engine refuses into a `Problem`; a door that has other words catches the exception itself."""
    try:
        yield
    except json_text.BadJSON as refusal:
        raise Problem(400, str(refusal)) from refusal
    except intake.TypeRefused as refusal:
        raise Problem(403, "A message type does not exist or is not yours", details=_name_types(refusal)) from refusal
    except intake.TooManyInFlight as refusal:
        raise Problem(429, str(refusal), headers={"Retry-After": _IN_FLIGHT_SECONDS}) from refusal
    except idempotency.BadKey as refusal:
        raise Problem(400, str(refusal), field="Idempotency-Key") from refusal
    except idempotency.KeyReused as refusal:
        raise Problem(422, str(refusal), field="Idempotency-Key") from refusal
    except idempotency.KeyBusy as refusal:
        raise Problem(409, str(refusal), headers={"Retry-After": _BUSY_SECONDS}) from refusal


def _name_types(refusal: intake.TypeRefused) -> list[Detail]:
    return [
        Detail(f"The message type '{name[:100]}' does not exist or is not yours", field="messageType", index=index)
        for name, index in list(refusal.first_index.items())[:100]
    ]
