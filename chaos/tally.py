"""The tally of a run: how much was broken, how much got through, and which promises were not kept.

In: the evidence. Out: lines for people. Called by the run and by `check`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from chaos import promises
from chaos.evidence import Evidence

_TOLD = 20
"""Violations of one promise that are listed; the rest are counted."""


def lines(evidence: Evidence, violations: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the tally."""
    yield from _doings(evidence)
    yield from _trouble(evidence)
    yield ""
    yield from _verdict(violations)


def _doings(evidence: Evidence) -> Iterator[str]:
    """Tell what was done and answered, by clients and against them."""
    yield f"mischief      {_counted(Counter(line['name'] for line in evidence.mischief))}"
    yield f"answers       {_counted(Counter(str(line['status'] or 'none') for line in evidence.answers))}"
    yield f"doors         {_counted(Counter(line['door'] for line in evidence.answers if line['request']))}"
    yield f"looks         {_counted(Counter(line['window'] for line in evidence.seen))}"
    yield f"              {len(evidence.feeds)} feeds, {len(evidence.probes)} probes of foreign ids"
    yield f"requests      {len(evidence.requests)}, orders {len(evidence.ledger.get('orders', []))}"
    yield f"messages      {_counted(Counter(row['status'] for row in evidence.messages.values()))}"
    losses = [row["losses"] for row in evidence.messages.values() if row["losses"]]
    yield f"losses        {sum(losses)}, of {len(losses)} messages"
    yield f"calls         {_counted(Counter(line['answer'] for line in evidence.calls))}, {_doubled(evidence)} doubled"
    replays = sum(line["replayed"] for line in evidence.answers)
    yield f"keys          {replays} answers again, {_refused(evidence)} other values refused"


def _trouble(evidence: Evidence) -> Iterator[str]:
    """Tell how late things came, and whether the machine itself stood still."""
    latest = max((late.seconds for late in promises.lateness(evidence)), default=0.0)
    cancels = sum(line["status"] == 200 for line in evidence.cancels)
    yield f"cancels       {cancels}, the latest beginning after one: {latest * 1000:.0f} ms"
    worst = max((line["seconds"] for line in evidence.stalls), default=0.0)
    yield f"machine       {len(evidence.stalls)} stalls, the longest {worst:.2f} s"


def _verdict(violations: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Tell of each promise whether it was kept, and of each that was not where it was broken."""
    for promise, found in violations.items():
        yield f"{'kept  ' if not found else 'BROKEN'}  {promise}"
        yield from (f"          {violation}" for violation in found[:_TOLD])
        if len(found) > _TOLD:
            yield f"          … {len(found)} in all"
    yield f"violations    {sum(map(len, violations.values()))}"


def _counted(counter: Counter[str]) -> str:
    """The most frequent first, behind their sum."""
    parts = ", ".join(
        f"{name} {count}" for name, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"{counter.total()}: {parts}" if parts else "0"


def _doubled(evidence: Evidence) -> int:
    """Messages that were carried out by more than one call."""
    carried_out = Counter(line["key"] for line in evidence.calls if line["answer"] in {"ok", "slow"})
    return sum(count > 1 for count in carried_out.values())


def _refused(evidence: Evidence) -> int:
    return sum(line["variant"] == "other" and line["status"] == 422 for line in evidence.answers)
