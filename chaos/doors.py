"""What chaos hands in: a submission for each door, of every size and policy, that carries its own mark.

In: a source of chance. Out: path, headers and body. Pure. Called by the clients. A mark is unique to a submission; each
of its messages carries `<mark>/<number>`, so that the back end's log tells what belongs together.
"""

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ACCESSES = tuple(f"CHAOS{number}" for number in range(12))
SERVICES = ("BB-10", "BB-100", "TV-1", "VOIP-1")
NINO = "AA123456A"
_TYPES = ("Called", "Called", "Called", "Witness", "Witness", "Echo")
_SIZES = (1, 1, 1, 2, 3, 5, 10, 20, 100)


@dataclass(frozen=True, slots=True)
class Submission:
    """`count`: how many messages are stored when it is accepted; None where the answer decides (orders, services)."""

    door: str
    path: str
    mark: str
    body: dict[str, Any]
    count: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


def make(chance: random.Random) -> Submission:
    """Return a submission for some door."""
    door = chance.choices(list(DOORS), weights=[6, 2, 4, 2, 3, 2, 4])[0]
    return DOORS[door](chance, uuid.UUID(int=chance.getrandbits(128), version=4).hex)


def make_other(submission: Submission) -> Submission:
    """Return a submission of another value for the same path: its mark must never be seen by a back end."""
    mark = f"{submission.mark}-other"
    body = {**submission.body, **_OTHER.get(submission.door, lambda _: {"mark": mark})(mark)}
    return Submission(submission.door, submission.path, mark, body, None, submission.headers)


def _requests(chance: random.Random, mark: str) -> Submission:
    count = chance.choice(_SIZES)
    items = [{"messageType": chance.choice(_TYPES), **_item(chance, mark, number)} for number in range(count)]
    return Submission("requests", "/api/v1/requests", mark, _batch(chance, mark, items), count)


def _messages(chance: random.Random, mark: str) -> Submission:
    count = chance.choice(_SIZES)
    body = _batch(chance, mark, [_item(chance, mark, number) for number in range(count)])
    return Submission("messages", f"/api/v1/messages/{chance.choice(_TYPES)}", mark, body, count)


def _call(chance: random.Random, mark: str) -> Submission:
    return Submission("call", f"/api/v3/call/{chance.choice(_TYPES)}", mark, _fields(chance, mark, 0), 1)


def _bulk(chance: random.Random, mark: str) -> Submission:
    count = chance.choice(_SIZES)
    nodes = [{"content": _fields(chance, mark, number)} for number in range(count)]
    return Submission("bulk", f"/api/v3/bulk/{chance.choice(_TYPES)}", mark, {"bulk": nodes}, count)


def _startup(chance: random.Random, mark: str) -> Submission:
    count = chance.randint(1, 5)
    entries = [
        {"serviceName": chance.choice(_TYPES), "postRequest": _fields(chance, mark, number)} for number in range(count)
    ]
    headers = {"Accept": "application/vnd.hmrc.1.0+json"}
    return Submission("startup", f"/native-app/{NINO}/startup", mark, {"request": entries}, count, headers)


def _services(chance: random.Random, mark: str) -> Submission:
    return Submission("services", "/services/start", mark, {"customer_id": mark, "service_type": "visit"})


def _orders(chance: random.Random, mark: str) -> Submission:
    body: dict[str, Any] = {
        "accessId": chance.choice(ACCESSES),
        "service": chance.choice(SERVICES),
        "operation": "ACTIVATE",
        "forcedTakeover": chance.random() < 0.5,
        "spReference": mark,
    }
    if chance.random() < 0.4:
        body["operation"] = "DEACTIVATE"
        del body["forcedTakeover"]
    return Submission("orders", "/api/2.3.1/orders/", mark, body)


DOORS: dict[str, Callable[[random.Random, str], Submission]] = {
    "requests": _requests,
    "messages": _messages,
    "call": _call,
    "bulk": _bulk,
    "startup": _startup,
    "services": _services,
    "orders": _orders,
}

_OTHER: dict[str, Callable[[str], dict[str, Any]]] = {
    "requests": lambda mark: {"batchReference": mark},
    "messages": lambda mark: {"batchReference": mark},
    "bulk": lambda mark: {"bulk": [{"content": {"mark": mark}}]},
    "startup": lambda mark: {"request": [{"serviceName": "Called", "postRequest": {"mark": mark}}]},
    "services": lambda mark: {"customer_id": mark},
    "orders": lambda mark: {"spReference": mark},
}


def _batch(chance: random.Random, mark: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    body: dict[str, Any] = {"batchReference": mark, "payload": items}
    body["errorPolicy"] = chance.choice(["haltOnError", "proceedOnError", "proceedOnError"])
    if chance.random() < 0.1:
        body["deadline"] = chance.choice([1, 5, 60])
    if chance.random() < 0.2:
        body["priority"] = chance.randint(0, 9)
    if chance.random() < 0.1:
        body["duplicatePolicy"] = "reject"
    return body


def _item(chance: random.Random, mark: str, number: int) -> dict[str, Any]:
    return {"externalReference": f"{mark}/{number}", **_fields(chance, mark, number)}


def _fields(chance: random.Random, mark: str, number: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"mark": f"{mark}/{number}", "pause": round(chance.uniform(0, 0.2), 3)}
    if chance.random() < 0.03:
        fields["refuse"] = True  # the back end says no
    if chance.random() < 0.1:
        fields["retries"] = 1  # the witness asks for another try
    return fields
