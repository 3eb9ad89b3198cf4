"""Old work goes: payloads and results are cleared after some days, whole requests deleted after more.

In: WAYBILL_CLEAR_AFTER_DAYS and WAYBILL_DELETE_AFTER_DAYS, days by message type (`*`: every type not named). Out: what
was cleared and deleted. Called by a rare chore, and by `manage.py purge`.

Days count from a request's end; what is open stays, however old. A request goes when every type in it may go. Orders
and their events stay: they are the business's own. A cleared message keeps its status, times and errors; its payload is
empty text, which is no JSON, and its result null.

Each pass walks the finished requests in the order of their ends, from where the last one stopped (`Purge`), in batches
of a few thousand messages: a short transaction each, nothing held in between, no table ever counted or scanned.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction

log = structlog.get_logger(__name__)

EVERY_OTHER = "*"
_MESSAGES_AT_ONCE = 5_000
_REQUESTS_AT_ONCE = 1_000
_LOCK_TIMEOUT = "1s"

# A request's end is the time at which its last transaction began: one that still runs would be passed by, unseen.
_COMMITTED_WITHIN = timedelta(minutes=5)


class Action(StrEnum):
    """What the purge does to old work."""

    CLEAR = "clear"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Rules:
    """After how many days an action takes each type; `named` are those with days of their own."""

    action: Action
    days: Mapping[str, float]

    @property
    def named(self) -> list[str]:
        """The types that `*` does not speak for."""
        return sorted(set(self.days) - {EVERY_OTHER})


@dataclass(slots=True)
class Purged:
    """What one action did, or would do."""

    action: Action
    requests: int = 0
    messages: int = 0

    def add(self, requests: int, messages: int) -> None:
        """Count so many more."""
        self.requests += requests
        self.messages += messages


def rules() -> list[Rules]:
    """Read both settings."""
    return [
        Rules(Action.CLEAR, settings.WAYBILL_CLEAR_AFTER_DAYS),
        Rules(Action.DELETE, settings.WAYBILL_DELETE_AFTER_DAYS),
    ]


def purge() -> list[Purged]:
    """Clear and delete all that is due. A second purge at the same time leaves each type to the first."""
    return [_purge(each) for each in rules()]


def preview() -> list[Purged]:
    """Tell what `purge` would do now; nothing is written."""
    return [_preview(each) for each in rules()]


def _purge(rule: Rules) -> Purged:
    done = Purged(rule.action)
    if rule.days:
        _prepare(rule)
    for message_type in rule.days:
        for requests, messages in _batches(rule, message_type):
            done.add(requests, messages)
    log.info("purged", action=rule.action, requests=done.requests, messages=done.messages)
    return done


def _batches(rule: Rules, message_type: str) -> Iterator[tuple[int, int]]:
    while (batch := _do_batch(rule, message_type)) is not None:
        yield batch


@transaction.atomic
def _do_batch(rule: Rules, message_type: str) -> tuple[int, int] | None:
    """Deal with the next few requests; return how many requests and messages it was, None when none are due."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
        cursor.execute("SET LOCAL synchronous_commit = off")  # a batch lost in a crash is only done again
        cursor.execute(_PLACE, {"action": rule.action, "type": message_type})
        place = cursor.fetchone()
        if place is None:
            return None  # another purge is at it
        cursor.execute(_DUE, _parameters(rule, message_type, upto=place))
        due = cursor.fetchall()
        if not due:
            return None
        ids = [request_id for request_id, _, goes in due if goes]
        messages = _ACT[rule.action](cursor, ids, rule, message_type)
        _move_on(cursor, rule, message_type, last=due[-1])
    return len(ids), messages


def _move_on(cursor: Any, rule: Rules, message_type: str, *, last: tuple[uuid.UUID, Any, bool]) -> None:
    place = {"action": rule.action, "type": message_type, "upto": last[1], "upto_id": last[0]}
    cursor.execute(_MOVE_ON, place)


def _clear(cursor: Any, ids: list[uuid.UUID], rule: Rules, message_type: str) -> int:
    cursor.execute(_CLEAR, {"ids": ids, "type": message_type, "named": rule.named})
    return int(cursor.rowcount)


