"""Those who look: windows read again and again, feeds read by `since`, and a stranger who asks for others' ids.

In: what the clients had accepted. Out: lines of the journal, each window's words turned into the ledger's statuses that
they may stand for. Called by the run, one task a client and part.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from chaos import doors
from chaos.clients import Accepted, Client, Reply

Finals = dict[str, list[str]]
"""A message (its id, or `<request>#<number>`) → the final statuses that a window's answer allows."""

_GATEWAY = {"Complete", "Failed", "Invalid", "Cancelled"}
_STATUS = {"SUCCESS": ["Complete"], "FAILURE": ["Failed", "Invalid", "Cancelled"], "INTERNAL_ERROR": ["Failed"]}
_ORDERS = {"DONE_SUCCESS": ["Complete"], "DONE_FAILED": ["Failed", "Cancelled"]}
_NOT_COMPLETE = ["Failed", "Invalid", "Cancelled"]
_NATIVE = {"Accept": "application/vnd.hmrc.1.0+json"}


class Seen:
    """What one look at a window showed."""

    def __init__(self, reply: Reply, finals: Finals | None = None, *, adds_up: bool = True, missing: bool = False):
        self.reply = reply
        self.finals = finals or {}
        self.adds_up = adds_up
        self.missing = missing or reply.status == 404


async def keep_reading(client: Client) -> None:
    """Look at one's own requests, in whichever window answers for their door."""
    world = client.world
    while not world.over.is_set():
        await world.pause(world.pace)
        accepted = world.choose(of=client.name)
        if accepted:
            await _look(client, accepted)


async def _look(client: Client, accepted: Accepted) -> None:
    window = client.world.chance.choice(_windows(accepted))
    seen = await _WINDOWS[window](client, accepted)
    client.world.journal.note(
        "seen",
        client=client.name,
        window=window,
        request=accepted.request_id,
        status=seen.reply.status,
        finals=seen.finals,
        adds_up=seen.adds_up,
        missing=seen.missing,
        **seen.reply.times,
    )


def _windows(accepted: Accepted) -> list[str]:
    windows = ["gateway", "status", "tracking", "states"]
    if accepted.door == "services":
        return ["states"]  # messages of its own come and go with its tasks
    if accepted.door == "startup" and accepted.cookie:
        windows += ["poll"] * 3
    if accepted.door == "orders" and accepted.order:
        windows += ["order"] * 3
    return windows


# ---------------------------------------------------------------- the windows


async def _gateway(client: Client, accepted: Accepted) -> Seen:
    reply = await client.call("GET", f"/api/v1/requests/{accepted.request_id}")
    return _read_request(reply, reply.body["data"]) if reply.status == 200 else Seen(reply)


async def _tracking(client: Client, accepted: Accepted) -> Seen:
    search = {"search": [{"by": "id", "value": accepted.request_id}]}
    reply = await client.call("POST", "/api/v1/tracking", search)
    if reply.status != 200:
        return Seen(reply)
    found = reply.body["data"]["requests"]
    return _read_request(reply, found[0]) if found else Seen(reply, missing=True)


def _read_request(reply: Reply, request: dict[str, Any]) -> Seen:
    summary = dict(request["messageStatusSummary"])
    total = summary.pop("total")
    finals = {_id_of(item): [item["messageStatus"]] for item in request["payload"] if item["messageStatus"] in _GATEWAY}
    return Seen(reply, finals, adds_up=total == sum(summary.values()) and min(summary.values()) >= 0)


def _id_of(item: dict[str, Any]) -> str:
    """`calledId`, `witnessId`, …: the one field whose name says it is an id."""
    return next(str(value) for name, value in item.items() if name.endswith("Id"))


async def _status(client: Client, accepted: Accepted) -> Seen:
    reply = await client.call("GET", f"/api/v3/global/call/{accepted.request_id}?size=1000")
    if reply.status != 200:
        return Seen(reply)
    content = reply.body["content"]
    finals = {item["requestId"]: _STATUS[item["status"]] for item in content if item["status"] in _STATUS}
    return Seen(reply, finals, adds_up=reply.body["pageable"]["totalElements"] == len(content))


async def _states(client: Client, accepted: Accepted) -> Seen:
    reply = await client.call("GET", f"/services/{accepted.request_id}/states?completed_tasks=true")
    if reply.status != 200 or accepted.door == "services":
        return Seen(reply)
    finals = {
        f"{accepted.request_id}#{task['task_id']}": [task["disposition"]]
        for state in reply.body
        for task in state["completed_tasks"]
    }
    return Seen(reply, finals)


