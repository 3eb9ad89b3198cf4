"""External tasks: begun and ended through the API, in every other window messages of their service."""

import pytest

from orchestrator.handlers import MessageType
from orchestrator.models import Message
from tests import engine
from tests.api.services import Services, assert_refused, id_of, mine

pytestmark = pytest.mark.django_db
__all__ = ["mine"]


def test_a_task_of_a_state_and_a_task_of_the_service(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service)
    answer = mine.post(f"{service}/tasks/start", {"task_type": "call back", "state_id": 0, "est_duration": 30})
    mine.start_task(service)

    [state] = mine.read(f"{service}/states", active_tasks="true")

    assert (answer.status_code, answer.json(), answer["Location"]) == (201, {"task_id": 0}, f"{service}/tasks/0")
    assert [task["task_id"] for task in state["active_tasks"]] == [0]
    assert [task["task_id"] for task in mine.read(f"{service}/tasks")] == [0, 1]
    assert [task["task_id"] for task in mine.read(f"{service}/tasks", state_id="0")] == [0]
    assert mine.read(f"{service}/tasks/0") == state["active_tasks"][0]


def test_ending_a_state_ends_its_own_open_tasks(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service)
    mine.start_state(service)
    for state in (0, 0, 1, None):
        mine.start_task(service, **({} if state is None else {"state_id": state}))
    mine.post(f"{service}/tasks/1/end", {"disposition": "early"})

    mine.post(f"{service}/states/0/end", {"disposition": "late"})

    tasks = mine.read(f"{service}/tasks")
    assert ["completed" in task for task in tasks] == [True, True, False, False]
    assert [task.get("disposition") for task in tasks] == [None, "early", None, None]
    assert len(mine.read(f"{service}/states/active")) == 1


def test_a_task_ends_once(mine: Services) -> None:
    service = mine.start()
    mine.start_task(service)

    assert mine.post(f"{service}/tasks/0/end", {"disposition": 1}).status_code == 204
    assert_refused(mine.post(f"{service}/tasks/0/end"), 409, "Conflict")
    assert mine.read(f"{service}/tasks/0")["disposition"] == 1


def test_a_task_begins_in_an_open_state_only(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service)
    mine.post(f"{service}/states/0/end")

    ended = mine.post(f"{service}/tasks/start", {"task_type": 1, "state_id": 0})
    unknown = mine.post(f"{service}/tasks/start", {"task_type": 1, "state_id": 10**30})

    assert_refused(ended, 409, "Conflict")
    assert_refused(unknown, 404, "NotFound")
    assert mine.read(f"{service}/tasks") == []


def test_a_type_that_is_kept_to_its_own_doors_is_refused_as_a_task(mine: Services) -> None:
    service = mine.start()
    with engine.declaring() as declare:
        kept: MessageType = declare(lambda message: None, doors=frozenset({"orders"}))
        free: MessageType = declare(lambda message: None)

        assert_refused(mine.post(f"{service}/tasks/start", {"task_type": kept.name}), 403, "Forbidden")
        assert mine.start_task(service, task_type=free.name) == 0


# ---------------------------------------------------------------- in the other windows


def statuses(mine: Services, service: str) -> tuple[list[str], str, list[str]]:
    """The service in request status; then in tracking, as a whole and by its messages."""
    call = mine.read(f"/api/v3/global/call/{id_of(service)}")
    tracked = mine.read(f"/api/v1/requests/{id_of(service)}")["data"]
    return (
        [item["status"] for item in call["content"]],
        tracked["requestStatus"],
        [message["messageStatus"] for message in tracked["payload"]],
    )


def test_a_service_is_in_processing_until_it_is_ended(mine: Services) -> None:
    service = mine.start()
    assert statuses(mine, service) == ([], "Processing", [])

    mine.post(f"{service}/end")

    assert statuses(mine, service) == ([], "Complete", [])


def test_external_tasks_are_open_until_they_are_ended(mine: Services) -> None:
    service = mine.start()
    mine.start_task(service)
    mine.start_task(service, task_type="call back")
    assert statuses(mine, service) == (["OPEN", "OPEN"], "Processing", ["Processing", "Processing"])

    mine.post(f"{service}/tasks/0/end")
    assert statuses(mine, service) == (["SUCCESS", "OPEN"], "Processing", ["Complete", "Processing"])

    mine.post(f"{service}/tasks/1/end")
    assert statuses(mine, service) == (["SUCCESS", "SUCCESS"], "Processing", ["Complete", "Complete"])

    mine.post(f"{service}/end")
    assert statuses(mine, service) == (["SUCCESS", "SUCCESS"], "Complete", ["Complete", "Complete"])


def test_tracking_counts_and_finds_external_tasks(mine: Services) -> None:
    service = mine.start()
    mine.start_task(service)
    mine.start_task(service)
    mine.start_task(service, task_type="call back")
    mine.post(f"{service}/tasks/0/end")

    tracked = mine.post("/api/v1/tracking", {"search": [{"by": "messageType", "value": "5"}]}).json()["data"]

    [request] = tracked["requests"]
    assert request["id"] == str(id_of(service))
    assert request["batchReference"] is None
    assert request["messageStatusSummary"] == {
        "total": 3,
        "queued": 0,
        "processing": 2,
        "cancelled": 0,
        "failed": 0,
        "invalid": 0,
        "complete": 1,
    }
    assert [message["messageType"] for message in request["payload"]] == ["5", "5"]
    assert request["payload"][0]["externalReference"] is None


def test_each_task_has_an_id_of_its_services_millisecond(mine: Services) -> None:
    service = mine.start()
    mine.start_task(service)
    mine.start_task(service)

    listed = mine.read(f"/api/v3/global/call/{id_of(service)}")["content"]

    ids = [item["requestId"] for item in listed]
    assert len({*ids, str(id_of(service))}) == 3
    assert {wanted[:13] for wanted in ids} == {str(id_of(service))[:13]}
    assert mine.read(f"/api/v3/global/call/{ids[1]}")["content"] == [listed[1]]


def test_no_worker_ever_claims_an_external_task(mine: Services) -> None:
    service = mine.start()
    mine.start_task(service, task_type="Echo")

    for lane in ("Echo", ""):
        assert engine.claim(lane).messages == []
    assert Message.objects.get(request_id=id_of(service)).claim_id is None


def test_a_service_can_not_be_cancelled(mine: Services) -> None:
    service = mine.start()
    mine.start_task(service)

    answer = mine.post(f"/api/v1/requests/{id_of(service)}/cancel")

    assert answer.status_code == 409
    assert statuses(mine, service)[2] == ["Processing"]
