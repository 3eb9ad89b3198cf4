"""The bodies of the regular and the bulk call, read and judged.

In: the bytes of a POST. Out: the messages' own fields as JSON text, or a `Problem` 400. What is wrong with single nodes
of a bulk is returned beside them: the answer lists those nodes. Called by `call_views.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from orchestrator import json_text
from orchestrator.api.problems import Problem

MOST_NODES = 200
NOTHING = b"null"
NO_FIELDS = "{}"


class Node(NamedTuple):
    """One node of a bulk: what the answer repeats, as JSON that came, and the message's own fields, if they are any."""

    subscriber_identifiers: bytes
    content: bytes
    fields: str


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk's nodes, and what is wrong with the shape of each, by its index."""

    nodes: Sequence[Node]
    problems: Mapping[int, list[str]]


class _Bulk(Struct):
    bulk: Annotated[list[Raw], Meta(min_length=1)]


class _Node(Struct):
    subscriber_identifiers: Raw = msgspec.field(name="subscriberIdentifiers", default=Raw(NOTHING))
    content: Raw = Raw(NOTHING)


_OBJECT, _BULK, _NODE = Decoder(dict[str, Raw]), Decoder(_Bulk), Decoder(_Node)
_ENCODER = msgspec.json.Encoder()


def read_call(raw: bytes) -> str:
    """Read a regular call: return the message's own fields. Raises json_text.BadJSON, or a Problem 400."""
    json_text.check(raw)
    fields = _read_fields(raw)
    if fields is None:
        raise Problem(400, "The body must be a JSON object: the message's fields")
    return fields


def read_bulk(raw: bytes) -> Bulk:
    """Read a bulk. Raises json_text.BadJSON, or a Problem 400 when it is none or holds too many nodes."""
    json_text.check(raw)
    try:
        items = _BULK.decode(raw).bulk
    except msgspec.ValidationError as refusal:
        raise Problem(400, 'The body must be {"bulk": [...]} with at least one node') from refusal
    if len(items) > MOST_NODES:
        raise Problem(400, f"A bulk may hold {MOST_NODES} nodes at most, not {len(items)}")
    nodes, problems = [], {}
    for index, item in enumerate(items):
        node, problem = _read_node(item)
        nodes.append(node)
        if problem:
            problems[index] = [problem]
    return Bulk(nodes, problems)


def _read_node(item: Raw) -> tuple[Node, str | None]:
    """Return a node and what is wrong with it, if anything is."""
    try:
        found = _NODE.decode(item)
    except msgspec.ValidationError:
        return Node(NOTHING, NOTHING, NO_FIELDS), "A node must be a JSON object"
    fields = _read_fields(found.content)
    node = Node(bytes(found.subscriber_identifiers), bytes(found.content), fields or NO_FIELDS)
    return node, "content must be a JSON object: the message's fields" if fields is None else None


def _read_fields(raw: bytes | Raw) -> str | None:
    """Return an object's fields as text (of a name that comes twice the last one counts); None for anything else."""
    try:
        return _ENCODER.encode(_OBJECT.decode(raw)).decode()
    except msgspec.ValidationError:
        return None
