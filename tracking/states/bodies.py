"""The bodies of the write side, read and judged.

In: the bytes of a POST or PUT. Out: what flows takes, or a `Problem` 400 that names the field. Called by the views.
Whatever is not a field of the operation is an extension. Values stay the JSON text that came.
"""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from orchestrator import json_text
from orchestrator.api.problems import Problem
from orchestrator.stages import Beginning, Ending, Event, Extensions, Kind, Owner, Update
from tracking.states import scalars, timestamps, words

Fields = dict[str, msgspec.Raw]

_OBJECT = msgspec.json.Decoder(Fields)
_EVENT = ("timestamp", *words.EVENT_FIELDS)
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Transition:
    """From the state `source` to another."""

    source: int
    ending: Ending
    beginning: Beginning


def read_service(raw: bytes) -> tuple[Owner, Beginning]:
    """Read the body of /services/start."""
    fields = _read(raw)
    owner = Owner(
        customer_id=scalars.take(fields, "customer_id"),
        contact_key=scalars.take(fields, "contact_key"),
    )
    if owner.customer_id is None and owner.contact_key is None:
        raise Problem(400, "customer_id or contact_key is missing", field="customer_id")
    return owner, _beginning(fields, kind=Kind.SERVICE)


def read_state(raw: bytes) -> tuple[Beginning, int | None]:
    """Read the body of …/states/start: how it begins, and the id of the state before it."""
    fields = _read(raw)
    previous = scalars.take_id(fields, "previous_state_id")
    return _beginning(fields, kind=Kind.STATE), previous


def read_task(raw: bytes) -> tuple[Beginning, int | None]:
    """Read the body of …/tasks/start: how it begins, and the id of its state."""
    fields = _read(raw)
    state = scalars.take_id(fields, "state_id")
    return _beginning(fields, kind=Kind.TASK), state


def read_end(raw: bytes, *, kind: Kind) -> Ending:
    """Read the body of an end; it may be empty."""
    return _ending(_read(raw) if raw.strip() else {}, kind=kind)


def read_transition(raw: bytes) -> Transition:
    """Read the body of …/states/transition.

    What is said of the event beside `from` and `to` is said of both; either may say otherwise within itself. Other keys
    are extensions of the new state.
    """
    fields = _read(raw)
    leaving, entering = _take_object(fields, "from"), _take_object(fields, "to")
    event = {name: fields[name] for name in _EVENT if name in fields}
    source = scalars.take_id(leaving, "state_id")
    if source is None:
        raise Problem(400, "from must have a state_id", field="from")
    return Transition(
        source=source,
        ending=_ending(event | leaving, kind=Kind.STATE),
        beginning=_beginning(fields | entering, kind=Kind.STATE),
    )


def read_update(raw: bytes) -> Update:
    """Read the body with which a service gets its customer; it may be empty."""
    fields = _read(raw) if raw.strip() else {}
    for name in ("customer_id", "contact_key"):
        fields.pop(name, None)  # the path says whose it is
    given = any(name in fields for name in _EVENT)
    return Update(
        type=scalars.take(fields, "service_type"),
        est_duration=scalars.take_duration(fields, "est_duration"),
        event=_event(fields) if given else None,
        extensions=_extensions(fields, kind=Kind.SERVICE),
    )


def read_extension(raw: bytes, *, kind: Kind, name: str) -> Extensions:
    """Read the body of a PUT: the whole value of the extension of that name."""
    _check_name(name, kind=kind)
    json_text.check(raw)
    return {name: msgspec.Raw(raw.strip())}


def _read(raw: bytes) -> Fields:
    json_text.check(raw)
    try:
        return _OBJECT.decode(raw)
    except msgspec.ValidationError as error:
        raise Problem(400, "The body must be a JSON object") from error


def _take_object(fields: Fields, name: str) -> Fields:
    raw = fields.pop(name, None)
    try:
        return _OBJECT.decode(raw) if raw is not None else {}
    except msgspec.ValidationError as error:
        raise Problem(400, f"{name} must be an object", field=name) from error


def _beginning(fields: Fields, *, kind: Kind) -> Beginning:
    name = f"{kind.name.lower()}_type"
    of_type = scalars.take(fields, name)
    if of_type is None:
        raise Problem(400, f"{name} is missing", field=name)
    return Beginning(
        type=of_type,
        est_duration=scalars.take_duration(fields, "est_duration"),
        event=_event(fields),
        extensions=_extensions(fields, kind=kind),
    )


def _ending(fields: Fields, *, kind: Kind) -> Ending:
    return Ending(
        disposition=scalars.take(fields, "disposition"),
        disposition_desc=scalars.take_text(fields, "disposition_desc", longest=words.LONGEST_DISPOSITION_DESC),
        event=_event(fields),
        extensions=_extensions(fields, kind=kind),
    )


def _event(fields: Fields) -> Event:
    at = _take_timestamp(fields)
    given = {name: scalars.take(fields, name, longest=longest) for name, longest in words.EVENT_FIELDS.items()}
    present = {name: msgspec.Raw(value.encode()) for name, value in given.items() if value is not None}
    return Event(at=at, fields=msgspec.json.encode(present).decode())


def _take_timestamp(fields: Fields) -> datetime | None:
    text = scalars.take_text(fields, "timestamp")
    if text is None:
        return None
    moment = timestamps.read(text)
    if moment is None:
        raise Problem(400, "timestamp must be a date and time like 2010-05-18T15:23:34.447Z", field="timestamp")
    return moment


def _extensions(fields: Fields, *, kind: Kind) -> Extensions:
    """Take what is left as extensions. Its ids are left out: the path says them already."""
    given = {name: value for name, value in fields.items() if name not in words.IDS[kind]}
    for name in given:
        _check_name(name, kind=kind)
    return given


def _check_name(name: str, *, kind: Kind) -> None:
    if name in words.ANSWERED[kind]:
        raise Problem(400, f"{name} can't be given here, and is no name of an extension", field=name)
    if not 1 <= len(name) <= LONGEST_NAME or "," in name or "\x00" in name or name != name.strip(" "):
        text = f"An extension's name has 1 to {LONGEST_NAME} characters, no comma, and no space around it"
        raise Problem(400, text)
