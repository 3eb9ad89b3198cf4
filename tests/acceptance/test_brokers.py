"""Waybill on the brokers that companies run, each a real server from Debian's packages: Redis, and RabbitMQ."""

import time
from collections.abc import Callable, Iterator

import pytest

from orchestrator import accounts
from orchestrator.lifecycle import Status
from tests import factories
from tests.acceptance import brokers, hardship
from tests.acceptance.brokers import RabbitMQ, Redis
from tests.processes import WorkerProcess
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

# No sweep and no deaf exit helps out: what moves was woken through the broker.
BY_THE_BROKER_ALONE = {"WAYBILL_STALE_WAKE": "3600", "WAYBILL_DEAF_AFTER": "3600"}


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.debian("redis-server", "redis-server")),
        pytest.param("rabbitmq", marks=pytest.mark.debian("rabbitmq-server", "rabbitmq-server")),
    ],
)
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis | RabbitMQ]:
    with (
        brokers.running(request.param) as running,
        hardship.broker_in_use(monkeypatch, broker_url=running.url, cache_url=running.cache_url),
    ):
        yield running


def test_work_is_woken_through_it_and_goes_on_after_it_died_and_lost_everything(
    broker: Redis | RabbitMQ, worker_process: Callable[..., WorkerProcess]
) -> None:
    account = factories.make_account()
    workers = [worker_process(**BY_THE_BROKER_ALONE), worker_process(**BY_THE_BROKER_ALONE)]

    carry_out(account, requests=20)
    broker.kill()
    hardship.submit(account, ["Echo"] * 10)  # accepted, and its wake-up lost
    broker.start()
    eventually(lambda: went_through(account), within=60, what="a wake-up through the broker's new life")
    books = hardship.close_books()

    assert [worker.alive for worker in workers] == [True, True]
    assert books.by_status == {Status.COMPLETE: books.accepted}
    assert (books.attempts, books.unbalanced) == ({1: books.accepted}, [])


def carry_out(account: accounts.Account, *, requests: int) -> None:
    for _ in range(requests):
        hardship.submit(account, ["Echo"] * 10)
    eventually(lambda: not hardship.open_messages(), within=30, what="the end of what was woken")


def went_through(account: accounts.Account) -> bool:
    """Hand in one more, and look for a while whether everything ends: a wake-up may still be lost on the way up."""
    hardship.submit(account, ["Echo"])
    deadline = time.monotonic() + 3
    while hardship.open_messages() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not hardship.open_messages()
