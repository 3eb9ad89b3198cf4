"""Waking a lane: at most one wake-up on its way, never an exception, never more than a moment."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import django.conf
import pytest
import redis
from django.core.cache import cache
from django.db import transaction
from kombu import Connection, pools
from pytest_django.fixtures import Settings

from config.embedded import processes
from orchestrator import dispatch
from orchestrator.models import Lane
from tests import engine, factories, servers

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = "redis://127.0.0.1:1/0"
"""Where no broker listens."""
A_MOMENT = 2 * django.conf.settings.WAYBILL_WAKE_PATIENCE + 0.5
"""Seconds: the cache and the broker may each take that long, and a busy machine its time."""


@pytest.fixture(autouse=True)
def _fresh_publisher() -> Iterator[None]:
    """No test finds the publisher resting, or bound to the broker of the test before."""
    forget()
    yield
    forget()


def forget() -> None:
    pools.reset()
    dispatch._producers.cache_clear()
    dispatch._broker_rest._until = dispatch._cache_rest._until = 0.0
    dispatch._queues._read_at = float("-inf")


def use_broker(settings: Settings, url: str) -> None:
    settings.BROKER_URL = url
    forget()


def use_cache(settings: Settings, url: str) -> None:
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": url}}


def test_who_adds_the_flag_publishes_the_wake_up() -> None:
    dispatch.wake("Echo")

    assert engine.wake_ups() == ["Echo"]
    assert cache.get("wake:Echo")


def test_who_finds_the_flag_publishes_nothing() -> None:
    for _ in range(5):
        dispatch.wake("Echo")

    assert engine.wake_ups() == ["Echo"]


def test_of_many_at_once_one_publishes() -> None:
    with engine.at_once(*[lambda: dispatch.wake("Echo")] * 8):
        pass

    assert engine.wake_ups() == ["Echo"]


def test_each_lane_has_its_own_flag() -> None:
    dispatch.wake_all(["Post", "Echo", "Post"])

    assert sorted(engine.wake_ups()) == ["Echo", "Post"]


def test_the_flag_falls_by_itself() -> None:
    dispatch.wake("Echo")

    with redis.Redis.from_url(os.environ["CACHE_URL"]) as client:
        [flag] = client.keys("*wake:Echo")
        assert 0 < client.ttl(flag) <= 5


def test_a_wake_up_carries_nothing_but_the_lanes_name() -> None:
    dispatch.wake("Echo")

    with redis.Redis.from_url(os.environ["BROKER_URL"]) as broker:
        [published] = broker.lrange("waybill", 0, -1)
    assert json.loads(published)["headers"]["task"] == "orchestrator.drain"
    assert len(published) < 1500


def test_a_lane_names_the_celery_queue_that_serves_it() -> None:
    Lane.objects.create(name="Heavy", queue="iron")

    dispatch.wake("Heavy")

    assert engine.wake_ups(on="iron") == ["Heavy"]
    assert engine.wake_ups() == []


def test_no_cache_means_publish(settings: Settings) -> None:
    use_cache(settings, NOBODY)

    dispatch.wake("Echo")
    dispatch.wake("Echo")

    assert engine.wake_ups() == ["Echo", "Echo"]


def test_a_publish_that_fails_deletes_the_flag(settings: Settings) -> None:
    use_broker(settings, NOBODY)

    dispatch.wake("Echo")

    assert cache.get("wake:Echo") is None


def test_a_dead_broker_costs_a_moment_and_no_exception(settings: Settings) -> None:
    use_broker(settings, NOBODY)
    use_cache(settings, NOBODY)

    began = time.monotonic()
    dispatch.wake("Echo")

    assert time.monotonic() - began < A_MOMENT


@pytest.mark.parametrize("connected", [True, False])
def test_a_broker_that_stands_still_costs_a_moment_and_no_exception(
    settings: Settings, tmp_path: Path, connected: bool
) -> None:
    with servers.throwaway_valkey(tmp_path) as (valkey, port):
        url = servers.valkey.url(password=servers.PASSWORD, port=port, database=0)
        use_broker(settings, url)
        use_cache(settings, url)
        if connected:
            dispatch.warm_up()
        valkey.process.send_signal(signal.SIGSTOP)

        began = time.monotonic()
        dispatch.wake("Echo")
        took = time.monotonic() - began

        valkey.process.send_signal(signal.SIGCONT)
        close_publisher()
    assert took < A_MOMENT


def close_publisher() -> None:
    """Let go of a broker that is about to end."""
    dispatch._producers().force_close_all()
    dispatch._producers().connections.force_close_all()


def test_after_a_failure_publishing_is_skipped_for_a_while(settings: Settings) -> None:
    good = settings.BROKER_URL
    settings.WAYBILL_PUBLISH_PAUSE = 60.0
    use_broker(settings, NOBODY)
    dispatch.wake("Echo")
    settings.BROKER_URL = good
    dispatch._producers.cache_clear()

    began = time.monotonic()
    for _ in range(100):
        dispatch.wake("Echo")

    assert time.monotonic() - began < A_MOMENT
    assert engine.wake_ups() == []
    assert cache.get("wake:Echo") is None  # the next wake after the pause must not meet a flag

    dispatch._broker_rest._until = time.monotonic()  # the pause is over
    dispatch.wake("Echo")

    assert engine.wake_ups() == ["Echo"]


def test_the_pause_after_a_failure_is_the_settings(settings: Settings) -> None:
    settings.WAYBILL_PUBLISH_PAUSE = 1.0
    use_broker(settings, NOBODY)

    dispatch.wake("Echo")

    assert 0.5 < dispatch._broker_rest._until - time.monotonic() <= 1.0


def test_the_first_publish_of_a_process_is_warmed_up() -> None:
    before = connections_to_the_broker()

    dispatch.warm_up()

    assert connections_to_the_broker() - before
    assert engine.wake_ups() == []


def connections_to_the_broker() -> set[str]:
    with redis.Redis.from_url(os.environ["BROKER_URL"]) as broker:
        us = str(broker.connection_pool.connection_kwargs["db"])
        here = broker.client_id()
        return {client["id"] for client in broker.client_list() if client["db"] == us and client["id"] != str(here)}


def test_a_lost_connection_to_the_broker_costs_one_wake_up_at_most(settings: Settings, tmp_path: Path) -> None:
    settings.WAYBILL_PUBLISH_PAUSE = 0.0
    port = processes.free_port()
    url = servers.valkey.url(password=servers.PASSWORD, port=port, database=0)
    use_broker(settings, url)
    (tmp_path / "first").mkdir()
    with servers.throwaway_valkey(tmp_path / "first", port=port):
        dispatch.wake_regardless("Echo")
    dispatch.wake_regardless("Echo")  # nobody there
    (tmp_path / "second").mkdir()

    with servers.throwaway_valkey(tmp_path / "second", port=port):
        taken = [dispatch.wake_regardless("Echo") for _ in range(3)]
        close_publisher()

    assert taken[1:] == [True, True]


def test_the_flag_falls_before_the_drain_claims() -> None:
    """So no commit can slip between: whoever commits after the claim finds no flag, and publishes."""
    engine.hand_in(client_id=factories.make_client().pk)
    dispatch.wake("Echo")
    flags_at_claims = []

    def note(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        if "FOR NO KEY UPDATE SKIP LOCKED" in sql:
            flags_at_claims.append(cache.get("wake:Echo"))
        return execute(sql, params, many, context)

    with engine.running_worker(housekeeping=False) as worker, transaction.get_connection().execute_wrapper(note):
        worker.drain("Echo")

    assert flags_at_claims
    assert not any(flags_at_claims)


@pytest.mark.parametrize("end", ["ack", "reject"])
def test_a_wake_up_can_be_ended_on_a_connection_that_has_died(end: str, settings: Settings) -> None:
    """The race: the broker goes while a drain runs; its wake-up is acknowledged when the connection has been closed."""
    with Connection(settings.BROKER_URL) as connection:
        queue = connection.SimpleQueue("of-this-test")
        queue.put({})
        wake_up = queue.get(timeout=5)
        wake_up.channel.close()

        getattr(wake_up, end)()

    assert wake_up.acknowledged
