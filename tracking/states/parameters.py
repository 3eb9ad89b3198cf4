"""What a caller asks of the read side: which states and tasks, and what of them.

In: the query parameters. Out: a `Wanted`, or a `Problem` 400 that names the bad one. Called by the views. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.api.problems import Problem
from tracking.states import timestamps

Query = Mapping[str, str]

LARGEST_NUMBER = 2**31 - 1
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Scope:
    """Those that are active, those that are completed, or both."""

    active: bool = False
    completed: bool = False


NONE = Scope()
ALL = Scope(active=True, completed=True)
ACTIVE = Scope(active=True)
COMPLETED = Scope(completed=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What stands in an answer. `types` None: all of them; `tasks` of each state, `states` of each service."""

    types: frozenset[str] | None = None
    extensions: frozenset[str] = frozenset()
    states: Scope = NONE
    tasks: Scope = NONE


def of_services(query: Query) -> Wanted:
    """Read what is wanted of services; types are `service_types`."""
    return Wanted(
        types=_types(query, "service_types"),
        extensions=_list(query, "extensions"),
        states=_scope(query, "states"),
        tasks=_scope(query, "tasks"),
    )


def of_states(query: Query) -> Wanted:
    """Read what is wanted of states; types are `state_types`."""
    return Wanted(
        types=_types(query, "state_types"), extensions=_list(query, "extensions"), tasks=_scope(query, "tasks")
    )


def of_tasks(query: Query) -> Wanted:
    """Read what is wanted of tasks; types are `task_types`."""
    return Wanted(types=_types(query, "task_types"), extensions=_list(query, "extensions"))


def read_moment(query: Query, name: str) -> datetime | None:
    """Read a date or date-time; None when it is not given."""
    if name not in query:
        return None
    moment = timestamps.read(query[name])
    if moment is None:
        raise Problem(400, f"{name} must be a date and time like 2010-05-18T15:23:34.447Z", field=name)
    return moment


def read_state_id(query: Query) -> int | None:
    """Read `state_id`; None when it is not given."""
    if "state_id" not in query:
        return None
    number = read_number(query["state_id"])
    if number is None:
        raise Problem(400, "state_id must be a whole number from 0", field="state_id")
    return number


def read_number(text: str) -> int | None:
    """Return the number that a state or a task may have, None when the text is none."""
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    number = int(text)
    return number if number <= LARGEST_NUMBER else None


def _scope(query: Query, name: str) -> Scope:
    return Scope(active=_flag(query, f"active_{name}"), completed=_flag(query, f"completed_{name}"))


def _flag(query: Query, name: str) -> bool:
    flag = _FLAGS.get(query.get(name, "false"))
    if flag is None:
        raise Problem(400, f"{name} must be true or false", field=name)
    return flag


def _types(query: Query, name: str) -> frozenset[str] | None:
    return _list(query, name) or None


def _list(query: Query, name: str) -> frozenset[str]:
    """Split at commas; nothing between two of them is nothing asked for."""
    return frozenset(part for text in query.get(name, "").split(",") if (part := text.strip(" ")))
