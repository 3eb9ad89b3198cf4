"""Orders when several ask at once, and what the network's answers bring about: real connections, real HTTP."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client as Browser
from pytest_httpserver import HTTPServer
from werkzeug import Request as Call
from werkzeug import Response

from orchestrator import accounts, database_errors, handlers, outcomes
from orchestrator.handlers import Kind
from orchestrator.models import Backend, Message, Request
from orders import network
from orders.models import AccessService, Order, OrderEvent, State
from tests import engine, factories, losses, lossy
from tests.api.calls import basic
from tests.ordering import ACCESS, SERVICE, activate, carry_out, events, get, make_access, place, post, wish
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    handlers.registry.expire()
    yield
    handlers.registry.expire()


@pytest.fixture
def account() -> accounts.Account:
    make_access()
    return factories.make_account()


def at_once(*posts: Callable[[], Any]) -> list[Any]:
    """Make the calls at the same moment, and return their answers in the calls' order."""
    answers: list[Any] = [None] * len(posts)

    def note(place: int, call: Callable[[], Any]) -> None:
        answers[place] = call()

    with engine.at_once(*(lambda place=place, call=call: note(place, call) for place, call in enumerate(posts))):
        pass
    return answers


# ---------------------------------------------------------------- several at once


def test_of_eight_orders_at_once_for_one_service_one_is_placed(account: accounts.Account) -> None:
    answers = at_once(*[lambda: post(account, wish())] * 8)

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["path"] for answer in answers}) == 1
    assert Order.objects.count() == Request.objects.count() == Message.objects.count() == 1


def test_of_two_providers_at_once_one_is_refused(account: accounts.Account) -> None:
    other = factories.make_account()

    answers = at_once(*[lambda: post(account, wish()), lambda: post(other, wish(forcedTakeover=True))] * 2)

    assert sorted(answer.status_code for answer in answers) == [200, 201, 400, 400]
    assert Order.objects.count() == 1


def test_of_two_services_of_one_type_at_once_one_is_refused(account: accounts.Account) -> None:
    make_access(services={"BB-100-100": "BB"})

    answers = at_once(lambda: post(account, wish()), lambda: post(account, wish(service="BB-100-100")))

    assert sorted(answer.status_code for answer in answers) == [201, 400]


def test_the_same_key_at_once_has_one_answer(account: accounts.Account) -> None:
    answers = at_once(*[lambda: post(account, wish(), **{"Idempotency-Key": "k"})] * 6)

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert Order.objects.count() == 1


def test_an_order_waits_for_the_end_of_the_one_before(account: accounts.Account) -> None:
    """Whoever asks while the outcome is being written is told what stands after it, not before."""
    path = place(account)

    answers = at_once(lambda: post(account, wish()), carry_out)

    assert answers[0].status_code == 200
    body = answers[0].json()
    assert body.get("path") == (path if body["state"] == "RECEIVED" else None)


def test_placing_and_finishing_in_each_others_way_leave_everything_in_order() -> None:
    """Four providers wish at random while two workers finish: no lock is lost, and what must hold always does."""
    names = [f"A{number}" for number in range(4)]
    make_access(*names, services={"BB-1": "BB", "BB-2": "BB", "TV-1": "TV"})
    providers = [factories.make_account() for _ in range(4)]
    placing_is_over = threading.Event()
    answers: list[int] = []

    def wish_at_random(provider: accounts.Account) -> None:
        for _ in range(25):
            fields = {"accessId": random.choice(names), "service": random.choice(["BB-1", "BB-2", "TV-1"])}
            if random.random() < 0.6:
                fields |= {"operation": "ACTIVATE", "forcedTakeover": random.random() < 0.5}
            else:
                fields |= {"operation": "DEACTIVATE"}
            answers.append(post(provider, wish(**fields)).status_code)

    def finish_what_waits() -> None:
        while not placing_is_over.is_set():
            database_errors.repeat_deadlocked(carry_out)(limit=5)

    with engine.at_once(*[finish_what_waits] * 2):
        with engine.at_once(*(lambda provider=provider: wish_at_random(provider) for provider in providers)):
            pass
        placing_is_over.set()
    while carry_out():
        pass

    assert set(answers) == {200, 201, 400}
    assert Order.objects.count() == OrderEvent.objects.count() == answers.count(201)
    assert not Order.objects.filter(state=State.RECEIVED).exists()
    held = AccessService.objects.filter(holder__isnull=False).values_list("access", "service_type")
    assert len(held) == len(set(held))


# ---------------------------------------------------------------- lost answers


def test_a_lost_answer_to_commit_is_looked_up(account: accounts.Account) -> None:
    handlers.find("Echo")  # the types are known: the line breaks at the order's own COMMIT
    accounts.find(account.client_id)

    with lossy.proxy(lose_answer_to=b"COMMIT") as line:
        answer = post(account, wish())

    assert line.lost
    assert answer.status_code == 201
    assert Order.objects.count() == 1


