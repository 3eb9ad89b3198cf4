"""What services leave in the ledger, whatever is done with them, and when the line to it breaks at COMMIT."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import accounts, changes, flows, spans
from orchestrator.changes import Call
from orchestrator.lifecycle import Status
from orchestrator.models import Message, Request, Service, Task
from orchestrator.stages import Kind, Stage
from tests import factories, flowing, lossy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


# ---------------------------------------------------------------- lines that break


def test_a_lost_answer_to_commit_is_looked_up_before_answering(account: accounts.Account) -> None:
    call = flowing.begin(account, states=1)

    with lossy.proxy(lose_answer_to=b"COMMIT") as line:
        number = flowing.transition(call)

    assert (line.lost, number) == (1, 1)
    assert len(flowing.states_of(call)) == 2


def test_a_commit_that_never_arrived_is_told(account: accounts.Account) -> None:
    call = flowing.begin(account, states=1)

    with lossy.proxy(lose=b"COMMIT") as line, pytest.raises(OperationalError):
        flowing.transition(call)

    assert line.lost == 1
    assert [state.completed_at for state in flowing.states_of(call)] == [None]


def test_a_service_whose_commit_was_answered_nowhere_is_found(account: accounts.Account) -> None:
    with lossy.proxy(lose_answer_to=b"COMMIT") as line:
        call = flowing.begin(account)

    assert line.lost == 1
    assert Service.objects.get().pk == call.service_id


# ---------------------------------------------------------------- whatever is done


MOVES: dict[str, Callable[[Call, int], Any]] = {
    "start a state": lambda call, _: flowing.start_state(call),
    "start a task": lambda call, _: flowing.start_task(call),
    "start a task of a state": flowing.start_task,
    "transition": flowing.transition,
    "end a state": lambda call, number: flowing.end(call, Stage(Kind.STATE, number)),
    "end a task": lambda call, number: flowing.end(call, Stage(Kind.TASK, number)),
    "end": lambda call, _: flowing.end(call),
}
REFUSALS = (flows.AlreadyEnded, flows.UnknownStage, changes.UnknownService)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.integers(0, 3)), max_size=12))
def test_the_ledger_adds_up_whatever_is_done(account: accounts.Account, moves: Sequence[tuple[str, int]]) -> None:
    call = flowing.begin(account)

    for move, number in moves:
        try:
            MOVES[move](call, number)
        except REFUSALS:
            continue

    request = Request.objects.get(id=call.service_id)
    messages = list(Message.objects.filter(request=request).order_by("number"))
    tasks = list(Task.objects.filter(request=request).order_by("number"))
    assert [message.number for message in messages] == [task.number for task in tasks] == list(range(request.total))
    assert [message.processed_at is None for message in messages] == [task.completed_at is None for task in tasks]
    assert request.open == sum(message.status == Status.PROCESSING for message in messages)
    assert request.complete == request.total - request.open
    for state in flowing.states_of(call):
        if state.completed_at is not None:
            assert not any(m.processed_at is None for m in messages if m.state_number == state.number)
    if Service.objects.get(request=request).completed_at is not None:
        flowing.assert_over(call)
    else:
        assert request.completed_at is None


def test_the_outcome_of_a_transaction_can_be_asked_for() -> None:
    def transaction_that(ends: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_current_xact_id()::text")
            name = str(cursor.fetchone()[0])
            cursor.execute(ends)
            return name

    assert spans.is_committed(transaction_that("COMMIT"))
    assert not spans.is_committed(transaction_that("ROLLBACK"))
