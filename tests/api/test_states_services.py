"""Services that their owner drives: begun, ended, deleted."""

import uuid

import pytest

from tests import factories
from tests.api.services import ALIAS, Services, assert_refused, id_of, mine

pytestmark = pytest.mark.django_db
__all__ = ["mine"]

MORNING, NOON, EVENING = "2026-03-01T08:00:00.000Z", "2026-03-01T12:00:00.000Z", "2026-03-01T18:00:00.000Z"


# ---------------------------------------------------------------- begun


def test_a_service_begins_and_is_read(mine: Services) -> None:
    body = {
        "customer_id": "51X",
        "service_type": 100,
        "est_duration": 3600,
        "timestamp": "2010-05-18T15:23:34.447Z",
        "session_id": "s" * 32,
        "interaction_id": "123ABC456DEF789",
        "application_type": 400,
        "application_id": 40,
        "resource_type": 200,
        "resource_id": "20",
        "media_type": 2,
    }

    answer = mine.post("/services/start", body)

    service_id = answer.json()["service_id"]
    assert (answer.status_code, answer.json()) == (201, {"service_id": service_id})
    assert answer["Request-Id"] == service_id
    assert answer["Location"] == f"/services/{service_id}"
    assert uuid.UUID(service_id).version == 7
    assert mine.read(f"/services/{service_id}") == {
        "service_id": service_id,
        "service_type": 100,
        "customer_id": "51X",
        "est_duration": 3600,
        "started": {
            "timestamp": "2010-05-18T15:23:34.447Z",
            "session_id": "s" * 32,
            "interaction_id": "123ABC456DEF789",
            "application_type": 400,
            "application_id": 40,
            "resource_type": 200,
            "resource_id": "20",
            "media_type": 2,
        },
    }
    assert mine.read(f"/services/{service_id}/states") == []
    assert mine.read(f"/services/{service_id}/tasks") == []


@pytest.mark.parametrize("value", [100, 0, -7, 1.5, 12345678901234567890123, "100", "tålig", 'a "b"', " x "])
def test_numbers_stay_numbers_and_text_stays_text(mine: Services, value: object) -> None:
    service = mine.start(service_type=value, customer_id=value, media_type=value)

    read = mine.read(service)

    assert (read["service_type"], read["customer_id"], read["started"]["media_type"]) == (value, value, value)
    assert type(read["service_type"]) is type(value)


@pytest.mark.parametrize(
    ("sent", "printed"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01T12:00:00", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01T12:00", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01", "2026-03-01T00:00:00.000Z"),
        ("2026-03-01T12:00:00.9999999+02:00", "2026-03-01T10:00:00.999Z"),
        ("2009-05-07T12:08:53.298", "2009-05-07T12:08:53.298Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_timestamp_without_zone_is_utc(mine: Services, sent: str, printed: str) -> None:
    assert mine.read(mine.start(timestamp=sent))["started"]["timestamp"] == printed


def test_begun_under_the_alias_it_is_there_too(mine: Services) -> None:
    answer = Services(mine.account, address=ALIAS).post("/services/start/", {"contact_key": "1", "service_type": "x"})

    service_id = answer.json()["service_id"]
    assert answer["Location"] == f"{ALIAS}/services/{service_id}"
    assert mine.read(f"/services/{service_id}")["contact_key"] == "1"


def test_the_same_key_begins_one_service(mine: Services) -> None:
    body = {"customer_id": "51X", "service_type": 1}

    first = mine.post("/services/start", body, Idempotency_Key="k")
    again = mine.post("/services/start/", body, Idempotency_Key="k")
    other = mine.post("/services/start", body | {"service_type": 2}, Idempotency_Key="k")

    assert (again.status_code, again.content, again["Request-Id"]) == (201, first.content, first["Request-Id"])
    assert again["Idempotent-Replayed"] == "true"
    assert_refused(other, 422, "Unprocessable")
    assert len(mine.read("/customers/51X/services")) == 1


def test_services_do_not_count_as_in_flight() -> None:
    narrow = Services(factories.make_account(max_in_flight=1))

    for _ in range(3):
        narrow.start()


# ---------------------------------------------------------------- ended, deleted


def test_ending_a_service_ends_what_is_open_in_it(mine: Services) -> None:
    service = mine.start(timestamp=MORNING)
    for _ in range(2):
        mine.start_state(service, timestamp=MORNING)
    mine.post(f"{service}/states/0/end", {"timestamp": NOON, "disposition": 1})
    mine.start_task(service, state_id=1, timestamp=NOON)
    mine.start_task(service, timestamp=NOON)

    answer = mine.post(
        f"{service}/end", {"timestamp": EVENING, "disposition": "sold", "disposition_desc": "d" * 64, "media_type": 1}
    )

    over = {"timestamp": EVENING, "media_type": 1}
    read = mine.read(service)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (read["completed"], read["disposition"], read["disposition_desc"]) == (over, "sold", "d" * 64)
    first, second = mine.read(f"{service}/states/completed", completed_tasks="true")
    assert (first["completed"], first["disposition"]) == ({"timestamp": NOON}, 1)
    assert (second["completed"], second["duration"]) == (over, 10 * 3_600_000)
    assert "disposition" not in second
    assert [task["completed"] for task in mine.read(f"{service}/tasks")] == [over, over]


def test_an_end_may_have_no_body_and_no_content_type(mine: Services) -> None:
    service = mine.start()

    assert mine.post(f"{service}/end").status_code == 204
    assert "completed" in mine.read(service)


def test_ending_twice_is_a_conflict_unless_it_is_the_same_call(mine: Services) -> None:
    service = mine.start()

    first = mine.post(f"{service}/end", {}, Idempotency_Key="k")
    again = mine.post(f"{service}/end", {}, Idempotency_Key="k")

    assert (first.status_code, again.status_code, again["Idempotent-Replayed"]) == (204, 204, "true")
    assert_refused(mine.post(f"{service}/end"), 409, "Conflict")


def test_nothing_begins_in_a_service_that_is_over(mine: Services) -> None:
    service = mine.start()
    mine.start_state(service)
    mine.post(f"{service}/end")

    for path, body in (
        ("states/start", {"state_type": 1}),
        ("tasks/start", {"task_type": 1}),
        ("states/transition", {"from": {"state_id": 0}, "to": {"state_type": 1}}),
        ("states/0/end", {}),
    ):
        assert_refused(mine.post(f"{service}/{path}", body), 409, "Conflict")


@pytest.mark.parametrize("ended", [False, True])
def test_a_deleted_service_is_unknown_everywhere(mine: Services, ended: bool) -> None:
    service = mine.start()
    mine.start_state(service)
    mine.start_task(service, state_id=0)
    if ended:
        mine.post(f"{service}/end")

    answer = mine.delete(service)

    assert (answer.status_code, answer.content) == (204, b"")
    for path in (service, f"{service}/states", f"{service}/tasks/0", f"/api/v1/requests/{id_of(service)}"):
        assert mine.get(path).status_code == 404
    assert mine.get(f"/api/v3/global/call/{id_of(service)}").status_code == 404
    assert mine.read("/customers/51X/services") == []
    assert_refused(mine.delete(service), 404, "NotFound")
    assert_refused(mine.post(f"{service}/end"), 404, "NotFound")
