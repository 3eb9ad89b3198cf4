"""The Gateway's doors: POST /api/v1/requests and /api/v1/messages/{messageType}, GET and cancel of a request."""

import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client as Browser

from orchestrator import accounts, handlers, schemas
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import IdempotencyRecord, Message, Request, Scope
from tests import factories
from tests.api.calls import basic

pytestmark = pytest.mark.django_db

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


@pytest.fixture(autouse=True)
def ticket_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type whose fields must have a title."""
    ticket = handlers.MessageType(
        name="Ticket",
        kind=handlers.Kind.PLAIN,
        handler=print,
        schema=schemas.from_json_schema({"required": ["title"], "properties": {"title": {"type": "string"}}}),
    )
    monkeypatch.setitem(handlers.registry._declared, "Ticket", ticket)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def body(*messages: Any, **changes: Any) -> dict[str, Any]:
    payload = list(messages) or [{"messageType": "Echo", "externalReference": "one", "text": "hello"}]
    return {"batchReference": "ABC12345", "payload": payload} | changes


def message(reference: str = "one", **own: Any) -> dict[str, Any]:
    return {"messageType": "Echo", "externalReference": reference, **own}


def post(account: accounts.Account, content: Any, *, path: str = "/api/v1/requests", **headers: str) -> Any:
    """POST content as JSON; bytes go out as they are. Header names are written with underscores."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Browser(raise_request_exception=False).post(
        path, raw, content_type="application/json", headers=basic(account.client_id) | named
    )


def get(account: accounts.Account, request_id: object, **headers: str) -> Any:
    return Browser().get(f"/api/v1/requests/{request_id}", headers=basic(account.client_id) | headers)


def refused(answer: Any, status: int) -> list[dict[str, Any]]:
    """Look that nothing was stored and that the answer is the family's error body; return its errors."""
    found = answer.json()
    assert answer.status_code == status, found
    assert answer["Content-Type"] == "application/json"
    assert set(found) == {"data", "errors", "success"}
    assert (found["data"], found["success"]) == (None, False)
    assert found["errors"]
    assert all(set(error) <= {"errorMessage", "field", "index"} and error["errorMessage"] for error in found["errors"])
    assert not Request.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    errors: list[dict[str, Any]] = found["errors"]
    return errors


# --- submitting


def test_a_request_is_accepted(account: accounts.Account) -> None:
    answer = post(account, body(message("one", text="hello"), message("two", n=1)))

    request = Request.objects.get()
    assert answer.status_code == 202
    assert answer["Request-Id"] == str(request.id)
    assert answer["Location"] == f"/api/v1/requests/{request.id}"
    received = answer.json()["data"]["receivedDate"]
    assert DATE.fullmatch(received)
    assert answer.json() == {
        "data": {"id": str(request.id), "batchReference": "ABC12345", "receivedDate": received},
        "errors": [],
        "success": True,
    }
    assert (request.door, request.error_policy, request.batch_reference) == ("requests", ErrorPolicy.HALT, "ABC12345")
    assert list(request.message_set.order_by("number").values_list("external_reference", "payload")) == [
        ("one", '{"text":"hello"}'),
        ("two", '{"n":1}'),
    ]


@pytest.mark.parametrize("path", ["/api/v1/requests", "/api/v1/requests/"])
def test_the_path_answers_with_and_without_the_last_slash(account: accounts.Account, path: str) -> None:
    assert post(account, body(), path=path).status_code == 202


def test_all_of_the_body_is_understood(account: accounts.Account) -> None:
    content = body(errorPolicy="proceedOnError", duplicatePolicy="reject", deadline=0.5, priority=9.0, more="ignored")

    answer = post(account, content)

    request = Request.objects.get()
    assert answer.status_code == 202
    assert request.error_policy == ErrorPolicy.PROCEED
    assert request.deadline_at is not None
    assert (request.deadline_at - request.received_at).total_seconds() == 0.5


