"""What a tracking search asks for.

In: the body of POST /api/v1/tracking, and the time. Out: a `Search`, or `BadSearch` naming the criterion.
Called by `search_view.py`. Pure.
"""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from orchestrator import ids, json_text
from orchestrator.lifecycle import Status
from tracking.gateway import periods, words

LARGEST_PAGE = 1000
MOST_CRITERIA = 50
"""Each reference criterion is one more condition of the statement: a bound that no honest search meets."""

_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)  # fifteen: times the size it is still a bigint
_DESCENDING = {"asc": False, "ascending": False, "desc": True, "descending": True}


class BadSearch(Exception):
    """The search can't be understood; the message names the criterion, for the client."""

    def __init__(self, name: str, text: str, *, index: int | None = None) -> None:
        """Say which part of the body is wrong, and where it stands in its list."""
        super().__init__(f"{name}: {text}")
        self.name = name
        self.index = index


class SortKey(StrEnum):
    """What requests can be sorted by."""

    RECEIVED = "receivedDate"
    PROCESSED = "processedDate"
    BATCH_REFERENCE = "batchReference"


@dataclass(frozen=True, slots=True)
class Sort:
    """One level of the order."""

    by: SortKey = SortKey.RECEIVED
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Page:
    """A page, counted from 1."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Criteria:
    """All that a message must meet at once; None where nothing is asked. An empty set is met by nothing.

    `references`: one set for each criterion; the message's own or its request's batch reference must be in each.
    """

    types: frozenset[str] | None = None
    statuses: frozenset[Status] | None = None
    ids: frozenset[uuid.UUID] | None = None
    references: tuple[frozenset[str], ...] = ()
    period: periods.Period | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """A search. `echo`: its criteria as the client wrote them; `page` None: everything."""

    echo: bytes
    criteria: Criteria
    sorts: tuple[Sort, ...]
    page: Page | None


class _Body(msgspec.Struct):
    """The body's outline. The search stays text, so that it goes back as it came."""

    search: msgspec.Raw = msgspec.Raw(b"[]")
    paging: Any = msgspec.UNSET
    sorts: Any = msgspec.UNSET


def read(body: bytes, *, now: datetime) -> Search:
    """Read a search. Raises BadSearch, or json_text.BadJSON when the body is no JSON at all."""
    json_text.check(body)
    try:
        outline = msgspec.json.decode(body, type=_Body)
    except msgspec.ValidationError as error:
        raise BadSearch("body", "must be a JSON object") from error
    return Search(
        echo=bytes(outline.search),
        criteria=_read_criteria(msgspec.json.decode(outline.search), now=now),
        sorts=_read_sorts(outline.sorts),
        page=_read_page(outline.paging),
    )


def _read_criteria(search: Any, *, now: datetime) -> Criteria:
    if not isinstance(search, list) or len(search) > MOST_CRITERIA:
        raise BadSearch("search", f"must be a list of at most {MOST_CRITERIA} criteria")
    criteria = Criteria()
    for index, criterion in enumerate(search):
        criteria = _narrow(criteria, criterion, index=index)
    if criteria.period is None and criteria.ids is None and not criteria.references:
        return replace(criteria, period=periods.day_of(now))
    return criteria


def _narrow(criteria: Criteria, criterion: Any, *, index: int) -> Criteria:
    """Add one criterion: what was asked before and what it asks must both be met."""
    if not isinstance(criterion, dict):
        raise BadSearch("search", "each criterion must be an object with by and value", index=index)
    by = criterion.get("by")
    narrow = _NARROWINGS.get(by) if isinstance(by, str) else None
    if not isinstance(by, str) or narrow is None:
        raise BadSearch("search", f"by {str(by)[:40]!r} is not one of {', '.join(_BY)}", index=index)
    try:
        return narrow(criteria, _texts(criterion.get("value")))
    except (ValueError, periods.BadDate) as error:
        raise BadSearch(by, str(error), index=index) from error


