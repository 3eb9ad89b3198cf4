"""The places where bad luck hurts most, by name, so that a test can strike exactly there.

In: the name of the place that is being passed. Out: nothing, unless this process is rigged: then whatever the rig does,
which may be the end of the process. Called by intake, dispatch, drains, flushes, stops and housekeeping.

Nothing that Waybill ships rigs a process, and no variable does: only an app that calls `rig` can, and the one that does
(`chaos.inside`) has to be named in WAYBILL_APPS, says so loudly in the log, and is not part of what is deployed.
"""

from collections.abc import Callable
from enum import StrEnum

Rig = Callable[["Place"], None]


class Place(StrEnum):
    """Where a process may be struck; each name says what has just been done, or is about to be."""

    COMMITTING = "committing"  # a door's work is done, its COMMIT not sent
    COMMITTED = "committed"  # its COMMIT was answered
    ACCEPTED = "accepted"  # a submission is committed, its lanes are not woken
    FLAG_RAISED = "flag-raised"  # a lane's flag is up, its wake-up not published
    ANSWERING = "answering"  # everything is done but the answer to the client
    CANCELLING = "cancelling"  # a cancel is written, its COMMIT not sent
    CANCELLED = "cancelled"  # a cancel is committed, not answered
    CLAIMED = "claimed"  # a claim is committed, the process knows nothing of it
    CALLED = "called"  # a handler or back end has answered, there is no outcome yet
    MID_FLUSH = "mid-flush"  # messages are written, neither counters nor effects
    FLUSHING = "flushing"  # a flush is whole, its COMMIT not sent
    FLUSHED = "flushed"  # a flush is committed, the process knows nothing of it
    RELEASED = "released"  # due retries are committed as claimable, their lanes are not woken
    GIVING_BACK = "giving-back"  # a lost claim is given back, the COMMIT not sent
    GIVEN_BACK = "given-back"  # that is committed, its lane is not woken
    STOPPING = "stopping"  # the grace time is used, what is left is not given back


_rig: Rig | None = None


def pass_by(place: Place) -> None:
    """Pass a place: the test of one name, in a process that is not rigged."""
    if _rig is not None:
        _rig(place)


def rig(strike: Rig | None) -> None:
    """Have `strike` called at every place from now on; None takes that back."""
    global _rig  # noqa: PLW0603 - one rig a process, by its nature
    _rig = strike
