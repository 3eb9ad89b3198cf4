"""Orders that are refused: each with a cause, in this family's words."""

from typing import Any

import pytest
from django.test import Client as Browser

from orchestrator import accounts
from orchestrator.models import Request, Scope
from tests import factories
from tests.api.calls import basic
from tests.ordering import ORDERS, get, make_access, place, post, wish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def account() -> accounts.Account:
    make_access()
    return factories.make_account()


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"accessId": "STTA9999"}, "Unknown accessId: 'STTA9999'"),
        ({"accessId": "stta0001"}, "Unknown accessId: 'stta0001'"),
        ({"service": "BB-1"}, "Unknown service: 'BB-1'"),
        ({"service": "BB-1", "operation": "DEACTIVATE"}, "Unknown service: 'BB-1'"),
    ],
)
def test_what_is_unknown_is_named(account: accounts.Account, fields: dict[str, Any], cause: str) -> None:
    answer = post(account, wish(**fields))

    assert (answer.status_code, answer.json()) == (400, {"cause": cause})


NO = "left out"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        *(({name: NO}, name) for name in ("accessId", "service", "operation", "forcedTakeover")),
        *(({name: None}, name) for name in wish() | {"equipment": 1, "spReference": 1}),
        *(({"accessId": value}, "accessId") for value in ("", "A-1", "A 1", "A1\n", "å1", "A" * 33, 1, ["A1"], True)),
        *(({"service": value}, "service") for value in ("", 1, ["BB"], "B" * 256)),
        *(({"operation": value}, "operation") for value in ("activate", "", "PAUSE", 1)),
        *(({"forcedTakeover": value}, "forcedTakeover") for value in ("true", 1, 0, "", [])),
        ({"operation": "DEACTIVATE", "forcedTakeover": False}, "forcedTakeover"),
        ({"operation": "DEACTIVATE", "forcedTakeover": True}, "forcedTakeover"),
        *(({"spReference": value}, "spReference") for value in ("x" * 256, 1, {})),
        *(({"equipment": value}, "equipment") for value in ("x", {}, [1], [None])),
        ({"equipment": [{"vendorId": "a"}]}, "macAddress"),
        ({"equipment": [{"macAddress": "a"}]}, "vendorId"),
        ({"equipment": [{"vendorId": None, "macAddress": "a"}]}, "vendorId"),
        ({"equipment": [{"vendorId": "a", "macAddress": 1}]}, "macAddress"),
    ],
)
def test_a_bad_or_missing_field_is_named(account: accounts.Account, fields: dict[str, Any], field: str) -> None:
    body = {name: value for name, value in ({**wish(), **fields}).items() if value is not NO}

    answer = post(account, body)

    assert answer.status_code == 400
    assert set(answer.json()) == {"cause"}
    assert field in answer.json()["cause"]
    assert not Request.objects.exists()


@pytest.mark.parametrize(
    "body", [" ", "{", "[]", "null", '"x"', '{"a": NaN}', '{"accessId": "\\u0000"}', "[" * 200 + "]" * 200]
)
def test_what_is_no_order_at_all_has_a_cause(account: accounts.Account, body: str) -> None:
    answer = post(account, body)

    assert answer.status_code == 400
    assert answer.json()["cause"]


def test_a_client_that_may_not_send_orders_is_refused() -> None:
    make_access()
    stranger = factories.make_account(types=["Echo"])

    answer = post(stranger, wish())

    assert answer.status_code == 403
    assert set(answer.json()) == {"cause"}


def test_a_client_at_its_limit_is_asked_to_wait() -> None:
    make_access()
    make_access("STTA0002")
    account = factories.make_account(max_in_flight=1)
    place(account)

    answer = post(account, wish(accessId="STTA0002"))

    assert (answer.status_code, set(answer.json())) == (429, {"cause"})
    assert answer["Retry-After"]
    assert post(account, wish()).status_code == 200  # under way already: not one too many
    assert post(account, wish(accessId="STTA0002", operation="DEACTIVATE")).status_code == 200


@pytest.mark.parametrize("door", ["/api/v1/requests", "/api/v1/messages/Order"])
def test_the_type_is_refused_at_every_other_door(account: accounts.Account, door: str) -> None:
    message = {"messageType": "Order", "externalReference": "1", **wish()}

    answer = Browser().post(
        door,
        {"batchReference": "b", "payload": [message]},
        content_type="application/json",
        headers=basic(account.client_id),
    )

    assert answer.status_code == 403


# ---------------------------------------------------------------- refusals in the family's words


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_refusal_is_a_cause(account: accounts.Account, slash: str) -> None:
    reader = factories.make_account(scopes=[Scope.ORDERS_READ])
    path = ORDERS.rstrip("/") + slash
    answers = {
        401: Browser().post(path, "{}", content_type="application/json"),
        403: Browser().post(path, "{}", content_type="application/json", headers=basic(reader.client_id)),
        404: get(account, f"/api/2.3.1/nothing{slash}"),
        405: Browser().get(path, headers=basic(account.client_id)),
        415: Browser().post(path, "{}", content_type="text/plain", headers=basic(account.client_id)),
    }

    for status, answer in answers.items():
        assert answer.status_code == status
        assert set(answer.json()) == {"cause"}
        assert answer["Content-Type"] == "application/json"
    assert "Basic" in answers[401]["WWW-Authenticate"]


def test_a_body_too_long_is_413(account: accounts.Account, settings: Any) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 10

    answer = post(account, wish())

    assert (answer.status_code, set(answer.json())) == (413, {"cause"})
