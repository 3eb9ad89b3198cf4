"""Figures: counted in memory, written by their own process alone, folded when old; sums stay."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.test import Client as Http

from orchestrator import measures, outcomes, tallies
from orchestrator.lifecycle import Status
from orchestrator.measures import Event
from orchestrator.models import Message, Tally
from tests import engine, factories, flowing, lossy
from tests.api import calls
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

COMPLETE = measures.final(Status.COMPLETE)


@pytest.fixture(autouse=True)
def _counting_from_nought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_own", measures.Measures())


def total(event: str) -> tallies.Total:
    [found] = [found for found in tallies.read_totals() if found.event == event]
    return found


def test_what_is_counted_is_written_and_summed() -> None:
    measures.observe(COMPLETE, [0.003, 0.2, 90_000.0], of_type="Echo", lane="Echo")
    measures.count(Event.CLAIMED, 500, of_type="Echo", lane="Echo")

    tallies.write()
    measures.observe(COMPLETE, [0.2], of_type="Echo", lane="Echo")
    tallies.write()

    found = total(COMPLETE)
    assert (found.type, found.lane, found.count) == ("Echo", "Echo", 4)
    assert found.seconds == pytest.approx(90_000.403)
    assert [found.buckets[0], found.buckets[measures.BOUNDS.index(0.25)], found.buckets[-1]] == [1, 2, 1]
    assert total(Event.CLAIMED).count == 500
    assert total(Event.CLAIMED).buckets == []


def test_nothing_new_writes_nothing() -> None:
    measures.count(Event.WOKEN, lane="Echo")
    tallies.write()

    with engine.statements() as sent:
        tallies.write()

    assert sent == []


def test_a_write_whose_commit_lost_its_answer_counts_nothing_twice() -> None:
    measures.observe(COMPLETE, [1.0, 2.0], of_type="Echo", lane="Echo")

    with lossy.proxy(lose_answer_to=b"COMMIT"), pytest.raises(OperationalError):
        tallies.write()
    tallies.write()

    assert (total(COMPLETE).count, total(COMPLETE).seconds) == (2, 3.0)


def test_what_could_not_be_written_is_written_later() -> None:
    measures.count(Event.RESCUED, 3, of_type="Echo", lane="Echo")

    with lossy.proxy(lose=b"INSERT"), pytest.raises(OperationalError):
        tallies.write()
    measures.count(Event.RESCUED, 4, of_type="Echo", lane="Echo")
    tallies.write()

    assert total(Event.RESCUED).count == 7


def test_folding_keeps_the_sums_and_few_rows() -> None:
    now = datetime.now(UTC)
    ages = [timedelta(minutes=minutes) for minutes in range(0, 60 * 24 * 4, 37)] + [timedelta(days=60)]
    buckets = [1] + [0] * (len(measures.BOUNDS) - 1) + [1]
    Tally.objects.bulk_create(
        Tally(
            minute=(now - age).replace(second=0, microsecond=0),
            process=process,
            type="Echo",
            lane="Echo",
            event=event,
            count=2,
            seconds=1.5,
            buckets=buckets if event == COMPLETE else [],
        )
        for age in ages
        for process in ("one", "another")
        for event in (COMPLETE, Event.RETRIED)
    )

    for _ in tallies.STEPS:
        tallies.fold()
    measures.observe(COMPLETE, [0.001], of_type="Echo", lane="Echo")
    tallies.write()

    spans = set(Tally.objects.values_list("process", flat=True))
    assert set(tallies.SPANS) <= spans
    assert Tally.objects.count() < 250
    assert total(COMPLETE).count == 2 * 2 * len(ages) + 1
    assert total(COMPLETE).seconds == pytest.approx(1.5 * 2 * len(ages) + 0.001)
    assert total(COMPLETE).buckets == [2 * len(ages) + 1, *buckets[1:-1], 2 * len(ages)]
    assert total(Event.RETRIED).count == 2 * 2 * len(ages)


def test_two_that_fold_at_once_lose_and_double_nothing() -> None:
    old = (datetime.now(UTC) - timedelta(hours=1)).replace(second=0, microsecond=0)
    Tally.objects.bulk_create(
        Tally(minute=old, process=str(n), type="", lane="", event=Event.WOKEN, count=1, seconds=0, buckets=[])
        for n in range(500)
    )

    with engine.at_once(*[tallies.fold] * 4):
        pass

    assert total(Event.WOKEN).count == 500


def test_a_quantile_is_read_off_the_buckets() -> None:
    buckets = [0] * (len(measures.BOUNDS) + 1)
    buckets[measures.BOUNDS.index(0.05)] = 100  # between 0.025 and 0.05

    assert measures.quantile(buckets, 0.5) == pytest.approx(0.0375)
    assert measures.quantile([0] * len(buckets), 0.5) is None
    assert measures.quantile([*[0] * len(measures.BOUNDS), 1], 0.95) == measures.BOUNDS[-1]


# ---------------------------------------------------------------- what is counted, where it is settled


def counted(event: str, **about: str) -> int:
    found = tallies.read_totals()
    return sum(total.count for total in found if total.event == event and about.items() <= {"type": total.type}.items())


def test_a_tasks_own_name_names_no_figure() -> None:
    call = flowing.begin(factories.make_account(), states=1)
    flowing.start_task(call, state=0)
    flowing.end(call)

    tallies.write()

    assert counted(COMPLETE, type=measures.EXTERNAL) == 1
    assert counted(COMPLETE) == 1


def test_what_was_rolled_back_is_not_counted() -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 3)
    ended = [engine.ended(message) for message in engine.claim("Echo").messages]

    with lossy.proxy(lose=b"COMMIT"), pytest.raises(OperationalError):
        outcomes.flush(ended)
    outcomes.flush(ended)
    outcomes.flush(ended)  # a repeat finds nothing to write
    tallies.write()

    assert engine.counters_of(request) == {"complete": 3}
    assert counted(COMPLETE) == 3


def test_an_outcome_whose_commit_lost_its_answer_is_counted_once_at_most() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 3)
    ended = [engine.ended(message) for message in engine.claim("Echo").messages]

    with lossy.proxy(lose_answer_to=b"COMMIT"), pytest.raises(OperationalError):
        outcomes.flush(ended)
    outcomes.flush(ended)
    tallies.write()

    assert counted(COMPLETE) <= 3


def test_the_figures_of_workers_that_stop_in_good_order_equal_the_ledger(
    client: Http, worker_process: Callable[..., WorkerProcess]
) -> None:
    account = factories.make_client()
    workers = [worker_process(WAYBILL_HEARTBEAT="60", WAYBILL_LEASE="180") for _ in range(2)]
    given = [
        *({"messageType": "Echo"} for _ in range(300)),
        *({"messageType": "Invoice", "number": "1", "amount": amount} for amount in (1, 2_000_000, -1)),
        *({"messageType": "Reading", "value": value} for value in range(-5, 50)),
        *({"messageType": "Greeting", "name": "you"} for _ in range(40)),
        {"messageType": "Greeting", "nobody": "named"},
    ]
    body = {
        "batchReference": "figures",
        "errorPolicy": "proceedOnError",
        "payload": [{"externalReference": str(number), **fields} for number, fields in enumerate(given)],
    }
    answer = client.post(
        "/api/v1/requests",
        json.dumps(body),
        content_type="application/json",
        headers=calls.basic(account.client_id),
    )
    assert answer.status_code == 202, answer.content
    eventually(lambda: not Message.objects.filter(processed_at=None).exists(), within=60, what="the end of all")

    for worker in workers:
        assert worker.stop(within=20) == 0
    tallies.write()

    for status in Status:
        ledger = Counter(Message.objects.filter(status=status).values_list("type", flat=True))
        figures = {found.type: found.count for found in tallies.read_totals() if found.event == measures.final(status)}
        assert figures == dict(ledger), status
    assert counted(Event.RECEIVED) == len(given)
    tries = sum(Message.objects.values_list("attempts", flat=True))
    assert counted(Event.RETRIED) == tries - Message.objects.exclude(status=Status.INVALID).count() > 0
    assert counted(Event.CLAIMED) == tries
