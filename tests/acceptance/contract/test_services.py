"""Services: begun, read, ended, deleted; timestamps, event fields, extensions and limits."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.acceptance.contract.api import Api, assert_nak, assert_refused, fresh
from tests.acceptance.contract.services import Services, assert_fault, moment

THEN = "2010-05-18T15:23:34.447Z"
EVENT: dict[str, Any] = {
    "application_type": 400,
    "resource_id": 20,
    "media_type": 2,
    "resource_type": "200",
    "application_id": 40,
    "interaction_id": "51",
    "session_id": "abc",
}


@pytest.fixture(params=["", "/genesys/1/cs"])
def services(request: pytest.FixtureRequest, demo: Api) -> Services:
    return Services(demo, request.param)


def test_a_service_is_begun_and_read(services: Services) -> None:
    customer = fresh("customer")
    body = {"customer_id": customer, "service_type": 100, "est_duration": 60, "timestamp": THEN, **EVENT}

    answer = services.post("/services/start", body)

    assert answer.status_code == 201
    service = answer.json()["service_id"]
    assert answer.json() == {"service_id": str(uuid.UUID(service))}
    assert answer.headers["Request-Id"] == service
    assert services.seen(f"/services/{service}") == {
        "service_id": service,
        "service_type": 100,
        "customer_id": customer,
        "est_duration": 60,
        "started": {"timestamp": THEN, **EVENT},
    }
    assert services.seen(f"/services/{service}/states") == []
    assert services.seen(f"/services/{service}/tasks") == []


@pytest.mark.parametrize("kind", [100, "100", "Delivering", "é🚚", 0])
def test_numbers_are_answered_as_numbers_and_text_as_text(services: Services, kind: Any) -> None:
    service = services.start(service_type=kind)
    state, task = services.state(service, kind), services.task(service, kind)

    assert services.seen(f"/services/{service}")["service_type"] == kind
    assert services.seen(f"/services/{service}/states/{state}")["state_type"] == kind
    assert services.seen(f"/services/{service}/tasks/{task}")["task_type"] == kind


def test_an_anonymous_service_has_a_contact_key(services: Services) -> None:
    key = fresh("phone")

    shown = services.seen(f"/services/{services.start(contact_key=key)}")

    assert shown["contact_key"] == key
    assert "customer_id" not in shown
    assert abs(moment(shown["started"]["timestamp"]) - datetime.now(UTC)) < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2009-05-07T12:08:53.298", "2009-05-07T12:08:53.298Z"),
        ("2009-05-07T12:08:53", "2009-05-07T12:08:53.000Z"),
        ("2009-05-07T12:08:53Z", "2009-05-07T12:08:53.000Z"),
        ("2009-05-07T14:08:53.298+02:00", "2009-05-07T12:08:53.298Z"),
    ],
)
def test_a_timestamp_without_zone_is_utc(services: Services, given: str, shown: str) -> None:
    service = services.start(timestamp=given)

    assert services.seen(f"/services/{service}")["started"] == {"timestamp": shown}


BAD_STARTS: dict[str, Any] = {
    "nobody's": {"service_type": 1},
    "no type": {"customer_id": "c"},
    "a null type": {"customer_id": "c", "service_type": None},
    "a type that is a list": {"customer_id": "c", "service_type": [1]},
    "a type that is an object": {"customer_id": "c", "service_type": {}},
    "a null customer": {"customer_id": None, "service_type": 1},
    "an empty customer": {"customer_id": "", "service_type": 1},
    "a customer that is a list": {"customer_id": ["c"], "service_type": 1},
    "no date": {"customer_id": "c", "service_type": 1, "timestamp": "yesterday"},
    "a date of no calendar": {"customer_id": "c", "service_type": 1, "timestamp": "2010-02-30T00:00:00Z"},
    "a date that is a list": {"customer_id": "c", "service_type": 1, "timestamp": [THEN]},
    "a long session": {"customer_id": "c", "service_type": 1, "session_id": "x" * 33},
    "a long interaction": {"customer_id": "c", "service_type": 1, "interaction_id": "x" * 51},
    "a list": [],
    "text": "text",
}


@pytest.mark.parametrize("name", BAD_STARTS)
def test_a_bad_start_is_400(services: Services, name: str) -> None:
    assert_fault(services.post("/services/start", BAD_STARTS[name]), 400)


@pytest.mark.parametrize(
    "content", [b"", b"{bad", b"null", b'{"a": NaN}', b'{"customer_id": "\\u0000", "service_type": 1}', b'"\xff"']
)
def test_a_body_that_is_no_json_is_400(demo: Api, content: bytes) -> None:
    assert_fault(demo.raw("/services/start", content), 400)


def test_a_wrong_content_type_is_415(demo: Api) -> None:
    assert_fault(demo.raw("/services/start", b'{"customer_id": "c", "service_type": 1}', kind="text/plain"), 415)
    service = Services(demo).start()
    assert_fault(demo.raw(f"/services/{service}/extensions/x", b"1", kind="text/plain", method="PUT"), 415)


def test_limits_are_counted_in_characters(services: Services) -> None:
    longest = {"session_id": "é" * 32, "interaction_id": "🚚" * 50}
    service = services.start(**longest)
    services.did(f"/services/{service}/end", {"disposition": 10, "disposition_desc": "é" * 64})

    shown = services.seen(f"/services/{service}")

    assert {key: shown["started"][key] for key in longest} == longest
    assert (shown["disposition"], shown["disposition_desc"]) == (10, "é" * 64)


def test_ending_a_service(services: Services) -> None:
    service = services.start(timestamp=THEN)
    end = {"timestamp": "2010-05-18T15:24:34.447Z", "disposition": "sold", "disposition_desc": "all of it", **EVENT}

    services.did(f"/services/{service}/end", end)

    shown = services.seen(f"/services/{service}")
    assert shown["completed"] == {"timestamp": "2010-05-18T15:24:34.447Z", **EVENT}
    assert (shown["disposition"], shown["disposition_desc"]) == ("sold", "all of it")
    assert_fault(services.post(f"/services/{service}/end", {}), 409)
    assert_fault(services.post(f"/services/{service}/states/start", {"state_type": 1}), 409)
    assert_fault(services.post(f"/services/{service}/tasks/start", {"task_type": 1}), 409)


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_end_may_be_empty(demo: Api, body: bytes) -> None:
    service = Services(demo).start()

    answer = demo.raw(f"/services/{service}/end", body)

    assert (answer.status_code, answer.content) == (204, b"")
    shown = Services(demo).seen(f"/services/{service}")
    assert moment(shown["completed"]["timestamp"]) >= moment(shown["started"]["timestamp"])
    assert "disposition" not in shown


def test_an_empty_end_needs_no_content_type(demo: Api) -> None:
    service = Services(demo).start()

    assert demo.http.post(f"/services/{service}/end", auth=demo.basic).status_code == 204


@pytest.mark.parametrize(
    "body",
    [
        {"timestamp": "2010-05-18T15:23:34.446Z"},
        {"timestamp": "nonsense"},
        {"disposition_desc": "x" * 65},
        {"session_id": "x" * 33},
        {"interaction_id": "x" * 51},
        [],
    ],
)
def test_a_bad_end_is_400_and_ends_nothing(services: Services, body: Any) -> None:
    service = services.start(timestamp=THEN)

    assert_fault(services.post(f"/services/{service}/end", body), 400)
    assert "completed" not in services.seen(f"/services/{service}")


def test_ending_a_service_ends_its_states_and_tasks(services: Services) -> None:
    service = services.start()
    states = [services.state(service), services.state(service)]
    tasks = [services.task(service), services.task(service, state_id=states[1])]

    services.did(f"/services/{service}/end")

    assert services.seen(f"/services/{service}/states/active") == []
    assert [state["state_id"] for state in services.seen(f"/services/{service}/states/completed")] == states
    assert services.seen(f"/services/{service}/tasks/active") == []
    assert [task["task_id"] for task in services.seen(f"/services/{service}/tasks/completed")] == tasks


def test_states_of_a_service_when_asked_for(services: Services) -> None:
    service = services.start()
    over, open_ = services.state(service), services.state(service)
    services.did(f"/services/{service}/states/{over}/end")

    shown = services.seen(f"/services/{service}", active_states="true", completed_states="true")

    assert [state["state_id"] for state in shown["active_states"]] == [open_]
    assert [state["state_id"] for state in shown["completed_states"]] == [over]
    assert not {"active_states", "completed_states"} & set(services.seen(f"/services/{service}"))
    assert "completed_states" not in services.seen(f"/services/{service}", active_states="true")


def test_a_deleted_service_is_unknown_everywhere(services: Services, demo: Api) -> None:
    customer = fresh("customer")
    service = services.start(customer_id=customer)
    services.state(service)
    services.task(service)

    answer = services.delete(f"/services/{service}")

    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "/states", "/states/0", "/tasks", "/tasks/0"):
        assert_fault(services.get(f"/services/{service}{path}"), 404)
    assert_fault(services.delete(f"/services/{service}"), 404)
    assert_fault(services.post(f"/services/{service}/end"), 404)
    assert services.seen(f"/customers/{customer}/services") == []
    assert_refused(demo.get(f"/api/v1/requests/{service}"), 404)
    assert_nak(demo.get(f"/api/v3/global/call/{service}"), 404, "GLOBAL_1003")
    assert demo.search(("id", service)) == []


def writes(services: Services, key: str) -> list[httpx2.Response]:
    path = f"/services/{key}"
    move = {"from": {"state_id": 0}, "to": {"state_type": 1}}
    return [
        services.post(f"{path}/end"),
        services.delete(path),
        services.post(f"{path}/states/start", {"state_type": 1}),
        services.post(f"{path}/states/0/end"),
        services.post(f"{path}/states/transition", move),
        services.post(f"{path}/tasks/start", {"task_type": 1}),
        services.post(f"{path}/tasks/0/end"),
        services.put(f"{path}/extensions/x", 1),
        services.put(f"{path}/states/0/extensions/x", 1),
        services.put(f"{path}/tasks/0/extensions/x", 1),
        services.post(f"/customers/c/services/{key}"),
    ]


def test_writing_to_what_is_unknown_or_anothers_is_404(demo: Api, other: Api) -> None:
    service = Services(demo).start()
    Services(demo).state(service)
    Services(demo).task(service)
    nobodys = str(uuid.uuid4())

    for foreign, unknown in zip(writes(Services(other), service), writes(Services(other), nobodys), strict=True):
        assert_fault(foreign, 404)
        assert foreign.text.replace(service, nobodys) == unknown.text
    for malformed in writes(Services(demo), "ABC1235XZY"):
        assert_fault(malformed, 404)
    assert "completed" not in Services(demo).seen(f"/services/{service}")


def test_writing_needs_its_scope(make_client: Callable[..., Api]) -> None:
    mine = Services(make_client("--scope", "services:write"))
    service = mine.start()

    assert_fault(mine.get(f"/services/{service}"), 403)
    for answer in (Services(Api(mine.api.http, "demo", "wrong")).delete(f"/services/{service}"),):
        assert_fault(answer, 401)
    mine.did(f"/services/{service}/end")
