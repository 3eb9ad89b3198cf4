"""The Gateway family's doors: what they answer, store and refuse."""

import re
import uuid
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, assert_refused, fresh, message, request

DOOR, TYPED = "/api/v1/requests", "/api/v1/messages/Echo"
WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


def test_an_accepted_request_is_202_with_its_id_and_place(demo: Api) -> None:
    body = request(message(text="é", number=1.5))

    answer = demo.post(DOOR, body)

    assert answer.status_code == 202
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    request_id = answer.headers["Request-Id"]
    assert answer.headers["Location"].endswith(f"/api/v1/requests/{request_id}")
    assert list(answer.json()) == ["data", "errors", "success"]
    assert answer.json()["errors"] == []
    assert answer.json()["success"] is True
    data = answer.json()["data"]
    assert set(data) == {"id", "batchReference", "receivedDate"}
    assert (data["id"], data["batchReference"]) == (request_id, body["batchReference"])
    assert WHEN.fullmatch(data["receivedDate"])
    assert str(uuid.UUID(request_id)) == request_id


def test_the_representation_lists_the_messages(demo: Api) -> None:
    body = request(message(), message(), message())

    answer = demo.post(DOOR, body, headers={"Prefer": "return=representation"})

    assert answer.status_code == 202
    data = answer.json()["data"]
    assert set(data) == {"id", "batchReference", "receivedDate", "messages"}
    assert [set(item) for item in data["messages"]] == [{"id", "externalReference", "messageStatus"}] * 3
    asked = [item["externalReference"] for item in body["payload"]]
    assert [item["externalReference"] for item in data["messages"]] == asked
    assert {item["messageStatus"] for item in data["messages"]} == {"Queued"}
    assert len({item["id"] for item in data["messages"]}) == 3
    seen = demo.seen(data["id"])["payload"]
    assert [item["echoId"] for item in seen] == [item["id"] for item in data["messages"]]


@pytest.mark.parametrize(
    "prefer", ["return=representation", 'return="representation"', "wait=5, return=representation"]
)
def test_prefer_is_read_as_its_rfc_says(demo: Api, prefer: str) -> None:
    answer = demo.post(DOOR, request(), headers={"Prefer": prefer})

    assert len(answer.json()["data"]["messages"]) == 1


def test_the_typed_door_needs_no_message_type_and_answers_200(demo: Api) -> None:
    body = request({"externalReference": "one"}, {"externalReference": "two", "field": [1]})

    answer = demo.post(TYPED, body)

    assert answer.status_code == 200
    assert set(answer.json()["data"]) == {"id", "batchReference", "receivedDate"}
    assert answer.json()["success"] is True
    done = demo.finished(answer.headers["Request-Id"])
    assert [item["messageType"] for item in done["payload"]] == ["Echo", "Echo"]
    assert [item["externalReference"] for item in done["payload"]] == ["one", "two"]
    assert done["messageStatusSummary"]["complete"] == 2


def test_the_request_is_shown_as_in_tracking_with_all_its_messages(demo: Api) -> None:
    request_id = demo.submit(message("Echo"), message("Vehicle"))

    done = demo.finished(request_id)
    answer = demo.get(f"/api/v1/requests/{request_id}")

    assert list(answer.json()) == ["data", "errors", "success"]
    assert answer.json()["errors"] == []
    assert answer.json()["success"] is True
    assert answer.json()["data"] == done
    assert demo.search(("id", request_id)) == [done]
    assert [item["messageType"] for item in done["payload"]] == ["Echo", "Vehicle"]
    assert done["requestStatus"] == "Complete"


def test_the_minimal_request_has_no_payload(demo: Api) -> None:
    done = demo.done(message())

    answer = demo.get(f"/api/v1/requests/{done['id']}", headers={"Prefer": "return=minimal"})

    assert answer.status_code == 200
    assert answer.json()["data"] == {name: value for name, value in done.items() if name != "payload"}


def test_a_single_messages_id_is_its_requests(demo: Api) -> None:
    done = demo.done(message())

    assert done["payload"][0]["echoId"] == done["id"]


