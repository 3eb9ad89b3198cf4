"""Suspects: a message that may have killed its worker runs alone, and three losses alone condemn it."""

import threading
from collections.abc import Callable, Sequence

import pytest
from django.db.backends.utils import CursorWrapper

from orchestrator import backend_types, stopping
from orchestrator.finishing import Finished
from orchestrator.handlers import Kind, MessageType, Work
from orchestrator.lifecycle import ErrorPolicy, FailureKind, Status
from orchestrator.models import Claim, Message, Request
from orchestrator.outcomes import INTERNAL_TEXT
from orchestrator.worker import WorkerProcess as InProcess
from tests import engine, factories, losses

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[..., MessageType]
THREE = 3  # WAYBILL_LOSSES_ALONE


@pytest.fixture
def client_id() -> int:
    return factories.make_client().pk


def make_suspects(client_id: int, lane: str = "Echo", *, messages: int = 1) -> Request:
    """A request whose messages were all lost in company."""
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{"n": n} for n in range(messages)])
    losses.lose(lane, limit=messages)
    return request


def test_loss_in_company_makes_a_message_only_a_suspect(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 2)

    losses.lose("Echo")

    for message in engine.messages_of(request):
        assert (message.status, message.suspect, message.losses, message.losses_alone) == (Status.QUEUED, True, 1, 0)


def test_an_ordinary_claim_takes_no_suspects_and_tells_that_some_wait(client_id: int) -> None:
    make_suspects(client_id)
    ordinary = engine.hand_in(client_id=client_id)

    batch = losses.claim("Echo")

    assert [message.request_id for message in batch.messages] == [ordinary.pk]
    assert batch.suspects_wait


def test_only_losses_alone_count(client_id: int) -> None:
    request = make_suspects(client_id)

    for _ in range(2 * THREE):
        Message.objects.update(suspect=False)  # as if it had always been in company
        losses.lose("Echo")

    [message] = engine.messages_of(request)
    assert (message.status, message.losses, message.losses_alone) == (Status.QUEUED, 1 + 2 * THREE, 0)


def test_three_losses_alone_make_it_failed_internal(client_id: int) -> None:
    request = make_suspects(client_id)

    for _ in range(THREE - 1):
        losses.lose("Echo", alone=True)
        assert engine.statuses_of(request) == [Status.QUEUED]
    losses.lose("Echo", alone=True)

    [message] = engine.messages_of(request)
    assert (message.status, message.failure_kind, message.errors) == (
        Status.FAILED,
        FailureKind.INTERNAL,
        [INTERNAL_TEXT],
    )
    assert (message.attempts, message.losses, message.losses_alone) == (0, 1 + THREE, THREE)
    assert engine.counters_of(request) == {"failed": 1}
    request.refresh_from_db()
    assert request.completed_at == message.processed_at
    assert not Claim.objects.exists()


def test_a_condemned_message_halts_its_request(client_id: int) -> None:
    request = engine.hand_in(client_id=client_id, payloads=[{}] * 3, error_policy=ErrorPolicy.HALT)
    losses.lose("Echo", limit=1)

    for _ in range(THREE):
        losses.lose("Echo", limit=1, alone=True)

    assert engine.statuses_of(request) == [Status.FAILED, Status.CANCELLED, Status.CANCELLED]
    assert engine.counters_of(request) == {"failed": 1, "cancelled": 2}


def test_a_condemned_message_has_its_effects(client_id: int, effects: Callable[..., None]) -> None:
    seen: list[Finished] = []
    effects("Echo", lambda _, finished: seen.extend(finished))
    request = make_suspects(client_id)

    for _ in range(THREE):
        losses.lose("Echo", alone=True)

    [message] = engine.messages_of(request)
    [finished] = seen
    assert (finished.message_id, finished.status, finished.failure_kind) == (
        message.id,
        Status.FAILED,
        FailureKind.INTERNAL,
    )


def test_an_effect_that_breaks_does_not_hold_up_recovery(client_id: int, effects: Callable[..., None]) -> None:
    def break_down(_: CursorWrapper, finished: Sequence[Finished]) -> None:
        raise ValueError

    effects("Echo", break_down)
    request = make_suspects(client_id)
    other = engine.hand_in(client_id=client_id, message_type="Other")
    for _ in range(THREE - 1):
        losses.lose("Echo", alone=True)
    losses.claim("Echo", alone=True)
    losses.claim("Other")
    losses.let_leases_lapse()

    assert losses.recover() == {"Echo", "Other"}
    assert engine.statuses_of(request) == [Status.FAILED]
    assert engine.statuses_of(other) == [Status.QUEUED]


