"""The promises of the README, checked offline: from what clients saw, what the back end saw, and the ledger's end.

In: the evidence of a run. Out: for each promise the violations, in words. Pure. Called by the run and by `check`.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chaos import backend
from chaos.evidence import Evidence

_NOT_YET = frozenset({0, 409, 429, 500, 502, 503, 504})
"""No answer, or one that says to try again."""
_BEGUN_TYPES = frozenset({"Called", "Order", "Witness"})
_LATEST_BEGIN = 0.2
_TRANSIT = 0.5
"""Seconds from a worker's decision to begin until the back end has read the call, on a machine that isn't stalled."""


def check(evidence: Evidence) -> dict[str, list[str]]:
    """Return each promise's violations; a promise that was kept has none."""
    return {name: list(look(evidence)) for name, look in PROMISES.items()}


# ---------------------------------------------------------------- accepted is accepted


def accepted_is_committed(evidence: Evidence) -> Iterator[str]:
    """A 2xx is only sent after COMMIT of the request and all its messages."""
    for answer in evidence.answers:
        if answer["request"] is None:
            continue
        row = evidence.requests.get(answer["request"])
        if row is None:
            yield f"answered {answer['status']} for {answer['request']}, which the ledger does not hold"
        elif answer["count"] not in {None, row["total"]}:
            yield f"{answer['request']} was handed in with {answer['count']} messages, and holds {row['total']}"


def accepted_is_seen(evidence: Evidence) -> Iterator[str]:
    """What was accepted is never unknown in a window afterwards."""
    accepted = {answer["request"]: answer["ended"] for answer in reversed(evidence.answers) if answer["request"]}
    for seen in evidence.seen:
        if seen["missing"] and seen["began"] > accepted.get(seen["request"], float("inf")):
            yield f"{seen['request']} was unknown to {seen['window']} after it had been accepted"


def every_message_has_one_final_status(evidence: Evidence) -> Iterator[str]:
    for row in evidence.messages.values():
        if not row["final"]:
            yield f"message {row['id']} ({row['type']}) is {row['status']} after the drain"
    known = {answer["request"] for answer in evidence.answers}
    for row in evidence.requests.values():
        # A service is ended by its owner, who may never have had the answer to its start.
        is_nobodys = row["door"] == "services" and row["id"] not in known
        if row["open"] or not (row["completed"] or is_nobodys):
            yield f"request {row['id']} ({row['door']}) is not over after the drain"
    if claims := evidence.ledger.get("claims"):
        yield f"{len(claims)} claims are left after the drain"


def final_statuses_never_change(evidence: Evidence) -> Iterator[str]:
    """Whatever final word a window ever said is what the ledger says at the end."""
    for seen in evidence.seen:
        for name, allowed in seen["finals"].items():
            row = evidence.message(name)
            if row is None or row["status"] not in allowed:
                now = row["status"] if row else "gone"
                yield f"{seen['window']} said {' or '.join(allowed)} of {name}, which is {now} at the end"


def counters_add_up(evidence: Evidence) -> Iterator[str]:
    for row in evidence.requests.values():
        counted = Counter(message["status"].lower() for message in evidence.of_request[row["id"]])
        kept = {name: row[name] for name in ("complete", "failed", "invalid", "cancelled")}
        if kept != {name: counted[name] for name in kept} or row["total"] != row["open"] + sum(kept.values()):
            yield f"request {row['id']} counts {kept}, and holds {dict(counted)}"
    for seen in evidence.seen:
        if not seen["adds_up"]:
            yield f"{seen['window']} showed counters of {seen['request']} that don't add up"


# ---------------------------------------------------------------- orders


def each_order_has_one_event(evidence: Evidence) -> Iterator[str]:
    events = Counter(row["order"] for row in evidence.ledger.get("events", []))
    for order in evidence.ledger.get("orders", []):
        if not order["final"]:
            yield f"order {order['id']} is {order['state']} after the drain"
        if events[order["id"]] != 1:
            yield f"order {order['id']} has {events[order['id']]} events"
    positions: dict[str, list[int]] = defaultdict(list)
    for row in evidence.ledger.get("events", []):
        positions[row["client"]].append(row["position"])
    for client, found in positions.items():
        if found != list(range(1, len(found) + 1)):
            yield f"the positions of {client}'s feed have gaps"


