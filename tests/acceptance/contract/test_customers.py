"""The services of a customer and of a contact key: lists, their filters, and giving a service its customer."""

import uuid
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, fresh
from tests.acceptance.contract.services import Services, assert_fault

NOON, ONE, TWO = "2020-02-02T12:00:00.000Z", "2020-02-02T13:00:00.000Z", "2020-02-02T14:00:00.000Z"


@pytest.fixture(params=["", "/genesys/1/cs"])
def services(request: pytest.FixtureRequest, demo: Api) -> Services:
    return Services(demo, request.param)


@pytest.fixture(params=["customer_id", "contact_key"])
def owned(request: pytest.FixtureRequest, services: Services) -> tuple[str, list[str]]:
    """The path of a list, and its three services: at noon, at one (ended), at two o'clock."""
    who = {request.param: fresh("who")}
    times = ((NOON, 100), (ONE, "x"), (TWO, 7))
    keys = [services.start(**who, timestamp=time, service_type=kind) for time, kind in times]
    services.did(f"/services/{keys[1]}/end")
    (name,) = who.values()
    path = f"/customers/{name}/services" if request.param == "customer_id" else f"/services/anonymous/{name}"
    return path, keys


def found(services: Services, path: str, **parameters: Any) -> set[str]:
    return {service["service_id"] for service in services.seen(path, **parameters)}


def test_a_list_shows_whole_services(services: Services, owned: tuple[str, list[str]]) -> None:
    path, keys = owned

    shown = {service["service_id"]: service for service in services.seen(path)}

    assert set(shown) == set(keys)
    for key in keys:
        assert shown[key] == services.seen(f"/services/{key}")


def test_active_and_completed(services: Services, owned: tuple[str, list[str]]) -> None:
    path, keys = owned

    assert found(services, f"{path}/active") == {keys[0], keys[2]}
    assert found(services, f"{path}/completed/") == {keys[1]}


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"service_types": "100"}, {0}),
        ({"service_types": "x,7"}, {1, 2}),
        ({"service_types": "10"}, set()),
        ({"started_from": NOON}, {0, 1, 2}),
        ({"started_from": "2020-02-02T12:00:00.001Z"}, {1, 2}),
        ({"started_to": TWO}, {0, 1}),
        ({"started_to": NOON}, set()),
        ({"started_from": ONE, "started_to": TWO}, {1}),
        ({"started_from": "2020-02-02T13:00:00", "service_types": "7,100"}, {2}),
        ({"colour": "red"}, {0, 1, 2}),
    ],
)
def test_filters(
    services: Services, owned: tuple[str, list[str]], parameters: dict[str, Any], wanted: set[int]
) -> None:
    path, keys = owned

    assert found(services, path, **parameters) == {keys[number] for number in wanted}


@pytest.mark.parametrize("parameter", ["started_from", "started_to"])
@pytest.mark.parametrize("value", ["yesterday", "2020-02-30T00:00:00Z", "é"])
def test_a_bad_date_is_400(services: Services, owned: tuple[str, list[str]], parameter: str, value: str) -> None:
    assert_fault(services.get(owned[0], **{parameter: value}), 400)


def test_states_when_asked_for(services: Services, owned: tuple[str, list[str]]) -> None:
    path, keys = owned
    services.state(keys[0])

    shown = {service["service_id"]: service for service in services.seen(path, active_states="true")}

    assert [state["state_id"] for state in shown[keys[0]]["active_states"]] == [0]
    assert shown[keys[2]]["active_states"] == []


def test_an_unknown_customer_has_no_services(services: Services) -> None:
    for name in (fresh("nobody"), "%C3%A9", "a%20b", "x" * 1000):
        for part in ("", "/active", "/completed"):
            assert services.seen(f"/customers/{name}/services{part}") == []
            assert services.seen(f"/services/anonymous/{name}{part}") == []


def test_a_list_shows_ones_own_only(services: Services, other: Api, owned: tuple[str, list[str]]) -> None:
    assert Services(other).seen(owned[0]) == []


def test_a_request_of_another_door_is_nobodys_service(services: Services, demo: Api) -> None:
    demo.done()

    assert services.seen("/customers/null/services") == services.seen("/services/anonymous/None") == []


def test_an_anonymous_service_gets_its_customer(services: Services) -> None:
    key, customer = fresh("phone"), fresh("customer")
    service = services.start(contact_key=key, timestamp=NOON)

    answer = services.post(f"/customers/{customer}/services/{service}")

    assert answer.status_code in {200, 204}, answer.text
    assert services.seen(f"/services/{service}")["customer_id"] == customer
    assert found(services, f"/customers/{customer}/services") == {service}
    assert found(services, f"/services/anonymous/{key}") == set()


def test_an_unknown_service_gets_no_customer(services: Services) -> None:
    assert_fault(services.post(f"/customers/{fresh('customer')}/services/{uuid.uuid4()}"), 404)


def test_credentials_and_scopes(demo: Api, reader: Api) -> None:
    for path in ("/customers/c/services", "/services/anonymous/k", "/genesys/1/cs/customers/c/services/active"):
        assert_fault(demo.http.get(path), 401)
        assert_fault(reader.get(path), 403)