def _texts(value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("value must be a text or a list of texts")
    return texts


def _by_type(criteria: Criteria, texts: list[str]) -> Criteria:
    wanted = frozenset(texts)
    return replace(criteria, types=wanted if criteria.types is None else criteria.types & wanted)


def _by_status(criteria: Criteria, texts: list[str]) -> Criteria:
    for text in texts:
        if text not in words.STATUSES:
            raise ValueError(f"{text[:40]!r} is not one of {', '.join(words.STATUSES)}")
    wanted = frozenset(words.STATUSES[text] for text in texts)
    return replace(criteria, statuses=wanted if criteria.statuses is None else criteria.statuses & wanted)


def _by_received_date(criteria: Criteria, texts: list[str]) -> Criteria:
    wanted = periods.read(texts)
    return replace(criteria, period=wanted if criteria.period is None else criteria.period.overlap(wanted))


def _by_id(criteria: Criteria, texts: list[str]) -> Criteria:
    wanted = frozenset(known for text in texts if (known := ids.parse(text)))
    return replace(criteria, ids=wanted if criteria.ids is None else criteria.ids & wanted)


def _by_reference(criteria: Criteria, texts: list[str]) -> Criteria:
    return replace(criteria, references=(*criteria.references, frozenset(texts)))


_BY: dict[str, Callable[[Criteria, list[str]], Criteria]] = {
    "messageType": _by_type,
    "messageStatus": _by_status,
    "receivedDate": _by_received_date,
    "id": _by_id,
    "externalReference": _by_reference,
}
_NARROWINGS = _BY | {"recievedDate": _by_received_date}  # the document's own misspelling
_SORT_KEYS = {key.value: key for key in SortKey} | {"recievedDate": SortKey.RECEIVED}


def _read_sorts(sorts: Any) -> tuple[Sort, ...]:
    if sorts is msgspec.UNSET:
        return (Sort(),)
    levels = [sorts] if isinstance(sorts, dict) else sorts
    if not isinstance(levels, list) or len(levels) > MOST_CRITERIA:
        raise BadSearch("sorts", "must be a list of objects with by and order")
    # A key that is named again further down changes nothing.
    by_key: dict[SortKey, Sort] = {}
    for index, level in enumerate(levels):
        sort = _read_sort(level, index=index)
        by_key.setdefault(sort.by, sort)
    return tuple(by_key.values()) or (Sort(),)


def _read_sort(level: Any, *, index: int) -> Sort:
    if not isinstance(level, dict):
        raise BadSearch("sorts", "each must be an object with by and order", index=index)
    by = level.get("by", SortKey.RECEIVED.value)
    if not isinstance(by, str) or by not in _SORT_KEYS:
        raise BadSearch("sorts", f"by {str(by)[:40]!r} is not one of {', '.join(SortKey)}", index=index)
    order = level.get("order", "asc" if "by" in level else "desc")
    if not isinstance(order, str) or order not in _DESCENDING:
        raise BadSearch("sorts", f"order {str(order)[:40]!r} is not one of {', '.join(_DESCENDING)}", index=index)
    return Sort(by=_SORT_KEYS[by], descending=_DESCENDING[order])


def _read_page(paging: Any) -> Page | None:
    if paging is msgspec.UNSET:
        return None
    if not isinstance(paging, dict):
        raise BadSearch("paging", "must be an object with number and size")
    number, size = _whole_number(paging.get("number")), _whole_number(paging.get("size"))
    if not number:
        raise BadSearch("paging", "number must be a whole number from 1")
    if not size or size > LARGEST_PAGE:
        raise BadSearch("paging", f"size must be a whole number from 1 to {LARGEST_PAGE}")
    return Page(number=number, size=size)


def _whole_number(value: Any) -> int | None:
    """Return a number, given as one (10.0 is whole, too) or as digits; None when it is neither, or beyond all pages."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else None
