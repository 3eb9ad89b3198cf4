"""The engine in tests: work handed in without a door, and a worker process's parts in this process."""

import asyncio
import base64
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import redis
from django.db import connection
from django.test import override_settings
from uuid_utils.compat import uuid7

from orchestrator import handlers, queue, turns
from orchestrator.handlers import Kind, MessageType, Work
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import Message, Request
from orchestrator.outcomes import Ending, Outcome
from orchestrator.queue import Batch, Claimed
from orchestrator.worker import WorkerProcess

WORKER = uuid.UUID("00000000-0000-7000-8000-000000000001")
"""The worker of claims that no worker process makes."""


def hand_in(
    *,
    client_id: int,
    message_type: str = "Echo",
    payloads: Sequence[Any] = ({},),
    error_policy: ErrorPolicy = ErrorPolicy.PROCEED,
    priority: int = 0,
    lane: str = "",
    **columns: Any,
) -> Request:
    """Put a request with Queued messages into the ledger, as intake does; returns its row."""
    known = handlers.find(message_type)
    lane = lane or (known.lane_name if known else message_type)
    base = turns.allocate(client_id=client_id, counts={lane: len(payloads)})[lane]
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        received_at = cursor.fetchone()[0]
    request = Request.objects.create(
        id=uuid7(),
        client_id=client_id,
        door="requests",
        error_policy=error_policy,
        types=[message_type],
        received_at=received_at,
        total=len(payloads),
        open=len(payloads),
        **columns,
    )
    Message.objects.bulk_create(
        Message(
            id=uuid7(),
            request=request,
            client_id=client_id,
            number=number,
            type=message_type,
            lane=lane,
            turn=base.turn(rank=number + 1, priority=priority),
            payload=orjson.dumps(payload).decode(),
            status=Status.QUEUED,
            received_at=received_at,
        )
        for number, payload in enumerate(payloads)
    )
    return request


def messages_of(request: Request) -> list[Message]:
    """The request's messages as they are now, in payload order."""
    return list(Message.objects.filter(request=request).order_by("number"))


def statuses_of(request: Request) -> list[str]:
    """The statuses of the request's messages, in payload order."""
    return [message.status for message in messages_of(request)]


def counters_of(request: Request) -> dict[str, int]:
    """The request's counters as they are now, without those that are nought."""
    request.refresh_from_db()
    names = ("open", "complete", "failed", "invalid", "cancelled")
    return {name: getattr(request, name) for name in names if getattr(request, name)}


# ---------------------------------------------------------------- message types


@contextmanager
def declaring() -> Iterator[Callable[..., MessageType]]:
    """Let a test declare message types of its own: `declare(handler, kind=Kind.BATCH)`; they are forgotten after it."""
    declared = handlers.registry._declared
    before = dict(declared)

    def declare(handler: Callable[..., Any], *, kind: Kind = Kind.PLAIN, **fields: Any) -> MessageType:
        message_type = MessageType(name=f"Type-{uuid.uuid4().hex[:8]}", kind=kind, handler=handler, **fields)
        handlers.register(message_type)
        return message_type

    yield declare
    declared.clear()
    declared.update(before)


def misplaced() -> int:
    """Count final messages whose turn does not say how many of its request's were final before its transaction."""
    return int(
        ask(
            "SELECT count(*) FROM orchestrator_message AS one WHERE processed_at IS NOT NULL AND turn <> ("
            " SELECT count(*) FROM orchestrator_message AS earlier WHERE earlier.request_id = one.request_id"
            " AND earlier.processed_at IS NOT NULL AND earlier.turn < one.turn)"
        )
    )


class Held:
    """A handler that begins and does not end until it is let go: `plain` in the drain's thread, `call` on the loop."""

    def __init__(self) -> None:
        self.began, self.release = threading.Event(), threading.Event()

    def plain(self, _: Work) -> str:
        self.began.set()
        assert self.release.wait(20)
        return "done"

    async def call(self, _: Work) -> str:
        self.began.set()
        await until(self.release)
        return "done"


