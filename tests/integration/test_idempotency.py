"""An idempotency key: one unit of work, whatever it creates, for any number of calls."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from orchestrator import idempotency
from orchestrator.idempotency import Answer, Key
from orchestrator.models import IdempotencyRecord, Lane
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def make_key(text: str = "key", *, body: bytes = b'{"a": 1}', path: str = "/things") -> Key:
    return idempotency.make_key(header=text, client_id=1, method="POST", path=path, body=body)


def create(name: str) -> Answer:
    """A unit of work of a door: it creates a row, here a lane."""
    Lane.objects.create(name=name, queue="waybill")
    return Answer(status=201, body=name.encode(), headers={"Location": f"/things/{name}"})


def once(key: Key | None, work: Callable[[], Answer]) -> Answer:
    return idempotency.answer_once(key=key, work=work, stands=lambda: False)


def in_thread(pool: ThreadPoolExecutor, call: Callable[[], Any]) -> Any:
    def run() -> Any:
        try:
            return call()
        finally:
            connection.close()

    return pool.submit(run)


def waiting_for_a_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def age(by: timedelta) -> None:
    IdempotencyRecord.objects.update(created_at=timezone.now() - by)


def test_the_work_is_done_once_and_its_answer_given_again() -> None:
    first = once(make_key(), lambda: create("one"))

    again = once(make_key(body=b'{ "a":1}', path="/things/"), lambda: create("two"))

    assert (first.status, first.body, dict(first.headers)) == (201, b"one", {"Location": "/things/one"})
    assert (again.status, again.body, again.replayed) == (201, b"one", True)
    assert again.headers == {"Location": "/things/one", "Idempotent-Replayed": "true"}
    assert list(Lane.objects.values_list("name", flat=True)) == ["one"]


def test_without_a_key_the_work_is_done_each_time() -> None:
    once(None, lambda: create("one"))
    once(None, lambda: create("two"))

    assert Lane.objects.count() == 2
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.parametrize("body", [b'{"a": 2}', b'{"a": 1.0}', b"", b'{"a": "1"}'])
def test_another_value_is_refused(body: bytes) -> None:
    once(make_key(), lambda: create("one"))

    with pytest.raises(idempotency.KeyReused):
        once(make_key(body=body), lambda: create("two"))

    assert Lane.objects.count() == 1


def test_a_refusal_frees_the_key_and_undoes_the_work() -> None:
    def refuse() -> Answer:
        create("one")
        raise LookupError

    with pytest.raises(LookupError):
        once(make_key(), refuse)

    assert not Lane.objects.exists()
    assert not once(make_key(body=b"[]"), lambda: create("two")).replayed


def test_an_expired_key_is_taken_over(settings: LazySettings) -> None:
    once(make_key(), lambda: create("one"))
    age(timedelta(hours=settings.WAYBILL_IDEMPOTENCY_HOURS))

    assert idempotency.find(make_key()) is None
    assert not once(make_key(body=b"[]"), lambda: create("two")).replayed
    assert once(make_key(body=b"[]"), lambda: create("three")).body == b"two"


def test_an_expired_key_is_taken_over_by_one_of_eight_at_once() -> None:
    once(make_key(), lambda: create("expired"))
    age(timedelta(days=2))
    barrier = threading.Barrier(8)

    def take_over(number: int) -> Answer:
        connection.ensure_connection()
        barrier.wait(timeout=10)
        return once(make_key(), lambda: create(str(number)))

    with ThreadPoolExecutor(8) as pool:
        taken = [in_thread(pool, partial(take_over, number)) for number in range(8)]
        answers = [one.result() for one in taken]

    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    assert len({answer.body for answer in answers}) == 1
    assert Lane.objects.count() == 2


def test_the_others_wait_until_the_first_is_stored() -> None:
    may_finish = threading.Event()

    def slowly() -> Answer:
        assert may_finish.wait(10)
        return create("one")

    with ThreadPoolExecutor(2) as pool:
        first = in_thread(pool, lambda: once(make_key(), slowly))
        eventually(first.running)
        second = in_thread(pool, lambda: once(make_key(), slowly))
        eventually(waiting_for_a_lock, what="one waiting for the other")
        may_finish.set()

        answers = [first.result(), second.result()]

    assert sorted(answer.replayed for answer in answers) == [False, True]
    assert [answer.body for answer in answers] == [b"one", b"one"]


def test_when_the_first_fails_the_one_that_waited_takes_its_turn() -> None:
    may_fail = threading.Event()

    def fail() -> Answer:
        assert may_fail.wait(10)
        raise LookupError

    with ThreadPoolExecutor(2) as pool:
        first = in_thread(pool, lambda: once(make_key(), fail))
        eventually(lambda: keys_being_written() == 1)
        second = in_thread(pool, lambda: once(make_key(), lambda: create("two")))
        eventually(waiting_for_a_lock, what="one waiting for the other")
        may_fail.set()

        assert isinstance(first.exception(), LookupError)
        assert (second.result().body, second.result().replayed) == (b"two", False)


def keys_being_written() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE relation = 'orchestrator_idempotencyrecord'::regclass"
            " AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_whoever_has_waited_long_enough_is_told_to_come_again(settings: LazySettings) -> None:
    settings.WAYBILL_IDEMPOTENCY_WAIT_SECONDS = 0.1
    may_finish = threading.Event()

    def slowly() -> Answer:
        assert may_finish.wait(10)
        return create("one")

    with ThreadPoolExecutor(1) as pool:
        first = in_thread(pool, lambda: once(make_key(), slowly))
        eventually(lambda: keys_being_written() == 1)

        with pytest.raises(idempotency.KeyBusy):
            once(make_key(), lambda: create("two"))
        may_finish.set()

        assert first.result().body == b"one"
    assert once(make_key(), lambda: create("two")).body == b"one"


def test_the_bound_of_the_wait_ends_with_the_transaction() -> None:
    once(make_key(), lambda: create("one"))

    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize("header", ["", "x" * 256, "a b", "tab\t", "é", "\x00"])
def test_a_key_is_visible_ascii_of_bounded_length(header: str) -> None:
    with pytest.raises(idempotency.BadKey):
        make_key(header)


def test_the_purge_deletes_the_expired_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_PURGED_AT_ONCE", 2)
    for number in range(5):
        once(make_key(str(number)), partial(create, str(number)))
    age(timedelta(hours=25))
    once(make_key("young"), lambda: create("young"))

    assert idempotency.purge() == 5

    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["young"]
