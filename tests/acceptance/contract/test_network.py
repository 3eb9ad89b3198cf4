"""The network, which is a back end of our own here: what it gets, and what its answers make of an order."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.acceptance.contract import stack
from tests.acceptance.contract.api import Api
from tests.acceptance.contract.backend import BackEnd
from tests.acceptance.contract.provider import Provider, access_id, activate, deactivate
from tests.waiting import eventually


@pytest.fixture(scope="module")
def ours(own_stack: stack.Stack, back_end: BackEnd) -> Iterator[Provider]:
    """A provider whose orders go to our own back end."""
    own_stack.commanded("backend", "Order", "--url", back_end.url("/network"), "--attempts", "2", "--timeout", "10")
    with httpx2.Client(base_url=own_stack.url, timeout=15, trust_env=False) as http:
        provider = Provider(Api(http, "demo", "demo-secret"))
        access = access_id()
        own_stack.commanded("access", access, "--service", *(f"probe-{number}" for number in range(50)))
        numbers = iter(range(50))

        def known() -> bool:
            path = provider.ended(provider.placed(activate(access, f"probe-{next(numbers)}")))["path"]
            return bool(back_end.calls(path.rsplit("/", 1)[1]))

        eventually(known, within=10, what="the new network")
        yield provider


@pytest.fixture
def access(own_stack: stack.Stack) -> str:
    name = access_id()
    own_stack.commanded("access", name, "--service", "BB-100-10:BB", "TV-1:TV")
    return name


def test_the_network_gets_the_orders_fields_as_json(ours: Provider, back_end: BackEnd, access: str) -> None:
    equipment = [{"vendorId": "0013C3", "macAddress": "00:13:C3:0A:1B:2C"}]
    body = activate(access, equipment=equipment, spReference="é🚚", forcedTakeover=True)

    keys = [ours.done(order)["path"].rsplit("/", 1)[1] for order in (body, deactivate(access))]

    (first,), (second,) = (back_end.calls(key) for key in keys)
    assert (first.method, first.path) == ("POST", "/network")
    assert first.headers["content-type"].split(";")[0] == "application/json"
    assert first.json == body
    assert second.json == deactivate(access)
    assert first.headers["request-id"] == keys[0]


def test_the_networks_answers(ours: Provider, back_end: BackEnd, access: str) -> None:
    refused = {"script": [{"status": 400, "json": {"detail": "Port is too busy for you"}}]}
    broken = {"script": [{"status": 500, "json": {"detail": "a secret"}}]}
    again = {"script": [{"status": 503}, {"status": 204}]}

    assert ours.done(activate(access, **refused), "DONE_FAILED")["message"] == "Port is too busy for you"
    order = ours.done(activate(access, **broken), "DONE_FAILED")
    assert order["message"]
    assert "secret" not in order["message"]
    order = ours.done(activate(access, **again))
    assert order["message"] == ""
    assert len(back_end.calls(order["path"].rsplit("/", 1)[1])) == 2
    assert ours.active(access) == {"BB-100-10"}
