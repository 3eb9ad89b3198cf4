"""The clients as their operator makes them: checked, created, updated, given secrets.

In: what an operator wishes. Out: `Client` rows, and a secret's plain text, once.
Called by `manage.py client`, the embedded stack's start and the admin.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from orchestrator import accounts, rates
from orchestrator.models import Client, Scope

# No colon: HTTP Basic splits at it (RFC 7617 §2).
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}", re.ASCII)
_LONGEST_NAME = 255
_LONGEST_SECRET = 200
_LARGEST_IN_FLIGHT = 2**31 - 1


class Refused(ValueError):
    """A client can't be configured so. `field` is the setting, the text says why in one line."""

    def __init__(self, field: str, text: str) -> None:
        """Keep the setting's name for the form."""
        super().__init__(text)
        self.field = field


class Changes(TypedDict, total=False):
    """What to set; what is left out stays as it was, or gets its default in a new row. None: all, or no limit."""

    name: str
    scopes: Sequence[str] | None
    types: Sequence[str] | None
    max_in_flight: int | None
    rate_limit: str | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A client after it was saved. `secret` is the plain text of a secret made just now, never to be had again."""

    client: Client
    is_new: bool
    secret: str | None


@transaction.atomic
def save(
    client_id: str,
    changes: Changes,
    *,
    secret: str | None = None,
    new_secret: bool = False,
    replace_secrets: bool = False,
    overlap: timedelta | None = None,
) -> Saved:
    """Create or update a client; raise `Refused` when it can't be so.

    A given `secret` becomes valid beside the others, so that it can be rotated without a gap; with `replace_secrets`
    the others end. Without one, a secret is generated when `new_secret` asks for it or the client would have none.
    `overlap`: rotate: the others end after that time, and a new one is made unless it is given.
    """
    check(client_id, changes, secret=secret)
    client, is_new = Client.objects.select_for_update().get_or_create(client_id=client_id, defaults={"name": client_id})
    for column, value in changes.items():
        setattr(client, column, value)
    client.save()
    if replace_secrets:
        client.secrets.all().delete()
    if overlap is not None:
        _end_secrets(client, at=timezone.now() + overlap)
    made = _give_secret(client, secret, new_secret=new_secret or overlap is not None)
    accounts.forget()
    return Saved(client=client, is_new=is_new, secret=made)


def check(client_id: str, changes: Changes, *, secret: str | None = None) -> None:
    """Raise `Refused` for the first setting that can't be."""
    if not _CLIENT_ID.fullmatch(client_id):
        raise Refused("client_id", f"not a client id: {client_id!r} (1 to 100 letters, digits, and . _ @ - within)")
    if secret is not None and not _is_printable(secret, longest=_LONGEST_SECRET):
        raise Refused("secret", f"a secret must be 1 to {_LONGEST_SECRET} printable characters")
    if "name" in changes and not _is_printable(changes["name"], longest=_LONGEST_NAME):
        raise Refused("name", f"a name must be 1 to {_LONGEST_NAME} printable characters")
    if unknown := sorted(set(changes.get("scopes") or ()) - set(Scope.values)):
        raise Refused("scopes", f"unknown scope: {', '.join(unknown)} (known: {', '.join(Scope.values)})")
    if not all(_is_printable(name, longest=_LONGEST_NAME) for name in changes.get("types") or ()):
        raise Refused("types", f"a message type must be 1 to {_LONGEST_NAME} printable characters")
    limit = changes.get("max_in_flight")
    if limit is not None and not 1 <= limit <= _LARGEST_IN_FLIGHT:
        raise Refused("max_in_flight", f"the limit must be from 1 to {_LARGEST_IN_FLIGHT}")
    try:
        rates.parse(changes.get("rate_limit") or "")
    except rates.BadRate as malformed:
        raise Refused("rate_limit", f"not a rate: {changes.get('rate_limit')!r}. {malformed}") from malformed


def tell_others(overlap: timedelta | None, *, replaced: bool = False) -> str:
    """Say for the audit log what becomes of a client's other secrets."""
    if replaced or overlap == timedelta(0):
        return "ended at once"
    return "kept" if overlap is None else f"end after {overlap.total_seconds() / 3600:g} h"


def _end_secrets(client: Client, *, at: datetime) -> None:
    """Let the client's secrets end at a time; those that end sooner keep their own."""
    client.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=at)).update(expires_at=at)


def _give_secret(client: Client, secret: str | None, *, new_secret: bool) -> str | None:
    """See that the client has the secrets that it should, and return the plain text of one generated now."""
    if secret is None:
        return accounts.create_secret(client=client) if new_secret or not client.secrets.exists() else None
    accounts.forget()
    if accounts.prove(client.client_id, secret) is None:  # the same command given twice leaves one
        accounts.create_secret(client=client, secret=secret)
    return None


def _is_printable(text: str, *, longest: int) -> bool:
    return 0 < len(text) <= longest and text.isprintable()
