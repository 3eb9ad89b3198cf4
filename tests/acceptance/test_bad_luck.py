"""Bad luck: workers, the broker and the database die under load, and every accepted message ends exactly once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from django.db import connection
from django.db.models.functions import Now

from orchestrator import accounts, backend_types
from orchestrator.lifecycle import FailureKind, Status
from orchestrator.models import Message, Request, Worker
from tests import engine, factories
from tests.acceptance import backend, hardship
from tests.acceptance.backend import Backend
from tests.acceptance.hardship import Broker, Ledger
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]

StartWorker = Callable[..., WorkerProcess]
KILLS = int(os.environ.get("WAYBILL_KILLS", "3"))  # `make chaos` wants more
MESSAGES = int(os.environ.get("WAYBILL_KILL_MESSAGES", "3000"))
PATIENT = {"WAYBILL_DEAF_AFTER": "60"}
TROUBLE = "tests.company,tests.trouble"


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def test_workers_killed_in_mid_batch_lose_nothing_and_record_nothing_twice(
    account: accounts.Account, called: Backend, worker_process: StartWorker
) -> None:
    workers = [worker_process(**PATIENT), worker_process(**PATIENT)]
    each = max(MESSAGES // (KILLS + 2), 2)
    kills = 0

    for round_ in range(KILLS + 2):
        hardship.submit(account, ["Echo", "Called"] * (each // 2))
        if round_ < KILLS:
            victim = workers.pop(0)
            wait_for_calls(called, 10 + 37 * round_ % 100)
            eventually(partial(hardship.claims_of, victim.pid), within=60, what="work in the victim")
            victim.kill()
            kills += 1
            workers.append(worker_process(**PATIENT))
    books = hardship.close_books(called.calls, within=900)

    print(f"\n{kills} kills: {books}")  # noqa: T201 - the tally that the project shows
    assert kills == KILLS
    assert books.by_status == {Status.COMPLETE: books.accepted}
    assert books.attempts == {1: books.accepted}
    assert books.unbalanced == []
    ids = {str(message_id) for message_id in Message.objects.filter(type="Called").values_list("id", flat=True)}
    assert set(called.calls) == ids  # each at least once, always with the same key
    assert books.losses.total() - books.losses[0] >= books.doubles  # a double is a loss, never a second outcome


def wait_for_calls(called: Backend, more: int) -> None:
    """Wait until the back end has been called so many times more: kills come at ever other points of a batch."""
    target = called.calls.total() + more
    eventually(lambda: called.calls.total() >= target or not hardship.open_messages(), within=60, what="calls")


def test_a_process_killer_ends_failed_internal_while_its_neighbours_complete(
    account: accounts.Account, worker_process: StartWorker
) -> None:
    payloads = [{"deadly": n == 4} for n in range(10)]
    request = engine.hand_in(client_id=account.id, message_type="Killer", payloads=payloads)
    workers = [worker_process(WAYBILL_APPS=TROUBLE, **PATIENT)]

    def finished() -> bool:
        """Restart what dies, as a supervisor does."""
        if not workers[-1].alive:
            workers.append(worker_process(WAYBILL_APPS=TROUBLE, **PATIENT))
        return not hardship.open_messages()

    eventually(finished, within=60, what="ten final statuses")

    messages = engine.messages_of(request)
    assert [message.status for message in messages] == [Status.FAILED if n == 4 else Status.COMPLETE for n in range(10)]
    assert (messages[4].failure_kind, messages[4].losses_alone) == (FailureKind.INTERNAL, 3)
    assert {message.losses_alone for n, message in enumerate(messages) if n != 4} == {0}
    assert engine.counters_of(request) == {"complete": 9, "failed": 1}
    assert len(workers) == 1 + 1 + 3  # one loss in company, and three alone


def test_sigterm_under_load_ends_within_the_grace_time_and_charges_nothing(
    account: accounts.Account, called: Backend, worker_process: StartWorker
) -> None:
    first = worker_process(**PATIENT)
    hardship.submit(account, ["Echo", "Called"] * 750)
    eventually(lambda: hardship.claims_of(first.pid), what="work in the first worker")

    asked_at = time.monotonic()
    code = first.stop(within=10)
    took = time.monotonic() - asked_at
    left = hardship.open_messages()
    worker_process(**PATIENT)
    books = hardship.close_books(called.calls)

    assert code == 0, first.output()
    assert took < 2 + 4  # WAYBILL_GRACE, and what Celery needs to notice
    assert left > 0
    assert books.by_status == {Status.COMPLETE: 1500}
    assert (books.attempts, books.losses, books.doubles) == ({1: 1500}, {0: 1500}, 0)


# ---------------------------------------------------------------- the broker


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    with hardship.own_broker(monkeypatch) as own:
        yield own


def test_a_broker_killed_emptied_and_restarted_during_submission_costs_delay_only(
    account: accounts.Account, broker: Broker, worker_process: StartWorker
) -> None:
    workers = [worker_process(**PATIENT), worker_process(**PATIENT)]
    slowest = 0.0
    accepted = []

    for n in range(60):
        if n == 15:
            broker.empty()
        if n == 30:
            broker.kill()
        if n == 45:
            broker.start()
        began = time.monotonic()
        accepted.append(hardship.submit(account, ["Echo"] * 10))
        slowest = max(slowest, time.monotonic() - began)
    books = hardship.close_books()

    assert books.by_status == {Status.COMPLETE: 600}
    assert set(Request.objects.values_list("pk", flat=True)) == set(accepted)
    assert (books.attempts, books.losses, books.unbalanced) == ({1: 600}, {0: 600}, [])
    assert all(worker.alive for worker in workers)
    assert slowest < 2  # never near the six seconds that Celery's defaults would cost


def test_work_is_accepted_while_the_broker_is_away_and_done_when_it_is_back(
    account: accounts.Account, broker: Broker, worker_process: StartWorker
) -> None:
    worker = worker_process(**PATIENT)
    broker.kill()

    for _ in range(5):
        hardship.submit(account, ["Echo"] * 10)
    waiting = hardship.open_messages()
    broker.start()
    books = hardship.close_books()

    assert waiting == 50
    assert books.by_status == {Status.COMPLETE: 50}
    assert worker.alive


def test_workers_go_on_with_what_they_have_while_the_broker_is_away(
    account: accounts.Account, called: Backend, broker: Broker, worker_process: StartWorker
) -> None:
    worker = worker_process(**PATIENT)
    hardship.submit(account, ["Called"] * 1000)
    eventually(lambda: hardship.claims_of(worker.pid), what="work")

    broker.kill()
    books = hardship.close_books(called.calls)  # the running drain needs no broker

    assert books.by_status == {Status.COMPLETE: 1000}
    assert books.losses == {0: 1000}


def test_a_lost_wake_up_of_every_lane_is_made_good(
    account: accounts.Account, broker: Broker, worker_process: StartWorker
) -> None:
    hardship.submit(account, ["Echo", "Greeting", "Reading"] * 10)
    broker.empty()

    worker_process(**PATIENT)

    eventually(lambda: not hardship.open_messages(), within=15, what="the sweep")


# ---------------------------------------------------------------- the database


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    with hardship.own_ledger(monkeypatch) as own:
        yield own


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_database_restarted_under_load_loses_nothing_and_doubles_nothing(
    ledger: Ledger, worker_process: StartWorker, how: str
) -> None:
    with backend.running() as called:
        backend_types.save("Called", {"url": called.url, "attempts": 20})
        account = factories.make_account()
        workers = [worker_process(**PATIENT), worker_process(**PATIENT)]
        hardship.submit(account, ["Echo", "Called"] * 1000)
        eventually(lambda: all(hardship.claims_of(worker.pid) for worker in workers), what="work in both")

        getattr(ledger, how)()
        eventually(lambda: all("chore failed" in worker.output() for worker in workers), what="the outage to be felt")
        ledger.start()
        connection.close()
        books = hardship.close_books(called.calls, within=90)

        assert all(worker.alive for worker in workers)
        assert books.by_status == {Status.COMPLETE: 2000}
        assert (books.attempts, books.unbalanced) == ({1: 2000}, [])
        ids = {str(message_id) for message_id in Message.objects.filter(type="Called").values_list("id", flat=True)}
        assert set(called.calls) == ids
        connection.close()


def test_all_connections_terminated_under_load_loses_nothing_and_doubles_nothing(
    account: accounts.Account, called: Backend, worker_process: StartWorker
) -> None:
    workers = [worker_process(**PATIENT), worker_process(**PATIENT)]
    hardship.submit(account, ["Echo", "Called"] * 1000)

    for _ in range(5):
        before = hardship.open_messages()
        terminate_all_others()
        eventually(partial(has_progressed, before), what="progress")
    books = hardship.close_books(called.calls)

    assert all(worker.alive for worker in workers)
    assert books.by_status == {Status.COMPLETE: 2000}
    assert (books.attempts, books.unbalanced) == ({1: 2000}, [])


def has_progressed(before: int) -> bool:
    return hardship.open_messages() < before or not before


def terminate_all_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# ---------------------------------------------------------------- zombies and releases


def test_a_worker_frozen_past_its_lease_under_load_writes_nothing_of_what_was_given_away(
    account: accounts.Account, called: Backend, worker_process: StartWorker
) -> None:
    zombie, other = worker_process(**PATIENT), worker_process(**PATIENT)
    hardship.submit(account, ["Echo", "Called"] * 500)
    eventually(lambda: hardship.claims_of(zombie.pid), what="work in the zombie")

    zombie.freeze()
    eventually(lambda: not hardship.open_messages(), within=60, what="the other's finish")
    before = list(Message.objects.order_by("id").values())
    zombie.thaw()
    heartbeat = Worker.objects.get(pid=zombie.pid).heartbeat_at
    eventually(lambda: Worker.objects.get(pid=zombie.pid).heartbeat_at > heartbeat, what="the zombie's heartbeat")
    last = hardship.submit(account, ["Echo"])
    os.kill(other.pid, signal.SIGTERM)
    eventually(lambda: Message.objects.get(request=last).status == Status.COMPLETE, what="the zombie's next work")

    books = hardship.close_books(called.calls)
    assert list(Message.objects.exclude(request=last).order_by("id").values()) == before
    assert books.by_status == {Status.COMPLETE: 1001}
    assert books.unbalanced == []


def test_a_rolling_release_leaves_the_new_type_to_the_new_workers(
    account: accounts.Account, worker_process: StartWorker
) -> None:
    old = worker_process(**PATIENT)  # its release knows no Hold
    request = engine.hand_in(client_id=account.id, message_type="Hold", payloads=[{}] * 5)
    eventually(
        lambda: Message.objects.filter(available_at__isnull=False).count() == 5, what="the old worker's give-back"
    )

    worker_process(WAYBILL_APPS=TROUBLE, **PATIENT)
    old.stop()
    Message.objects.filter(available_at__isnull=False).update(available_at=Now())  # rather than wait for it

    eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE] * 5, within=30, what="the new worker")
    for message in engine.messages_of(request):
        assert (message.attempts, message.losses) == (1, 0)
