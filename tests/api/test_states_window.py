"""Service states, read: any request is a service, with one state whose tasks are its messages."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.lifecycle import FINAL, Status
from orchestrator.models import Message, Request
from tests import factories
from tests.api.services import ALIAS, Services, assert_refused, mine
from tests.factories import AMessage

pytestmark = pytest.mark.django_db
__all__ = ["mine"]

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
OPEN = AMessage(status=Status.QUEUED)


def make(mine: Services, *messages: AMessage, **columns: Any) -> Request:
    return factories.make_request(client_id=mine.account.id, messages=messages, received_at=NOON, **columns)


def test_an_open_request_has_one_active_state(mine: Services) -> None:
    request = make(mine, OPEN)

    states = mine.read(f"/services/{request.id}/states")

    assert states == [
        {
            "service_id": str(request.id),
            "state_id": 0,
            "state_type": 8,
            "started": {"timestamp": "2026-03-01T12:00:00.123Z"},
        }
    ]
    assert mine.read(f"/services/{request.id}/states/active") == states
    assert mine.read(f"/services/{request.id}/states/completed") == []
    assert mine.read(f"/services/{request.id}/states/0") == states[0]


def test_a_request_that_is_over_has_one_completed_state(mine: Services) -> None:
    request = make(mine, AMessage(processed_at=NOON + timedelta(seconds=2, microseconds=500)), AMessage())

    states = mine.read(f"/services/{request.id}/states")

    assert states == [
        {
            "service_id": str(request.id),
            "state_id": 0,
            "state_type": 8,
            "started": {"timestamp": "2026-03-01T12:00:00.123Z"},
            "completed": {"timestamp": "2026-03-01T12:00:02.123Z"},
            "duration": 2000,
        }
    ]
    assert mine.read(f"/services/{request.id}/states/completed") == states
    assert mine.read(f"/services/{request.id}/states/active") == []


def test_a_state_is_active_while_one_message_is_open(mine: Services) -> None:
    request = make(mine, AMessage(), OPEN, AMessage(status=Status.FAILED))

    assert len(mine.read(f"/services/{request.id}/states/active")) == 1


def test_tasks_are_listed_only_when_they_are_asked_for(mine: Services) -> None:
    request = make(mine, AMessage(type="Estimate"), OPEN)
    path = f"/services/{request.id}/states"

    [bare], [active], [completed], [both] = (
        mine.read(path, **parameters)
        for parameters in (
            {"active_tasks": "false"},
            {"active_tasks": "true"},
            {"completed_tasks": "true"},
            {"active_tasks": "true", "completed_tasks": "true"},
        )
    )

    assert "active_tasks" not in bare
    assert "completed_tasks" not in bare
    assert "completed_tasks" not in active
    assert [task["task_id"] for task in active["active_tasks"]] == [1]
    assert [task["task_id"] for task in completed["completed_tasks"]] == [0]
    assert both == active | completed
    assert both["completed_tasks"][0]["task_type"] == "Estimate"


@pytest.mark.parametrize("status", list(Status))
def test_each_status_of_a_message_as_a_task(mine: Services, status: Status) -> None:
    request = make(mine, AMessage(status=status))

    [state] = mine.read(f"/services/{request.id}/states", active_tasks="true", completed_tasks="true")

    over = status in FINAL
    [task] = state["completed_tasks" if over else "active_tasks"]
    assert state["active_tasks" if over else "completed_tasks"] == []
    assert ("completed" in task, task.get("disposition")) == (over, status.value if over else None)


def test_a_task_tells_what_went_wrong_in_64_characters(mine: Services) -> None:
    request = make(
        mine,
        AMessage(status=Status.FAILED, errors=("No such customer",)),
        AMessage(status=Status.INVALID, errors=("x" * 100,)),
        AMessage(),
    )

    tasks = mine.read(f"/services/{request.id}/tasks")

    assert tasks[0] == {
        "task_id": 0,
        "task_type": "Echo",
        "started": {"timestamp": "2026-03-01T12:00:00.123Z"},
        "completed": {"timestamp": "2026-03-01T12:00:01.123Z"},
        "disposition": "Failed",
        "disposition_desc": "No such customer",
    }
    assert tasks[1]["disposition_desc"] == "x" * 64
    assert "disposition_desc" not in tasks[2]


def test_a_task_starts_when_its_message_was_first_claimed(mine: Services) -> None:
    request = make(mine, AMessage(status=Status.PROCESSING))
    Message.objects.filter(request=request).update(first_started_at=NOON + timedelta(seconds=5))

    assert mine.read(f"/services/{request.id}/tasks/0") == {
        "task_id": 0,
        "task_type": "Echo",
        "started": {"timestamp": "2026-03-01T12:00:05.123Z"},
    }


def test_tasks_by_scope_state_and_type(mine: Services) -> None:
    request = make(mine, AMessage(type="Estimate"), OPEN, AMessage(type="Order-Like"))
    path = f"/services/{request.id}/tasks"

    def numbers(suffix: str = "", **parameters: str) -> list[int]:
        return [task["task_id"] for task in mine.read(path + suffix, **parameters)]

    assert numbers() == [0, 1, 2]
    assert numbers("/active") == [1]
    assert numbers("/completed") == [0, 2]
    assert numbers(state_id="0") == [0, 1, 2]
    assert numbers(state_id="1") == []
    assert numbers(task_types="Estimate,Echo") == [0, 1]
    assert numbers("/completed", task_types="Estimate, Echo") == [0]
    assert numbers(task_types="estimate") == []


@pytest.mark.parametrize(
    ("state_types", "count"), [("8", 1), ("7,8,9", 1), (" 8 ", 1), ("", 1), (",", 1), ("7", 0), ("08", 0), ("8.0", 0)]
)
def test_state_types_are_compared_as_text(mine: Services, state_types: str, count: int) -> None:
    request = make(mine, OPEN)

    assert len(mine.read(f"/services/{request.id}/states", state_types=state_types)) == count


def test_a_request_as_a_service(mine: Services) -> None:
    request = make(mine, AMessage(), door="bulk")

    assert mine.read(f"/services/{request.id}") == {
        "service_id": str(request.id),
        "service_type": "bulk",
        "started": {"timestamp": "2026-03-01T12:00:00.123Z"},
        "completed": {"timestamp": "2026-03-01T12:00:01.123Z"},
    }
    asked = mine.read(f"/services/{request.id}", active_states="true", completed_states="true", completed_tasks="true")
    assert asked["active_states"] == []
    assert asked["completed_states"] == mine.read(f"/services/{request.id}/states", completed_tasks="true")


def test_thousands_of_tasks_in_their_order(mine: Services) -> None:
    request = make(mine, *[AMessage()] * 1500)

    [state] = mine.read(f"/services/{request.id}/states", completed_tasks="true")

    assert [task["task_id"] for task in state["completed_tasks"]] == list(range(1500))


def test_the_same_at_the_originals_address(mine: Services) -> None:
    request = make(mine, OPEN, AMessage())
    there = Services(mine.account, address=ALIAS)

    for path in ("", "/states", "/states/active", "/states/0", "/tasks", "/tasks/completed", "/tasks/1"):
        for slash in ("", "/"):
            assert there.read(f"/services/{request.id}{path}{slash}") == mine.read(f"/services/{request.id}{path}")


def test_unknown_parameters_and_a_body_are_ignored(mine: Services) -> None:
    request = make(mine, OPEN)

    assert mine.get(f"/services/{request.id}/states", colour="red", Active_Tasks="maybe").status_code == 200
    assert mine.read(f"/services/{request.id}/states", extensions="Feedback") == mine.read(
        f"/services/{request.id}/states"
    )


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/states", {"active_tasks": "yes"}),
        ("/states", {"active_tasks": ""}),
        ("/states", {"completed_tasks": "True"}),
        ("/states/active", {"completed_tasks": "1"}),
        ("/states/0", {"active_tasks": "maybe"}),
        ("", {"active_states": "x"}),
        ("", {"completed_states": "0"}),
        ("/tasks", {"state_id": "first"}),
        ("/tasks", {"state_id": "-1"}),
        ("/tasks", {"state_id": ""}),
        ("/tasks", {"state_id": "99999999999"}),
    ],
)
def test_a_bad_parameter_is_named(mine: Services, path: str, parameters: dict[str, str]) -> None:
    request = make(mine, OPEN)

    message = assert_refused(mine.get(f"/services/{request.id}{path}", **parameters), 400, "BadRequest")

    assert message.startswith(next(iter(parameters)))


@pytest.mark.parametrize("suffix", ["", "/states", "/states/active", "/states/0", "/tasks", "/tasks/completed"])
def test_ids_that_are_unknown_malformed_or_anothers_are_all_the_same(mine: Services, suffix: str) -> None:
    another = factories.make_request(client_id=factories.make_account().id)

    answers = [mine.get(f"/services/{wanted}{suffix}") for wanted in (uuid.uuid4(), "1", "%00", another.id)]

    for answer in answers:
        assert_refused(answer, 404, "NotFound")
        assert answer.content == answers[0].content


@pytest.mark.parametrize("number", ["1", "-1", "x", "00000000000", "2147483648", "99999999999999999999", "%D9%A0"])
def test_states_and_tasks_that_are_none(mine: Services, number: str) -> None:
    request = make(mine, OPEN)

    for collection in ("states", "tasks"):
        assert_refused(mine.get(f"/services/{request.id}/{collection}/{number}"), 404, "NotFound")


def test_times_are_printed_as_in_the_document(mine: Services) -> None:
    request = factories.make_request(client_id=mine.account.id, received_at=datetime(2026, 1, 1, tzinfo=UTC))

    [state] = mine.read(f"/services/{request.id}/states")

    assert state["started"]["timestamp"] == "2026-01-01T00:00:00.000Z"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", state["completed"]["timestamp"])