def _delete(cursor: Any, ids: list[uuid.UUID], _rule: Rules, _message_type: str) -> int:
    for statement in _DELETE_THE_REST:
        cursor.execute(statement, {"ids": ids})
    cursor.execute(_DELETE_MESSAGES, {"ids": ids})
    messages = int(cursor.rowcount)
    cursor.execute(_DELETE_REQUESTS, {"ids": ids})
    return messages


_ACT = {Action.CLEAR: _clear, Action.DELETE: _delete}


@transaction.atomic
def _prepare(rule: Rules) -> None:
    """Make the places that are missing, and go back where the settings changed.

    A type that keeps its messages for longer than before goes back to what is not due yet. One that is named no more
    falls to `*`, which goes back to where that type had come.
    """
    types, days = zip(*rule.days.items(), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_PREPARE, {"action": rule.action, "types": list(types)})
        cursor.execute(_GO_BACK, {"action": rule.action, "types": list(types), "days": list(days)})
        cursor.execute(_FALL_TO_EVERY_OTHER, {"action": rule.action, "types": list(types)})


def _preview(rule: Rules) -> Purged:
    found = Purged(rule.action)
    if rule.action is Action.DELETE:
        found.add(*_ask(_WOULD_DELETE, rule, EVERY_OTHER))
        return found
    for message_type in rule.days:
        found.add(*_ask(_WOULD_CLEAR, rule, message_type))
    return found


def _ask(statement: str, rule: Rules, message_type: str) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(rule, message_type, upto=None))
        requests, messages = cursor.fetchone()
        return int(requests), int(messages)


def _parameters(rule: Rules, message_type: str, *, upto: tuple[Any, uuid.UUID] | None) -> dict[str, Any]:
    after, after_id = upto or (None, None)
    return {
        "after": after,
        "after_id": after_id,
        "age": max(timedelta(days=rule.days.get(message_type, 0)), _COMMITTED_WITHIN),
        "type": message_type,
        "named": rule.named,
        "types": list(rule.days),
        "days": list(rule.days.values()),
        "deleting": rule.action is Action.DELETE,
        "requests": _REQUESTS_AT_ONCE,
        "messages": _MESSAGES_AT_ONCE,
    }


# ---------------------------------------------------------------- the places

_PREPARE = """
INSERT INTO orchestrator_purge (action, type, upto, upto_id)
SELECT %(action)s, type, 'epoch', '00000000-0000-0000-0000-000000000000' FROM unnest(%(types)s::text[]) AS type
ON CONFLICT DO NOTHING
"""

_GO_BACK = """
UPDATE orchestrator_purge AS place
SET upto = now() - make_interval(secs => asked.days * 86400), upto_id = '00000000-0000-0000-0000-000000000000'
FROM unnest(%(types)s::text[], %(days)s::float8[]) AS asked (type, days)
WHERE place.action = %(action)s AND place.type = asked.type
    AND place.upto > now() - make_interval(secs => asked.days * 86400)
"""

_FALL_TO_EVERY_OTHER = """
WITH gone AS (
    DELETE FROM orchestrator_purge WHERE action = %(action)s AND NOT type = ANY (%(types)s) RETURNING upto, upto_id
)
UPDATE orchestrator_purge AS place SET upto = gone.upto, upto_id = gone.upto_id
FROM (SELECT upto, upto_id FROM gone ORDER BY upto, upto_id LIMIT 1) AS gone
WHERE place.action = %(action)s AND place.type = '*' AND (gone.upto, gone.upto_id) < (place.upto, place.upto_id)
"""

_PLACE = """
SELECT upto, upto_id FROM orchestrator_purge WHERE action = %(action)s AND type = %(type)s FOR UPDATE SKIP LOCKED
"""

_MOVE_ON = """
UPDATE orchestrator_purge SET upto = %(upto)s, upto_id = %(upto_id)s WHERE action = %(action)s AND type = %(type)s
"""

# ---------------------------------------------------------------- what is due

