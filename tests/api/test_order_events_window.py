"""Order events: GET /api/2.3.1/orderevents/, whole and since an event."""

import uuid
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client as Browser

from config.embedded.processes import free_port
from orchestrator import accounts, stopping
from orchestrator.models import Scope
from orchestrator.outcomes import Ending
from tests import engine, factories
from tests.api.calls import basic
from tests.ordering import (
    ACCESS,
    EVENTS,
    SERVICE,
    activate,
    carry_out,
    events,
    fill_feed,
    get,
    make_access,
    place,
    post,
    read_list,
    wish,
)

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = "Port is too busy for you. You can't handle the truth!"


@pytest.fixture
def account() -> accounts.Account:
    make_access()
    return factories.make_account()


def test_finished_orders_are_told_as_in_the_document(account: accounts.Account) -> None:
    make_access("STTA0002")
    activate(account)
    done = place(account, operation="DEACTIVATE")
    carry_out()
    failed = place(account, accessId="STTA0002")
    carry_out(ending=Ending.REJECTED, error=REFUSED)

    _, first, second = events(account)

    assert first == {
        "event": first["event"],
        "order": {
            "path": done,
            "accessId": ACCESS,
            "service": SERVICE,
            "operation": "DEACTIVATE",
            "state": "DONE_SUCCESS",
            "message": "",
        },
    }
    assert second["order"] == {
        "path": failed,
        "accessId": "STTA0002",
        "service": SERVICE,
        "operation": "ACTIVATE",
        "state": "DONE_FAILED",
        "message": REFUSED,
    }
    assert events(account, since=first["event"]) == [second]
    assert events(account, since=second["event"]) == []


def test_nothing_finished_is_an_empty_list(account: accounts.Account) -> None:
    place(account)

    assert get(account, EVENTS).content == b"[]"


@pytest.mark.parametrize(
    ("ending", "error", "state", "message"),
    [
        (Ending.COMPLETE, None, "DONE_SUCCESS", ""),
        (Ending.REJECTED, "No such port", "DONE_FAILED", "No such port"),
        (Ending.FAILED, None, "DONE_FAILED", "The message could not be processed"),
        (Ending.TIMED_OUT, None, "DONE_FAILED", "The message was not processed in time"),
        (Ending.SKIPPED, None, "DONE_FAILED", "Cancelled"),
    ],
)
def test_each_end_has_its_word_in_the_order_and_in_its_event(
    account: accounts.Account, ending: Ending, error: str | None, state: str, message: str
) -> None:
    path = place(account)

    carry_out(ending=ending, error=error)

    [event] = events(account)
    order = get(account, path).json()
    assert (order["state"], order["message"]) == (state, message)
    assert event["order"] == order


def test_an_order_that_is_tried_again_has_no_event_yet(account: accounts.Account) -> None:
    path = place(account)

    carry_out(ending=Ending.RETRY)

    assert events(account) == []
    assert get(account, path).json()["state"] == "RECEIVED"


def test_an_order_that_is_cancelled_at_another_door_is_told(account: accounts.Account) -> None:
    path = place(account)

    answer = Browser().post(f"/api/v1/requests/{path[-36:]}/cancel", headers=basic(account.client_id))

    [event] = events(account)
    assert answer.status_code == 200
    assert (event["order"]["state"], event["order"]["message"]) == ("DONE_FAILED", "Cancelled")
    assert post(account, wish()).status_code == 201


def test_an_order_that_expires_is_told(account: accounts.Account) -> None:
    place(account)
    engine.run("UPDATE orchestrator_request SET deadline_at = now() - interval '1 second'")

    stopping.expire_overdue()

    assert [event["order"]["message"] for event in events(account)] == ["Cancelled"]


def test_everything_in_a_text_comes_out_as_it_went_in(account: accounts.Account) -> None:
    odd = 'quote " backslash \\ newline \n tab \t å 🚚 </script> {}'
    make_access(services={'BB "100\\10" å': "BB"})
    place(account, service='BB "100\\10" å')

    carry_out(ending=Ending.REJECTED, error=odd)

    [event] = events(account)
    assert event["order"]["message"] == odd
    assert event["order"]["service"] == 'BB "100\\10" å'


# ---------------------------------------------------------------- since, and whose events


@pytest.mark.parametrize(
    "since", ["", "1", "cc537e54-e59c-11e3-a593-3c970e806452", "x" * 1000, "%00", "{}", "null", "%F0%9F%9A%9A"]
)
def test_a_since_that_is_none_of_yours_is_refused(account: accounts.Account, since: str) -> None:
    activate(account)

    answer = get(account, f"{EVENTS}?since={since}")

    assert answer.status_code == 400
    assert answer.json() == {"cause": "since: you have no event of this id"}


def test_a_position_is_no_since(account: accounts.Account) -> None:
    activate(account)

    assert get(account, f"{EVENTS}?since=1").status_code == 400


def test_unknown_parameters_are_ignored_and_of_two_the_last_counts(account: accounts.Account) -> None:
    activate(account)
    [event] = events(account)

    assert read_list(get(account, f"{EVENTS}?page=2&since={uuid.uuid4()}&since={event['event']}")) == []


def test_only_ones_own_events_are_told(account: accounts.Account) -> None:
    other = factories.make_account()
    activate(account)
    place(other, forcedTakeover=True)
    carry_out()

    [mine], [theirs] = events(account), events(other)

    assert mine["event"] != theirs["event"]
    assert mine["order"]["path"] != theirs["order"]["path"]
    assert get(other, f"{EVENTS}?since={mine['event']}").status_code == 400


def test_event_ids_are_unique_over_all_clients(account: accounts.Account) -> None:
    other = factories.make_account()
    fill_feed(account.id, 100)
    fill_feed(other.id, 100)

    told = [event["event"] for event in events(account) + events(other)]

    assert len(set(told)) == 200
    assert all(uuid.UUID(event) for event in told)


# ---------------------------------------------------------------- refusals in the family's words


@pytest.fixture
def ledger_away() -> Iterator[None]:
    known = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = free_port()
    yield
    connection.close()
    connection.settings_dict["PORT"] = known


def test_every_refusal_is_a_cause(account: accounts.Account) -> None:
    writer = factories.make_account(scopes=[Scope.ORDERS_WRITE])
    answers = {
        401: Browser().get(EVENTS),
        403: get(writer, EVENTS),
        405: Browser().post(EVENTS, headers=basic(account.client_id)),
    }

    for status, answer in answers.items():
        assert answer.status_code == status
        assert set(answer.json()) == {"cause"}


@pytest.mark.usefixtures("ledger_away")
@pytest.mark.parametrize(
    "path", [EVENTS, "/api/2.3.1/orders/01a20081-2ae6-7cca-98e6-52e0e173a708", "/api/2.3.1/accesses"]
)
def test_without_the_ledger_the_cause_is_503(path: str) -> None:
    answer = Browser().get(path, headers=basic("anybody"))

    assert (answer.status_code, set(answer.json())) == (503, {"cause"})
    assert answer["Retry-After"]
