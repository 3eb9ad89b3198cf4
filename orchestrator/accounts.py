"""The clients as every process knows them: who they are, what they may do, how they prove it.

In: a client id, perhaps a secret. Out: an `Account`, from a cache of at most `WAYBILL_CLIENT_CACHE_SECONDS`.
Called by `auth.py` for each call, so a client that was disabled is refused within seconds, tokens included.
"""

import dataclasses
import hashlib
import hmac
import secrets
import threading
import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from orchestrator import keys
from orchestrator.models import Client, ClientSecret, Scope

ALL_SCOPES = frozenset(Scope.values)
_PURPOSE = "client secret"
_MOST_CACHED = 10_000
_SECRET_RECHECK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Account:
    """A client that is enabled. `types` None: every message type, now and later."""

    id: int
    client_id: str
    name: str
    feed_id: uuid.UUID
    scopes: frozenset[str]
    types: frozenset[str] | None
    max_in_flight: int | None
    rate_limit: str | None = None

    def may_send(self, message_type: str) -> bool:
        """Tell whether the client may hand in messages of this type."""
        return self.types is None or message_type in self.types


@dataclass(frozen=True, slots=True)
class _Secret:
    key_id: str
    digest: bytes
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Known:
    account: Account
    secrets: tuple[_Secret, ...]
    read_at: float  # monotonic

    def age(self) -> float:
        return time.monotonic() - self.read_at


_cache: dict[str, _Known] = {}
_lock = threading.Lock()


def find(client_id: str) -> Account | None:
    """Return the enabled client of that id, or None."""
    known = _look_up(client_id, max_age=settings.WAYBILL_CLIENT_CACHE_SECONDS)
    return known.account if known else None


def prove(client_id: str, secret: str) -> Account | None:
    """Return the client if the secret is one of its valid ones, or None.

    A secret that does not fit is looked up again at once, so that a new one works at once.
    """
    for max_age in (settings.WAYBILL_CLIENT_CACHE_SECONDS, _SECRET_RECHECK_SECONDS):
        known = _look_up(client_id, max_age=max_age)
        if _fits(secret, known.secrets if known else ()):
            return known.account if known else None
    return None


def has_ended(client_id: str, secret: str) -> bool:
    """Tell whether the secret was one of an enabled client's, and has ended since: it was rotated."""
    known = _look_up(client_id, max_age=settings.WAYBILL_CLIENT_CACHE_SECONDS)
    lasting = (dataclasses.replace(one, expires_at=None) for one in known.secrets) if known else ()
    return _fits(secret, tuple(lasting))


def forget() -> None:
    """Empty the cache: the next call reads the ledger."""
    with _lock:
        _cache.clear()


def read_names(keys: Collection[int]) -> dict[int, str]:
    """Return the ids of clients by their keys in the ledger, for the log."""
    return dict(Client.objects.filter(pk__in=keys).values_list("pk", "client_id")) if keys else {}


def create_secret(*, client: Client, secret: str | None = None) -> str:
    """Give the client one more secret (256 random bits unless told) and return its plain text, this once."""
    plain = secret if secret is not None else secrets.token_urlsafe(32)
    key_id = keys.current()
    ClientSecret.objects.create(client=client, key_id=key_id, digest=_digest(plain, key_id=key_id))
    return plain


def _look_up(client_id: str, *, max_age: float) -> _Known | None:
    known = _cache.get(client_id)
    if known and known.age() <= max_age:
        return known
    fresh = None if "\x00" in client_id else _read(client_id)
    with _lock:
        if len(_cache) >= _MOST_CACHED:
            _cache.clear()
        # Unknown ids are not kept: nobody can fill the cache with them, and a new client works at once.
        if fresh is None:
            _cache.pop(client_id, None)
        else:
            _cache[client_id] = fresh
    return fresh


def _read(client_id: str) -> _Known | None:
    """Two statements by unique key (client_client_id, then the secrets' foreign key index)."""
    read_at = time.monotonic()
    client = Client.objects.filter(client_id=client_id, enabled=True).prefetch_related("secrets").first()
    if client is None:
        return None
    return _Known(
        account=_account(client),
        secrets=tuple(_Secret(row.key_id, bytes(row.digest), row.expires_at) for row in client.secrets.all()),
        read_at=read_at,
    )


def _account(client: Client) -> Account:
    return Account(
        id=client.pk,
        client_id=client.client_id,
        name=client.name,
        feed_id=client.feed_id,
        scopes=ALL_SCOPES if client.scopes is None else ALL_SCOPES & frozenset(client.scopes),
        types=None if client.types is None else frozenset(client.types),
        max_in_flight=client.max_in_flight,
        rate_limit=client.rate_limit,
    )


def _fits(plain: str, candidates: tuple[_Secret, ...]) -> bool:
    """Compare with every valid secret in constant time; the number of secrets is no secret."""
    now = timezone.now()
    fits = False
    for candidate in candidates:
        if candidate.key_id not in settings.WAYBILL_SECRET_KEYS:
            continue
        same = hmac.compare_digest(_digest(plain, key_id=candidate.key_id), candidate.digest)
        valid = candidate.expires_at is None or candidate.expires_at > now
        fits = fits or (same and valid)
    return fits


def _digest(plain: str, *, key_id: str) -> bytes:
    return hmac.new(keys.derive(key_id, purpose=_PURPOSE), plain.encode(), hashlib.sha256).digest()