def test_prefer_representation_lists_the_messages(account: accounts.Account) -> None:
    answer = post(account, body(message("one"), message("two")), Prefer="respond-async, Return=Representation; a=b")

    rows = Message.objects.order_by("number")
    assert answer["Preference-Applied"] == "return=representation"
    assert answer.json()["data"]["messages"] == [
        {"id": str(row.id), "externalReference": row.external_reference, "messageStatus": "Queued"} for row in rows
    ]


@pytest.mark.parametrize(
    "prefer", ["return=minimal", "return=minimal, return=representation", "returns=representation"]
)
def test_without_the_preference_no_messages_are_listed(account: accounts.Account, prefer: str) -> None:
    answer = post(account, body(), Prefer=prefer)

    assert "messages" not in answer.json()["data"]
    assert "Preference-Applied" not in answer


def test_own_fields_are_kept_as_they_were_written(account: accounts.Account) -> None:
    raw = (
        b'{"payload": [{"a": 1.50, "externalReference": "r", "big": 123456789012345678901234567890,'
        b' "e": 1E+5, "messageType": "Echo", "text": "\\u00e9\\/", "deep": {"b" : [ 1,2 ]}}], "batchReference": "b"}'
    )

    assert post(account, raw).status_code == 202

    assert Message.objects.get().payload == (
        '{"a":1.50,"big":123456789012345678901234567890,"e":1E+5,"text":"\\u00e9\\/","deep":{"b" : [ 1,2 ]}}'
    )


def test_messages_of_one_type_need_not_name_it(account: accounts.Account) -> None:
    content = body({"externalReference": "one"}, {"externalReference": "two", "messageType": "Echo"})

    answer = post(account, content, path="/api/v1/messages/Echo")

    request = Request.objects.get()
    assert answer.status_code == 200
    assert answer.json()["data"]["id"] == answer["Request-Id"] == str(request.id)
    assert (request.door, request.total, request.types) == ("messages", 2, ["Echo"])
    assert set(Message.objects.values_list("payload", flat=True)) == {"{}"}


def test_an_invalid_message_is_stored_and_told_with_its_index(account: accounts.Account) -> None:
    bad = {"messageType": "Ticket", "externalReference": "bad", "title": 5}

    answer = post(account, body(message(), bad, errorPolicy="proceedOnError"), Prefer="return=representation")

    assert answer.status_code == 202
    assert answer.json()["success"] is True
    assert answer.json()["errors"] == [{"errorMessage": 'title: value is not of type "string"', "index": 1}]
    assert [one["messageStatus"] for one in answer.json()["data"]["messages"]] == ["Queued", "Invalid"]


def test_under_halt_on_error_an_invalid_message_cancels_the_others(account: accounts.Account) -> None:
    bad = {"messageType": "Ticket", "externalReference": "bad"}

    answer = post(account, body(message(), bad, message("two")), Prefer="return=representation")

    assert answer.status_code == 202
    assert [one["messageStatus"] for one in answer.json()["data"]["messages"]] == ["Cancelled", "Invalid", "Cancelled"]
    assert [error["index"] for error in answer.json()["errors"]] == [1]


def test_a_duplicate_is_invalid_under_reject(account: accounts.Account) -> None:
    post(account, body())

    answer = post(account, body(duplicatePolicy="reject"))

    assert answer.status_code == 202
    assert [error["index"] for error in answer.json()["errors"]] == [0]


def test_a_trace_is_handed_on(account: accounts.Account) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    post(account, body(), traceparent=given)

    assert Request.objects.get().traceparent == given


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"batchReference": None}, "batchReference"),
        ({"batchReference": ""}, "batchReference"),
        ({"batchReference": "x" * 256}, "batchReference"),
        ({"batchReference": 5}, "batchReference"),
        ({"errorPolicy": "stop"}, "errorPolicy"),
        ({"errorPolicy": "HaltOnError"}, "errorPolicy"),
        ({"errorPolicy": None}, "errorPolicy"),
        ({"duplicatePolicy": True}, "duplicatePolicy"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": -1}, "deadline"),
        ({"deadline": "60"}, "deadline"),
        ({"deadline": True}, "deadline"),
        ({"deadline": 1e300}, "deadline"),
        ({"priority": 10}, "priority"),
        ({"priority": -1}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"payload": []}, "payload"),
        ({"payload": None}, "payload"),
        ({"payload": {"messageType": "Echo"}}, "payload"),
    ],
)
def test_a_bad_field_is_named(account: accounts.Account, changes: dict[str, Any], field: str) -> None:
    errors = refused(post(account, body(**changes)), 400)

    assert [error["field"] for error in errors] == [field]


