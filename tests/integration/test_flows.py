"""Services under concurrency, with real connections: of two changes that exclude each other, one wins."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from django.db import connection

from orchestrator import accounts, flows, idempotency, stopping
from orchestrator.lifecycle import Status
from orchestrator.models import Message, Request, Service, State, Task
from orchestrator.stages import SERVICE, Kind, Stage
from tests import engine, factories, flowing
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def race(*works: Callable[[], Any]) -> list[Any]:
    """Run functions at once, each with a connection of its own; return what each returned or raised."""
    ended: list[Any] = [None] * len(works)

    def noting(place: int, work: Callable[[], Any]) -> Callable[[], None]:
        def run() -> None:
            try:
                ended[place] = work()
            except Exception as error:  # noqa: BLE001 - it is what the race ended with
                ended[place] = type(error)

        return run

    with engine.at_once(*(noting(place, work) for place, work in enumerate(works))):
        pass
    return ended


_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def waiting_for_locks() -> int:
    return int(engine.ask(_WAITING))


# ---------------------------------------------------------------- two at once


def test_of_two_transitions_that_wait_for_the_same_state_one_wins(account: accounts.Account) -> None:
    """Both are at the door before either may look: the one that comes second finds the state ended."""
    call = flowing.begin(account, states=1)
    held, release = threading.Event(), threading.Event()

    def hold_the_request() -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM orchestrator_request WHERE id = %s FOR UPDATE", [call.service_id])
            held.set()
            release.wait(timeout=20)
            cursor.execute("COMMIT")

    def let_go_when_both_wait() -> None:
        assert held.wait(timeout=20)
        try:
            eventually(lambda: waiting_for_locks() >= 2, what="two transitions waiting")
        finally:
            release.set()

    def pass_on() -> int:
        assert held.wait(timeout=20)
        return flowing.transition(call)

    ended = race(pass_on, pass_on, hold_the_request, let_go_when_both_wait)[:2]

    assert sorted(map(str, ended)) == sorted(["1", str(flows.AlreadyEnded)])
    assert State.objects.filter(request_id=call.service_id, completed_at=None).count() == 1


@pytest.mark.parametrize("count", [2, 8])
def test_of_many_transitions_from_one_state_one_wins(account: accounts.Account, count: int) -> None:
    for _ in range(5):
        call = flowing.begin(account, states=1)

        ended = race(*[partial(flowing.transition, call)] * count)

        assert ended.count(1) == 1
        assert ended.count(flows.AlreadyEnded) == count - 1
        assert [state.completed_at is None for state in flowing.states_of(call)] == [False, True]


def test_an_end_and_a_transition_at_once(account: accounts.Account) -> None:
    for _ in range(5):
        call = flowing.begin(account, states=1)

        ended = race(partial(flowing.end, call, flowing.FIRST), partial(flowing.transition, call))

        assert ended.count(flows.AlreadyEnded) == 1
        assert ended in ([None, flows.AlreadyEnded], [flows.AlreadyEnded, 1])


def test_states_and_tasks_begun_at_once_have_numbers_of_their_own(account: accounts.Account) -> None:
    call = flowing.begin(account)

    ended = race(*[lambda: flowing.start_state(call)] * 5, *[lambda: flowing.start_task(call)] * 5)

    assert sorted(ended[:5]) == sorted(ended[5:]) == list(range(5))
    assert engine.counters_of(Request.objects.get()) == {"open": 5}


def test_nothing_stays_open_in_a_service_that_ends_meanwhile(account: accounts.Account) -> None:
    for _ in range(5):
        call = flowing.begin(account, states=1)

        race(
            partial(flowing.end, call),
            *[partial(flowing.start_task, call, 0)] * 3,
            partial(flowing.transition, call),
        )

        flowing.assert_over(call)


def test_a_service_that_is_deleted_meanwhile_leaves_nothing_behind(account: accounts.Account) -> None:
    for _ in range(5):
        call = flowing.begin(account, states=1)

        race(
            partial(flows.delete, call, answer=flowing.DONE),
            *[partial(flowing.start_task, call, 0)] * 3,
            partial(flowing.end, call, flowing.FIRST),
        )

        for model in (Service, State, Task, Message):
            assert not model.objects.exists()
        assert not Request.objects.exists()


def test_extensions_put_at_once_are_all_kept(account: accounts.Account) -> None:
    call = flowing.begin(account)
    names = [f"name{n}" for n in range(8)]

    def put(name: str) -> None:
        flows.put_extensions(call, SERVICE, given={name: msgspec.Raw(b"1")}, answer=flowing.DONE)

    race(*[partial(put, name) for name in names])

    kept = Service.objects.get().extensions
    assert all(f'"{name}"' in kept for name in names)


def test_one_key_begins_one_service_however_many_send_it(account: accounts.Account) -> None:
    key = idempotency.Key(client_id=account.id, text="k", route="POST /services/start", fingerprint=b"x" * 32)

    ended = race(*[lambda: flowing.begin(account, key=key).service_id] * 6)

    assert len(set(ended)) == 1
    assert Service.objects.count() == 1


def test_a_cancel_is_refused_while_tasks_are_ended(account: accounts.Account) -> None:
    call = flowing.begin(account)
    flowing.start_task(call)

    cancelled, _ = race(
        lambda: stopping.cancel(client_id=account.id, request_id=call.service_id),
        lambda: flowing.end(call, Stage(Kind.TASK, 0)),
    )

    assert cancelled is stopping.AlreadyFinished
    assert list(Message.objects.values_list("status", flat=True)) == [Status.COMPLETE]
