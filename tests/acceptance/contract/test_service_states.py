"""States and tasks of a service: begun, moved on, ended; what two at once may not do."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, fresh
from tests.acceptance.contract.services import Services, assert_fault, moment

THEN, LATER, BEFORE = "2010-05-18T15:23:34.447Z", "2010-05-18T15:23:41.977Z", "2010-05-18T15:23:34.446Z"
EVENT: dict[str, Any] = {"application_type": 400, "resource_id": 20, "interaction_id": "51", "media_type": 2}


@pytest.fixture(params=["", "/genesys/1/cs"])
def services(request: pytest.FixtureRequest, demo: Api) -> Services:
    return Services(demo, request.param)


@pytest.fixture
def service(services: Services) -> str:
    return services.start(timestamp="2010-01-01T00:00:00Z")


def move(state: Any, state_type: Any = 101, **more: Any) -> dict[str, Any]:
    return {"from": {"state_id": state}, "to": {"state_type": state_type}, **more}


def test_the_documents_states(services: Services, service: str) -> None:
    first = services.state(service, 100, est_duration=60, timestamp=THEN, **EVENT, Feedback={"rating": 7})
    services.task(service, 5, state_id=first, est_duration=300, timestamp=LATER)
    done = services.task(service, 2, state_id=first, timestamp=THEN, interaction_id="123ABC908ABFFD8080")
    end = {"timestamp": LATER, "interaction_id": "157C9A208AFD523D01", "disposition": 10, "disposition_desc": "quoted"}
    services.did(f"/services/{service}/tasks/{done}/end", end)
    second = services.state(service, 100, timestamp=LATER)

    wanted = {"active_tasks": "true", "completed_tasks": "true", "extensions": "Feedback"}
    states = services.seen(f"/services/{service}/states/active", **wanted)

    assert (first, second, done) == (0, 1, 1)
    assert states == [
        {
            "service_id": service,
            "state_id": 0,
            "state_type": 100,
            "est_duration": 60,
            "started": {"timestamp": THEN, **EVENT},
            "Feedback": {"rating": 7},
            "active_tasks": [{"task_id": 0, "task_type": 5, "est_duration": 300, "started": {"timestamp": LATER}}],
            "completed_tasks": [
                {
                    "task_id": 1,
                    "task_type": 2,
                    "disposition": 10,
                    "disposition_desc": "quoted",
                    "started": {"timestamp": THEN, "interaction_id": "123ABC908ABFFD8080"},
                    "completed": {"timestamp": LATER, "interaction_id": "157C9A208AFD523D01"},
                }
            ],
        },
        {
            "service_id": service,
            "state_id": 1,
            "state_type": 100,
            "started": {"timestamp": LATER},
            "active_tasks": [],
            "completed_tasks": [],
        },
    ]


def test_an_ended_state(services: Services, service: str) -> None:
    state = services.state(service, timestamp=THEN)
    task = services.task(service, state_id=state, timestamp=THEN)
    apart = services.task(service, timestamp=THEN)

    services.did(f"/services/{service}/states/{state}/end", {"timestamp": LATER, "disposition": 1, **EVENT})

    assert services.seen(f"/services/{service}/states/completed") == [
        {
            "service_id": service,
            "state_id": state,
            "state_type": 100,
            "started": {"timestamp": THEN},
            "completed": {"timestamp": LATER, **EVENT},
            "disposition": 1,
            "duration": 7530,
        }
    ]
    assert services.seen(f"/services/{service}/tasks/{task}")["completed"]["timestamp"] == LATER
    assert [task["task_id"] for task in services.seen(f"/services/{service}/tasks/active")] == [apart]
    assert_fault(services.post(f"/services/{service}/states/{state}/end", {}), 409)
    assert_fault(services.post(f"/services/{service}/tasks/{task}/end", {}), 409)
    assert_fault(services.post(f"/services/{service}/states/transition", move(state)), 409)
    assert_fault(services.post(f"/services/{service}/tasks/start", {"task_type": 1, "state_id": state}), 409)


def test_a_transition_ends_one_state_and_begins_the_next(services: Services, service: str) -> None:
    state = services.state(service, timestamp=THEN)
    task = services.task(service, state_id=state, timestamp=THEN)
    body = {
        "from": {"state_id": state, "disposition": "ok", "disposition_desc": "moved on"},
        "to": {"state_type": "next", "est_duration": 5},
        "timestamp": LATER,
    }

    answer = services.post(f"/services/{service}/states/transition", body)

    assert (answer.status_code, answer.json()) == (201, {"state_id": 1})
    first, second = services.seen(f"/services/{service}/states")
    assert first["completed"]["timestamp"] == LATER
    assert (first["disposition"], first["disposition_desc"], first["duration"]) == ("ok", "moved on", 7530)
    assert second["started"]["timestamp"] == LATER
    assert (second["state_id"], second["state_type"], second["est_duration"]) == (1, "next", 5)
    assert "completed" in services.seen(f"/services/{service}/tasks/{task}")


def test_state_types_select(services: Services, service: str) -> None:
    for kind in (100, "100", "x", 7):
        services.state(service, kind)

    def found(types: str) -> list[Any]:
        return [state["state_id"] for state in services.seen(f"/services/{service}/states", state_types=types)]

    assert found("100") == [0, 1]
    assert found("7,x") == [2, 3]
    assert found("8") == []


def test_tasks_select(services: Services, service: str) -> None:
    state = services.state(service)
    services.task(service, 5, Note="a")
    services.task(service, "5", state_id=state)
    services.task(service, "visit", state_id=state)
    services.did(f"/services/{service}/tasks/1/end")

    def found(part: str = "", **parameters: Any) -> list[Any]:
        return [task["task_id"] for task in services.seen(f"/services/{service}/tasks{part}", **parameters)]

    assert found() == [0, 1, 2]
    assert found("/active") == [0, 2]
    assert found("/completed") == [1]
    assert found(task_types="5") == [0, 1]
    assert found(task_types="visit,5", state_id=str(state)) == [1, 2]
    assert found("/active", state_id=str(state)) == [2]
    assert found(state_id="9") == []
    assert services.seen(f"/services/{service}/tasks", extensions="note")[0]["Note"] == "a"


@pytest.mark.parametrize("value", ["x", "1.5", "-", "é"])
def test_a_state_id_that_is_no_number_is_400(services: Services, service: str, value: str) -> None:
    assert_fault(services.get(f"/services/{service}/tasks", state_id=value), 400)


BAD_STATES: list[Any] = [
    {},
    {"state_type": None},
    {"state_type": []},
    {"state_type": {}},
    {"state_type": 1, "timestamp": "x"},
    {"state_type": 1, "session_id": "x" * 33},
    {"state_type": 1, "interaction_id": "x" * 51},
    [],
]
BAD_MOVES: list[Any] = [
    {},
    {"from": {"state_id": 0}},
    {"to": {"state_type": 1}},
    {"from": {}, "to": {"state_type": 1}},
    {"from": {"state_id": 0}, "to": {}},
    {"from": 0, "to": 1},
    {"from": {"state_id": "x"}, "to": {"state_type": 1}},
    {"from": {"state_id": 0, "disposition_desc": "x" * 65}, "to": {"state_type": 1}},
    move(0, timestamp=BEFORE),
    move(0, timestamp="x"),
    [],
]


@pytest.mark.parametrize("body", BAD_STATES)
def test_a_bad_state_or_task_is_400(services: Services, service: str, body: Any) -> None:
    task = {{"state_type": "task_type"}.get(key, key): value for key, value in body.items()} if body else body

    assert_fault(services.post(f"/services/{service}/states/start", body), 400)
    assert_fault(services.post(f"/services/{service}/tasks/start", task), 400)
    assert services.seen(f"/services/{service}/states") == services.seen(f"/services/{service}/tasks") == []


@pytest.mark.parametrize("body", BAD_MOVES)
def test_a_bad_transition_is_400_and_changes_nothing(services: Services, service: str, body: Any) -> None:
    services.state(service, timestamp=THEN)
    before = services.seen(f"/services/{service}/states")

    assert_fault(services.post(f"/services/{service}/states/transition", body), 400)
    assert services.seen(f"/services/{service}/states") == before


@pytest.mark.parametrize("body", [{"timestamp": BEFORE}, {"disposition_desc": "x" * 65}, {"timestamp": 1}, []])
def test_a_bad_end_is_400_and_ends_nothing(services: Services, service: str, body: Any) -> None:
    state, task = services.state(service, timestamp=THEN), services.task(service, timestamp=THEN)

    for path in (f"states/{state}", f"tasks/{task}"):
        assert_fault(services.post(f"/services/{service}/{path}/end", body), 400)
        assert "completed" not in services.seen(f"/services/{service}/{path}")


def test_what_the_service_does_not_have_is_404(services: Services, service: str) -> None:
    services.state(service)
    services.task(service)

    for kind in ("states", "tasks"):
        for number in ("1", "99999999999999999999", "x", "-1"):
            path = f"/services/{service}/{kind}/{number}"
            assert_fault(services.get(path), 404)
            assert_fault(services.post(f"{path}/end", {}), 404)
            assert_fault(services.put(f"{path}/extensions/x", 1), 404)
    for body, part in ((move(7), "states/transition"), ({"task_type": 1, "state_id": 7}, "tasks/start")):
        answer = services.post(f"/services/{service}/{part}", body)
        assert_fault(answer, 404 if answer.status_code == 404 else 400)
    assert len(services.seen(f"/services/{service}/states")) == 1


def test_extensions_of_a_state(services: Services, service: str) -> None:
    state = services.state(service, Feedback={"a": 1}, kept=[1])
    services.did(f"/services/{service}/states/{state}/end", {"feedback_2": 2, "Feedback": {"b": 2}})

    (shown,) = services.seen(f"/services/{service}/states", extensions="FEEDBACK,Kept,feedback_2,service_id")
    assert (shown["Feedback"], shown["kept"], shown["feedback_2"]) == ({"b": 2}, [1], 2)
    (plain,) = services.seen(f"/services/{service}/states")
    assert not {"Feedback", "kept", "feedback_2"} & set(plain)
    assert shown["service_id"] == service


def test_a_task_begun_here_is_external(services: Services, service: str, demo: Api) -> None:
    task = services.task(service, "Echo", own="field")
    assert demo.done()["requestStatus"] == "Complete"  # the workers are there, and leave it alone

    shown = services.seen(f"/services/{service}/tasks/{task}")
    assert "completed" not in shown
    services.did(f"/services/{service}/tasks/{task}/end", {"disposition": "done"})
    shown = services.seen(f"/services/{service}/tasks/{task}")
    assert moment(shown["completed"]["timestamp"]) >= moment(shown["started"]["timestamp"])
    assert shown["disposition"] == "done"


@pytest.mark.parametrize("key", ["states", "tasks"])
def test_an_idempotency_key_begins_one(services: Services, service: str, key: str) -> None:
    headers, kind = {"Idempotency-Key": fresh("key")}, f"{key[:-1]}_type"

    first, again = (services.post(f"/services/{service}/{key}/start", {kind: 1}, headers=headers) for _ in range(2))

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(services.seen(f"/services/{service}/{key}")) == 1


def at_once(call: Callable[[int], Any], count: int = 8) -> list[int]:
    with ThreadPoolExecutor(count) as pool:
        return sorted(answer.status_code for answer in pool.map(call, range(count)))


def test_of_transitions_at_once_one_wins(services: Services, service: str) -> None:
    state = services.state(service)

    codes = at_once(lambda number: services.post(f"/services/{service}/states/transition", move(state, number)))

    assert codes == [201] + [409] * 7
    assert len(services.seen(f"/services/{service}/states/active")) == 1
    assert len(services.seen(f"/services/{service}/states")) == 2


def test_of_ends_at_once_one_wins(services: Services, service: str) -> None:
    state, task = services.state(service), services.task(service)

    for path in (f"/tasks/{task}/end", f"/states/{state}/end", "/end"):
        assert at_once(lambda _, path=path: services.post(f"/services/{service}{path}")) == [204] + [409] * 7


def test_ids_count_from_nought_without_gaps_at_once_too(services: Services, service: str) -> None:
    assert at_once(lambda _: services.post(f"/services/{service}/states/start", {"state_type": 1})) == [201] * 8
    assert at_once(lambda _: services.post(f"/services/{service}/tasks/start", {"task_type": 1})) == [201] * 8

    assert [state["state_id"] for state in services.seen(f"/services/{service}/states")] == list(range(8))
    assert [task["task_id"] for task in services.seen(f"/services/{service}/tasks")] == list(range(8))


def test_an_end_of_the_service_and_new_states_at_once_leave_nothing_open(services: Services, service: str) -> None:
    def call(number: int) -> Any:
        if number == 4:
            return services.post(f"/services/{service}/end")
        return services.post(f"/services/{service}/states/start", {"state_type": 1})

    codes = at_once(call)

    assert set(codes) <= {201, 204, 409}
    assert codes.count(204) == 1
    assert services.seen(f"/services/{service}/states/active") == []
    assert len(services.seen(f"/services/{service}/states/completed")) == codes.count(201)
