"""The states of a service: begun, passed on, ended; and what holds for its tasks as well."""

import uuid
from typing import Any

import pytest

from tests import factories
from tests.api.services import Services, assert_refused, id_of, mine
from tests.factories import AMessage

pytestmark = pytest.mark.django_db
__all__ = ["mine"]

MORNING, NOON, EVENING = "2026-03-01T08:00:00.000Z", "2026-03-01T12:00:00.000Z", "2026-03-01T18:00:00.000Z"


def test_the_documents_example(mine: Services) -> None:
    """The document's answer, its brace mended: the extension is a key of the state."""
    service = mine.start()
    event = {"application_type": 400, "resource_id": 20, "media_type": 2, "resource_type": 200, "application_id": 40}
    feedback = {"FeedbackType": "survey", "rating": 7, "notes": "warm welcome at frontdesk, thanks for the nice trip"}
    state = {"state_type": 100, "est_duration": 60, **event, "interaction_id": "51"}
    mine.start_state(service, **state, timestamp="2010-05-18T15:23:34.447Z", Feedback=feedback)
    mine.start_task(
        service, state_id=0, task_type=2, timestamp="2009-05-07T12:02:23.715", interaction_id="123ABC908ABFFD8080"
    )
    mine.start_task(service, state_id=0, task_type=5, est_duration=300, timestamp="2009-05-07T12:08:53.298")
    mine.post(
        f"{service}/tasks/0/end",
        {
            "disposition": 10,
            "disposition_desc": "<text describing quote result>",
            "timestamp": "2009-05-07T12:06:23.715",
            "interaction_id": "157C9A208AFD523D01",
        },
    )
    mine.start_state(service, **state, timestamp="2010-05-18T15:23:41.977Z")

    states = mine.read(f"{service}/states/active", active_tasks="true", completed_tasks="true", extensions="Feedback")

    started = {**event, "interaction_id": "51"}
    assert states == [
        {
            "service_id": str(id_of(service)),
            "state_id": 0,
            "state_type": 100,
            "est_duration": 60,
            "started": {"timestamp": "2010-05-18T15:23:34.447Z", **started},
            "Feedback": feedback,
            "active_tasks": [
                {
                    "task_id": 1,
                    "task_type": 5,
                    "est_duration": 300,
                    "started": {"timestamp": "2009-05-07T12:08:53.298Z"},
                }
            ],
            "completed_tasks": [
                {
                    "task_id": 0,
                    "task_type": 2,
                    "disposition": 10,
                    "disposition_desc": "<text describing quote result>",
                    "started": {"timestamp": "2009-05-07T12:02:23.715Z", "interaction_id": "123ABC908ABFFD8080"},
                    "completed": {"timestamp": "2009-05-07T12:06:23.715Z", "interaction_id": "157C9A208AFD523D01"},
                }
            ],
        },
        {
            "service_id": str(id_of(service)),
            "state_id": 1,
            "state_type": 100,
            "est_duration": 60,
            "started": {"timestamp": "2010-05-18T15:23:41.977Z", **started},
            "active_tasks": [],
            "completed_tasks": [],
        },
    ]


def test_a_state_begins_and_ends(mine: Services) -> None:
    service = mine.start()
    answer = mine.post(f"{service}/states/start", {"state_type": "quote", "timestamp": MORNING})
    assert (answer.status_code, answer.json()) == (201, {"state_id": 0})
    assert answer["Location"] == f"{service}/states/0"

    ended = mine.post(
        f"{service}/states/0/end", {"disposition": 3, "disposition_desc": "", "timestamp": NOON, "session_id": 7}
    )

    assert (ended.status_code, ended.content) == (204, b"")
    assert mine.read(f"{service}/states/0") == {
        "service_id": str(id_of(service)),
        "state_id": 0,
        "state_type": "quote",
        "started": {"timestamp": MORNING},
        "completed": {"timestamp": NOON, "session_id": 7},
        "disposition": 3,
        "disposition_desc": "",
        "duration": 4 * 3_600_000,
    }
    assert mine.read(f"{service}/states/active") == []
    assert_refused(mine.post(f"{service}/states/0/end"), 409, "Conflict")


def test_states_and_tasks_count_from_nought_in_each_service(mine: Services) -> None:
    for service in (mine.start(), mine.start()):
        assert [mine.start_state(service) for _ in range(3)] == [0, 1, 2]
        assert [mine.start_task(service) for _ in range(3)] == [0, 1, 2]


def test_a_state_may_name_the_one_before_it(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service)

    assert mine.start_state(service, previous_state_id=0.0) == 1
    unknown = mine.post(f"{service}/states/start", {"state_type": 1, "previous_state_id": 7})

    assert_refused(unknown, 404, "NotFound")
    assert len(mine.read(f"{service}/states/active")) == 2


