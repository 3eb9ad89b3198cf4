"""Pause and resume a lane.

In: a lane's name. Out: its row, obeyed by the next claim of any worker; who resumes also wakes it. Called by the desk
and by `manage.py lane`.

What a worker has claimed when the lane is paused is finished: at most its window. The others stay Queued, keep their
turns, and can be cancelled; new ones are accepted.
"""

from django.db import connection, transaction

from orchestrator import dispatch, handlers, turns


class UnknownLane(Exception):
    """No message has ever waited in such a lane, and no message type that is known here names it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no lane {name!r}")


def pause(name: str) -> bool:
    """Let nothing more be claimed in a lane; tell whether it was not paused before. Raises UnknownLane."""
    return _set_paused(name, paused=True)


def resume(name: str) -> bool:
    """Let a lane's messages be claimed again, and wake it; tell whether it was paused. Raises UnknownLane."""
    changed = _set_paused(name, paused=False)
    transaction.on_commit(lambda: dispatch.wake(name))
    return changed


def check(name: str) -> None:
    """Raise UnknownLane unless the lane exists, or would be opened by a message of a known type."""
    if "\x00" in name:  # no text of PostgreSQL's
        raise UnknownLane(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM orchestrator_lane WHERE name = %s", (name,))
        if not cursor.rowcount and name not in {known.lane_name for known in handlers.catalogue().values()}:
            raise UnknownLane(name)


def _set_paused(name: str, *, paused: bool) -> bool:
    """A lane may be paused before its first message comes: its row is made then."""
    with transaction.atomic(), connection.cursor() as cursor:
        check(name)
        turns.open_lanes([name])
        cursor.execute(
            "UPDATE orchestrator_lane SET paused = %(paused)s WHERE name = %(name)s AND paused <> %(paused)s",
            {"name": name, "paused": paused},
        )
        return bool(cursor.rowcount)