def feeds_only_grow(evidence: Evidence) -> Iterator[str]:
    """Each answer is a beginning of the feed as it is at the end, and no later one is shorter."""
    whole: dict[str, list[str]] = defaultdict(list)
    for row in evidence.ledger.get("events", []):
        whole[row["client"]].append(row["id"])
    longest: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for feed in sorted((feed for feed in evidence.feeds if feed["status"] == 200), key=lambda feed: feed["began"]):
        known = whole[feed["client"]]
        if feed["since"] and feed["since"] not in known:
            yield f"{feed['client']} was answered after an event {feed['since']} that is not its own"
            continue
        first = known.index(feed["since"]) + 1 if feed["since"] else 0
        upto = first + len(feed["events"])
        if feed["events"] != known[first:upto]:
            yield f"an answer of {feed['client']}'s feed is no beginning of what came later"
        if any(ended < feed["began"] and upto < length for ended, length in longest[feed["client"]]):
            yield f"a later answer of {feed['client']}'s feed is shorter than an earlier one"
        longest[feed["client"]].append((feed["ended"], upto))


# ---------------------------------------------------------------- keys


def a_key_makes_one_request(evidence: Evidence) -> Iterator[str]:
    made: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for answer in evidence.answers:
        if answer["key"] is None:
            continue
        if answer["variant"] == "other":
            if answer["status"] != 422 and answer["status"] not in _NOT_YET:
                yield f"key {answer['key']} was used for another value and answered {answer['status']}"
        elif answer["request"]:
            made[answer["client"], answer["door"], answer["key"]].add(answer["request"])
    for (_, door, key), requests in made.items():
        if len(requests) > 1:
            yield f"key {key} made {len(requests)} requests at {door}"
    # Whatever the clients were told: a keyed submission is in the ledger, and at the back end, once at most.
    keyed = {answer["mark"] for answer in evidence.answers if answer["key"] and answer["variant"] == "first"}
    others = {answer["mark"] for answer in evidence.answers if answer["variant"] == "other"}
    yield from _stored_too_often(evidence, keyed, others)
    yield from _carried_out_too_often(evidence, keyed, others)


def _stored_too_often(evidence: Evidence, keyed: set[str], others: set[str]) -> Iterator[str]:
    stored = Counter(row["batch_reference"] for row in evidence.requests.values())
    yield from (f"the keyed submission {mark} is stored {stored[mark]} times" for mark in keyed if stored[mark] > 1)
    yield from (f"the refused submission {mark} is stored" for mark in others if stored[mark])


def _carried_out_too_often(evidence: Evidence, keyed: set[str], others: set[str]) -> Iterator[str]:
    called: dict[str, set[str]] = defaultdict(set)
    for call in [*evidence.calls, *evidence.begun]:
        called[call["mark"] or ""].add(call["key"])
    for mark, keys in called.items():
        if mark.partition("/")[0] in others:
            yield f"a message of the refused submission {mark} was carried out"
        if mark.partition("/")[0] in keyed and len(keys) > 1:
            yield f"a message of the keyed submission {mark} was carried out as {len(keys)} messages"


def one_key_a_message(evidence: Evidence) -> Iterator[str]:
    """Every call carries the id of a message as its key, and its request's; one key belongs to one message."""
    marks: dict[str, set[str]] = defaultdict(set)
    for call in [*evidence.calls, *evidence.begun]:
        row = evidence.messages.get(call["key"] or "")
        if row is None:
            yield f"a call carried the key {call['key']}, which is no message's"
        elif call["request"] != row["request"]:
            yield f"a call for {call['key']} carried the request {call['request']}"
        marks[call["key"]].add(call["mark"])
    yield from (f"the key {key} was used for {len(found)} messages" for key, found in marks.items() if len(found) > 1)


# ---------------------------------------------------------------- what was sent, and what was not


def complete_was_carried_out(evidence: Evidence) -> Iterator[str]:
    """A message is Complete only if its back end gave it a whole answer, and rejected only if it was refused."""
    whole = {call["key"] for call in evidence.calls if call["answer"] in backend.WHOLE}
    whole |= {line["key"] for line in evidence.begun}
    refused = {call["key"] for call in evidence.calls if call["answer"] == "refused"}
    for row in evidence.messages.values():
        if row["type"] not in _BEGUN_TYPES:
            continue
        if row["status"] == "Complete" and row["id"] not in whole:
            yield f"message {row['id']} ({row['type']}) is Complete, and nobody carried it out"
        if row["failure_kind"] == "rejected" and row["id"] not in refused:
            yield f"message {row['id']} ({row['type']}) is rejected, and nobody refused it"


def cancelled_was_never_sent(evidence: Evidence) -> Iterator[str]:
    """A Cancelled message without attempts and losses was never sent."""
    sent = {call["key"] for call in [*evidence.calls, *evidence.begun]}
    for row in evidence.messages.values():
        if row["status"] == "Cancelled" and not row["attempts"] and not row["losses"] and row["id"] in sent:
            yield f"message {row['id']} is Cancelled without attempts and losses, and was sent"