# Whether the request has messages of the type at hand; `*` speaks for all that have no days of their own.
_OF_TYPE = """
    CASE WHEN %(type)s = '*' THEN NOT request.types <@ %(named)s::text[] OR request.types = '{}'
    ELSE request.types @> ARRAY[%(type)s] END
"""

# Whether each of the request's types may go; one without days, its own or those of `*`, never does.
_ALL_MAY_GO = """
    NOT EXISTS (
        SELECT FROM unnest(CASE WHEN request.types = '{}' THEN ARRAY['*'] ELSE request.types END) AS mine (type)
        LEFT JOIN unnest(%(types)s::text[], %(days)s::float8[]) AS own (type, days) ON own.type = mine.type
        LEFT JOIN unnest(%(types)s::text[], %(days)s::float8[]) AS other (type, days) ON other.type = '*'
        WHERE coalesce(own.days, other.days) IS NULL
            OR request.completed_at > now() - make_interval(secs => coalesce(own.days, other.days) * 86400)
    )
"""

# By request_completed, from where the last batch ended. As many as hold a few thousand messages, and at least one. The
# last column: whether it goes now; one with a type that stays for longer is met again when that one's time has come.
_DUE = f"""
WITH next AS (
    SELECT request.id, request.completed_at, request.types, request.total
    FROM orchestrator_request AS request
    WHERE (request.completed_at, request.id) > (%(after)s, %(after_id)s) AND request.completed_at <= now() - %(age)s
    ORDER BY request.completed_at, request.id
    LIMIT %(requests)s
), counted AS (
    SELECT *, sum(total) OVER (ORDER BY completed_at, id) - total AS before FROM next
)
SELECT request.id, request.completed_at, ({_OF_TYPE}) AND (NOT %(deleting)s OR ({_ALL_MAY_GO}))
FROM counted AS request WHERE before < %(messages)s ORDER BY request.completed_at, request.id
"""  # noqa: S608 - the pieces are ours

# ---------------------------------------------------------------- what is done

_MESSAGE_OF_TYPE = "CASE WHEN %(type)s = '*' THEN NOT type = ANY (%(named)s::text[]) ELSE type = %(type)s END"

# By message_in_request. A message that was cleared before is left alone.
_CLEAR = f"""
UPDATE orchestrator_message SET payload = '', result = NULL, payload_key_id = NULL
WHERE request_id = ANY (%(ids)s) AND ({_MESSAGE_OF_TYPE}) AND (payload <> '' OR result IS NOT NULL)
"""  # noqa: S608 - the pieces are ours

_DELETE_MESSAGES = "DELETE FROM orchestrator_message WHERE request_id = ANY (%(ids)s)"
_DELETE_REQUESTS = "DELETE FROM orchestrator_request WHERE id = ANY (%(ids)s)"
_DELETE_THE_REST = (
    "DELETE FROM orchestrator_task WHERE request_id = ANY (%(ids)s)",
    "DELETE FROM orchestrator_state WHERE request_id = ANY (%(ids)s)",
    "DELETE FROM orchestrator_service WHERE request_id = ANY (%(ids)s)",
    "DELETE FROM orchestrator_replayedmessage WHERE original_request_id = ANY (%(ids)s)",
)

# ---------------------------------------------------------------- what would be done

# The whole of what is due, counted: for a person who asks, never on a request's path.
_WOULD_CLEAR = f"""
SELECT count(DISTINCT request_id), count(*) FROM orchestrator_message
WHERE ({_MESSAGE_OF_TYPE}) AND (payload <> '' OR result IS NOT NULL) AND request_id IN (
    SELECT request.id FROM orchestrator_request AS request
    WHERE request.completed_at <= now() - %(age)s AND ({_OF_TYPE})
)
"""  # noqa: S608 - the pieces are ours

_WOULD_DELETE = f"""
SELECT count(*), coalesce(sum(request.total), 0) FROM orchestrator_request AS request
WHERE request.completed_at IS NOT NULL AND ({_ALL_MAY_GO})
"""  # noqa: S608 - the pieces are ours