# ---------------------------------------------------------------- claims and outcomes, by hand


def claim(lane: str, *, limit: int = 100, **options: Any) -> Batch:
    """Claim for a worker that no process stands behind."""
    return queue.claim(worker_id=WORKER, lane=lane, limit=limit, **options)


def renew(*claim_ids: int) -> None:
    """Renew the leases of claims made by hand."""
    queue.renew(queue.Identity(id=WORKER, host="here", pid=1, queues=("waybill",)), held=claim_ids)


def ended(message: Claimed, ending: Ending = Ending.COMPLETE, **fields: Any) -> Outcome:
    """What a handler ended with; a retry without a delay is due at once."""
    if ending is Ending.COMPLETE:
        fields.setdefault("result", "{}")
    if ending is Ending.RETRY:
        fields.setdefault("delay", 0.0)
    return Outcome(
        message_id=message.id, request_id=message.request_id, claim_id=message.claim_id, ending=ending, **fields
    )


# ---------------------------------------------------------------- worker processes


@contextmanager
def running_worker(*, concurrency: int = 8, housekeeping: bool = True) -> Iterator[WorkerProcess]:
    """All the parts of a worker process, in this process, with real database and broker; nothing consumes wake-ups.

    Without housekeeping there are no sweeps: what a wake-up doesn't bring about never happens. It is deaf by its
    nature, so it isn't let exit for that.
    """
    quiet = {"WAYBILL_DEAF_AFTER": 3600.0}
    quiet |= {} if housekeeping else {"WAYBILL_SWEEP": 3600.0, "WAYBILL_LEASE": 3600.0}
    with override_settings(**quiet):
        process = WorkerProcess(queues=("waybill",), concurrency=concurrency)
        process.start()
        try:
            yield process
        finally:
            process.begin_stop()
            process.finish_stop()


def work_off(worker: WorkerProcess, lane: str) -> None:
    """Drain a lane until nothing of it is in flight and everything is recorded."""
    worker.drain(lane)
    worker._lanes[lane]._calls.wait_for_room(at_most=0, until=float("inf"))
    assert worker.recorder.wait_until_empty(timeout=10)


@contextmanager
def draining(worker: WorkerProcess, lane: str) -> Iterator[threading.Thread]:
    """A drain in a thread of its own, as Celery's pool runs it; over when the block is left."""
    with at_once(lambda: worker.drain(lane)) as [thread]:
        yield thread


@contextmanager
def at_once(*works: Callable[[], Any]) -> Iterator[list[threading.Thread]]:
    """Run functions in threads, with real connections and a common start; what one raises is raised at the end."""
    start = threading.Barrier(len(works))
    raised: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            start.wait(timeout=10)
            work()
        except BaseException as error:  # noqa: BLE001 - it is the test's
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)
    if raised:
        raise raised[0]


# ---------------------------------------------------------------- looking


def broker() -> redis.Redis:
    """The broker itself; to be closed by its user."""
    return redis.Redis.from_url(os.environ["BROKER_URL"])


def wake_ups(*, on: str = "waybill") -> list[str]:
    """The lanes of the wake-ups that wait on a Celery queue, oldest first."""
    with broker() as client:
        published = [json.loads(text) for text in reversed(client.lrange(on, 0, -1))]
    return [json.loads(base64.b64decode(message["body"]))[1]["lane"] for message in published]


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Every statement that this thread's connection sends, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent


def ask(sql: str, *params: Any) -> Any:
    """The one value that a query answers."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]


def run(sql: str, *params: Any) -> None:
    """Run a statement that answers nothing."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


async def until(event: threading.Event) -> None:
    """Wait for another thread's event without holding the event loop."""
    while not event.is_set():  # noqa: ASYNC110 - another thread sets it
        await asyncio.sleep(0.01)
