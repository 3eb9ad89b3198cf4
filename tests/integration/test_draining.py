"""A drained worker claims no more, finishes what it holds, listens to nothing, and works again when it is told to."""

import uuid
from collections.abc import Callable

import pytest
from pytest_django import Settings

from orchestrator import board, dispatch, standing, workers
from orchestrator.handlers import Kind, MessageType
from orchestrator.lifecycle import Status
from orchestrator.models import Message, Worker
from orchestrator.standing import WorkerStanding
from tests import engine, factories
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[..., MessageType]


@pytest.fixture
def client_id() -> int:
    return factories.make_client().pk


def test_finishes_what_it_holds_and_claims_no_more(client_id: int, declare: Declare) -> None:
    held = engine.Held()
    lane = declare(held.plain).name
    first = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 3)
    with engine.running_worker() as worker:
        with engine.draining(worker, lane):
            assert held.began.wait(5)
            engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 2)
            workers.drain(str(worker.identity.id))
            eventually(lambda: worker.is_drained, what="the heartbeat that reads it")
            held.release.set()
        eventually(lambda: engine.statuses_of(first) == [Status.COMPLETE] * 3, what="the end of what it held")
        engine.work_off(worker, lane)

        eventually(lambda: standing_of(worker.identity.id) == WorkerStanding.DRAINED, what="its word that it rests")
        [drained] = board.read_workers()
        assert (drained.draining, drained.holds, drained.is_alive) == (True, {}, True)
        assert board.read_lanes()[0].queued.number == 2

        workers.undrain(str(worker.identity.id))
        eventually(lambda: not worker.is_drained, what="the heartbeat that reads it")
        engine.work_off(worker, lane)
        assert board.read_lanes()[0].queued.number == 0


def test_is_not_called_drained_before_it_has_heard(settings: Settings) -> None:
    """Until its next heartbeat it claims on: who stopped it then would cut off what it has just begun."""
    settings.WAYBILL_HEARTBEAT = 0
    with engine.running_worker(housekeeping=False) as worker:
        worker.housekeeping._renew_when_due()
        workers.drain(str(worker.identity.id))
        told = standing_of(worker.identity.id)

        worker.housekeeping._renew_when_due()
        settings.WAYBILL_HEARTBEAT = 3600  # it hears, and says so without waiting for the next one
        worker.housekeeping._renew_when_due()
        heard = standing_of(worker.identity.id)

    assert (told, heard) == (WorkerStanding.DRAINING, WorkerStanding.DRAINED)


def standing_of(worker_id: uuid.UUID) -> WorkerStanding:
    return standing.of_worker(next(row for row in board.read_workers() if row.id == worker_id))


def test_lets_its_calls_in_flight_come_back(client_id: int, declare: Declare) -> None:
    held = engine.Held()
    lane = declare(held.call, kind=Kind.ASYNC).name
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 3)
    with engine.running_worker() as worker:
        with engine.draining(worker, lane):
            assert held.began.wait(5)
            worker.obey(draining=True)
        assert board.read_workers()[0].holds == {lane: 3}
        held.release.set()
        eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE] * 3, what="the calls' return")


def test_wakes_nobody_and_does_not_think_itself_deaf(client_id: int) -> None:
    engine.hand_in(client_id=client_id)
    with engine.running_worker() as worker:
        worker.obey(draining=True)
        Worker.objects.update(draining=True)
        eventually(lambda: engine.ask("SELECT received_at < now() - interval '1 s' FROM orchestrator_message"))
        with engine.broker() as broker:
            broker.flushdb()

        worker.housekeeping._wake()

        assert engine.wake_ups() == []
        assert worker.housekeeping._deafness._since is None


def test_a_suspect_is_not_begun_by_a_drained_worker(client_id: int, declare: Declare) -> None:
    lane = declare(lambda _: "done").name
    request = engine.hand_in(client_id=client_id, message_type=lane)
    Message.objects.update(suspect=True)
    with engine.running_worker(housekeeping=False) as worker:
        worker.obey(draining=True)
        worker.drain(lane)

        assert engine.statuses_of(request) == [Status.QUEUED]

        worker.obey(draining=False)
        engine.work_off(worker, lane)
        assert engine.statuses_of(request) == [Status.COMPLETE]


class TestOfTwoWorkers:
    def test_the_other_takes_all_the_work_and_its_wake_ups(
        self, worker_process: Callable[..., WorkerProcess], client_id: int
    ) -> None:
        """Without deaf ears for the drained one half of the wake-ups would be lost on it: each then costs a sweep."""
        one, other = worker_process(WAYBILL_STALE_WAKE="3600"), worker_process(WAYBILL_STALE_WAKE="3600")
        ids = {row.pid: str(row.id) for row in Worker.objects.all()}

        for drained in (one, other):
            workers.drain(ids[drained.pid])
            wait_until_told(drained, "worker drains", then="Canceling queue")
            for _ in range(10):
                carried_out(client_id)
            workers.undrain(ids[drained.pid])
            wait_until_told(drained, "worker works again", then="Started consuming")

    def test_one_that_is_drained_stops_in_good_order(self, worker_process: Callable[..., WorkerProcess]) -> None:
        worker = worker_process()
        workers.drain(str(Worker.objects.get().id))
        eventually(lambda: "worker drains" in worker.output(), what="the heartbeat that reads it")

        assert worker.stop() == 0
        assert not Worker.objects.exists()


def wait_until_told(worker: WorkerProcess, word: str, *, then: str) -> None:
    """Wait until a worker has written one thing after the other."""
    eventually(lambda: then in worker.output().partition(word)[2], what=f"{word}, {then}")


def carried_out(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id)
    dispatch.wake("Echo")
    eventually(lambda: engine.statuses_of(request) == [Status.COMPLETE], within=20, what="its end")
