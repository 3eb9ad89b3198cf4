"""How often a client may call: counted in the cache, told by header fields, refused in each window's own error body."""

import re
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client as Browser

from orchestrator import accounts, clients, rates
from tests import engine, factories
from tests.api.calls import basic

pytestmark = pytest.mark.django_db

NATIVE = {"Accept": "application/vnd.hmrc.1.0+json"}
STATUS = "/api/v3/global/call/{0}"


@pytest.fixture(autouse=True)
def _rested() -> Iterator[None]:
    rates._rest._until = float("-inf")
    yield
    rates._in_cache.cache_clear()
    rates._rest._until = float("-inf")


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def get(account: accounts.Account, path: str, **headers: str) -> Any:
    return Browser().get(path, headers=basic(account.client_id) | headers)


def test_a_client_is_told_where_it_stands_and_refused_beyond_it(
    account: accounts.Account, settings: LazySettings
) -> None:
    settings.WAYBILL_CLIENT_RATE = "3/hour"
    path = f"/api/v1/requests/{engine.hand_in(client_id=account.id).pk}"

    answers = [get(account, path) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"client";q=3;w=3600'}
    standings = [re.fullmatch(r'"client";r=(\d+);t=(\d+)', answer["RateLimit"]) for answer in answers]
    assert [standing and int(standing[1]) for standing in standings] == [2, 1, 0, 0]
    assert 1 <= int(answers[3]["Retry-After"]) <= 3600
    assert answers[3].json() == {
        "data": None,
        "errors": [{"errorMessage": "You may call 3 times in 3600 seconds"}],
        "success": False,
    }


def test_the_first_answer_of_a_fresh_client_tells_the_whole_window(settings: LazySettings) -> None:
    """It was told 1 s when count and look fell into one millisecond of the cache's clock: hence so many."""
    rate = rates.parse("10/hour")
    assert rate is not None

    counted = [rates.count(rate, "client", uuid.uuid4().hex) for _ in range(100)]

    standings = [standing for standing in counted if standing is not None]  # a slow machine's cache may be away
    assert {standing.remaining for standing in standings} == {9}
    assert all(3_500 <= standing.reset <= 3_600 for standing in standings)


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("post", "/api/v1/tracking", {}, {"success": False}),
        ("get", STATUS.format("4711"), {}, {"errorCode": "GLOBAL_1001"}),
        ("get", "/services/4711/states", {}, {"exception": "TooManyRequestsException"}),
        ("get", "/api/2.3.1/orderevents/", {}, {"cause": "You may call 1 time in 3600 seconds"}),
        ("post", "/native-app/CS700100A/startup", NATIVE, {"status": {"code": "throttle"}}),
    ],
)
def test_every_window_refuses_in_its_own_words(
    account: accounts.Account, settings: LazySettings, method: str, path: str, headers: dict[str, str], body: Any
) -> None:
    settings.WAYBILL_CLIENT_RATE = "1/hour"
    get(account, "/api/v1/requests/4711")

    answer = getattr(Browser(), method)(path, headers=basic(account.client_id) | headers)

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) >= 1
    assert body.items() <= answer.json().items()


def test_a_refusal_of_another_kind_tells_no_less(account: accounts.Account, settings: LazySettings) -> None:
    """A 404 costs a call, too, though it is no answer of the view's own."""
    settings.WAYBILL_CLIENT_RATE = "2/hour"

    answers = [get(account, "/api/v1/requests/4711") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert [answer["RateLimit"].split(";")[1] for answer in answers] == ["r=1", "r=0", "r=0"]


def test_a_client_may_have_a_rate_of_its_own_or_none(settings: LazySettings) -> None:
    settings.WAYBILL_CLIENT_RATE = "1/hour"
    often, always = factories.make_account(), factories.make_account()
    clients.save(often.client_id, {"rate_limit": "2/hour"})
    clients.save(always.client_id, {"rate_limit": rates.UNLIMITED})

    statuses = [[get(one, "/api/v1/requests/1").status_code for _ in range(4)] for one in (often, always)]

    assert statuses == [[404, 404, 429, 429], [404] * 4]
    assert "RateLimit" not in get(always, "/api/v1/requests/1")


def test_each_client_is_counted_by_itself(settings: LazySettings) -> None:
    settings.WAYBILL_CLIENT_RATE = "1/hour"

    answers = [get(factories.make_account(), "/api/v1/requests/1") for _ in range(3)]

    assert {answer.status_code for answer in answers} == {404}


def test_without_a_rate_nothing_is_told_or_counted(account: accounts.Account) -> None:
    answer = get(account, f"/api/v1/requests/{engine.hand_in(client_id=account.id).pk}")

    assert answer.status_code == 200
    assert "RateLimit" not in answer
    assert not rates._in_cache.cache_info().currsize


def test_while_the_cache_is_away_calls_go_through_at_the_cost_of_one_try_a_second(
    account: accounts.Account, settings: LazySettings
) -> None:
    """A server that accepts and never answers is the slowest way to be away."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings.CACHE_URL = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        settings.WAYBILL_CLIENT_RATE = "1/hour"
        rates._in_cache.cache_clear()
        request = engine.hand_in(client_id=account.id)
        get(account, "/api/v1/requests/1")  # the first one pays

        began = time.monotonic()
        answers = [get(account, f"/api/v1/requests/{request.pk}") for _ in range(5)]

    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit" not in answers[0]
    assert time.monotonic() - began < 1


def test_one_count_of_a_deaf_cache_is_bounded(settings: LazySettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        settings.CACHE_URL = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        rates._in_cache.cache_clear()
        rate = rates.parse("1/hour")
        assert rate is not None

        began = time.monotonic()

        assert rates.count(rate, "client", "somebody") is None
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("text", ["often", "0/hour", "5", "5/fortnight", "-1/hour", "5/minute;1/second"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(clients.Refused, match="not a rate"):
        clients.save("somebody", {"rate_limit": text})
