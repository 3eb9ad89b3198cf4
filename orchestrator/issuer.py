"""The signing keys of an outside token issuer, fetched by JWKS (RFC 7517).

In: a key id. Out: the public key, from memory as a rule.
Called by `tokens.py` when `WAYBILL_JWKS_URL` is set and a token is not one of ours.
"""

import json
import threading
import time

import jwt
import structlog

log = structlog.get_logger(__name__)

_TIMEOUT_SECONDS = 2
_FRESH_SECONDS = 300.0
_STALE_SECONDS = 3600.0
_PAUSE_SECONDS = 10.0


class IssuerUnreachable(Exception):
    """The token's issuer cannot be asked for its keys at present."""


class Keys:
    """The keys behind one URL. They are asked for again when old, or when an unknown one is wanted.

    A failed fetch keeps the known ones for an hour, and fetches are `_PAUSE_SECONDS` apart whatever comes:
    invented key ids cannot make us flood the issuer, and a silent issuer cannot hold all our threads.
    """

    def __init__(self, url: str) -> None:
        """Remember where the keys are; nothing is fetched yet."""
        self.url = url
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=_TIMEOUT_SECONDS)
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")

    def find(self, key_id: str | None) -> jwt.PyJWK | None:
        """Return the key of that id (without an id: the only one there is), or None; raise `IssuerUnreachable`."""
        if self._due(key_id):
            self._refresh(key_id)
        if time.monotonic() - self._fetched_at > _STALE_SECONDS:
            raise IssuerUnreachable
        if key_id is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(key_id)

    def _due(self, key_id: str | None) -> bool:
        now = time.monotonic()
        wanted = now - self._fetched_at > _FRESH_SECONDS or not self._has(key_id)
        return wanted and now - self._tried_at > _PAUSE_SECONDS

    def _has(self, key_id: str | None) -> bool:
        return bool(self._keys) if key_id is None else key_id in self._keys

    def _refresh(self, key_id: str | None) -> None:
        """One thread fetches; those that have what they need go on with it, the others wait for the answer."""
        if not self._lock.acquire(blocking=not self._has(key_id)):
            return
        try:
            if self._due(key_id):
                self._fetch()
        finally:
            self._lock.release()

    def _fetch(self) -> None:
        try:
            found = self._client.get_signing_keys()
        except (jwt.PyJWTError, json.JSONDecodeError, OSError, RecursionError, UnicodeDecodeError) as failure:
            log.warning("the keys of the outside issuer could not be fetched", url=self.url, reason=str(failure))
        else:
            self._keys = {key.key_id: key for key in found if key.key_id}
            self._fetched_at = time.monotonic()
        finally:
            self._tried_at = time.monotonic()
