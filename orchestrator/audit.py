"""The audit log: who did what to which object, when, from where, and what came of it.

In: an actor and a deed. Out: a row that nobody can change (0002_guards). Called by the desk's pages and the commands.
An entry is written in the deed's own transaction: both stand, or neither. An attempt that was refused has its own.
"""

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.http import HttpRequest

from orchestrator import remote
from orchestrator.models import AuditAction, AuditEntry, AuditOutcome

_LONGEST_NAME = 150
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a name, the user's key if it is one of the desk's, and the address the call came from."""

    name: str
    id: int | None = None
    ip: str | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done to which object. `detail` must hold no secret and no payload."""

    action: AuditAction
    object_type: str
    object_id: str


def at_the_desk(request: HttpRequest) -> Actor:
    """Return the operator who sent this request."""
    user = getattr(request, "user", None)
    return Actor(
        name=user.get_username() if user and user.is_authenticated else "nobody",
        id=user.pk if user and user.is_authenticated else None,
        ip=remote.find_address(request.META),
    )


def on_the_command_line() -> Actor:
    """Return the operating system's user who runs this command."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a passwd entry
        user = "unknown user"
    return Actor(name=f"command line: {user}")


def record(
    actor: Actor, deed: Deed, *, detail: Mapping[str, Any] | None = None, outcome: AuditOutcome = AuditOutcome.DONE
) -> None:
    """Append an entry, in the transaction that is open if there is one."""
    AuditEntry.objects.create(
        actor=_storable(actor.name, longest=_LONGEST_NAME),
        actor_id=actor.id,
        action=deed.action,
        object_type=deed.object_type,
        object_id=_storable(deed.object_id, longest=_LONGEST_NAME),
        outcome=outcome,
        detail={name: _bounded(value) for name, value in (detail or {}).items()},
        ip=actor.ip,
    )


def refuse(actor: Actor, deed: Deed, *, reason: str, detail: Mapping[str, Any] | None = None) -> None:
    """Append an entry of an attempt that was refused."""
    record(actor, deed, detail={**(detail or {}), "reason": reason}, outcome=AuditOutcome.REFUSED)


@contextmanager
def attempt(
    actor: Actor,
    deed: Deed,
    *,
    refusals: tuple[type[Exception], ...] = (),
    detail: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """Do a deed in one transaction with its entry; what the block puts into the yielded dict is the entry's detail.

    One of `refusals` undoes the deed, leaves an entry of its own, and is raised again.
    """
    told = dict(detail or {})
    try:
        with transaction.atomic():
            yield told
            record(actor, deed, detail=told)
    except refusals as refused:
        refuse(actor, deed, reason=str(refused) or type(refused).__doc__ or type(refused).__name__, detail=told)
        raise


def watch_logins() -> None:
    """Let Django tell of each login, logout and failed login."""
    user_logged_in.connect(_note_login, dispatch_uid="audit")
    user_logged_out.connect(_note_logout, dispatch_uid="audit")
    user_login_failed.connect(_note_failed_login, dispatch_uid="audit")


def _note_login(*, request: HttpRequest, user: Any, **_: Any) -> None:
    actor = Actor(user.get_username(), user.pk, remote.find_address(request.META))
    record(actor, Deed(AuditAction.LOG_IN, "user", user.get_username()))


def _note_logout(*, request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:  # a session that had run out
        actor = Actor(user.get_username(), user.pk, remote.find_address(request.META))
        record(actor, Deed(AuditAction.LOG_OUT, "user", user.get_username()))


def _note_failed_login(*, credentials: Mapping[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    name = str(credentials.get("username") or "")
    actor = Actor(name, ip=remote.find_address(request.META) if request is not None else None)
    refuse(actor, Deed(AuditAction.LOG_IN, "user", name), reason="wrong name or password")


def _storable(text: str, *, longest: int) -> str:
    """Return a text as PostgreSQL takes it, and no longer than is useful."""
    clean = text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"


def _bounded(value: Any) -> Any:
    """Bound what a form or a command was given, however deep it lies."""
    if isinstance(value, Mapping):
        return {str(name): _bounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_bounded(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _storable(str(value), longest=_LONGEST_TEXT)
