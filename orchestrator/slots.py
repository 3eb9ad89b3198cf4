"""Claim within a lane's limits: slots for the calls in flight, tokens for those of this second.

In: a claim's wishes and the lane's limits. Out: what was claimed, and when to ask again if the limits kept some back.
Called by the drain's claims, for lanes with limits only.

A slot is a message of the lane in Processing: counted in the ledger, so none is ever left behind. A worker that is
lost gives its slots back with its claims (`recovery`), and so does one that stops. Tokens are a row a lane. Limits hold
over all processes; the loss of the broker or the cache changes nothing.
"""

import uuid
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from orchestrator import queue
from orchestrator.lifecycle import WORDS
from orchestrator.limits import Limits
from orchestrator.queue import Batch

_ASK_AGAIN = 0.1
"""Seconds: others hold the slots, and when they give them back nobody tells."""
_LATE = 0.001
"""Seconds: a token that is all but there is not there."""

# Fills the bucket up to now, and locks it until the claim has committed. The race: two processes count five free slots
# of ten and claim five each, of which the other knows nothing. So the bucket's row is locked first, in a statement of
# its own: the next statement's snapshot is taken under the lock, and sees what the process before has claimed.
# By primary key; clock_timestamp() is read under the lock.
_LOCK = """
INSERT INTO orchestrator_bucket AS bucket (lane, tokens, filled_at)
SELECT %(lane)s, %(at_once)s, clock_timestamp() FROM set_config('synchronous_commit', 'off', true)
ON CONFLICT (lane) DO UPDATE SET filled_at = clock_timestamp(), tokens = least(%(at_once)s, bucket.tokens
    + %(rate)s * greatest(0, extract(epoch FROM clock_timestamp() - bucket.filled_at)::float8))
RETURNING tokens
"""

# A handful of claims, and message_claimed for what each still holds.
_IN_FLIGHT = """
SELECT count(*) FROM orchestrator_claim AS claim
JOIN orchestrator_message AS message ON message.claim_id = claim.id AND message.status = %(processing)s
WHERE claim.lane = %(lane)s
"""

_SPEND = """
UPDATE orchestrator_bucket SET tokens = tokens - %(spent)s,
    next_at = filled_at + greatest(0, 1 - tokens + %(spent)s) / %(rate)s * interval '1 second'
WHERE lane = %(lane)s
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants to claim how much of which lane."""

    worker_id: uuid.UUID
    lane: str
    limit: int
    floor: int = 0
    alone: bool = False
    probing: bool = False


@dataclass(frozen=True, slots=True)
class Ration:
    """What a claim brought; `ask_again`: seconds after which the limits may allow more of what waits, None if none.

    `for_slots`: it is for want of slots, not of tokens.
    """

    batch: Batch
    ask_again: float | None = None
    for_slots: bool = False


NOTHING = Ration(Batch(messages=[], suspects_wait=False))


def claim(asked: Asked, *, limits: Limits) -> Ration:
    """Claim what the limits allow; without limits, one statement."""
    return _claim_within(asked, limits) if limits.ration else Ration(_claim(asked, limit=asked.limit))


def _claim_within(asked: Asked, limits: Limits) -> Ration:
    """One unit of work. Its commit need not wait for the disk: with the claims the slots would be lost too."""
    with transaction.atomic(), connection.cursor() as cursor:
        tokens = _lock(cursor, asked.lane, limits)
        free = _free_slots(cursor, asked.lane, limits, most=asked.limit)
        room = min(free, asked.limit if tokens is None else int(tokens))
        batch = _claim(asked, limit=room) if room > 0 else NOTHING.batch
        spent = len(batch.messages)
        if tokens is not None:
            _spend(cursor, asked.lane, limits, spent=spent)
    if room >= asked.limit or spent < room or not (spent or queue.holds_claimable(asked.lane)):
        return Ration(batch)
    if free - spent <= 0 or tokens is None:
        return Ration(batch, ask_again=_ASK_AGAIN, for_slots=True)
    return Ration(batch, ask_again=limits.until_worth_it(tokens - spent) + _LATE)


def _claim(asked: Asked, *, limit: int) -> Batch:
    return queue.claim(
        worker_id=asked.worker_id,
        lane=asked.lane,
        limit=limit,
        floor=asked.floor,
        alone=asked.alone,
        probing=asked.probing,
    )


def _lock(cursor: CursorWrapper, lane: str, limits: Limits) -> float | None:
    """Lock the lane's bucket, and return the tokens in it; None: without a rate they don't matter."""
    cursor.execute(_LOCK, {"lane": lane, "at_once": limits.at_once, "rate": limits.rate or 0.0})
    [(tokens,)] = cursor.fetchall()
    return None if limits.rate is None else float(tokens)


def _free_slots(cursor: CursorWrapper, lane: str, limits: Limits, *, most: int) -> int:
    if limits.concurrency is None:
        return most
    cursor.execute(_IN_FLIGHT, {"lane": lane, **WORDS})
    [(in_flight,)] = cursor.fetchall()
    return min(most, limits.concurrency - int(in_flight))


def _spend(cursor: CursorWrapper, lane: str, limits: Limits, *, spent: int) -> None:
    cursor.execute(_SPEND, {"lane": lane, "spent": spent, "rate": limits.rate})
