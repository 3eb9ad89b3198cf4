"""Orders: POST /api/2.3.1/orders/ with every answer, GET of one, and the accesses."""

import json
import uuid
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from orchestrator import accounts
from orchestrator.models import Message, Request
from orchestrator.outcomes import Ending
from orders.models import Order
from tests import factories
from tests.ordering import (
    ACCESS,
    ORDERS,
    SERVICE,
    activate,
    carry_out,
    get,
    make_access,
    place,
    post,
    wish,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> accounts.Account:
    make_access()
    return factories.make_account()


@pytest.fixture
def other() -> accounts.Account:
    return factories.make_account()


# ---------------------------------------------------------------- accepted


def test_an_order_is_accepted_and_can_be_looked_at(account: accounts.Account) -> None:
    answer = post(account, wish(spReference="customer 4711"))

    order_id = answer["Request-Id"]
    expected = {
        "path": f"/api/2.3.1/orders/{order_id}",
        "accessId": ACCESS,
        "service": SERVICE,
        "operation": "ACTIVATE",
        "state": "RECEIVED",
        "message": "",
    }
    assert answer.status_code == 201
    assert answer.json() == expected
    assert answer["Location"] == expected["path"]
    assert parsedate_to_datetime(answer["Last-Modified"])
    looked_at = get(account, expected["path"])
    assert (looked_at.status_code, looked_at.json()) == (200, expected)
    assert looked_at["Last-Modified"] == answer["Last-Modified"]


def test_an_order_is_a_request_of_one_message_whose_fields_the_network_gets(account: accounts.Account) -> None:
    equipment = [{"vendorId": "0013C3", "macAddress": "00:13:C3:0A:1B:2C"}]
    body = wish(spReference="customer 4711", equipment=equipment, sandbox={"delay": 0})

    answer = post(account, body)

    request = Request.objects.get(id=answer["Request-Id"])
    message = Message.objects.get(request=request)
    assert (request.door, request.batch_reference, request.types) == ("orders", "customer 4711", ["Order"])
    assert (message.id, message.external_reference) == (request.id, None)
    assert json.loads(message.payload) == body


def test_a_field_that_comes_twice_is_one_for_us_and_for_the_network(account: accounts.Account) -> None:
    answer = post(account, '{"accessId": "NO", "operation": "DEACTIVATE", ' + json.dumps(wish())[1:])

    assert answer.status_code == 201
    assert json.loads(Message.objects.get().payload) == wish()
    assert Message.objects.get().payload.count("accessId") == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"equipment": []}, 201),
        ({"spReference": ""}, 201),
        ({"spReference": "å" * 255}, 201),
        ({"forcedTakeover": True}, 201),
        ({"nobody": {"knows": "this"}}, 201),
    ],
)
def test_what_is_optional_may_be_there(account: accounts.Account, fields: dict[str, Any], status: int) -> None:
    assert post(account, wish(**fields)).status_code == status


# ---------------------------------------------------------------- nothing to do, or not now


@pytest.mark.parametrize("operation", ["ACTIVATE", "DEACTIVATE"])
def test_while_an_order_is_under_way_it_is_the_answer_whatever_the_operation(
    account: accounts.Account, operation: str
) -> None:
    first = post(account, wish())

    again = post(account, wish(operation=operation))

    assert again.status_code == 200
    assert again.json() == first.json()
    assert again["Request-Id"] == first["Request-Id"]
    assert Order.objects.count() == Request.objects.count() == 1


def test_another_providers_order_under_way_is_refused(account: accounts.Account, other: accounts.Account) -> None:
    place(account)

    answers = [post(other, wish(forcedTakeover=True)), post(other, wish(operation="DEACTIVATE"))]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert "still being carried out" in answers[0].json()["cause"]


def test_what_is_as_wished_is_done_without_an_order(account: accounts.Account) -> None:
    inactive = post(account, wish(operation="DEACTIVATE"))
    activate(account)
    active = post(account, wish())

    for answer, operation in ((inactive, "DEACTIVATE"), (active, "ACTIVATE")):
        assert answer.status_code == 200
        assert answer.json() == {
            "accessId": ACCESS,
            "service": SERVICE,
            "operation": operation,
            "state": "DONE_SUCCESS",
            "message": "",
        }
        assert "Location" not in answer
    assert Order.objects.count() == Request.objects.count() == 1


def test_a_failed_activation_leaves_the_service_inactive(account: accounts.Account) -> None:
    path = place(account)
    carry_out(ending=Ending.REJECTED, error="Port is too busy for you. You can't handle the truth!")

    answer = get(account, path).json()

    assert answer["state"] == "DONE_FAILED"
    assert answer["message"] == "Port is too busy for you. You can't handle the truth!"
    assert post(account, wish(operation="DEACTIVATE")).status_code == 200
    assert post(account, wish()).status_code == 201


