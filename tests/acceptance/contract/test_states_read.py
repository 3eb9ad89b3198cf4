"""Service states, the read side: every request of any door is a service with one state, its messages are tasks."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.contract.api import WAITS, Api, fresh, message
from tests.acceptance.contract.services import Services, assert_fault, moment
from tests.waiting import eventually

BOTH: dict[str, Any] = {"active_tasks": "true", "completed_tasks": "true"}
ROOTS = ["", "/genesys/1/cs"]
REFUSED = {"script": [{"status": 422, "json": {"detail": "x" * 100}}]}


@pytest.fixture(params=ROOTS)
def services(request: pytest.FixtureRequest, demo: Api) -> Services:
    return Services(demo, request.param)


@pytest.fixture(scope="module")
def done(demo: Api, scripted: str) -> dict[str, Any]:
    """A finished request: Complete, Failed, Complete."""
    return demo.done(
        message("Echo"), message(scripted, **REFUSED), message("deskpro-feedback"), errorPolicy="proceedOnError"
    )


@pytest.fixture(scope="module")
def waiting(demo: Api, scripted: str) -> dict[str, Any]:
    """An open request: its first message is Complete, its second waits."""
    request_id = demo.submit(message("Echo"), message(scripted, **WAITS), errorPolicy="proceedOnError")

    def first() -> bool:
        return bool(demo.statuses(request_id) == ["SUCCESS", "OPEN"])

    eventually(first, what="the first message's end")
    return demo.seen(request_id)


def test_a_finished_request_has_one_completed_state(services: Services, done: dict[str, Any]) -> None:
    states = services.seen(f"/services/{done['id']}/states")

    assert len(states) == 1
    (state,) = states
    assert set(state) - {"disposition", "disposition_desc", "est_duration"} == {
        "service_id",
        "state_id",
        "state_type",
        "started",
        "completed",
        "duration",
    }
    assert (state["service_id"], state["state_id"], state["state_type"]) == (done["id"], 0, 8)
    begun, ended = moment(state["started"]["timestamp"]), moment(state["completed"]["timestamp"])
    assert state["duration"] == round((ended - begun).total_seconds() * 1000)
    assert f"{begun:%Y-%m-%dT%H:%M:%S+00:00}" == done["receivedDate"]
    assert services.seen(f"/services/{done['id']}/states/completed") == states
    assert services.seen(f"/services/{done['id']}/states/active") == []


def test_an_open_request_has_one_active_state(services: Services, waiting: dict[str, Any]) -> None:
    states = services.seen(f"/services/{waiting['id']}/states")

    assert len(states) == 1
    assert set(states[0]) == {"service_id", "state_id", "state_type", "started"}
    assert services.seen(f"/services/{waiting['id']}/states/active") == states
    assert services.seen(f"/services/{waiting['id']}/states/completed") == []


def test_tasks_are_there_when_asked_for(services: Services, done: dict[str, Any], scripted: str) -> None:
    (state,) = services.seen(f"/services/{done['id']}/states", **BOTH)

    assert state["active_tasks"] == []
    tasks = state["completed_tasks"]
    assert [task["task_id"] for task in tasks] == [0, 1, 2]
    assert [task["task_type"] for task in tasks] == ["Echo", scripted, "deskpro-feedback"]
    assert [task["disposition"] for task in tasks] == ["Complete", "Failed", "Complete"]
    assert tasks[1]["disposition_desc"] == "x" * 64
    assert not tasks[0].get("disposition_desc")
    for task in tasks:
        assert moment(task["started"]["timestamp"]) <= moment(task["completed"]["timestamp"])


def test_an_open_requests_tasks(services: Services, waiting: dict[str, Any], scripted: str) -> None:
    (state,) = services.seen(f"/services/{waiting['id']}/states/active", **BOTH)

    (active,), (completed,) = state["active_tasks"], state["completed_tasks"]
    assert (active["task_id"], active["task_type"]) == (1, scripted)
    assert set(active) == {"task_id", "task_type", "started"}
    assert (completed["task_id"], completed["task_type"], completed["disposition"]) == (0, "Echo", "Complete")


@pytest.mark.parametrize(
    ("parameters", "keys"),
    [
        ({}, set()),
        ({"active_tasks": "true"}, {"active_tasks"}),
        ({"completed_tasks": "true"}, {"completed_tasks"}),
        (BOTH, {"active_tasks", "completed_tasks"}),
        ({"active_tasks": "false", "completed_tasks": "false"}, set()),
        ({"active_tasks": "false", "completed_tasks": "true"}, {"completed_tasks"}),
    ],
)
def test_a_key_of_tasks_is_present_only_when_asked_for(
    services: Services, done: dict[str, Any], parameters: dict[str, Any], keys: set[str]
) -> None:
    (state,) = services.seen(f"/services/{done['id']}/states", **parameters)

    assert {"active_tasks", "completed_tasks"} & set(state) == keys


@pytest.mark.parametrize(
    ("types", "count"), [("8", 1), ("7,8", 1), ("8,9,x", 1), ("7", 0), ("80", 0), ("08", 0), ("8.0", 0), ("x,é", 0)]
)
def test_state_types_are_compared_as_text(services: Services, done: dict[str, Any], types: str, count: int) -> None:
    for path in ("states", "states/completed"):
        assert len(services.seen(f"/services/{done['id']}/{path}", state_types=types)) == count


@pytest.mark.parametrize("path", ["states", "states/active", "states/completed"])
@pytest.mark.parametrize("parameter", ["active_tasks", "completed_tasks"])
@pytest.mark.parametrize("value", ["maybe", "1x", "truefalse", "é"])
def test_a_bad_parameter_is_400(
    services: Services, done: dict[str, Any], path: str, parameter: str, value: str
) -> None:
    assert_fault(services.get(f"/services/{done['id']}/{path}", **{parameter: value}), 400)


def test_extensions_that_are_not_there_are_not_shown(services: Services, done: dict[str, Any]) -> None:
    plain = services.seen(f"/services/{done['id']}/states")

    assert services.seen(f"/services/{done['id']}/states", extensions="Feedback,rating", colour="red") == plain


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_state_and_a_task_of_a_request_can_be_asked_for(
    services: Services, done: dict[str, Any], scripted: str, slash: str
) -> None:
    path = f"/services/{done['id']}"

    assert services.seen(f"{path}/states/0{slash}") == services.seen(f"{path}/states{slash}")[0]
    tasks = services.seen(f"{path}/tasks{slash}")
    assert [task["task_id"] for task in tasks] == [0, 1, 2]
    assert services.seen(f"{path}/tasks/1{slash}") == tasks[1]
    assert services.seen(f"{path}/tasks/completed{slash}") == tasks
    assert services.seen(f"{path}/tasks/active{slash}") == []
    assert services.seen(f"{path}/tasks", task_types=f"Echo,{scripted}") == tasks[:2]
    assert services.seen(f"{path}/tasks", state_id="0") == tasks
    assert services.seen(f"{path}/tasks", state_id="1") == []
    service = services.seen(f"{path}{slash}")
    assert service["service_id"] == done["id"]
    assert moment(service["started"]["timestamp"])
    assert moment(service["completed"]["timestamp"])


def test_what_is_not_there_is_404(services: Services, done: dict[str, Any]) -> None:
    for part in ("states/1", "states/99999999999999999999", "states/-1", "states/x", "tasks/3", "tasks/x"):
        assert_fault(services.get(f"/services/{done['id']}/{part}"), 404)
    for service in (str(uuid.uuid4()), "ABC1235XZY", "1", "%00", "%ff", "a" * 2000):
        for part in ("", "/states", "/states/active", "/states/completed", "/tasks", "/tasks/0", "/states/0"):
            assert_fault(services.get(f"/services/{service}{part}"), 404)


def test_another_clients_service_is_answered_like_an_unknown_one(other: Api, done: dict[str, Any]) -> None:
    nobodys = str(uuid.uuid4())
    for part in ("", "/states", "/states/0", "/tasks", "/tasks/0"):
        foreign, unknown = (Services(other).get(f"/services/{key}{part}") for key in (done["id"], nobodys))
        assert_fault(foreign, 404)
        assert foreign.text.replace(done["id"], nobodys) == unknown.text


def test_a_message_id_is_no_service(services: Services, done: dict[str, Any]) -> None:
    assert_fault(services.get(f"/services/{done['payload'][0]['echoId']}/states"), 404)


def test_credentials_and_scopes(demo: Api, reader: Api, make_client: Callable[..., Api], done: dict[str, Any]) -> None:
    for root in ROOTS:
        path = f"{root}/services/{done['id']}/states"
        nobody = demo.http.get(path)
        assert_fault(nobody, 401)
        assert nobody.headers["WWW-Authenticate"]
        assert_fault(demo.http.get(path, auth=("demo", "wrong")), 401)
        assert_fault(reader.get(path), 403)
    looking = Services(make_client("--scope", "services:read"))
    assert_fault(looking.get(f"/services/{uuid.uuid4()}/states"), 404)
    assert_fault(looking.post("/services/start", {"customer_id": fresh(), "service_type": 1}), 403)


@pytest.mark.parametrize("root", ROOTS)
def test_a_wrong_method_is_405(demo: Api, done: dict[str, Any], root: str) -> None:
    wrong = {
        "/services/start": ["GET", "PUT", "DELETE"],
        f"/services/{done['id']}": ["POST", "PUT", "PATCH"],
        f"/services/{done['id']}/states": ["POST", "PUT", "DELETE"],
        f"/services/{done['id']}/states/active": ["POST", "DELETE"],
        f"/services/{done['id']}/states/0": ["POST", "PUT", "DELETE"],
        f"/services/{done['id']}/tasks": ["POST", "DELETE"],
        f"/services/{done['id']}/end": ["GET", "PUT"],
        f"/services/{done['id']}/extensions/x": ["GET", "POST"],
        "/customers/c/services": ["POST", "DELETE"],
        f"/customers/c/services/{done['id']}": ["GET", "DELETE"],
        "/services/anonymous/k": ["POST", "DELETE"],
    }
    for path, methods in wrong.items():
        for method in methods:
            answer = demo.raw(f"{root}{path}", b"{}", method=method)
            assert (path, method, answer.status_code) == (path, method, 405)
            assert_fault(answer, 405)
            assert answer.headers["Allow"]


def test_a_cancelled_request_is_a_completed_state(services: Services, demo: Api, scripted: str) -> None:
    request_id = demo.submit(message(scripted, **WAITS))
    demo.cancelled(request_id)

    (state,) = services.seen(f"/services/{request_id}/states/completed", completed_tasks="true")

    assert [task["disposition"] for task in state["completed_tasks"]] == ["Cancelled"]


def test_a_request_cannot_be_written_to(services: Services, done: dict[str, Any], waiting: dict[str, Any]) -> None:
    for key in (done["id"], waiting["id"]):
        path = f"/services/{key}"
        assert_fault(services.post(f"{path}/end", {}), 409)
        assert_fault(services.delete(path), 409)
        assert_fault(services.post(f"{path}/states/start", {"state_type": 1}), 409)
        assert_fault(services.post(f"{path}/states/0/end", {}), 409)
        move = {"from": {"state_id": 0}, "to": {"state_type": 1}}
        assert_fault(services.post(f"{path}/states/transition", move), 409)
        assert_fault(services.post(f"{path}/tasks/start", {"task_type": 1}), 409)
        assert_fault(services.post(f"{path}/tasks/0/end", {}), 409)
        for target in ("", "/states/0", "/tasks/0"):
            assert_fault(services.put(f"{path}{target}/extensions/Feedback", {"a": 1}), 409)
        assert_fault(services.post(f"/customers/{fresh()}/services/{key}"), 409)
    assert services.seen(f"/services/{waiting['id']}/states/active")
