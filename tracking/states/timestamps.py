"""Moments as the service states documents write them: `2010-05-18T15:23:34.447Z`. Pure."""

import re
from datetime import UTC, datetime

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?",
    re.ASCII | re.IGNORECASE,
)


def read(text: str) -> datetime | None:
    """Return the moment (ISO 8601; UTC when no zone is given) in whole milliseconds; None when the text is none."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return whole(utc)


def printed(moment: datetime) -> str:
    """Print a moment in UTC, cut to milliseconds."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def whole(moment: datetime) -> datetime:
    """Cut a moment to milliseconds, as it is printed: so that times that were answered add up."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