def test_a_service_goes_on_and_off(account: accounts.Account) -> None:
    for operation in ("ACTIVATE", "DEACTIVATE", "ACTIVATE"):
        path = activate(account, operation=operation)
        assert get(account, path).json()["state"] == "DONE_SUCCESS"


# ---------------------------------------------------------------- whose service it is


def test_a_service_held_by_another_provider_is_refused(account: accounts.Account, other: accounts.Account) -> None:
    activate(account)

    answers = [post(other, wish()), post(other, wish(operation="DEACTIVATE"))]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json() == {"cause": f"Service '{SERVICE}' is active for another provider."}


def test_a_forced_takeover_moves_the_service_and_the_losers_orders_behave(
    account: accounts.Account, other: accounts.Account
) -> None:
    activate(account)

    taken = post(other, wish(forcedTakeover=True))
    before = post(account, wish(operation="DEACTIVATE"))
    carry_out()

    assert (taken.status_code, before.status_code) == (201, 400)
    assert post(other, wish()).status_code == 200
    assert post(account, wish()).status_code == 400
    assert post(account, wish(operation="DEACTIVATE")).status_code == 400
    assert post(account, wish(forcedTakeover=True)).status_code == 201


def test_a_forced_takeover_that_fails_takes_nothing(account: accounts.Account, other: accounts.Account) -> None:
    activate(account)
    place(other, forcedTakeover=True)
    carry_out(ending=Ending.REJECTED, error="No")

    assert post(account, wish()).status_code == 200
    assert post(other, wish()).status_code == 400


@pytest.mark.parametrize("forced", [True, False])
def test_another_service_of_the_type_must_not_be_active(account: accounts.Account, forced: bool) -> None:
    make_access(services={"BB-100-100": "BB", "TV-1": "TV"})
    activate(account)

    answer = post(account, wish(service="BB-100-100", forcedTakeover=forced))

    assert answer.status_code == 400
    assert answer.json() == {"cause": "Another Service of ServiceType 'BB' is already active."}
    assert post(account, wish(service="TV-1")).status_code == 201
    assert post(account, wish(service="BB-100-100", operation="DEACTIVATE")).status_code == 200


def test_another_service_of_the_type_must_not_be_under_way(account: accounts.Account) -> None:
    make_access(services={"BB-100-100": "BB"})
    place(account)

    answer = post(account, wish(service="BB-100-100"))

    assert (answer.status_code, answer.json()["cause"]) == (
        400,
        "Another Service of ServiceType 'BB' is being activated.",
    )


# ---------------------------------------------------------------- keys


def test_the_same_key_has_the_first_answer_again(account: accounts.Account) -> None:
    first = post(account, wish(), **{"Idempotency-Key": "k"})
    carry_out()
    make_access("STTA0002")

    again = post(account, dict(reversed(wish().items())), **{"Idempotency-Key": "k"})
    other_body = post(account, wish(accessId="STTA0002"), **{"Idempotency-Key": "k"})

    assert (again.status_code, again.json()) == (201, first.json())
    assert again["Idempotent-Replayed"] == "true"
    assert (again["Request-Id"], again["Location"]) == (first["Request-Id"], first["Location"])
    assert (other_body.status_code, set(other_body.json())) == (422, {"cause"})


def test_an_answer_without_an_order_is_kept_too_and_a_refusal_is_not(account: accounts.Account) -> None:
    done = post(account, wish(operation="DEACTIVATE"), **{"Idempotency-Key": "done"})
    refused = post(account, wish(service="BB-2"), **{"Idempotency-Key": "no"})
    activate(account)
    make_access(services={"BB-2": "other"})

    assert post(account, wish(operation="DEACTIVATE"), **{"Idempotency-Key": "done"}).json() == done.json()
    assert refused.status_code == 400
    assert post(account, wish(service="BB-2"), **{"Idempotency-Key": "no"}).status_code == 201


# ---------------------------------------------------------------- looking at one


def test_an_order_that_is_unknown_foreign_or_malformed_is_404(
    account: accounts.Account, other: accounts.Account
) -> None:
    path = place(account)

    wanted = [path, f"{ORDERS}{uuid.uuid4()}", f"{ORDERS}1", f"{path}0", f"{ORDERS}{{{path[-36:]}}}"]
    answers = [get(other, one) for one in wanted]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert [answer.json() for answer in answers] == [{"cause": "You have no order of this id"}] * 5
    assert get(account, path.upper().replace("/API/2.3.1/ORDERS", "/api/2.3.1/orders")).status_code == 200


def test_last_modified_moves_with_the_state(account: accounts.Account) -> None:
    path = activate(account)
    order = Order.objects.get()

    answer = get(account, path)

    assert order.finished_at is not None
    assert parsedate_to_datetime(answer["Last-Modified"]) == order.finished_at.replace(microsecond=0)
