"""Fair order: a message's turn in its lane.

In: how many messages a client hands in, by lane. Out: the base that their turns count from. Called by intake.

A client that hands in a million messages must not delay another client's single one. Each client has its own last
turn in a lane; a newcomer begins at the lane's clock, so its first message stands beside the first of everybody
else. Claims go by (lane, turn): no scheduler, the index order is the fairness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

PRIORITY_STEP = 1_000
"""How many turns earlier each step of priority stands."""


@dataclass(frozen=True, slots=True)
class Base:
    """Where a client's next turns in a lane count from; `clock` is the highest turn ever claimed there."""

    last: int
    clock: int

    def turn(self, *, rank: int, priority: int = 0) -> int:
        """Return the turn of the message that is `rank`th (from 1) of this intake; never below the clock."""
        return max(self.last + rank - priority * PRIORITY_STEP, self.clock)

    def after(self, messages: int) -> "Base":
        """Return the base of what follows so many messages of the same allocation."""
        return Base(last=self.last + messages, clock=self.clock)


# One row a lane and client; the rows are locked in the lanes' name order. Allocated before the intake transaction,
# so that a client's own POSTs don't queue behind each other's commits: gaps are harmless, and so is losing the
# statement in a crash (turns need not be unique), which is why its commit doesn't wait for the disk.
_ALLOCATE = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
wanted AS MATERIALIZED (
    SELECT lane, n, clock
    FROM quick, unnest(%(lanes)s::text[], %(counts)s::bigint[]) AS asked (lane, n)
    JOIN orchestrator_lane ON orchestrator_lane.name = asked.lane
)
INSERT INTO orchestrator_clientlane AS mine (client_id, lane, last_turn)
SELECT %(client_id)s, lane, clock + n FROM wanted ORDER BY lane
ON CONFLICT (client_id, lane) DO UPDATE
SET last_turn = greatest(mine.last_turn + (SELECT n FROM wanted WHERE wanted.lane = mine.lane), excluded.last_turn)
RETURNING lane, last_turn - (SELECT n FROM wanted WHERE wanted.lane = mine.lane),
    (SELECT clock FROM wanted WHERE wanted.lane = mine.lane)
"""

_OPEN_LANES = """
INSERT INTO orchestrator_lane (name, queue) SELECT unnest(%(lanes)s::text[]), %(queue)s
ON CONFLICT (name) DO NOTHING
"""


def allocate(*, client_id: int, counts: Mapping[str, int]) -> dict[str, Base]:
    """Give a client `counts[lane]` further turns in each lane, and return the base of each.

    A lane that is not known yet is opened. One statement, outside any transaction of the caller's.
    """
    lanes = sorted(counts)
    asked = {"client_id": client_id, "lanes": lanes, "counts": [counts[lane] for lane in lanes]}
    bases = _run(_ALLOCATE, asked)
    if len(bases) < len(lanes):
        open_lanes(lanes)
        bases = _run(_ALLOCATE, asked)
    return bases


def open_lanes(lanes: list[str]) -> None:
    """Make the rows of lanes that have none yet; they are served by the default Celery queue."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_LANES, {"lanes": lanes, "queue": settings.CELERY_TASK_DEFAULT_QUEUE})


def _run(statement: str, asked: dict[str, Any]) -> dict[str, Base]:
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return {lane: Base(last=last, clock=clock) for lane, last, clock in cursor.fetchall()}
