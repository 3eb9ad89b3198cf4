"""The body of an order, read and judged.

In: the bytes of a POST to /api/2.3.1/orders/. Out: a `Wish`, or a `Problem` 400 that names the field.
Called by `views.py`.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from orchestrator import json_text
from orchestrator.api.problems import Problem
from orders.models import Operation
from orders.placing import Wish

LONGEST_ACCESS_ID = 32
LONGEST_TEXT = 255

_Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]


class _Equipment(msgspec.Struct):
    """A device at the customer's."""

    vendorId: _Text  # noqa: N815 - the contract's names
    macAddress: _Text  # noqa: N815


class _Body(msgspec.Struct):
    """The fields that are ours, by msgspec's strict rules: 1 is not true, null is not absent."""

    accessId: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9]+\Z", max_length=LONGEST_ACCESS_ID)]  # noqa: N815
    service: _Text
    operation: Operation
    forcedTakeover: bool | UnsetType = UNSET  # noqa: N815
    equipment: list[_Equipment] | UnsetType = UNSET
    spReference: Annotated[str, Meta(max_length=LONGEST_TEXT)] | UnsetType = UNSET  # noqa: N815


_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def read(raw: bytes) -> Wish:
    """Read an order. Raises json_text.BadJSON, or a Problem 400.

    Fields that are not ours are handed on to the network as they are.
    """
    json_text.check(raw)
    try:
        fields = _FIELDS.decode(raw)
        # Of a name that comes twice the last one counts, here and for the network.
        payload = msgspec.json.encode(fields)
        body = msgspec.json.decode(payload, type=_Body)
    except msgspec.ValidationError as error:
        raise Problem(400, f"The order is malformed: {error}") from error
    _check_takeover(body)
    return Wish(
        access_id=body.accessId,
        service=body.service,
        operation=body.operation,
        forced_takeover=body.forcedTakeover is True,
        sp_reference=None if body.spReference is UNSET else body.spReference,
        payload=payload.decode(),
    )


def _check_takeover(body: _Body) -> None:
    if body.operation is Operation.ACTIVATE and body.forcedTakeover is UNSET:
        raise Problem(400, "The order is malformed: forcedTakeover is missing", field="forcedTakeover")
    if body.operation is Operation.DEACTIVATE and body.forcedTakeover is not UNSET:
        raise Problem(400, "The order is malformed: forcedTakeover is for ACTIVATE only", field="forcedTakeover")