def test_a_transition_ends_one_state_and_begins_another(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service, timestamp=MORNING)
    mine.start_task(service, state_id=0, timestamp=MORNING)

    answer = mine.post(
        f"{service}/states/transition",
        {
            "from": {"state_id": 0, "disposition": 1, "disposition_desc": "done", "Rating": 5},
            "to": {"state_type": 101, "est_duration": 60, "media_type": 9},
            "timestamp": NOON,
            "media_type": 2,
            "Note": "passed on",
        },
    )

    first, second = mine.read(f"{service}/states", extensions="Rating,Note", completed_tasks="true")
    assert (answer.status_code, answer.json(), answer["Location"]) == (201, {"state_id": 1}, f"{service}/states/1")
    assert first["completed"] == {"timestamp": NOON, "media_type": 2}
    assert (first["disposition"], first["disposition_desc"], first["Rating"]) == (1, "done", 5)
    assert first["completed_tasks"][0]["completed"] == {"timestamp": NOON, "media_type": 2}
    assert second == {
        "service_id": str(id_of(service)),
        "state_id": 1,
        "state_type": 101,
        "est_duration": 60,
        "started": {"timestamp": NOON, "media_type": 9},
        "Note": "passed on",
        "completed_tasks": [],
    }


def test_a_transition_with_no_time_given_is_one_moment(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service)

    mine.post(f"{service}/states/transition", {"from": {"state_id": 0}, "to": {"state_type": 1}})

    first, second = mine.read(f"{service}/states")
    assert first["completed"] == second["started"]


@pytest.mark.parametrize(("source", "status"), [(0, 409), (7, 404)])
def test_a_transition_from_a_state_that_is_over_or_none_does_nothing(mine: Services, source: int, status: int) -> None:
    service = mine.start()
    mine.start_state(service)
    mine.post(f"{service}/states/0/end")
    before = mine.read(f"{service}/states")

    answer = mine.post(f"{service}/states/transition", {"from": {"state_id": source}, "to": {"state_type": 1}})

    assert_refused(answer, status, "Conflict" if status == 409 else "NotFound")
    assert mine.read(f"{service}/states") == before


def test_the_same_key_passes_on_once(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service)
    body = {"from": {"state_id": 0}, "to": {"state_type": 1}}

    answers = [mine.post(f"{service}/states/transition", body, Idempotency_Key="k") for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"state_id": 1})] * 2
    assert len(mine.read(f"{service}/states")) == 2


@pytest.mark.parametrize("path", ["", "/states/0", "/tasks/0"])
def test_nothing_ends_before_its_start(mine: Services, path: str) -> None:
    service = mine.start(timestamp=NOON)
    mine.start_state(service, timestamp=NOON)
    mine.start_task(service, state_id=0, timestamp=NOON)

    early = mine.post(f"{service}{path}/end", {"timestamp": "2026-03-01T11:59:59.999Z"})
    same = mine.post(f"{service}{path}/end", {"timestamp": NOON})

    assert_refused(early, 400, "BadRequest")
    assert same.status_code == 204


def test_nothing_within_ends_before_its_start_either(mine: Services) -> None:
    service = mine.start(timestamp=MORNING)
    mine.start_state(service, timestamp=MORNING)
    mine.start_task(service, state_id=0, timestamp=EVENING)

    for path, body in (
        ("end", {"timestamp": NOON}),
        ("states/0/end", {"timestamp": NOON}),
        ("states/transition", {"from": {"state_id": 0}, "to": {"state_type": 1}, "timestamp": NOON}),
    ):
        assert_refused(mine.post(f"{service}/{path}", body), 400, "BadRequest")
    assert len(mine.read(f"{service}/tasks/active")) == 1


def test_only_services_begun_as_such_can_be_written_to(mine: Services) -> None:
    request = factories.make_request(client_id=mine.account.id, messages=[AMessage()])
    service = f"/services/{request.id}"
    before = mine.read(service)
    calls: list[Any] = [
        mine.post(f"{service}/end"),
        mine.post(f"{service}/states/start", {"state_type": 1}),
        mine.post(f"{service}/states/0/end"),
        mine.post(f"{service}/states/transition", {"from": {"state_id": 0}, "to": {"state_type": 1}}),
        mine.post(f"{service}/tasks/start", {"task_type": 1}),
        mine.post(f"{service}/tasks/0/end"),
        mine.post(f"/customers/51X/services/{request.id}"),
        *(mine.put(f"{service}{path}/extensions/Feedback", 1) for path in ("", "/states/0", "/tasks/0")),
        mine.delete(service),
    ]

    for answer in calls:
        assert_refused(answer, 409, "Conflict")
    assert mine.read(service) == before


def test_states_and_tasks_of_anothers_service_do_not_exist(mine: Services) -> None:
    theirs = Services(factories.make_account())
    service = theirs.start()
    theirs.start_state(service)

    for path in (service, f"/services/{uuid.uuid4()}", "/services/x"):
        for write in ("end", "states/0/end", "states/start", "tasks/start"):
            body = {"state_type": 1, "task_type": 1} if write.endswith("start") else None
            assert_refused(mine.post(f"{path}/{write}", body), 404, "NotFound")
        assert_refused(mine.put(f"{path}/extensions/x", 1), 404, "NotFound")
        assert_refused(mine.delete(path), 404, "NotFound")
    assert len(theirs.read(f"{service}/states/active")) == 1
