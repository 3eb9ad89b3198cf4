"""Payloads and results at rest: encrypted when the operator gives keys, the JSON text that came when not.

In: JSON text on its way into the ledger, or what the ledger holds. Out: the other of the two. Called by drafting,
outcomes, processing, replays, and the windows and pages of the desk that show them.

AES-256-GCM (NIST SP 800-38D) with a random nonce each, bound to the message and to whether it is its payload or its
result, so that nobody with the database alone can read one or put it elsewhere. A sealed text names its key and begins
as no JSON does: each text says by itself how it is to be read, whatever the settings were when it was written.
"""

import os
import uuid
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from enum import Enum
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_MARK = "sealed:"  # no JSON text begins with an s
_NONCE_BYTES = 12


class Unreadable(Exception):
    """This text was changed, belongs to another message, or its key is not among WAYBILL_PAYLOAD_KEYS."""


class Part(Enum):
    """Which text of a message it is."""

    PAYLOAD = b"payload"
    RESULT = b"result"


def key_id() -> str | None:
    """Return the id of the key that seals now; None: texts are kept as they are."""
    return settings.WAYBILL_PAYLOAD_KEY_ID or None


def seal(text: str, *, message_id: uuid.UUID, part: Part) -> str:
    """Return the text as the ledger is to keep it."""
    current = settings.WAYBILL_PAYLOAD_KEY_ID
    if not current:
        return text
    nonce = os.urandom(_NONCE_BYTES)
    secret = _cipher(settings.WAYBILL_PAYLOAD_KEYS[current]).encrypt(nonce, text.encode(), _bond(message_id, part))
    return f"{mark_of(current)}{b64encode(nonce + secret).decode()}"


def reveal(kept: str, *, message_id: uuid.UUID, part: Part) -> str:
    """Return the text that was sealed, or that was never sealed. Raises Unreadable."""
    if not is_sealed(kept):
        return kept
    key, body = _open(kept)
    try:
        raw = b64decode(body, validate=True)
        return _cipher(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bond(message_id, part)).decode()
    except (InvalidTag, NotBase64, ValueError) as broken:
        raise Unreadable(Unreadable.__doc__) from broken


def is_sealed(kept: str) -> bool:
    """Tell whether a kept text is encrypted."""
    return kept.startswith(_MARK)


def is_readable(kept: str) -> bool:
    """Tell whether this process has the key: in a rolling change of keys another one may have it first."""
    return not is_sealed(kept) or _key_id_of(kept) in settings.WAYBILL_PAYLOAD_KEYS


def mark_of(key: str | None) -> str:
    """Return how texts sealed with a key begin; with None, how sealed texts begin."""
    return _MARK if key is None else f"{_MARK}{key}:"


def _open(kept: str) -> tuple[bytes, str]:
    key = settings.WAYBILL_PAYLOAD_KEYS.get(_key_id_of(kept))
    if key is None:
        raise Unreadable(Unreadable.__doc__)
    return key, kept.rpartition(":")[2]


def _key_id_of(kept: str) -> str:
    return kept[len(_MARK) :].partition(":")[0]


def _bond(message_id: uuid.UUID, part: Part) -> bytes:
    return message_id.bytes + part.value


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)