async def _poll(client: Client, accepted: Accepted) -> Seen:
    headers = {**_NATIVE, "Cookie": accepted.cookie}
    reply = await client.call("GET", f"/native-app/{doors.NINO}/poll", headers=headers)
    if reply.status != 200 or "OrchestrationResponse" not in reply.body:
        return Seen(reply)
    entries = reply.body["OrchestrationResponse"]["response"]
    finals = {
        f"{accepted.request_id}#{number}": _NOT_COMPLETE if entry.get("failure") else ["Complete"]
        for number, entry in enumerate(entries)
    }
    return Seen(reply, finals)


async def _order(client: Client, accepted: Accepted) -> Seen:
    reply = await client.call("GET", accepted.order)
    if reply.status != 200 or reply.body["state"] not in _ORDERS:
        return Seen(reply)
    return Seen(reply, {f"{accepted.request_id}#0": _ORDERS[reply.body["state"]]})


_WINDOWS: dict[str, Callable[[Client, Accepted], Awaitable[Seen]]] = {
    "gateway": _gateway,
    "tracking": _tracking,
    "status": _status,
    "states": _states,
    "poll": _poll,
    "order": _order,
}


# ---------------------------------------------------------------- feeds


async def keep_reading_feed(client: Client) -> None:
    """Read the order events: all of them, or those after one that is known."""
    world, known = client.world, []
    while not world.over.is_set():
        await world.pause(2.0)
        known = await read_feed(
            client, since=world.chance.choice(known) if known and world.chance.random() < 0.5 else ""
        )


async def read_feed(client: Client, *, since: str = "") -> list[str]:
    """Return the events of one answer, none when there was none."""
    reply = await client.call("GET", "/api/2.3.1/orderevents/" + (f"?since={since}" if since else ""))
    whole = reply.status == 200
    events = [item["event"] for item in reply.body] if whole else []
    orders = [item["order"]["path"].rstrip("/").rpartition("/")[2] for item in reply.body] if whole else []
    client.world.journal.note(
        "feed", client=client.name, since=since, status=reply.status, events=events, orders=orders, **reply.times
    )
    return events


# ---------------------------------------------------------------- the stranger


async def keep_probing(client: Client) -> None:
    """Ask for another client's ids, and for ids that nobody has: the answers must be the same."""
    world = client.world
    while not world.over.is_set():
        await world.pause(2 * world.pace)
        foreign = world.choose(but=client.name)
        if foreign:
            method, path, body = world.chance.choice(_PROBES)
            nobodys = str(uuid.UUID(int=world.chance.getrandbits(128), version=4))
            answers = [await _probe(client, method, path, body, asked) for asked in (foreign.request_id, nobodys)]
            world.journal.note("probe", client=client.name, window=path, foreign=answers[0], unknown=answers[1])


async def _probe(client: Client, method: str, path: str, body: Any, asked: str) -> list[Any]:
    """Status and body, with the id that was asked for taken out."""
    text = None if body is None else _with_id(body, asked)
    reply = await client.call(method, path.replace("<id>", asked), text)
    return [reply.status, str(reply.body).replace(asked, "<id>")]


def _with_id(body: Any, asked: str) -> Any:
    if isinstance(body, dict):
        return {name: _with_id(value, asked) for name, value in body.items()}
    if isinstance(body, list):
        return [_with_id(value, asked) for value in body]
    return asked if body == "<id>" else body


_PROBES: list[tuple[str, str, Any]] = [
    ("GET", "/api/v1/requests/<id>", None),
    ("POST", "/api/v1/requests/<id>/cancel", None),
    ("GET", "/api/v3/global/call/<id>", None),
    ("GET", "/api/v2/global/call/<id>", None),
    ("POST", "/api/v1/tracking", {"search": [{"by": "id", "value": "<id>"}]}),
    ("GET", "/services/<id>/states", None),
    ("GET", "/services/<id>/tasks", None),
    ("POST", "/services/<id>/end", {}),
    ("POST", "/services/<id>/states/start", {"state_type": 1}),
    ("GET", "/api/2.3.1/orders/<id>", None),
    ("GET", "/api/2.3.1/orderevents/?since=<id>", None),
]