def test_a_flush_whose_commit_was_lost_on_the_way_back_tells_once(account: accounts.Account) -> None:
    place(account)
    batch = engine.claim(network.TYPE)
    ended = [engine.ended(message) for message in batch.messages]

    with lossy.proxy(lose_answer_to=b"COMMIT") as line, pytest.raises(Exception, match="connection"):
        outcomes.flush(ended)
    outcomes.flush(ended)

    assert line.lost
    assert len(events(account)) == 1


def test_an_order_that_brings_its_worker_down_is_condemned_and_told(account: accounts.Account) -> None:
    place(account)
    losses.lose(network.TYPE)

    for _ in range(3):
        losses.lose(network.TYPE, alone=True)

    [event] = events(account)
    assert (event["order"]["state"], event["order"]["message"]) == ("DONE_FAILED", "The message could not be processed")


# ---------------------------------------------------------------- the network


@pytest.fixture
def calls(httpserver: HTTPServer) -> list[Call]:
    """The calls that the network got; it refuses what asks for the truth."""
    got: list[Call] = []

    def answer(call: Call) -> Response:
        got.append(call)
        if "truth" in call.get_data(as_text=True):
            return Response('{"detail": "You can\'t handle the truth!"}', status=409)
        return Response("{}", content_type="application/json")

    httpserver.expect_request("/network", method="POST").respond_with_handler(answer)
    Backend.objects.create(message_type=network.TYPE, url=httpserver.url_for("/network"))
    handlers.registry.expire()
    return got


def work_off() -> None:
    with engine.running_worker() as worker:
        engine.work_off(worker, network.TYPE)


def test_the_network_gets_the_orders_fields_and_its_answer_counts(account: accounts.Account, calls: list[Call]) -> None:
    body = wish(spReference="å-4711", equipment=[{"vendorId": "a", "macAddress": "b"}])
    path = post(account, body).json()["path"]

    work_off()

    [call] = calls
    assert json.loads(call.get_data()) == body
    assert call.headers["Idempotency-Key"] == call.headers["Request-Id"] == path[-36:]
    assert call.headers["X-Message-Type"] == "Order"
    assert "X-External-Reference" not in call.headers
    assert get(account, path).json()["state"] == "DONE_SUCCESS"


def test_the_networks_refusal_becomes_the_orders_message(account: accounts.Account, calls: list[Call]) -> None:
    path = place(account, spReference="truth")

    work_off()

    assert get(account, path).json()["message"] == "You can't handle the truth!"
    assert len(events(account)) == len(calls) == 1


def test_a_back_end_leaves_the_door_the_only_one(account: accounts.Account, calls: list[Call]) -> None:
    found = handlers.find(network.TYPE)

    answer = Browser().post(
        "/api/v1/requests",
        {"batchReference": "b", "payload": [{"messageType": "Order", "externalReference": "1", **wish()}]},
        content_type="application/json",
        headers=basic(account.client_id),
    )

    assert found is not None
    assert (found.kind, found.doors) == (Kind.HTTP, {network.DOOR})
    assert answer.status_code == 403
    assert not calls


def test_a_back_ends_schema_refuses_at_the_door(account: accounts.Account) -> None:
    schema = {"required": ["equipment"]}
    Backend.objects.create(message_type=network.TYPE, url="http://network/", schema=schema)
    handlers.registry.expire()

    answer = post(account, wish())

    assert answer.status_code == 400
    assert "equipment" in answer.json()["cause"]
    assert not Request.objects.exists()
    assert not Order.objects.exists()


def test_without_a_back_end_an_order_waits_and_then_fails_with_a_clear_log(
    account: accounts.Account, caplog: pytest.LogCaptureFixture
) -> None:
    path = place(account)

    with engine.running_worker() as worker:
        eventually(lambda: _drained_and_final(worker), within=60, what="the last try")

    assert "no back end carries orders out: set one with `manage.py backend Order --url" in caplog.text
    assert get(account, path).json()["message"] == "The message could not be processed"
    assert AccessService.objects.get(access=ACCESS, service=SERVICE).holder is None


def _drained_and_final(worker: Any) -> bool:
    engine.work_off(worker, network.TYPE)
    return OrderEvent.objects.exists()


def test_a_back_end_that_comes_in_time_carries_the_waiting_order_out(
    account: accounts.Account, httpserver: HTTPServer
) -> None:
    path = place(account)
    work_off()
    waiting = get(account, path).json()["state"]

    httpserver.expect_request("/network").respond_with_json({})
    Backend.objects.create(message_type=network.TYPE, url=httpserver.url_for("/network"))
    handlers.registry.expire()
    with engine.running_worker() as worker:
        eventually(lambda: _drained_and_final(worker), within=60, what="the next try")

    assert waiting == "RECEIVED"
    assert get(account, path).json()["state"] == "DONE_SUCCESS"


def test_activation_and_takeover_set_who_holds_the_service(account: accounts.Account) -> None:
    other = factories.make_account()
    holders = []

    for provider, fields in ((account, {}), (other, {"forcedTakeover": True}), (other, {"operation": "DEACTIVATE"})):
        activate(provider, **fields)
        holders.append(AccessService.objects.get(access=ACCESS, service=SERVICE).holder_id)

    assert holders == [account.id, other.id, None]