def nothing_begins_after_a_cancel(evidence: Evidence) -> Iterator[str]:
    """Once a cancel was answered, no message of the request begins later than 200 ms after."""
    for late in lateness(evidence):
        if late.seconds > _LATEST_BEGIN + late.allowance + evidence.patience:
            yield f"message {late.key} began {late.seconds:.3f} s after its request's cancel was answered"


@dataclass(frozen=True, slots=True)
class Late:
    """A beginning after an answered cancel; `allowance`: what the machine itself may have cost."""

    key: str
    seconds: float
    allowance: float


def lateness(evidence: Evidence) -> Iterator[Late]:
    """Yield all beginnings after an answered cancel, by the witness's own clock or by the back end's."""
    answered = {line["request"]: line["ended"] for line in evidence.cancels if line["status"] in {200, 409}}
    for lines, transit in ((evidence.begun, 0.0), (evidence.calls, _TRANSIT)):
        for line in lines:
            since = line["at"] - answered.get(line["request"], float("inf"))
            if since > 0:
                yield Late(line["key"], since, transit + _stalled(evidence, line["at"] - since, line["at"]))


def _stalled(evidence: Evidence, start: float, end: float) -> float:
    """Seconds that the machine, or a process that was frozen on purpose, stood still around that time."""
    frozen = sum(
        line["until"] - line["at"]
        for line in evidence.mischief
        if line["name"].startswith("freeze") and line["at"] < end and line["until"] > start - 1
    )
    return frozen + 2 * sum(stall["seconds"] for stall in evidence.stalls if start - 2 < stall["at"] < end + 2)


# ---------------------------------------------------------------- own only


def nobody_sees_anothers(evidence: Evidence) -> Iterator[str]:
    """Another client's id is answered exactly as one that nobody has; and no answer holds what is another's."""
    yield from _foreign_answers(evidence)
    owners = {row["id"]: row["client"] for row in evidence.requests.values()}
    for seen in evidence.seen:
        rows = filter(None, map(evidence.message, seen["finals"]))
        if any(owners[row["request"]] != seen["client"] for row in rows):
            yield f"{seen['window']} showed {seen['client']} a message of another client"
    for feed in evidence.feeds:  # an order's id is its request's
        if any(owners.get(order) != feed["client"] for order in feed["orders"]):
            yield f"the feed showed {feed['client']} an order of another client"
    for answer in evidence.answers:
        if owners.get(answer["request"], answer["client"]) != answer["client"]:
            yield f"{answer['client']} was given the request {answer['request']} of another client"


def _foreign_answers(evidence: Evidence) -> Iterator[str]:
    later = _NOT_YET - {409}
    for probe in evidence.probes:
        (status, body), (unknown_status, unknown_body) = probe["foreign"], probe["unknown"]
        if status not in later and unknown_status not in later and (status, body) != (unknown_status, unknown_body):
            yield f"{probe['window']} answers a foreign id with {status}, an unknown one with {unknown_status}"


def well_formed_calls_are_not_refused(evidence: Evidence) -> Iterator[str]:
    """Whatever is down, a good call is done, or told to come again: never 500, never blamed on the client."""
    fine = {0, 200, 201, 202, 204, 409, 429, 503}
    for line in [*evidence.answers, *evidence.cancels, *evidence.steps, *evidence.seen, *evidence.feeds]:
        allowed = fine
        if line["kind"] == "answer":
            allowed = fine | ({400} if line["door"] == "orders" else set())  # whoever holds a service keeps it
            allowed |= {422} if line["variant"] == "other" else set()
        if line["status"] not in allowed:
            what = line.get("door") or line.get("window") or line.get("step") or "the feed"
            yield f"a well-formed call at {what} was answered {line['status']}"


PROMISES: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "a 2xx is sent after COMMIT": accepted_is_committed,
    "what was accepted is known": accepted_is_seen,
    "every message has one final status": every_message_has_one_final_status,
    "final statuses never change": final_statuses_never_change,
    "counters add up": counters_add_up,
    "each order has one event": each_order_has_one_event,
    "feeds only grow": feeds_only_grow,
    "a key makes one request": a_key_makes_one_request,
    "calls carry their message's key": one_key_a_message,
    "Complete was carried out": complete_was_carried_out,
    "Cancelled was never sent": cancelled_was_never_sent,
    "nothing begins after a cancel": nothing_begins_after_a_cancel,
    "nobody sees another's": nobody_sees_anothers,
    "good calls are never refused": well_formed_calls_are_not_refused,
}
