"""The ledger out of reach, in the other windows' own bodies; bodies that are too long, in every family's."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.acceptance.contract import stack
from tests.acceptance.contract.api import Api, assert_nak, assert_refused
from tests.acceptance.contract.hurting import frozen
from tests.acceptance.contract.phone import ACCEPT, NINO, Phone, ask, assert_error
from tests.acceptance.contract.provider import ROOT, Provider, access_id, activate, assert_cause
from tests.acceptance.contract.services import Services, assert_fault
from tests.waiting import eventually

Call = Callable[[], httpx2.Response]


@pytest.fixture
def away(own_stack: stack.Stack) -> Iterator[Api]:
    """The demo client of the stack whose database is hurt."""
    with httpx2.Client(base_url=own_stack.url, timeout=15, trust_env=False) as http:
        yield Api(http, "demo", "demo-secret")


def poll_calls(phone: Phone) -> list[Call]:
    return [phone.poll, lambda: phone.startup(ask("Echo"))]


def call_calls(api: Api) -> list[Call]:
    return [
        lambda: api.post("/api/v3/call/Echo", {}),
        lambda: api.post("/api/v3/bulk/Echo", {"bulk": [{"content": {}}]}),
    ]


def service_calls(services: Services, key: str) -> list[Call]:
    return [
        lambda: services.get(f"/services/{key}/states"),
        lambda: services.get(f"/services/{key}/tasks"),
        lambda: services.get("/customers/c/services"),
        lambda: services.post("/services/start", {"customer_id": "c", "service_type": 1}),
        lambda: services.post(f"/services/{key}/end"),
    ]


def order_calls(ours: Provider, path: str, access: str) -> list[Call]:
    return [
        lambda: ours.api.get(path),
        lambda: ours.api.get(f"{ROOT}/orderevents/"),
        lambda: ours.api.get(f"{ROOT}/accesses/"),
        lambda: ours.order(activate(access)),
    ]


def test_a_frozen_database_is_503_in_the_other_families_bodies(away: Api, own_stack: stack.Stack) -> None:
    access = access_id()
    own_stack.commanded("access", access, "--service", "BB-100-10:BB")
    ours, services, phone = Provider(away), Services(away), Phone(away.http, away)
    path, key = ours.done(activate(access))["path"], services.start()
    phone.started(ask("Echo"))
    phone.polled()

    families = [poll_calls(phone), call_calls(away), service_calls(services, key), order_calls(ours, path, access)]
    with frozen(own_stack.home), ThreadPoolExecutor(16) as pool:
        asked = [[pool.submit(call) for call in family] for family in families]
        polls, calls, states, orders = ([future.result() for future in family] for family in asked)

    for answer in polls:
        assert_error(answer, 503)
    for answer in calls:
        assert_nak(answer, 503, "GLOBAL_1001", "Service unavailable. Please try again")
    for answer in states:
        assert_fault(answer, 503)
    for answer in orders:
        assert_cause(answer, 503)
    assert all(answer.headers["Retry-After"].isdigit() for answer in [*polls, *calls, *states, *orders])
    eventually(lambda: away.get("/readyz").status_code == 200, within=15, what="/readyz")
    assert services.seen(f"/services/{key}")["service_id"] == key


def test_a_body_over_32_mib_is_413_in_every_familys_body(demo: Api, one_phone: Phone) -> None:
    content = b'{"a": "' + b"x" * (32 << 20) + b'"}'
    headers = {"Accept": ACCEPT, "Content-Type": "application/json"}

    assert_refused(demo.raw("/api/v1/requests", content), 413)
    assert_nak(demo.raw("/api/v3/call/Echo", content), 413, "GLOBAL_1002")
    assert_fault(demo.raw("/services/start", content), 413)
    assert_cause(demo.raw(f"{ROOT}/orders/", content), 413)
    startup = one_phone.http.post(f"/native-app/{NINO}/startup", content=content, headers=headers, auth=demo.basic)
    assert_error(startup, 413)
