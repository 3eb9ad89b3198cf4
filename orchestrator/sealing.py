"""Secrets at rest and in the client's hands: authenticated encryption under the server's keys.

In: bytes. Out: sealed bytes that name their key, so that keys can be rotated: the last one seals, any opens.
Called by `backend_types.py` for headers, and by the poll's cookie.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orchestrator import keys

_VERSION = 1
_NONCE_BYTES = 12
_TAG_BYTES = 16


class Unsealable(Exception):
    """These bytes were not sealed here, were changed, or their key is gone."""


def seal(data: bytes, *, purpose: str = "data") -> bytes:
    """Encrypt with AES-256-GCM. What is sealed for one purpose cannot be unsealed for another."""
    key_id = keys.current().encode()
    head = bytes([_VERSION, len(key_id)]) + key_id
    nonce = os.urandom(_NONCE_BYTES)
    return head + nonce + _cipher(key_id, purpose).encrypt(nonce, data, head)


def unseal(sealed: bytes, *, purpose: str = "data") -> bytes:
    """Return what was sealed, or raise `Unsealable`."""
    sealed = bytes(sealed)
    if len(sealed) < 2 or sealed[0] != _VERSION:
        raise Unsealable
    body = 2 + sealed[1]
    head, nonce, secret = sealed[:body], sealed[body : body + _NONCE_BYTES], sealed[body + _NONCE_BYTES :]
    if len(secret) < _TAG_BYTES:
        raise Unsealable
    try:
        return _cipher(head[2:], purpose).decrypt(nonce, secret, head)
    except (InvalidTag, keys.UnknownKey, UnicodeDecodeError) as refusal:
        raise Unsealable from refusal


def _cipher(key_id: bytes, purpose: str) -> AESGCM:
    return AESGCM(keys.derive(key_id.decode(), purpose=f"sealing {purpose}"))
