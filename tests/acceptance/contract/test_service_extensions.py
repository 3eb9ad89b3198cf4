"""Services: their extensions, and what the other windows and doors make of them."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, assert_refused, fresh
from tests.acceptance.contract.services import Services, assert_fault

FEEDBACK = {
    "FeedbackType": "survey",
    "rating": 7,
    "notes": "warm welcome at frontdesk, é🚚",
    "big": 12345678901234567890,
}


@pytest.fixture(params=["", "/genesys/1/cs"])
def services(request: pytest.FixtureRequest, demo: Api) -> Services:
    return Services(demo, request.param)


def test_any_other_key_is_an_extension(services: Services) -> None:
    service = services.start(Feedback=FEEDBACK, rating=[1, None])
    path = f"/services/{service}"

    assert not {"Feedback", "rating"} & set(services.seen(path))
    assert services.seen(path, extensions="Feedback")["Feedback"] == FEEDBACK
    both = services.seen(path, extensions="feedback,RATING,nothing")
    assert (both["Feedback"], both["rating"]) == (FEEDBACK, [1, None])
    assert "nothing" not in both


@pytest.mark.parametrize("value", [FEEDBACK, [], "text", 0, None, True, {"a": {"b": [1, 2]}}])
def test_an_extension_is_put_whole(services: Services, value: Any) -> None:
    service = services.start(Feedback=FEEDBACK)
    state, task = services.state(service, Feedback=1), services.task(service, Feedback=1)

    for path in (f"/services/{service}", f"/services/{service}/states/{state}", f"/services/{service}/tasks/{task}"):
        answer = services.put(f"{path}/extensions/Feedback", value)
        assert (answer.status_code, answer.content) == (204, b"")
        assert services.put(f"{path}/extensions/Other", 1).status_code == 204
        shown = services.seen(path, extensions="Feedback,Other")
        assert (shown["Feedback"], shown["Other"]) == (value, 1)


def test_an_ends_extensions_replace(services: Services) -> None:
    service = services.start(Feedback=FEEDBACK, kept=1)

    services.did(f"/services/{service}/end", {"Feedback": {"rating": 1}, "new": 2})

    shown = services.seen(f"/services/{service}", extensions="Feedback,kept,new")
    assert (shown["Feedback"], shown["kept"], shown["new"]) == ({"rating": 1}, 1, 2)


def test_a_service_in_the_other_windows(services: Services, demo: Api) -> None:
    service = services.start()
    task = services.task(service, "Visit")

    assert demo.seen(service)["requestStatus"] == "Processing"
    (item,) = demo.seen(service)["payload"]
    assert (item["messageType"], item["messageStatus"], item["externalReference"]) == ("Visit", "Processing", None)
    assert demo.statuses(service) == ["OPEN"]
    assert_refused(demo.post(f"/api/v1/requests/{service}/cancel"), 409)
    services.did(f"/services/{service}/tasks/{task}/end")
    assert demo.statuses(service) == ["SUCCESS"]
    assert demo.seen(service)["requestStatus"] == "Processing"
    assert demo.seen(service)["messageStatusSummary"]["complete"] == 1
    services.did(f"/services/{service}/end")
    assert demo.seen(service)["requestStatus"] == "Complete"
    assert_refused(demo.post(f"/api/v1/requests/{service}/cancel"), 409)


def test_services_do_not_count_as_in_flight(make_client: Callable[..., Api]) -> None:
    mine = make_client("--max-in-flight", "1")
    for _ in range(3):
        service = Services(mine).start()
        Services(mine).task(service)

    assert mine.done()["requestStatus"] == "Complete"


def test_an_idempotency_key_begins_one_service(services: Services) -> None:
    headers, body = {"Idempotency-Key": fresh("key")}, {"customer_id": fresh("c"), "service_type": 1}

    first, again = (services.post("/services/start", body, headers=headers) for _ in range(2))

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(services.seen(f"/customers/{body['customer_id']}/services")) == 1
    assert_fault(services.post("/services/start", {**body, "service_type": 2}, headers=headers), 422)