@pytest.mark.parametrize(
    "fields",
    [
        {"batchReference": "b" * 255},
        {"batchReference": "日" * 255},
        {"batchReference": "🚚" * 255},
        {"batchReference": " "},
        {"batchReference": "line\nbreak\t\x7f\"\\'; --"},
        {"errorPolicy": "haltOnError"},
        {"errorPolicy": "proceedOnError"},
        {"duplicatePolicy": "accept"},
        {"duplicatePolicy": "reject"},
        {"deadline": 60},
        {"deadline": 0.5},
        {"priority": 0},
        {"priority": 9},
    ],
)
def test_every_field_takes_what_it_may_be(demo: Api, fields: dict[str, Any]) -> None:
    answer = demo.post(DOOR, request(message("Echo", "e" * 255), message("Echo", "🚚" * 255), **fields))

    assert answer.status_code == 202, answer.text
    if "batchReference" in fields:
        assert answer.json()["data"]["batchReference"] == fields["batchReference"]
        assert demo.seen(answer.headers["Request-Id"])["batchReference"] == fields["batchReference"]


WRONG: list[tuple[str, Any]] = [
    *[("batchReference", value) for value in ("", "b" * 256, "🚚" * 256, 5, None, ["b"], {}, True)],
    *[("errorPolicy", value) for value in ("", "halt", "HALTONERROR", 1, True, ["haltOnError"])],
    *[("duplicatePolicy", value) for value in ("", "Reject", 0, False, {})],
    *[("deadline", value) for value in (-1, "5", True, [], {})],
    *[("priority", value) for value in (-1, 10, 1.5, "1", True, [], 10**30)],
    *[("payload", value) for value in ([], {}, None, "text", 5, [None], ["text"], [[]], [5], [{}])],
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_400_and_nothing_is_stored(demo: Api, field: str, value: Any) -> None:
    reference = fresh()
    body = {**request(message("Echo", reference)), field: value}

    assert_refused(demo.post(DOOR, body), 400)
    assert_refused(demo.post(TYPED, body), 400)

    assert demo.search(("externalReference", reference)) == []


WRONG_ITEMS: list[dict[str, Any]] = [
    {"messageType": "Echo"},
    *[{"messageType": "Echo", "externalReference": value} for value in ("", "r" * 256, 5, None, True, ["r"])],
    *[{"messageType": value, "externalReference": "r"} for value in (5, None, True, ["Echo"], {})],
    {"externalReference": "r"},
]


@pytest.mark.parametrize("item", WRONG_ITEMS)
def test_a_wrong_message_is_400_for_the_whole_request(demo: Api, item: dict[str, Any]) -> None:
    reference = fresh()

    errors = assert_refused(demo.post(DOOR, request(message("Echo", reference), item)), 400)

    assert {error["index"] for error in errors if "index" in error} <= {1}
    assert demo.search(("externalReference", reference)) == []


@pytest.mark.parametrize("missing", ["batchReference", "payload"])
def test_a_missing_field_is_400(demo: Api, missing: str) -> None:
    body = request()
    del body[missing]

    errors = assert_refused(demo.post(DOOR, body), 400)

    assert missing in str(errors)


@pytest.mark.parametrize("deadline", [0, 1e-9, 1e12, 1e308, 10**400])
def test_an_odd_deadline_is_never_a_5xx(demo: Api, deadline: float) -> None:
    answer = demo.post(DOOR, request(deadline=deadline))

    assert answer.status_code in {202, 400}, answer.text


@pytest.mark.parametrize("name", ["NoSuchType", "echo", "Echo ", "", "🚚", "x" * 5000, "Order", "../Echo"])
def test_an_unknown_type_is_403_and_nothing_is_stored(demo: Api, name: str) -> None:
    reference = fresh()

    answer = demo.post(DOOR, request(message("Echo", reference), message(name, reference)))

    assert answer.status_code == 403 or name == ""
    assert_refused(answer, answer.status_code)
    assert demo.search(("externalReference", reference)) == []


@pytest.mark.parametrize("name", ["NoSuchType", "echo", "%F0%9F%9A%9A", "Order"])
def test_the_typed_door_of_an_unknown_type_is_403(demo: Api, name: str) -> None:
    assert_refused(demo.post(f"/api/v1/messages/{name}", request({"externalReference": "r"})), 403)


OWN_FIELDS: dict[str, Any] = {
    "": 1,
    "id": None,
    "sandbox": "not an object",
    "batchReference": {"deep": [[{"é🚚": "\u2028"}]]},
    "big": 123456789012345678901234567890,
    "small": 1e-300,
    "__proto__": {},
    "key with \n": "\x7f",
}


def test_own_fields_may_be_any_json(demo: Api) -> None:
    assert demo.done(message(**OWN_FIELDS))["messageStatusSummary"]["complete"] == 1