@pytest.mark.parametrize("missing", ["batchReference", "payload"])
def test_a_missing_field_is_named(account: accounts.Account, missing: str) -> None:
    content = body()
    del content[missing]

    assert refused(post(account, content), 400) == [{"errorMessage": f"{missing} is missing", "field": missing}]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"externalReference": "r"}, "messageType"),
        ({"externalReference": "r", "messageType": 5}, "messageType"),
        ({"externalReference": "r", "messageType": ""}, "messageType"),
        ({"messageType": "Echo"}, "externalReference"),
        ({"messageType": "Echo", "externalReference": None}, "externalReference"),
        ({"messageType": "Echo", "externalReference": ""}, "externalReference"),
        ({"messageType": "Echo", "externalReference": "x" * 256}, "externalReference"),
        ({"messageType": "Echo", "externalReference": 7}, "externalReference"),
        ("text", "payload"),
        (None, "payload"),
        ([], "payload"),
    ],
)
def test_a_bad_message_is_named_by_its_index(account: accounts.Account, bad: Any, field: str) -> None:
    errors = refused(post(account, body(message(), bad)), 400)

    assert [(error["field"], error["index"]) for error in errors] == [(field, 1)]


def test_everything_that_is_wrong_is_told_at_once(account: accounts.Account) -> None:
    content = body({"messageType": "Echo"}, message(), 5, priority=10, batchReference=None)

    errors = refused(post(account, content), 400)

    assert [(error["field"], error.get("index")) for error in errors] == [
        ("batchReference", None),
        ("priority", None),
        ("externalReference", 0),
        ("payload", 2),
    ]


def test_no_more_than_a_hundred_errors_are_told(account: accounts.Account) -> None:
    assert len(refused(post(account, body(*[5] * 5000)), 400)) == 100


def test_texts_count_in_characters(account: accounts.Account) -> None:
    assert post(account, body(message("😀" * 255), batchReference="é" * 255)).status_code == 202


def test_ten_thousand_messages_are_accepted(account: accounts.Account) -> None:
    assert post(account, body(*[message()] * 10_000)).status_code == 202

    assert Message.objects.count() == 10_000


def test_one_more_is_refused(account: accounts.Account) -> None:
    assert [error["field"] for error in refused(post(account, body(*[message()] * 10_001)), 400)] == ["payload"]


@pytest.mark.parametrize(
    "raw",
    [
        b" ",
        b"{",
        b"5",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 5000,
        b'{"batchReference":"b","payload":[{"messageType":"Echo","externalReference":"r","x":NaN}]}',
        b'{"batchReference":"b","payload":[{"messageType":"Echo","externalReference":"r","x":1e999}]}',
        b'{"batchReference":"b","payload":[{"messageType":"Echo","externalReference":"r","x":"\\u0000"}]}',
        b'{"batchReference":"b","payload":[{"messageType":"Echo","externalReference":"r","x":"\\ud800"}]}',
        b'{"batchReference":"b","payload":[{"messageType":"Echo","externalReference":"r","x":"\xff"}]}',
        b'{"batchReference":"b","payload":[{"messageType":"Echo","externalReference":"r","x":'
        + b"[" * 5000
        + b"]" * 5000
        + b"}]}",
    ],
)
def test_json_that_cannot_be_kept_is_refused(account: accounts.Account, raw: bytes) -> None:
    refused(post(account, raw, Idempotency_Key="key"), 400)


