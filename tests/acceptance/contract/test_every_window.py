"""One request of each door, asked for by its UUID in every window: the answers agree."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, message, request
from tests.acceptance.contract.phone import NINO, Phone, ask
from tests.acceptance.contract.provider import Provider, activate
from tests.acceptance.contract.services import Services

BOTH: dict[str, Any] = {"active_tasks": "true", "completed_tasks": "true"}


@pytest.fixture
def doors(demo: Api, one_phone: Phone, ours: Provider, access: str) -> dict[str, Callable[[], str]]:
    def posted(path: str, body: Any) -> Callable[[], str]:
        return lambda: str(demo.post(path, body).headers["Request-Id"])

    return {
        "requests": posted("/api/v1/requests", request(message("Echo"), message("Echo"))),
        "messages": posted("/api/v1/messages/Echo", request(message("Echo"), message("Echo"))),
        "call": posted("/api/v3/call/Echo", {"a": 1}),
        "bulk": posted("/api/v3/bulk/Echo", {"bulk": [{"content": {"a": 1}}, {"content": {"a": 2}}]}),
        "startup": lambda: one_phone.started(ask("Echo", "Echo")),
        "orders": lambda: ours.placed(activate(access, sandbox={"delay": 0.2})).rsplit("/", 1)[1],
    }


@pytest.mark.parametrize("door", ["requests", "messages", "call", "bulk", "startup", "orders"])
def test_every_window_knows_it(
    demo: Api, doors: dict[str, Callable[[], str]], one_phone: Phone, ours: Provider, door: str
) -> None:
    request_id = doors[door]()
    done = demo.finished(request_id)
    kind, count = ("Order", 1) if door == "orders" else ("Echo", 1 if door == "call" else 2)

    assert (done["id"], done["requestStatus"]) == (request_id, "Complete")
    assert done["messageStatusSummary"]["complete"] == done["messageStatusSummary"]["total"] == count
    assert demo.search(("id", request_id)) == [done]
    assert demo.statuses(request_id) == ["SUCCESS"] * count
    page = demo.get(f"/api/v3/global/call/{request_id}").json()
    keys = [item["requestId"] for item in page["content"]]
    assert keys == [item[f"{kind.lower()}Id"] for item in done["payload"]]
    assert page["pageable"]["totalElements"] == count
    (state,) = Services(demo).seen(f"/services/{request_id}/states", **BOTH)
    assert (state["state_id"], state["state_type"], state["active_tasks"]) == (0, 8, [])
    assert [task["task_type"] for task in state["completed_tasks"]] == [kind] * count
    if door == "startup":
        assert len(one_phone.entries(nino=NINO)) == count
    order = demo.get(f"/api/2.3.1/orders/{request_id}")
    assert order.status_code == (200 if door == "orders" else 404)
    if door == "orders":
        assert order.json()["state"] == "DONE_SUCCESS"
        assert [event["order"] for event in ours.feed() if request_id in event["order"]["path"]] == [order.json()]
    references = [item["externalReference"] for item in done["payload"]]
    assert all(references) if door in {"requests", "messages"} else references == [None] * count


def test_every_window_counts_a_failure_the_same(demo: Api, ours: Provider, access: str) -> None:
    refused = {"sandbox": {"status": 422, "detail": "No such thing"}}
    path = ours.placed(activate(access, **refused))
    request_id = path.rsplit("/", 1)[1]

    (item,) = demo.finished(request_id)["payload"]

    assert (item["messageStatus"], item["errors"]) == ("Failed", [{"errorMessage": "No such thing"}])
    assert demo.statuses(request_id) == ["FAILURE"]
    (state,) = Services(demo).seen(f"/services/{request_id}/states", **BOTH)
    (task,) = state["completed_tasks"]
    assert (task["disposition"], task["disposition_desc"]) == ("Failed", "No such thing")
    assert (ours.seen(path)["state"], ours.seen(path)["message"]) == ("DONE_FAILED", "No such thing")


def test_a_service_is_seen_where_it_makes_sense(demo: Api) -> None:
    service = Services(demo).start()
    Services(demo).task(service, "Visit")
    Services(demo).did(f"/services/{service}/end")

    done = demo.seen(service)

    assert done["requestStatus"] == "Complete"
    assert demo.search(("id", service)) == [done]
    assert demo.statuses(service) == ["SUCCESS"]
    assert demo.get(f"/api/2.3.1/orders/{service}").status_code == 404


def test_an_empty_service_is_a_request_of_no_messages(demo: Api) -> None:
    service = Services(demo).start()

    assert demo.seen(service)["payload"] == []
    assert demo.seen(service)["requestStatus"] == "Processing"
    assert demo.statuses(service) == []
    assert demo.get(f"/api/v3/global/call/{service}").json()["pageable"]["totalElements"] == 0
