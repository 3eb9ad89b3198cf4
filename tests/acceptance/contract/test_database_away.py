"""The ledger out of reach: 503 with `Retry-After` in each window's own body, and all is well again afterwards."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.acceptance.contract import stack
from tests.acceptance.contract.api import Api, assert_nak, assert_refused, request
from tests.acceptance.contract.hurting import frozen, postmaster
from tests.waiting import eventually


@pytest.fixture
def demo(own_stack: stack.Stack) -> Iterator[Api]:
    with httpx2.Client(base_url=own_stack.url, timeout=8, trust_env=False) as http:
        yield Api(http, "demo", "demo-secret")


def doors(api: Api, request_id: str) -> list[Callable[[], httpx2.Response]]:
    return [
        lambda: api.post("/api/v1/requests", request()),
        lambda: api.post("/api/v1/messages/Echo", request()),
        lambda: api.get(f"/api/v1/requests/{request_id}"),
        lambda: api.post(f"/api/v1/requests/{request_id}/cancel"),
        lambda: api.post("/api/v1/tracking", {}),
        lambda: api.post("/api/v1/tracking", {"paging": {"number": 1, "size": 1}}),
        lambda: api.get(f"/api/v3/global/call/{request_id}"),
        lambda: api.get(f"/api/v2/global/call/{request_id}"),
    ]


def test_a_frozen_database_is_503_in_every_windows_body(demo: Api, own_stack: stack.Stack) -> None:
    request_id = demo.done()["id"]
    with frozen(own_stack.home), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda call: call(), doors(demo, request_id)))
        ready, alive = demo.get("/readyz"), demo.get("/livez")

    for answer in answers[:6]:
        assert_refused(answer, 503)
    for answer in answers[6:]:
        assert_nak(answer, 503, "GLOBAL_1001", "Service unavailable. Please try again")
    assert all(answer.headers["Retry-After"].isdigit() for answer in answers)
    assert (ready.status_code, alive.status_code) == (503, 200)
    eventually(lambda: demo.get("/readyz").status_code == 200, within=15, what="/readyz")
    assert demo.done()["requestStatus"] == "Complete"


def test_a_killed_database_comes_back_with_everything(demo: Api, own_stack: stack.Stack) -> None:
    finished, waiting = demo.done(), demo.submit()
    os.kill(postmaster(own_stack.home), signal.SIGKILL)

    refused = demo.post("/api/v1/requests", request())
    eventually(lambda: demo.get("/readyz").status_code == 200, within=30, what="/readyz")

    if refused.status_code != 202:
        assert_refused(refused, 503)
        assert refused.headers["Retry-After"].isdigit()
    assert demo.seen(finished["id"]) == finished
    assert demo.finished(waiting)["requestStatus"] == "Complete"
    assert demo.done()["requestStatus"] == "Complete"