def test_an_effect_that_breaks_on_one_of_a_lost_claim_is_had_by_the_others(
    client_id: int, effects: Callable[..., None]
) -> None:
    stopped = [engine.hand_in(client_id=client_id, payloads=[{}]) for _ in range(5)]
    poisoned = stopped[3].pk
    told: set[object] = set()

    def break_down_on_one(_: CursorWrapper, finished: Sequence[Finished]) -> None:
        if poisoned in {message.request_id for message in finished}:
            raise ValueError
        told.update(message.request_id for message in finished)

    effects("Echo", break_down_on_one)
    losses.claim("Echo")
    for request in stopped:
        stopping.cancel(client_id=client_id, request_id=request.pk)
    losses.let_leases_lapse()
    losses.recover()

    assert {status for request in stopped for status in engine.statuses_of(request)} == {Status.CANCELLED}
    assert told == {request.pk for request in stopped} - {poisoned}


def test_http_types_are_exempt(client_id: int) -> None:
    backend_types.save("Called", {"url": "http://127.0.0.1:9/"})
    request = engine.hand_in(client_id=client_id, message_type="Called", payloads=[{}] * 2)

    for _ in range(2 * THREE):
        losses.lose("Called")

    for message in engine.messages_of(request):
        assert (message.status, message.suspect, message.losses_alone) == (Status.QUEUED, False, 0)
        assert message.losses == 2 * THREE


# ---------------------------------------------------------------- alone in the process


def test_a_suspect_runs_alone_in_the_process(client_id: int, declare: Declare) -> None:
    """Not even another lane's drain claims meanwhile, and nothing that was claimed before still runs."""
    together: list[int] = []
    running: set[object] = set()
    lock = threading.Lock()
    process: list[InProcess] = []

    def note(work: Work) -> None:
        with lock:
            running.add(work.id)
            together.append(len(process[0].holdings.claims()) if work.fields().get("n") == "suspect" else 1)
        with lock:
            running.discard(work.id)

    def handle(work: Work) -> None:
        note(work)

    async def handle_async(work: Work) -> None:
        note(work)

    plain, calls = declare(handle).name, declare(handle_async, kind=Kind.ASYNC).name
    suspects = []
    for lane in (plain, calls):
        suspects.append(engine.hand_in(client_id=client_id, message_type=lane, payloads=[{"n": "suspect"}] * 3))
        losses.lose(lane)
    others = [engine.hand_in(client_id=client_id, message_type=lane, payloads=[{}] * 300) for lane in (plain, calls)]

    with engine.running_worker(housekeeping=False) as worker:
        process.append(worker)
        with engine.draining(worker, plain), engine.draining(worker, calls):
            pass
        assert worker.recorder.wait_until_empty(timeout=10)

    assert set(together) == {1}
    for request in [*suspects, *others]:
        assert set(engine.statuses_of(request)) == {Status.COMPLETE}


def test_suspects_run_one_after_each_ordinary_batch(client_id: int, declare: Declare) -> None:
    order: list[str] = []
    lane = declare(lambda work: order.append(work.fields()["kind"])).name
    engine.hand_in(client_id=client_id, message_type=lane, payloads=[{"kind": "suspect"}] * 3)
    losses.lose(lane)
    engine.hand_in(client_id=client_id, message_type=lane, payloads=[{"kind": "ordinary"}] * 60)

    with engine.running_worker(housekeeping=False) as worker:  # begins with a batch of 50
        engine.work_off(worker, lane)

    assert order.count("suspect") == 3
    assert order[:51] == ["ordinary"] * 50 + ["suspect"]
    assert order[51:62] == ["ordinary"] * 10 + ["suspect"]
    assert order[62:] == ["suspect"]


def test_a_suspect_that_ends_well_is_complete_like_any_other(client_id: int) -> None:
    request = make_suspects(client_id, messages=5)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, "Echo")

    assert engine.statuses_of(request) == [Status.COMPLETE] * 5
    assert [message.attempts for message in engine.messages_of(request)] == [1] * 5


def test_a_suspect_does_not_wait_for_ever_behind_a_lane_that_is_never_empty(client_id: int, declare: Declare) -> None:
    done = threading.Event()
    lane = ""

    def handle(work: Work) -> None:
        if work.fields().get("suspect"):
            done.set()
        elif not done.is_set():
            engine.hand_in(client_id=client_id, message_type=lane)  # each brings another

    lane = declare(handle).name
    request = engine.hand_in(client_id=client_id, message_type=lane, payloads=[{"suspect": True}])
    losses.lose(lane)
    engine.hand_in(client_id=client_id, message_type=lane)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, lane)

    assert engine.statuses_of(request) == [Status.COMPLETE]
