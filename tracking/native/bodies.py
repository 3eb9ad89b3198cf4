"""The bodies of this family's POSTs, read and judged.

In: bytes. Out: what is wanted, or a `Problem` 400: the family says no more than that a body is bad.
Called by `views.py`. What a service is given stays the text that came.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.json import Decoder

from orchestrator import json_text
from orchestrator.api.problems import Problem

MOST_ENTRIES = 10
REQUEST, SERVICES, EVENTS = "request", "serviceRequest", "eventRequest"
"""The lists that a startup may hold: the first alone, or one or both of the others."""


class Entry(NamedTuple):
    """One service that is asked for. `payload`: what it is given, as JSON text."""

    name: str
    payload: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a startup asks for: its lists by their names, in the order of the contract."""

    lists: Mapping[str, list[Entry]]

    def entries(self) -> list[Entry]:
        """Return all entries, list after list."""
        return [entry for entries in self.lists.values() for entry in entries]


_NOTHING = Raw(b"{}")


class _Service(Struct, forbid_unknown_fields=True):
    name: str = msgspec.field(name="serviceName")
    data: Raw = msgspec.field(name="postRequest", default=_NOTHING)


class _Named(Struct, forbid_unknown_fields=True):
    name: str
    data: Raw = _NOTHING


_Item = TypeVar("_Item")
_Entries = Annotated[list[_Item], Meta(min_length=1, max_length=MOST_ENTRIES)]


class _First(Struct, forbid_unknown_fields=True):
    request: _Entries[_Service]


class _Second(Struct, forbid_unknown_fields=True):
    services: _Entries[_Named] | UnsetType = msgspec.field(name=SERVICES, default=UNSET)
    events: _Entries[_Named] | UnsetType = msgspec.field(name=EVENTS, default=UNSET)


class _Preflight(Struct):
    os: Annotated[str, Meta(min_length=1)]
    version: Annotated[str, Meta(min_length=1)]
    journey_id: str | None = msgspec.field(name="journeyId", default=None)


_OBJECT = Decoder(dict[str, Raw])
_FIRST, _SECOND, _PREFLIGHT = Decoder(_First), Decoder(_Second), Decoder(_Preflight)
_Body = TypeVar("_Body")


def read(raw: bytes) -> Wanted:
    """Read a startup. Raises json_text.BadJSON, or a Problem 400."""
    json_text.check(raw)
    if REQUEST in _decode(_OBJECT, raw):
        return Wanted({REQUEST: _entries(_decode(_FIRST, raw).request)})
    body = _decode(_SECOND, raw)
    lists = {SERVICES: body.services, EVENTS: body.events}
    wanted = Wanted({name: _entries(items) for name, items in lists.items() if not isinstance(items, UnsetType)})
    if not wanted.lists:
        raise Problem(400, "One of the lists is needed")
    return wanted


def read_journey(raw: bytes, *, query: str | None) -> str:
    """Read a preflight check; return its journey's id: the query's, the body's, or a new one. Raises as `read` does."""
    json_text.check(raw)
    body = _decode(_PREFLIGHT, raw)
    return query or body.journey_id or str(uuid.uuid4())


def _decode(decoder: Decoder[_Body], raw: bytes) -> _Body:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as refusal:
        raise Problem(400, str(refusal)) from refusal


def _entries(items: Iterable[_Service | _Named]) -> list[Entry]:
    return [Entry(item.name, bytes(item.data).decode()) for item in items]
