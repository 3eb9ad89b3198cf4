"""Dates as the Gateway reads and prints them. Pure.

In: one or two texts of ISO 8601. Out: a half-open period in UTC. Called by `criteria.py` and `rendering.py`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?P<time>[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.(?P<fraction>[0-9]{1,9}))?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)
_LAST = datetime.max.replace(tzinfo=UTC)


class BadDate(Exception):
    """The text is no date, or the two are no period; the message says why, for the client."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since`, included, until `before`, excluded; both in UTC."""

    since: datetime
    before: datetime

    def overlap(self, other: "Period") -> "Period":
        """Return what lies in both; when nothing does, `before` is not after `since`."""
        return Period(since=max(self.since, other.since), before=min(self.before, other.before))


@dataclass(frozen=True, slots=True)
class _Moment:
    """A date or date-time, and how long it lasts as it was written: a day, a second, or a fraction of one."""

    start: datetime
    lasts: timedelta


def day_of(moment: datetime) -> Period:
    """Return the whole UTC day in which a moment lies."""
    start = datetime.combine(moment.astimezone(UTC).date(), time(), tzinfo=UTC)
    return Period(since=start, before=_later(start, timedelta(days=1)))


def read(texts: list[str]) -> Period:
    """Return the period of one text (that UTC day) or of two (from and to, both included); raise BadDate.

    `to` is included as it was written: the whole day of a date, the whole second of a time without a fraction. So a
    date that an answer printed, which is cut to the second, finds what it was printed for.
    """
    if len(texts) not in {1, 2}:
        raise BadDate("takes one date, or two: from and to")
    start, *rest = [_read_moment(text) for text in texts]
    if not rest:
        return day_of(start.start)
    period = Period(since=start.start, before=_later(rest[0].start, rest[0].lasts))
    if period.since >= period.before:
        raise BadDate("begins after it ends")
    return period


def printed(moment: datetime) -> str:
    """Print a moment as the document does: `2018-10-01T08:38:14+00:00`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _read_moment(text: str) -> _Moment:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise BadDate(f"{text[:40]!r} is not a date")
    try:
        moment = datetime.fromisoformat(text.upper())
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadDate(f"{text[:40]!r} is not a date") from error
    return _Moment(start=utc, lasts=_lasts(time_given=bool(found["time"]), fraction=found["fraction"]))


def _lasts(*, time_given: bool, fraction: str | None) -> timedelta:
    if not time_given:
        return timedelta(days=1)
    return timedelta(microseconds=10 ** max(0, 6 - len(fraction or "")))


def _later(moment: datetime, by: timedelta) -> datetime:
    """Add, but not beyond the last moment there is: `to` 9999-12-31 means for ever."""
    return moment + by if moment <= _LAST - by else _LAST
