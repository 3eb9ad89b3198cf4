"""In one word each: how a lane, a back end, a breaker, a worker stands.

In: live figures. Out: words, which the desk's style sheet colours. Called by the dashboard and the commands.
"""

from enum import StrEnum

from orchestrator.board import LaneNow, WorkerNow
from orchestrator.breakers import BreakerState, BreakerStatus
from orchestrator.trends import Rate

_FAILING_FROM = 0.5
_AILING_FROM = 0.05


class LaneStanding(StrEnum):
    """Whether a lane's messages move, and if not, why."""

    PAUSED = "paused"  # by an operator
    BROKEN = "broken"  # its breaker is open: the back end is down
    HELD = "held"  # a back end asked all to wait
    WORKING = "working"
    WAITING = "waiting"  # claimable messages, and nobody has any of them
    IDLE = "idle"


class BackendStanding(StrEnum):
    """How a back end has answered in the last minutes."""

    DOWN = "down"  # its breaker is open
    FAILING = "failing"  # half of its calls, or more
    AILING = "ailing"  # more than one in twenty
    HEALTHY = "healthy"
    QUIET = "not called"


class WorkerStanding(StrEnum):
    """What a worker process is about."""

    SILENT = "silent"  # for longer than a lease: what it held goes to others
    DRAINED = "drained"  # told to claim no more, and nothing is left of what it held
    DRAINING = "draining"
    WORKING = "working"
    IDLE = "idle"


def of_lane(lane: LaneNow, breaker: BreakerState | None) -> LaneStanding:
    """Say how a lane stands; what an operator did comes first."""
    if lane.paused:
        return LaneStanding.PAUSED
    if breaker and breaker.broken:
        return LaneStanding.BROKEN
    if breaker and breaker.status is BreakerStatus.HELD:
        return LaneStanding.HELD
    if lane.processing:
        return LaneStanding.WORKING
    return LaneStanding.WAITING if lane.queued.number else LaneStanding.IDLE


def of_backend(calls: Rate | None, breaker: BreakerState | None) -> BackendStanding:
    """Say how a back end stands."""
    if breaker and breaker.broken:
        return BackendStanding.DOWN
    if calls is None or calls.failure_rate is None:
        return BackendStanding.QUIET
    if calls.failure_rate >= _FAILING_FROM:
        return BackendStanding.FAILING
    return BackendStanding.AILING if calls.failure_rate >= _AILING_FROM else BackendStanding.HEALTHY


def of_breaker(breaker: BreakerState | None) -> str:
    """Name a breaker's state; a lane that was never called has a closed one."""
    return (breaker.status if breaker else BreakerStatus.CLOSED).value


def of_worker(worker: WorkerNow) -> WorkerStanding:
    """Say how a worker process stands."""
    if not worker.is_alive:
        return WorkerStanding.SILENT
    if worker.draining:
        return WorkerStanding.DRAINED if worker.resting and not worker.holds else WorkerStanding.DRAINING
    return WorkerStanding.WORKING if worker.holds else WorkerStanding.IDLE
