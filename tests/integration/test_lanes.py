"""A lane is paused and resumed; a worker is drained and taken back: what the ledger then says."""

import uuid

import pytest

from orchestrator import lanes, workers
from orchestrator.lifecycle import Status
from orchestrator.models import Client, Lane, Worker
from tests import engine, factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def client_row() -> Client:
    return factories.make_client()


class TestAPausedLane:
    def test_gives_nothing_out_until_it_is_resumed(self, client_row: Client) -> None:
        request = engine.hand_in(client_id=client_row.pk, payloads=[{}] * 2)

        assert lanes.pause("Echo")
        assert engine.claim("Echo").messages == []

        assert lanes.resume("Echo")
        assert len(engine.claim("Echo").messages) == 2
        assert engine.statuses_of(request) == [Status.PROCESSING] * 2

    @pytest.mark.django_db(transaction=True)
    def test_is_woken_when_it_is_resumed(self) -> None:
        Lane.objects.create(name="Echo", queue="waybill", paused=True)

        lanes.resume("Echo")

        assert engine.wake_ups() == ["Echo"]

    def test_is_not_paused_twice(self) -> None:
        Lane.objects.create(name="Echo", queue="waybill")

        assert [lanes.pause("Echo"), lanes.pause("Echo")] == [True, False]
        assert [lanes.resume("Echo"), lanes.resume("Echo")] == [True, False]

    def test_may_be_paused_before_its_first_message(self) -> None:
        assert lanes.pause("Echo")

        assert Lane.objects.get().paused


@pytest.mark.parametrize("name", ["Nothing", "", "Echo ", "\x00"])
def test_an_unknown_lane_is_refused(name: str) -> None:
    for change in (lanes.pause, lanes.resume):
        with pytest.raises(lanes.UnknownLane, match="there is no lane"):
            change(name)
    assert not Lane.objects.exists()


def test_a_worker_is_drained_and_put_back_to_work() -> None:
    worker = Worker.objects.create(id=uuid.uuid4(), host="here", pid=1, queues=[])
    worker_id = str(worker.id)

    assert [workers.drain(worker_id), workers.drain(worker_id)] == [True, False]
    assert Worker.objects.get().draining
    assert [workers.undrain(worker_id), workers.undrain(worker_id)] == [True, False]
    assert not Worker.objects.get().draining


@pytest.mark.parametrize("worker", [str(uuid.UUID(int=7)), "worker-1", "", "\x00"])
def test_an_unknown_worker_is_refused(worker: str) -> None:
    for change in (workers.drain, workers.undrain, workers.find):
        with pytest.raises(workers.UnknownWorker, match="there is no worker"):
            change(worker)
