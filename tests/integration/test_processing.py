"""Processing: no transaction, no locks; in order, at once or as a list; skipped when its request was stopped."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings
from pytest_httpserver import HTTPServer
from werkzeug import Request as HTTPRequest
from werkzeug import Response

from orchestrator import backend_types, handlers, recovery, stopping
from orchestrator.handlers import Kind, MessageType, RetryLater, Work
from orchestrator.lifecycle import ErrorPolicy, FailureKind, Status
from orchestrator.models import Lane, Message, Request
from orchestrator.outcomes import INTERNAL_TEXT, TIMEOUT_TEXT
from orchestrator.retries import Policy
from tests import engine
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

Declare = Callable[..., MessageType]
ONCE = Policy(attempts=1, first=0.0, ceiling=0.0, wish_ceiling=0.0)
AGE = 0.02
"""Seconds for which a lookup of stops is trusted in these tests."""
PATIENT = Policy(attempts=3, first=60.0, ceiling=60.0, wish_ceiling=3600.0)


def carry_out(known: MessageType, payloads: Sequence[Any] = ({},), **columns: Any) -> Request:
    """Hand messages in and work their lane off."""
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=payloads, **columns)
    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, known.lane_name)
    return request


def only_message(request: Request) -> Message:
    [message] = engine.messages_of(request)
    return message


# ---------------------------------------------------------------- kinds


def test_plain_handlers_run_in_order(declare: Declare) -> None:
    order: list[int] = []
    known = declare(lambda work: order.append(work.fields()["n"]))

    request = carry_out(known, [{"n": n} for n in range(120)])

    assert order == list(range(120))
    assert engine.counters_of(request) == {"complete": 120}


def test_async_handlers_run_at_once(declare: Declare) -> None:
    there: list[int] = []

    async def meet(work: Work) -> int:
        there.append(1)
        while len(there) < 20:  # noqa: ASYNC110 - all twenty must have begun before one ends
            await asyncio.sleep(0.001)
        return len(there)

    request = carry_out(declare(meet, kind=Kind.ASYNC), [{}] * 20)

    assert engine.counters_of(request) == {"complete": 20}


def test_http_handlers_run_at_once() -> None:
    there = threading.Barrier(5)

    def meet(request: HTTPRequest) -> Response:
        there.wait(timeout=10)
        return Response('{"met": true}', content_type="application/json")

    with HTTPServer(threaded=True) as server:
        server.expect_request("/meet").respond_with_handler(meet)
        backend_types.save("Meeting", {"url": server.url_for("/meet")})
        handlers.registry.expire()
        known = handlers.find("Meeting")
        assert known

        request = carry_out(known, [{}] * 5)

    assert [message.result for message in engine.messages_of(request)] == ['{"met": true}'] * 5


def test_a_batch_handler_gets_the_list(declare: Declare) -> None:
    lists: list[list[int]] = []

    def store(works: Sequence[Work]) -> list[int]:
        lists.append([work.fields()["n"] for work in works])
        return lists[-1]

    request = carry_out(declare(store, kind=Kind.BATCH), [{"n": n} for n in range(30)])

    assert lists == [list(range(30))]
    assert [message.result for message in engine.messages_of(request)] == [str(n) for n in range(30)]


def test_types_of_each_kind_share_a_lane(declare: Declare) -> None:
    async def answer(work: Work) -> str:
        return "async"

    kinds = [
        declare(lambda work: "plain", lane="Shared"),
        declare(answer, kind=Kind.ASYNC, lane="Shared"),
        declare(lambda works: ["batch"] * len(works), kind=Kind.BATCH, lane="Shared"),
    ]
    requests = [engine.hand_in(client_id=1, message_type=known.name) for known in kinds]

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, "Shared")

    assert [only_message(request).result for request in requests] == ['"plain"', '"async"', '"batch"']


def test_the_companys_plain_handler_says_no_for_the_client_to_read() -> None:
    known = handlers.find("Invoice")
    assert known

    request = carry_out(known, [{"number": "A1", "amount": 10}, {"number": "A2", "amount": 2_000_000}])

    booked, refused = engine.messages_of(request)
    assert (booked.status, booked.result) == (Status.COMPLETE, '{"booked":"A1"}')
    assert (refused.status, refused.failure_kind) == (Status.FAILED, FailureKind.REJECTED)
    assert refused.errors == ["Invoice A2 needs a second signature"]
    assert refused.attempts == 1


def test_the_companys_async_handler_waits_in_the_lane_it_names() -> None:
    known = handlers.find("Greeting")
    assert known

    request = carry_out(known, [{"name": "Ada"}])

    message = only_message(request)
    assert (message.lane, message.result) == ("Post", '{"greeting":"Hello, Ada"}')


def test_the_companys_batch_handler_answers_each_message_and_refuses_one() -> None:
    known = handlers.find("Reading")
    assert known

    request = carry_out(known, [{"value": 1}, {"value": -1}, {"value": 2.5}])

    first, second, third = engine.messages_of(request)
    assert [first.result, third.result] == ['{"stored":1}', '{"stored":2.5}']
    assert (second.status, second.errors) == (Status.FAILED, ["A reading is never negative"])


def test_a_handler_is_given_its_message(declare: Declare) -> None:
    given: list[Work] = []
    known = declare(given.append, policy=PATIENT)
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=[{"a": 1}], traceparent="00-ab-cd-01")
    Message.objects.update(external_reference="ref-1", attempts=1)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, known.name)

    assert given == [
        Work(
            id=only_message(request).pk,
            request_id=request.pk,
            client_id=1,
            type=known.name,
            external_reference="ref-1",
            payload='{"a":1}',
            attempt=2,
            traceparent="00-ab-cd-01",
        )
    ]


# ---------------------------------------------------------------- no transaction, no locks


@pytest.mark.parametrize("kind", [Kind.PLAIN, Kind.BATCH])
def test_no_transaction_is_open_and_no_lock_is_held_while_a_handler_runs(declare: Declare, kind: Kind) -> None:
    looked = []

    def look(given: Any) -> Any:
        assert not connection.in_atomic_block
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE state LIKE 'idle in transaction%' AND datname = current_database()"
            )
            looked.append(cursor.fetchone()[0])
            cursor.execute("SET lock_timeout = '50ms'")
            cursor.execute("SELECT id FROM orchestrator_message FOR UPDATE NOWAIT")
            cursor.execute("SELECT id FROM orchestrator_claim FOR UPDATE NOWAIT")
            cursor.execute("RESET lock_timeout")
        return [None] * len(given) if kind is Kind.BATCH else None

    request = carry_out(declare(look, kind=kind))

    assert engine.statuses_of(request) == [Status.COMPLETE]
    assert looked == [0]


# ---------------------------------------------------------------- stopped and overdue


def test_a_message_whose_request_was_stopped_is_skipped(declare: Declare, settings: Settings) -> None:
    settings.WAYBILL_STOPS_AGE = AGE
    begun: list[int] = []

    def cancel_after_the_third(work: Work) -> None:
        begun.append(work.fields()["n"])
        if len(begun) == 3:
            stopping.cancel(client_id=1, request_id=work.request_id)
            time.sleep(2 * AGE)

    request = carry_out(declare(cancel_after_the_third), [{"n": n} for n in range(40)])

    assert begun == [0, 1, 2]
    assert engine.counters_of(request) == {"complete": 3, "cancelled": 37}
    assert request.stop_reason == "cancelled"


def test_a_message_whose_request_is_overdue_is_skipped(declare: Declare, settings: Settings) -> None:
    settings.WAYBILL_STOPS_AGE = AGE
    begun: list[int] = []

    def overdue_after_the_third(work: Work) -> None:
        begun.append(work.fields()["n"])
        if len(begun) == 3:
            Request.objects.update(deadline_at=datetime.now(UTC) - timedelta(seconds=1))
            time.sleep(2 * AGE)

    request = carry_out(declare(overdue_after_the_third), [{"n": n} for n in range(40)])

    assert begun == [0, 1, 2]
    assert engine.counters_of(request) == {"complete": 3, "cancelled": 37}


def test_a_message_whose_request_is_overdue_when_claimed_never_begins(declare: Declare) -> None:
    known = declare(lambda work: pytest.fail("began"))

    request = carry_out(known, [{}] * 2, deadline_at=datetime.now(UTC) - timedelta(seconds=1))

    assert engine.counters_of(request) == {"cancelled": 2}
    assert [message.attempts for message in engine.messages_of(request)] == [0, 0]


def test_a_list_leaves_out_what_was_stopped(declare: Declare, settings: Settings) -> None:
    settings.WAYBILL_STOPS_AGE = AGE
    lists: list[int] = []

    def store(works: Sequence[Work]) -> list[None]:
        lists.append(len(works))
        return [None] * len(works)

    known = declare(store, kind=Kind.BATCH, lane="Shared")
    stopped = engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 3)
    going = engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 2)

    def stop(work: Work) -> None:
        stopping.cancel(client_id=1, request_id=stopped.pk)
        time.sleep(2 * AGE)

    stopper = declare(stop, lane="Shared")
    engine.hand_in(client_id=2, message_type=stopper.name)

    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, "Shared")  # the plain one comes before the lists

    assert lists == [2]
    assert engine.counters_of(stopped) == {"cancelled": 3}
    assert engine.counters_of(going) == {"complete": 2}


def test_stops_are_looked_up_by_one_statement_over_all_requests_and_never_one_a_message(
    declare: Declare, settings: Settings
) -> None:
    settings.WAYBILL_STOPS_AGE = 0.1
    known = declare(lambda work: time.sleep(0.01))
    for _ in range(10):
        engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 5)
    held: list[int] = []

    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        began = time.monotonic()
        engine.work_off(worker, known.name)
        took = time.monotonic() - began
    held = [len(params["ids"]) for sql, params in sent if "deadline_at > now()" in sql]

    assert 1 <= len(held) <= took / 0.1
    assert held[0] > 1


def test_stops_are_not_looked_up_for_messages_that_begin_soon_after_their_claim() -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 40)

    with engine.statements() as sent, engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, "Echo")

    assert not [sql for sql, _ in sent if "deadline_at > now()" in sql]


def test_a_lookup_that_takes_longer_than_its_age_is_not_asked_for_ever(declare: Declare, settings: Settings) -> None:
    settings.WAYBILL_STOPS_AGE = 0.001

    def delay(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "deadline_at > now()" in sql:
            time.sleep(0.01)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(delay):
        request = carry_out(declare(lambda work: time.sleep(0.002)), [{}] * 5)

    assert engine.counters_of(request) == {"complete": 5}


def test_after_a_cancel_was_answered_no_message_begins_later_than_the_lookups_age(declare: Declare) -> None:
    begun: list[float] = []

    def note(work: Work) -> None:
        begun.append(time.monotonic())
        time.sleep(0.005)

    known = declare(note)
    request = engine.hand_in(client_id=1, message_type=known.name, payloads=[{}] * 400)

    with engine.running_worker(housekeeping=False) as worker, engine.draining(worker, known.name):
        eventually(lambda: len(begun) > 20, what="some messages")
        stopping.cancel(client_id=1, request_id=request.pk)
        answered = time.monotonic()

    assert max(begun) <= answered + 0.1 + 0.2  # the age of a lookup, and a busy machine
    counters = engine.counters_of(request)
    assert counters == {"complete": len(begun), "cancelled": 400 - len(begun)}


# ---------------------------------------------------------------- haltOnError


def refuse_the_third(work: Work) -> None:
    if work.fields()["n"] == 2:
        raise handlers.Rejected("not this one")


def test_halt_on_error_once_a_message_has_failed_no_other_of_its_request_begins(declare: Declare) -> None:
    begun: list[int] = []

    def note(work: Work) -> None:
        begun.append(work.fields()["n"])
        refuse_the_third(work)

    request = carry_out(declare(note), [{"n": n} for n in range(40)], error_policy=ErrorPolicy.HALT)

    assert begun == [0, 1, 2]
    assert engine.counters_of(request) == {"complete": 2, "failed": 1, "cancelled": 37}
    assert request.stop_reason == "halted"


def test_halt_on_error_leaves_other_requests_alone(declare: Declare) -> None:
    known = declare(refuse_the_third)
    other = engine.hand_in(client_id=2, message_type=known.name, payloads=[{"n": 9}] * 10)

    carry_out(known, [{"n": n} for n in range(10)], error_policy=ErrorPolicy.HALT)

    assert engine.counters_of(other) == {"complete": 10}


def test_halt_on_error_cancels_what_is_not_claimed_yet(declare: Declare, settings: Settings) -> None:
    async def refuse(work: Work) -> None:
        refuse_the_third(work)
        await asyncio.sleep(0.05)

    settings.WAYBILL_WINDOW_CALLS = 5
    request = carry_out(declare(refuse, kind=Kind.ASYNC), [{"n": n} for n in range(40)], error_policy=ErrorPolicy.HALT)

    counters = engine.counters_of(request)
    assert counters["failed"] == 1
    assert counters["cancelled"] > 0
    assert sum(counters.values()) == 40
    assert request.completed_at


def test_halt_on_error_lets_calls_under_way_finish(declare: Declare) -> None:
    begun: list[int] = []
    failed = threading.Event()

    async def handler(work: Work) -> None:
        begun.append(1)
        while len(begun) < 3:  # noqa: ASYNC110 - all have begun before one fails
            await asyncio.sleep(0.001)
        refuse_the_third(work)
        while not failed.is_set():  # noqa: ASYNC110 - the test lives in another thread
            await asyncio.sleep(0.001)

    known = declare(handler, kind=Kind.ASYNC)
    request = engine.hand_in(
        client_id=1, message_type=known.name, payloads=[{"n": n} for n in range(3)], error_policy=ErrorPolicy.HALT
    )

    with engine.running_worker(housekeeping=False) as worker:
        worker.drain(known.name)
        eventually(lambda: engine.counters_of(request) == {"open": 2, "failed": 1}, what="the failure")
        failed.set()
        eventually(lambda: engine.counters_of(request) == {"complete": 2, "failed": 1}, what="the others")


def test_proceed_on_error_goes_on(declare: Declare) -> None:
    request = carry_out(declare(refuse_the_third), [{"n": n} for n in range(10)])

    assert engine.counters_of(request) == {"complete": 9, "failed": 1}
    assert request.stopped_at is None


# ---------------------------------------------------------------- retries


def fail(work: Any) -> Any:
    raise RuntimeError("secret details")


def test_any_other_exception_is_internal_and_tried_again(declare: Declare) -> None:
    request = carry_out(declare(fail, policy=PATIENT))

    message = only_message(request)
    assert (message.status, message.attempts, message.errors) == (Status.QUEUED, 1, None)
    assert engine.counters_of(request) == {"open": 1}
    assert message.available_at
    assert message.available_at <= datetime.now(UTC) + timedelta(seconds=60)


def test_a_retry_comes_back_after_its_delay_and_may_succeed(declare: Declare) -> None:
    def fail_twice(work: Work) -> int:
        if work.attempt < 3:
            raise RuntimeError("not yet")
        return work.attempt

    known = declare(fail_twice, policy=Policy(attempts=3, first=0.02, ceiling=0.05, wish_ceiling=1.0))
    request = engine.hand_in(client_id=1, message_type=known.name)

    with engine.running_worker() as worker:  # housekeeping releases and wakes; this test is the consumer
        eventually(
            lambda: worker.drain(known.name) or engine.statuses_of(request) == [Status.COMPLETE], what="the third try"
        )

    message = only_message(request)
    assert (message.result, message.attempts) == ("3", 3)


def test_attempts_exhausted_is_failed_internal_with_a_neutral_text_and_all_of_it_in_the_log(
    declare: Declare, caplog: pytest.LogCaptureFixture
) -> None:
    request = carry_out(declare(fail, policy=ONCE))

    message = only_message(request)
    assert (message.status, message.failure_kind) == (Status.FAILED, FailureKind.INTERNAL)
    assert message.errors == [INTERNAL_TEXT]
    assert "secret" not in str(message.errors)
    assert "secret details" in caplog.text


def test_a_back_ends_wish_for_a_later_try_is_honoured(declare: Declare) -> None:
    def wish(work: Work) -> None:
        raise RetryLater("busy", after=1800.0)

    request = carry_out(declare(wish, policy=PATIENT))

    wait = only_message(request).available_at - datetime.now(UTC)  # type: ignore[operator]
    assert timedelta(seconds=1700) < wait <= timedelta(seconds=1800)


def test_too_slow_at_the_last_try_is_failed_timeout(declare: Declare) -> None:
    async def dawdle(work: Work) -> None:
        await asyncio.sleep(60)

    request = carry_out(declare(dawdle, kind=Kind.ASYNC, timeout=0.05, policy=ONCE))

    message = only_message(request)
    assert (message.status, message.failure_kind, message.errors) == (
        Status.FAILED,
        FailureKind.TIMEOUT,
        [TIMEOUT_TEXT],
    )


def test_too_slow_before_the_last_try_is_tried_again(declare: Declare) -> None:
    async def dawdle(work: Work) -> None:
        await asyncio.sleep(60)

    request = carry_out(declare(dawdle, kind=Kind.ASYNC, timeout=0.05, policy=PATIENT))

    assert only_message(request).status == Status.QUEUED


def test_a_back_ends_no_is_not_retried(declare: Declare) -> None:
    request = carry_out(declare(refuse_the_third, policy=PATIENT), [{"n": 2}])

    message = only_message(request)
    assert (message.status, message.attempts, message.errors) == (Status.FAILED, 1, ["not this one"])


def test_a_list_that_breaks_is_everybodys_failure(declare: Declare) -> None:
    request = carry_out(declare(fail, kind=Kind.BATCH, policy=ONCE), [{}] * 3)

    assert engine.counters_of(request) == {"failed": 3}


def test_a_list_with_the_wrong_number_of_answers_is_everybodys_failure(declare: Declare) -> None:
    request = carry_out(declare(lambda works: [1], kind=Kind.BATCH, policy=ONCE), [{}] * 3)

    assert engine.counters_of(request) == {"failed": 3}


def test_an_exception_in_place_of_a_lists_answer_is_that_messages(declare: Declare) -> None:
    def store(works: Sequence[Work]) -> list[Any]:
        return ["stored", RuntimeError("broken"), handlers.Rejected("no")]

    request = carry_out(declare(store, kind=Kind.BATCH, policy=ONCE), [{}] * 3)

    assert [(message.status, message.failure_kind) for message in engine.messages_of(request)] == [
        (Status.COMPLETE, None),
        (Status.FAILED, FailureKind.INTERNAL),
        (Status.FAILED, FailureKind.REJECTED),
    ]


def test_a_retry_behind_a_stop_becomes_cancelled(declare: Declare) -> None:
    def stop_and_fail(work: Work) -> None:
        stopping.cancel(client_id=1, request_id=work.request_id)
        raise RuntimeError("to be tried again")

    request = carry_out(declare(stop_and_fail, policy=PATIENT))

    message = only_message(request)
    assert (message.status, message.attempts) == (Status.CANCELLED, 1)


def test_a_message_released_from_its_retry_is_claimed_again_at_the_clock(declare: Declare) -> None:
    known = declare(fail, policy=PATIENT)
    request = carry_out(known)
    Message.objects.update(available_at=datetime.now(UTC) - timedelta(seconds=1))
    Lane.objects.update(clock=77)

    assert recovery.release_due_retries() == {known.name}

    message = only_message(request)
    assert (message.turn, message.available_at) == (78, None)


# ---------------------------------------------------------------- results


class Unfit:
    """Nothing that JSON could hold."""


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        (None, "null"),
        ({"text": "a\x00b"}, '{"text":"a\\u0000b"}'),
        (2**70, str(2**70)),
        ("\ud800", '"?"'),
        (handlers.JSONText('{"weight": 1.10}'), '{"weight": 1.10}'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    ],
    ids=["nothing", "NUL", "a large integer", "a lone surrogate", "JSON text as it is", "a UUID"],
)
def test_results_are_made_storable(declare: Declare, result: Any, kept: str) -> None:
    request = carry_out(declare(lambda work: result))

    message = only_message(request)
    assert (message.status, message.result) == (Status.COMPLETE, kept)


def test_what_came_in_may_go_out_however_large_it_is(settings: Settings) -> None:
    longest = settings.WAYBILL_MAX_BODY_BYTES - 100
    assert longest > settings.WAYBILL_MAX_ANSWER_BYTES

    request = engine.hand_in(client_id=1, message_type="Echo", payloads=[{"text": "x" * longest}])
    with engine.running_worker(housekeeping=False) as worker:
        engine.work_off(worker, "Echo")

    message = only_message(request)
    assert (message.status, message.result) == (Status.COMPLETE, message.payload)


def test_an_answer_within_the_bound_may_grow_when_it_becomes_json(httpserver: HTTPServer, settings: Settings) -> None:
    httpserver.expect_request("/").respond_with_data('"' * settings.WAYBILL_MAX_ANSWER_BYTES)
    backend_types.save("Quotes", {"url": httpserver.url_for("/"), "attempts": 1})
    known = handlers.find("Quotes")
    assert known is not None

    message = only_message(carry_out(known))

    assert (message.status, message.failure_kind) == (Status.COMPLETE, None)


@pytest.mark.parametrize("result", [Unfit(), "x" * 1001], ids=["no JSON", "too large"])
def test_a_result_that_cannot_be_kept_is_the_messages_own_failure(
    declare: Declare, settings: Settings, result: Any
) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 1000
    known = declare(lambda work: result if work.fields()["n"] == 1 else "fine", policy=ONCE)

    request = carry_out(known, [{"n": n} for n in range(3)])

    assert engine.statuses_of(request) == [Status.COMPLETE, Status.FAILED, Status.COMPLETE]
    assert engine.messages_of(request)[1].errors == [INTERNAL_TEXT]


def test_a_refusal_with_a_text_that_cannot_be_kept_is_mended(declare: Declare) -> None:
    def refuse(work: Work) -> None:
        raise handlers.Rejected("no\x00 \ud800!")

    request = carry_out(declare(refuse))

    assert only_message(request).errors == ["no\N{REPLACEMENT CHARACTER} ?!"]
