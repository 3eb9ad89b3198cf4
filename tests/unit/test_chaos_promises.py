"""The checker of `make chaos` is itself checked: it lets good evidence pass, and sees each promise broken."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos import evidence, promises, tally
from chaos.evidence import Evidence

Lines = dict[str, Any]


def message(name: str, request: str, number: int, **columns: Any) -> Lines:
    row = {"id": name, "request": request, "number": number, "type": "Called", "status": "Complete"}
    return row | {"failure_kind": None, "attempts": 1, "losses": 0, "final": True} | columns


def request(name: str, **columns: Any) -> Lines:
    row = {"id": name, "client": "alpha", "door": "requests", "batch_reference": f"mark-{name}", "completed": True}
    counters = dict.fromkeys(("total", "open", "complete", "failed", "invalid", "cancelled"), 0)
    return row | counters | columns


def answer(name: str | None, **fields: Any) -> Lines:
    line = {"kind": "answer", "client": "alpha", "door": "requests", "mark": f"mark-{name}", "key": None, "count": None}
    return line | {"variant": "first", "status": 202, "request": name, "replayed": False, **at(1.0)} | fields


def seen(name: str, finals: dict[str, list[str]], **fields: Any) -> Lines:
    line = {"kind": "seen", "client": "alpha", "window": "gateway", "request": name, "status": 200, "finals": finals}
    return line | {"adds_up": True, "missing": False, **at(5.0)} | fields


def feed(*events: str, began: float, since: str = "", **fields: Any) -> Lines:
    line = {"kind": "feed", "client": "alpha", "since": since, "status": 200, "events": list(events), "orders": []}
    return line | at(began) | fields


def call(key: str, of: str, **fields: Any) -> Lines:
    return {"key": key, "request": of, "mark": f"mark-{of}/{key}", "at": 2.0, "answer": "ok", "number": 1} | fields


def at(began: float) -> Lines:
    return {"began": began, "ended": began + 0.1}


def good() -> dict[str, Any]:
    """A run in which all went well: a request, a cancelled one, two orders of one client, a request of another."""
    orders = [request("o1", door="orders", total=1, complete=1), request("o2", door="orders", total=1, failed=1)]
    return {
        "answers": [
            answer("r1", key="k1", count=2),
            answer("r1", key="k1", count=2, replayed=True, **at(2.0)),
            answer(None, key="k1", variant="other", status=422, mark="mark-r1-other"),
            answer("r2", count=1),
            answer("r3", client="beta", count=1, door="call", status=200),
            answer("o1", door="orders", status=201),
            answer("o2", door="orders", status=201),
            answer(None, status=503),
            answer(None, status=0),
        ],
        "cancels": [{"kind": "cancel", "client": "alpha", "request": "r2", "status": 200, **at(2.0)}],
        "steps": [{"kind": "step", "client": "alpha", "step": "end", "request": "s1", "status": 204, **at(2.0)}],
        "seen": [
            seen("r1", {"m1": ["Complete"]}, **at(3.0)),
            seen("r1", {"r1#1": ["Failed", "Cancelled"]}),
            seen("o1", {"o1#0": ["Complete"]}, window="order"),
        ],
        "feeds": [
            feed("e1", began=3.0, orders=["o1"]),
            feed("e1", "e2", began=4.0, orders=["o1", "o2"]),
            feed("e2", began=5.0, since="e1", orders=["o2"]),
            feed(began=6.0, status=503),
        ],
        "probes": [{"client": "stranger", "window": "w", "foreign": [404, "no <id>"], "unknown": [404, "no <id>"]}],
        "mischief": [],
        "stalls": [],
        "calls": [
            call("m1", "r1", answer="failing"),
            call("m1", "r1"),
            call("m2", "r1", answer="refused"),
            call("r3", "r3"),
            call("o1", "o1", mark="mark-o1"),
            call("o2", "o2", mark="mark-o2", answer="refused"),
        ],
        "begun": [],
        "ledger": {
            "requests": [
                request("r1", total=2, complete=1, failed=1),
                request("r2", total=1, cancelled=1),
                request("r3", client="beta", door="call", batch_reference=None, total=1, complete=1),
                *orders,
            ],
            "messages": [
                message("m1", "r1", 0, attempts=2),
                message("m2", "r1", 1, status="Failed", failure_kind="rejected"),
                message("r2", "r2", 0, status="Cancelled", attempts=0),
                message("r3", "r3", 0),
                message("o1", "o1", 0, type="Order"),
                message("o2", "o2", 0, type="Order", status="Failed", failure_kind="rejected"),
            ],
            "orders": [
                {"id": "o1", "client": "alpha", "state": "DONE_SUCCESS", "final": True},
                {"id": "o2", "client": "alpha", "state": "DONE_FAILED", "final": True},
            ],
            "events": [
                {"id": "e1", "client": "alpha", "position": 1, "order": "o1"},
                {"id": "e2", "client": "alpha", "position": 2, "order": "o2"},
            ],
            "claims": [],
        },
    }


def broken_by(harm: Callable[[dict[str, Any]], Any], *, patience: float = 0.0) -> set[str]:
    """The promises that the checker finds broken in good evidence that was harmed."""
    found = copy.deepcopy(good())
    harm(found)
    violations = promises.check(Evidence(**found, patience=patience))
    return {promise for promise, said in violations.items() if said}


def row(found: dict[str, Any], table: str, name: str) -> Lines:
    return next(line for line in found["ledger"][table] if line["id"] == name)


def test_a_run_in_which_all_went_well_breaks_nothing() -> None:
    assert broken_by(lambda _: None) == set()


def test_a_service_whose_start_was_never_answered_is_nobodys_to_end() -> None:
    forgotten = request("s9", door="services", completed=False)

    assert broken_by(lambda found: found["ledger"]["requests"].append(forgotten)) == set()


HARMS: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("a 2xx is sent after COMMIT", lambda f: f["answers"].append(answer("never"))),
    ("a 2xx is sent after COMMIT", lambda f: f["answers"][0].update(count=3)),
    ("what was accepted is known", lambda f: f["seen"].append(seen("r1", {}, missing=True))),
    ("every message has one final status", lambda f: row(f, "messages", "m1").update(status="Complete", final=False)),
    ("every message has one final status", lambda f: row(f, "requests", "r1").update(completed=False)),
    (
        "every message has one final status",
        lambda f: row(f, "requests", "r2").update(door="services", completed=False),
    ),
    ("every message has one final status", lambda f: f["ledger"]["claims"].append({"id": 1})),
    ("final statuses never change", lambda f: f["seen"].append(seen("r1", {"m1": ["Failed"]}))),
    ("final statuses never change", lambda f: f["seen"].append(seen("r1", {"r1#1": ["Complete"]}))),
    ("final statuses never change", lambda f: f["seen"].append(seen("r1", {"gone": ["Complete"]}))),
    ("counters add up", lambda f: row(f, "requests", "r1").update(complete=2)),
    ("counters add up", lambda f: row(f, "requests", "r1").update(total=3)),
    ("counters add up", lambda f: f["seen"].append(seen("r1", {}, adds_up=False))),
    ("each order has one event", lambda f: f["ledger"]["events"].pop()),
    (
        "each order has one event",
        lambda f: f["ledger"]["events"].append({"id": "e3", "client": "alpha", "position": 3, "order": "o1"}),
    ),
    ("each order has one event", lambda f: row(f, "events", "e2").update(position=3)),
    ("each order has one event", lambda f: row(f, "orders", "o2").update(state="RECEIVED", final=False)),
    ("feeds only grow", lambda f: f["feeds"].append(feed("e2", began=7.0))),
    ("feeds only grow", lambda f: f["feeds"].append(feed("e1", began=7.0))),
    ("feeds only grow", lambda f: f["feeds"].append(feed("e1", "e2", "e9", began=7.0))),
    ("feeds only grow", lambda f: f["feeds"].append(feed(began=7.0, since="another's"))),
    ("a key makes one request", lambda f: f["answers"].append(answer("r2", key="k1"))),
    ("a key makes one request", lambda f: f["answers"][2].update(status=202)),
    ("a key makes one request", lambda f: row(f, "requests", "r2").update(batch_reference="mark-r1")),
    ("a key makes one request", lambda f: row(f, "requests", "r2").update(batch_reference="mark-r1-other")),
    ("a key makes one request", lambda f: f["calls"].append(call("m1", "r1", mark="mark-r1-other/0"))),
    ("a key makes one request", lambda f: f["calls"].append(call("r3", "r3", mark="mark-r1/m1"))),
    ("calls carry their message's key", lambda f: f["calls"].append(call("nobody's", "r1"))),
    ("calls carry their message's key", lambda f: f["calls"].append(call("m1", "r1") | {"key": None})),
    ("calls carry their message's key", lambda f: f["calls"].append(call("m1", "r2", mark="mark-r1/m1"))),
    ("calls carry their message's key", lambda f: f["calls"].append(call("m1", "r1", mark="mark-r1/m2"))),
    ("Complete was carried out", lambda f: f["calls"].remove(call("m1", "r1"))),
    ("Complete was carried out", lambda f: f["calls"][1].update(answer="cut")),
    ("Complete was carried out", lambda f: f["calls"][2].update(answer="ok")),
    ("Cancelled was never sent", lambda f: f["calls"].append(call("r2", "r2"))),
    ("Cancelled was never sent", lambda f: f["begun"].append(call("r2", "r2"))),
    ("nobody sees another's", lambda f: f["probes"][0].update(foreign=[200, "all of it"])),
    ("nobody sees another's", lambda f: f["probes"][0].update(foreign=[404, "another's <id>"])),
    ("nobody sees another's", lambda f: f["seen"].append(seen("r3", {"r3": ["Complete"]}))),
    ("nobody sees another's", lambda f: f["feeds"][0].update(orders=["r3"])),
    ("nobody sees another's", lambda f: f["answers"].append(answer("r3", client="alpha"))),
    ("good calls are never refused", lambda f: f["answers"].append(answer(None, status=500))),
    ("good calls are never refused", lambda f: f["answers"].append(answer(None, status=400))),
    ("good calls are never refused", lambda f: f["seen"].append(seen("r1", {}, status=401))),
    ("good calls are never refused", lambda f: f["steps"][0].update(status=404)),
]


@pytest.mark.parametrize(("promise", "harm"), HARMS, ids=[f"{n}-{name}" for n, (name, _) in enumerate(HARMS)])
def test_each_harm_is_found_in_the_promise_that_it_breaks(promise: str, harm: Callable[[dict[str, Any]], Any]) -> None:
    assert promise in broken_by(harm)


def test_every_promise_was_seen_broken() -> None:
    assert {promise for promise, _ in HARMS} | {"nothing begins after a cancel"} == set(promises.PROMISES)


# ---------------------------------------------------------------- time


CANCELLED_LATE = "nothing begins after a cancel"


def begin(found: dict[str, Any], *, after: float, witness: bool = True, **more: Any) -> None:
    """A message of r2 begins so long after the answer to its cancel; it had been tried before."""
    row(found, "messages", "r2").update(attempts=1)
    ended = found["cancels"][0]["ended"]
    found["begun" if witness else "calls"].append(call("r2", "r2", at=ended + after))
    found.update(more)


def test_a_beginning_too_long_after_an_answered_cancel_is_found() -> None:
    assert broken_by(lambda found: begin(found, after=0.15)) == set()
    assert broken_by(lambda found: begin(found, after=0.25)) == {CANCELLED_LATE}
    assert broken_by(lambda found: begin(found, after=5, witness=False)) == {CANCELLED_LATE}


def test_a_cancel_that_came_too_late_counts_as_well_and_one_without_answer_does_not() -> None:
    def refuse(found: dict[str, Any], status: int) -> None:
        found["cancels"][0]["status"] = status
        begin(found, after=1)

    assert broken_by(lambda found: refuse(found, 409)) == {CANCELLED_LATE}
    assert broken_by(lambda found: refuse(found, 503)) == set()


def test_what_the_machine_or_the_monkey_held_up_is_not_held_against_the_promise() -> None:
    stall = [{"at": 2.2, "seconds": 0.2}]
    freeze = [{"name": "freeze worker", "at": 1.0, "until": 9.0}]

    assert broken_by(lambda found: begin(found, after=0.5, stalls=stall)) == set()
    assert broken_by(lambda found: begin(found, after=6, mischief=freeze)) == set()
    assert broken_by(lambda found: begin(found, after=0.5), patience=1.0) == set()
    assert broken_by(lambda found: begin(found, after=9, stalls=stall)) == {CANCELLED_LATE}


# ---------------------------------------------------------------- the files, and the tally


def test_what_a_run_wrote_is_what_is_checked(tmp_path: Path) -> None:
    found = good()
    kinds = ("answers", "cancels", "steps", "seen", "feeds")
    lines = [json.dumps(line) for kind in kinds for line in found[kind]]
    lines += [json.dumps({"kind": "probe", **probe}) for probe in found["probes"]]
    (tmp_path / "journal.jsonl").write_text("\n".join([*lines, '{"kind": "answer", "cut o']))
    (tmp_path / "calls.jsonl").write_text("\n".join(map(json.dumps, found["calls"])))
    (tmp_path / "ledger.json").write_text(json.dumps(found["ledger"]))

    gathered = evidence.gather(tmp_path)

    assert {name: getattr(gathered, name) for name in (*kinds, "calls")} == {
        name: found[name] for name in (*kinds, "calls")
    }
    assert not any(promises.check(gathered).values())


def test_the_tally_tells_what_was_broken() -> None:
    found = good()
    found["answers"].append(answer("never"))
    harmed = Evidence(**found)

    told = list(tally.lines(harmed, promises.check(harmed)))

    assert "BROKEN  a 2xx is sent after COMMIT" in told
    assert "kept    counters add up" in told
    assert told[-1] == "violations    1"