def test_types_that_are_unknown_or_not_the_clients_are_refused() -> None:
    account = factories.make_account(types=["Echo"])
    content = body(message(), message() | {"messageType": "Ticket"}, message() | {"messageType": "Nowhere"})

    errors = refused(post(account, content), 403)

    assert [(error["field"], error["index"]) for error in errors] == [("messageType", 1), ("messageType", 2)]


def test_a_type_in_the_path_that_is_unknown_is_refused(account: accounts.Account) -> None:
    refused(post(account, body({"externalReference": "r"}), path="/api/v1/messages/No%20where"), 403)


def test_another_type_than_the_paths_is_refused(account: accounts.Account) -> None:
    errors = refused(post(account, body(message() | {"messageType": "Ticket"}), path="/api/v1/messages/Echo"), 400)

    assert [(error["field"], error["index"]) for error in errors] == [("messageType", 0)]


def test_too_many_open_requests_are_throttled() -> None:
    account = factories.make_account(max_in_flight=1)
    post(account, body())

    answer = post(account, body())

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert answer.json()["success"] is False
    assert Request.objects.count() == 1


@pytest.mark.parametrize("path", ["/api/v1/requests", "/api/v1/messages/Echo"])
def test_the_scope_to_submit_is_needed(path: str) -> None:
    refused(post(factories.make_account(scopes=[Scope.TRACKING_READ]), body(), path=path), 403)


def test_credentials_content_type_and_method_are_checked(account: accounts.Account) -> None:
    browser, known = Browser(), basic(account.client_id)

    unknown = browser.post("/api/v1/requests", b"{}", content_type="application/json")
    wrong_type = browser.post("/api/v1/requests", b"{}", content_type="text/plain", headers=known)
    wrong_method = browser.put("/api/v1/requests", b"{}", content_type="application/json", headers=known)

    refused(unknown, 401)
    assert "WWW-Authenticate" in unknown
    refused(wrong_type, 415)
    refused(wrong_method, 405)


def test_a_body_over_the_limit_is_refused(account: accounts.Account, settings: LazySettings) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 100

    refused(post(account, body(message(text="x" * 100))), 413)


# --- Idempotency-Key


def test_the_same_key_and_value_are_answered_as_the_first_time(account: accounts.Account) -> None:
    content = body(message(n=1))
    first = post(account, content, Idempotency_Key="key", Prefer="return=representation")
    respelt = json.dumps(content, indent=3, sort_keys=True).encode()

    again = post(account, respelt, Idempotency_Key="key", path="/api/v1/requests/")

    assert (again.status_code, again.content) == (202, first.content)
    assert (again["Request-Id"], again["Location"]) == (first["Request-Id"], first["Location"])
    assert again["Preference-Applied"] == "return=representation"
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Request.objects.count() == 1


def test_the_same_key_with_another_value_is_refused(account: accounts.Account) -> None:
    post(account, body(message(n=1)), Idempotency_Key="key")

    answer = post(account, body(message(n=2)), Idempotency_Key="key")

    assert answer.status_code == 422
    assert answer.json()["success"] is False
    assert Request.objects.count() == 1


def test_a_key_counts_for_one_client_and_one_path(account: accounts.Account) -> None:
    paths = ["/api/v1/requests", "/api/v1/messages/Echo", "/api/v1/messages/Ticket"]
    callers = [account, factories.make_account()]

    answers = [
        post(
            caller,
            body({"externalReference": "r", "messageType": path.split("/")[4]} if "messages" in path else message()),
            path=path,
            Idempotency_Key="key",
        )
        for path in paths
        for caller in callers
    ]

    assert len({answer["Request-Id"] for answer in answers}) == 6


def test_a_refused_request_leaves_its_key_free(account: accounts.Account) -> None:
    refused(post(account, body(priority=10), Idempotency_Key="key"), 400)
    refused(post(account, body(message() | {"messageType": "Nowhere"}), Idempotency_Key="key"), 403)

    answer = post(account, body(), Idempotency_Key="key")

    assert answer.status_code == 202
    assert "Idempotent-Replayed" not in answer


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "t\x7f", "é"])
def test_a_bad_key_is_refused(account: accounts.Account, key: str) -> None:
    refused(post(account, body(), Idempotency_Key=key), 400)


