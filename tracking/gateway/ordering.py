"""The order of a tracking search as SQL, and how an unpaged one goes on behind the last request it has read.

In: sorts. Out: texts of SQL with named parameters. Called by `sources.py` and `queries.py`. Pure.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracking.gateway.criteria import Sort, SortKey


@dataclass(frozen=True, slots=True)
class Position:
    """The last request that was read: its sort keys and its id."""

    keys: tuple[Any, ...]
    id: uuid.UUID

    def parameters(self) -> dict[str, Any]:
        """Return the values that `Order.after` names."""
        return {f"after_{n}": key for n, key in enumerate(self.keys)} | {"after_id": self.id}


@dataclass(frozen=True, slots=True)
class _Level:
    """One key of the order. Keys that can be null stand last when they are, in either direction."""

    text: str
    descending: bool
    nullable: bool

    def order(self) -> str:
        return f"{self.text}{' DESC' if self.descending else ''}{' NULLS LAST' if self.nullable else ''}"

    def same(self, name: str, *, value: Any) -> str:
        return f"{self.text} = %({name})s" if value is not None else f"{self.text} IS NULL"

    def beyond(self, name: str, *, value: Any) -> str:
        if value is None:
            return "false"
        beyond = f"{self.text} {'<' if self.descending else '>'} %({name})s"
        return f"({beyond} OR {self.text} IS NULL)" if self.nullable else beyond


@dataclass(frozen=True, slots=True)
class Order:
    """Sort keys, then the id; and what the statement calls the time of receipt."""

    levels: tuple[_Level, ...]
    id: _Level
    received: str

    def columns(self) -> str:
        """Return the keys as a list of columns: `key_0`, `key_1` and so on."""
        return ", ".join(f"{level.text} AS key_{n}" for n, level in enumerate(self.levels))

    def text(self) -> str:
        """Return the ORDER BY of the requests."""
        return ", ".join(level.order() for level in (*self.levels, self.id))

    def text_of_columns(self, relation: str) -> str:
        """Return the same ORDER BY for whoever reads the columns."""
        levels = [_Level(f"{relation}.key_{n}", lv.descending, lv.nullable) for n, lv in enumerate(self.levels)]
        return ", ".join(level.order() for level in (*levels, _Level(f"{relation}.id", self.id.descending, False)))

    def after(self, position: Position) -> str:
        """Return the condition that a request stands behind `position`."""
        if len(self.levels) == 1 and self.levels[0].descending == self.id.descending and not self.levels[0].nullable:
            # One comparison of rows, which an index on both columns understands.
            sign = "<" if self.id.descending else ">"
            return f"({self.levels[0].text}, {self.id.text}) {sign} (%(after_0)s, %(after_id)s)"
        return f"({' OR '.join(self._alternatives(position))})"

    def _alternatives(self, position: Position) -> list[str]:
        """Behind it in the first key, or the same there and behind it in the second, and so on to the id."""
        levels = [*self.levels, self.id]
        names = [f"after_{n}" for n in range(len(self.levels))] + ["after_id"]
        values = [*position.keys, position.id]
        return [
            " AND ".join(
                [levels[n].same(names[n], value=values[n]) for n in range(depth)]
                + [levels[depth].beyond(names[depth], value=values[depth])]
            )
            for depth in range(len(levels))
        ]


def of_requests(
    sorts: Sequence[Sort],
    *,
    received: str = "request.received_at",
    id: str = "request.id",  # noqa: A002
    going_on: bool = False,
) -> Order:
    """Return the order of a search. `received`, `id`: what the statement calls them; `going_on`: not its first part.

    Ties by id, ascending; descending when the only key is receivedDate, descending: the order of request_received.
    """
    texts = {
        SortKey.RECEIVED: received,
        SortKey.PROCESSED: _PROCESSED.format(start="%(bound)s" if going_on else "statement_timestamp()"),
        SortKey.BATCH_REFERENCE: 'request.batch_reference COLLATE "C"',  # the same order in every database
    }
    levels = tuple(_Level(texts[sort.by], sort.descending, sort.by is not SortKey.RECEIVED) for sort in sorts)
    return Order(levels, _Level(id, tuple(sorts) == (Sort(),), nullable=False), received=received)


_PROCESSED = "CASE WHEN request.completed_at <= {start} THEN request.completed_at END"
"""A request that is completed while a search is being read keeps its place among the unfinished ones."""
