"""From POST to outcome: intake, dispatch and the worker, as far as no other file has it."""

import inspect
import os
from collections.abc import Callable
from typing import Any

import pytest
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import connection

from config.embedded import parts
from orchestrator import celery_tasks, dispatch, idempotency, intake
from orchestrator.idempotency import Answer
from orchestrator.intake import NewMessage, Receipt, Submission
from orchestrator.lifecycle import Status
from orchestrator.models import Message, Request
from tests import engine, factories
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def accept(answer: Callable[[Receipt], Answer] | None = None) -> Answer:
    """Hand one message in with a key."""
    account = factories.make_account()
    key = idempotency.make_key(header="key", client_id=account.id, method="POST", path="/", body=b"{}")
    message = NewMessage(type="Echo", external_reference=None, payload="{}")
    submission = Submission(account=account, door="requests", messages=[message])
    return intake.accept(submission, key=key, answer=answer or accepted)


def accepted(receipt: Receipt) -> Answer:
    return Answer(status=202, body=b"{}", request_id=receipt.request_id)


# ---------------------------------------------------------------- intake


def test_intake_allocates_turns_then_takes_the_key_then_stores_the_request_in_one_transaction() -> None:
    steps: list[tuple[str, bool]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        steps.extend(
            (table, connection.in_atomic_block)
            for table in ("clientlane", "idempotencyrecord", "request")
            if f"INSERT INTO orchestrator_{table}" in sql
        )
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        accept()

    assert list(dict.fromkeys(steps)) == [("clientlane", False), ("idempotencyrecord", True), ("request", True)]
    assert Message.objects.get().turn == 1


def test_intake_waits_for_the_disk_although_the_turns_did_not() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = on")  # the tests' server is quick and careless
    waits: list[str] = []

    def note_and_answer(receipt: Receipt) -> Answer:
        waits.append(engine.ask("SHOW synchronous_commit"))
        return accepted(receipt)

    accept(note_and_answer)

    assert waits == ["on"]


def test_the_lane_is_woken_after_commit_and_not_before() -> None:
    flags: list[Any] = []

    def note_and_answer(receipt: Receipt) -> Answer:
        flags.append(cache.get("wake:Echo"))
        return accepted(receipt)

    accept(note_and_answer)

    assert flags == [None]
    assert engine.wake_ups() == ["Echo"]


def test_a_submission_that_rolls_back_wakes_nobody() -> None:
    def refuse(receipt: Receipt) -> Answer:
        raise LookupError

    with pytest.raises(LookupError):
        accept(refuse)

    assert engine.wake_ups() == []
    assert not Request.objects.exists()


# ---------------------------------------------------------------- the worker


def test_a_worker_has_celerys_threads_pool_and_takes_one_wake_up_at_a_time() -> None:
    command = " ".join(parts.WORKER)

    assert "-P threads -c 8" in command
    assert settings.CELERY_TASK_ACKS_LATE
    assert settings.CELERY_WORKER_PREFETCH_MULTIPLIER == 1
    assert settings.CELERY_TASK_IGNORE_RESULT


def test_each_celery_shell_begins_with_close_old_connections_and_is_five_lines_at_most() -> None:
    shells = [task for name, task in current_app.tasks.items() if name.startswith("orchestrator.")]

    assert {shell.name for shell in shells} >= {dispatch.DRAIN}
    for shell in shells:
        source = inspect.getsource(inspect.unwrap(shell.run))
        body = source.split('"""')[-1].strip().splitlines()
        assert body[0].strip() == "close_old_connections()"
        assert len(body) <= 5


def test_a_wake_up_of_another_release_is_understood() -> None:
    """Whatever a newer one carries besides the lane's name is ignored."""
    parameters = inspect.signature(celery_tasks.drain.run).parameters.values()

    assert [(parameter.name, parameter.kind) for parameter in parameters] == [
        ("lane", inspect.Parameter.KEYWORD_ONLY),
        ("_", inspect.Parameter.VAR_KEYWORD),
    ]


def test_a_real_worker_is_woken_and_carries_everything_out(worker_process: Callable[..., WorkerProcess]) -> None:
    worker_process()
    request = engine.hand_in(client_id=1, payloads=[{"n": n} for n in range(300)])

    dispatch.wake("Echo")

    eventually(lambda: engine.counters_of(request) == {"complete": 300}, what="the outcomes")
    assert [message.result for message in engine.messages_of(request)] == [f'{{"n":{n}}}' for n in range(300)]
    eventually(lambda: engine.wake_ups() == [], what="an empty queue")


def test_a_doubled_wake_up_finds_nothing_to_claim(worker_process: Callable[..., WorkerProcess]) -> None:
    request = engine.hand_in(client_id=1, payloads=[{}] * 20)
    for _ in range(10):
        assert dispatch.wake_regardless("Echo")

    worker_process()

    eventually(lambda: engine.counters_of(request) == {"complete": 20}, what="the outcomes")
    eventually(lambda: engine.wake_ups() == [], what="an empty queue")
    assert {message.attempts for message in engine.messages_of(request)} == {1}
    assert {message.status for message in engine.messages_of(request)} == {Status.COMPLETE}


def test_a_broker_that_lost_everything_costs_delay_only(worker_process: Callable[..., WorkerProcess]) -> None:
    worker_process(WAYBILL_STALE_WAKE="0.3")
    request = engine.hand_in(client_id=1, payloads=[{}] * 20)
    dispatch.wake("Echo")
    with engine.broker() as broker:
        broker.delete("waybill")
    assert os.environ["BROKER_URL"] != os.environ["CACHE_URL"]  # the flag still stands

    eventually(lambda: engine.counters_of(request) == {"complete": 20}, what="the outcomes")