# --- GET


def submit(account: accounts.Account, *messages: Any, **changes: Any) -> uuid.UUID:
    return uuid.UUID(post(account, body(*messages, **changes))["Request-Id"])


def test_a_request_is_shown_with_all_its_messages(account: accounts.Account) -> None:
    bad = {"messageType": "Ticket", "externalReference": "two"}
    request_id = submit(account, message("one"), bad, errorPolicy="proceedOnError")

    answer = get(account, request_id)

    first, second = Message.objects.order_by("number")
    data = answer.json()["data"]
    assert answer.status_code == 200
    assert (answer.json()["errors"], answer.json()["success"]) == ([], True)
    assert (data["id"], data["batchReference"], data["requestStatus"]) == (str(request_id), "ABC12345", "Queued")
    assert (data["feedId"], data["clientName"]) == (str(account.feed_id), account.name)
    assert (data["messageStatusSummary"]["queued"], data["messageStatusSummary"]["invalid"]) == (1, 1)
    assert [one["externalReference"] for one in data["payload"]] == ["one", "two"]
    assert data["payload"][0]["echoId"] == str(first.id)
    assert data["payload"][1]["ticketId"] == str(second.id)
    assert data["payload"][1]["errors"] == [{"errorMessage": '"title" is a required property'}]


def test_prefer_minimal_leaves_the_messages_out(account: accounts.Account) -> None:
    answer = get(account, submit(account), Prefer="return=minimal")

    assert answer["Preference-Applied"] == "return=minimal"
    assert "payload" not in answer.json()["data"]
    assert answer.json()["data"]["messageStatusSummary"]["total"] == 1


UNKNOWN_IDS: list[Callable[[accounts.Account], object]] = [
    lambda account: uuid.uuid4(),
    lambda account: "no-uuid",
    lambda account: "%00",
    lambda account: f"{{{submit(account)}}}",
    lambda account: submit(factories.make_account()),
]


@pytest.mark.parametrize("make_id", UNKNOWN_IDS)
def test_unknown_malformed_and_foreign_ids_are_answered_alike(
    account: accounts.Account, make_id: Callable[[accounts.Account], object]
) -> None:
    wanted = make_id(account)

    shown, cancelled = get(account, wanted), post(account, b"", path=f"/api/v1/requests/{wanted}/cancel")

    expected = {"data": None, "errors": [{"errorMessage": "You have no request of this id"}], "success": False}
    assert (shown.status_code, shown.json()) == (404, expected)
    assert (cancelled.status_code, cancelled.json()) == (404, expected)
    assert not Message.objects.filter(status=Status.CANCELLED).exists()


# --- cancel


@pytest.mark.parametrize("slash", ["", "/"])
def test_cancelling_cancels_what_is_queued_and_shows_the_request(account: accounts.Account, slash: str) -> None:
    request_id = submit(account, message("one"), message("two"))

    answer = post(account, b"", path=f"/api/v1/requests/{request_id}/cancel{slash}")

    assert answer.status_code == 200
    data = answer.json()["data"]
    assert (data["id"], data["requestStatus"]) == (str(request_id), "Cancelled")
    assert [one["messageStatus"] for one in data["payload"]] == ["Cancelled", "Cancelled"]
    assert data["messageStatusSummary"]["cancelled"] == 2


def test_cancelling_needs_no_body_and_no_content_type(account: accounts.Account) -> None:
    path = f"/api/v1/requests/{submit(account)}/cancel"

    assert Browser().post(path, headers=basic(account.client_id)).status_code == 200


def test_a_finished_request_is_not_cancelled(account: accounts.Account) -> None:
    path = f"/api/v1/requests/{submit(account)}/cancel"
    post(account, b"", path=path)

    answer = post(account, b"", path=path)

    assert answer.status_code == 409
    assert answer.json()["errors"] == [{"errorMessage": "The request has no open message that could be cancelled."}]
