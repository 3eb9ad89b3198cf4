"""The same Idempotency-Key, the same answer: a POST that creates is carried out once.

In: a key, and the work of a POST. Out: the work's answer, or the first answer again. Called by intake and by the doors
that create other things than requests; beat calls the purge.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection

from orchestrator import committing, database_errors, json_text

REPLAYED = "Idempotent-Replayed"
_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")
_LOCK_NOT_AVAILABLE = "55P03"
_PURGED_AT_ONCE = 1000


class BadKey(Exception):
    """An Idempotency-Key consists of 1 to 255 visible ASCII characters."""


class KeyReused(Exception):
    """This Idempotency-Key was used for another body."""


class KeyBusy(Exception):
    """The first request with this Idempotency-Key is still being stored."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key within its scope: client, and `route` = method and path. `fingerprint`: SHA-256 of the body's value."""

    client_id: int
    text: str
    route: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST is answered with; kept as it is when it came with a key."""

    status: int
    body: bytes
    request_id: uuid.UUID | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False


def make_key(*, header: str, client_id: int, method: str, path: str, body: bytes) -> Key:
    """Read the header's value, for a body whose JSON was checked (or that is empty). Raises BadKey.

    The path counts without its last slash, since both ways lead to the same door.
    """
    if not _VISIBLE_ASCII.fullmatch(header):
        raise BadKey(BadKey.__doc__)
    value = json_text.canonical(body) if body.strip() else b""
    return Key(
        client_id=client_id,
        text=header,
        route=f"{method} {path.rstrip('/')}",
        fingerprint=hashlib.sha256(value).digest(),
    )


def find(key: Key) -> Answer | None:
    """Return the first answer to this key, None if there is none (any more). Raises KeyReused."""
    with connection.cursor() as cursor:
        cursor.execute(_FIND, _parameters(key))
        row = cursor.fetchone()
    if row is None:
        return None
    fingerprint, request_id, status, headers, body = row
    if bytes(fingerprint) != key.fingerprint:
        raise KeyReused(KeyReused.__doc__)
    kept = Answer(status=status, body=body.encode(), request_id=request_id, headers=json.loads(headers))
    return replace(kept, headers={**kept.headers, REPLAYED: "true"}, replayed=True)


def answer_once(*, key: Key | None, work: Callable[[], Answer], stands: Callable[[], bool]) -> Answer:
    """Do the work in one transaction, unless its key has an answer; return the work's answer or the first one.

    The race: two POSTs with one key, neither of which finds an answer. Both insert the key first of all; the unique
    index lets one pass, and the other waits there until the first has committed (then it is given that answer) or
    rolled back (then it takes its turn). A refusal is raised by the work, so its key is not kept.

    Raises KeyReused, KeyBusy after WAYBILL_IDEMPOTENCY_WAIT_SECONDS, and what the work raises; for `stands` see
    `committing.commit`.
    """
    if key is None:
        return committing.commit(work=work, stands=stands)

    def work_with_key() -> Answer:
        if not _reserve(key):
            return _find_committed(key)
        answer = work()
        _keep(key, answer)
        return answer

    return committing.commit(work=work_with_key, stands=stands)


def purge() -> int:
    """Delete expired keys in small batches, and return how many there were."""
    purged = 0
    while deleted := _purge_batch():
        purged += deleted
    return purged


def _find_committed(key: Key) -> Answer:
    answer = find(key)
    if answer is None:
        raise KeyBusy(KeyBusy.__doc__)  # it expired in this moment: the next try takes it over
    return answer


def _reserve(key: Key) -> bool:
    """Insert the key, and tell whether it is ours; wait for a transaction that is about to insert the same."""
    with connection.cursor() as cursor:
        wait = f"{int(settings.WAYBILL_IDEMPOTENCY_WAIT_SECONDS * 1000)}ms"
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [wait])
        try:
            cursor.execute(_RESERVE, _parameters(key))
        except OperationalError as error:
            if database_errors.sqlstate(error) == _LOCK_NOT_AVAILABLE:
                raise KeyBusy(KeyBusy.__doc__) from error
            raise
        return bool(cursor.rowcount)


def _keep(key: Key, answer: Answer) -> None:
    kept: dict[str, Any] = {
        "request_id": answer.request_id,
        "status": answer.status,
        "headers": json.dumps(dict(answer.headers)),
        "body": answer.body.decode(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, _parameters(key) | kept)


def _purge_batch() -> int:
    with connection.cursor() as cursor:
        cursor.execute(_PURGE, {"lifetime": _lifetime(), "limit": _PURGED_AT_ONCE})
        return int(cursor.rowcount)


def _parameters(key: Key) -> dict[str, Any]:
    return {
        "client_id": key.client_id,
        "route": key.route,
        "key": key.text,
        "fingerprint": key.fingerprint,
        "lifetime": _lifetime(),
    }


def _lifetime() -> float:
    """Return how long a key is kept, in seconds."""
    return float(settings.WAYBILL_IDEMPOTENCY_HOURS * 3600)


# One row by idempotency_key_once, as in the two statements after it.
_FIND = """
SELECT fingerprint, request_id, status, headers::text, body FROM orchestrator_idempotencyrecord
WHERE client_id = %(client_id)s AND route = %(route)s AND key = %(key)s
  AND created_at > statement_timestamp() - make_interval(secs => %(lifetime)s)
"""

# Does nothing where the key stands already, unless that has expired: then it is taken over as if it were new. The
# answer follows in the same transaction, so nobody ever sees a key without one.
_RESERVE = """
INSERT INTO orchestrator_idempotencyrecord AS kept
    (client_id, route, key, fingerprint, status, headers, body, created_at)
VALUES (%(client_id)s, %(route)s, %(key)s, %(fingerprint)s, 0, '{}', '', statement_timestamp())
ON CONFLICT (client_id, route, key) DO UPDATE
SET fingerprint = excluded.fingerprint, created_at = excluded.created_at
WHERE kept.created_at <= statement_timestamp() - make_interval(secs => %(lifetime)s)
"""

_KEEP = """
UPDATE orchestrator_idempotencyrecord
SET request_id = %(request_id)s, status = %(status)s, headers = %(headers)s::jsonb, body = %(body)s
WHERE client_id = %(client_id)s AND route = %(route)s AND key = %(key)s
"""

# The oldest by idempotency_age. SKIP LOCKED: a key that is being taken over is left alone.
_PURGE = """
DELETE FROM orchestrator_idempotencyrecord WHERE id IN (
    SELECT id FROM orchestrator_idempotencyrecord
    WHERE created_at <= statement_timestamp() - make_interval(secs => %(lifetime)s)
    ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""
