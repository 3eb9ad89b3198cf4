"""The server's secret keys, and what is derived from them.

In: `WAYBILL_SECRET_KEYS` (key id → key; the last one is the current one). Out: one 32-byte key per purpose.
Called by `tokens.py`, `accounts.py` and `sealing.py`: no key serves two purposes.
"""

from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class UnknownKey(Exception):
    """No server key of that id is configured."""


def current() -> str:
    """Return the id of the key that signs, hashes and seals now."""
    return next(reversed(settings.WAYBILL_SECRET_KEYS))


def derive(key_id: str, *, purpose: str) -> bytes:
    """Derive the 32-byte key for one purpose (HKDF, RFC 5869); raise `UnknownKey`."""
    secret = settings.WAYBILL_SECRET_KEYS.get(key_id)
    if secret is None:
        raise UnknownKey(key_id)
    return _expand(secret, purpose)


@lru_cache(maxsize=64)
def _expand(secret: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"waybill {purpose}".encode()).derive(secret.encode())
