"""The regular call: POST /api/v3/call/{messageType}."""

import json
import uuid
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from orchestrator import accounts, handlers, schemas
from orchestrator.lifecycle import Status
from orchestrator.models import IdempotencyRecord, Message, Request, Scope
from tests import factories
from tests.api.calls import basic

pytestmark = pytest.mark.django_db

PATH = "/api/v3/call/Echo"


@pytest.fixture(autouse=True)
def ticket_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type whose fields must have a title and may have a number; and one that only orders may send."""
    document = {"required": ["title"], "properties": {"title": {"type": "string"}, "number": {"type": "integer"}}}
    for message_type in (
        handlers.MessageType(
            name="Ticket", kind=handlers.Kind.PLAIN, handler=print, schema=schemas.from_json_schema(document)
        ),
        handlers.MessageType(name="Private", kind=handlers.Kind.PLAIN, handler=print, doors=frozenset({"orders"})),
    ):
        monkeypatch.setitem(handlers.registry._declared, message_type.name, message_type)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def call(account: accounts.Account, content: Any, *, path: str = PATH, **headers: str) -> Any:
    """POST content as JSON; bytes go out as they are. Header names are written with underscores."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Browser(raise_request_exception=False).post(
        path, raw, content_type="application/json", headers=basic(account.client_id) | named
    )


def refused(answer: Any, status: int, code: str) -> str:
    """Look that nothing was stored and that the answer is the family's NAK; return its text."""
    found = answer.json()
    assert answer.status_code == status, found
    assert answer["Content-Type"] == "application/json"
    assert found == {"errorCode": code, "errorMessage": found["errorMessage"], "content": "", "pageable": None}
    assert found["errorMessage"]
    assert "Request-Id" not in answer
    assert not Request.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    text: str = found["errorMessage"]
    return text


def test_a_call_is_acknowledged_with_the_id_that_header_body_and_status_share(account: accounts.Account) -> None:
    answer = call(account, {"text": "hello"})

    request_id = answer["Request-Id"]
    assert answer.status_code == 200
    assert answer.json() == {
        "errorCode": "",
        "errorMessage": "",
        "content": [{"requestId": request_id}],
        "pageable": {"page": 0, "size": 10, "totalPages": 1, "totalElements": 1},
    }
    status = Browser().get(f"/api/v3/global/call/{request_id}", headers=basic(account.client_id)).json()
    assert status["content"] == [{"requestId": request_id, "status": "OPEN"}]


def test_a_call_is_one_message_of_a_request(account: accounts.Account) -> None:
    answer = call(account, {"text": "hello"})

    message = Message.objects.get()
    assert str(message.id) == str(message.request_id) == answer["Request-Id"]
    assert (message.type, message.external_reference, message.status) == ("Echo", None, Status.QUEUED)
    assert (message.request.door, message.request.batch_reference, message.request.total) == ("call", None, 1)


def test_the_body_is_the_messages_fields_as_they_were_written(account: accounts.Account) -> None:
    call(account, b'{"messageType": "mine", "externalReference" : 5, "big": 123456789012345678901234567890, "e": 1E+5}')

    assert Message.objects.get().payload == (
        '{"messageType":"mine","externalReference":5,"big":123456789012345678901234567890,"e":1E+5}'
    )


def test_no_fields_are_fields(account: accounts.Account) -> None:
    assert call(account, {}).status_code == 200
    assert Message.objects.get().payload == "{}"


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_answers_with_and_without_the_last_slash(account: accounts.Account, slash: str) -> None:
    assert call(account, {}, path=PATH + slash).status_code == 200


def test_a_trace_is_handed_on(account: accounts.Account) -> None:
    given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    call(account, {}, traceparent=given)

    assert Request.objects.get().traceparent == given


@pytest.mark.usefixtures("lasting_caches")
def test_the_number_of_statements_is_that_of_any_submission(account: accounts.Account) -> None:
    call(account, {})
    with CaptureQueriesContext(connection) as statements:
        call(account, {"text": "x" * 100_000})

    assert sum("INSERT INTO orchestrator_request" in query["sql"] for query in statements) == 1
    assert len(statements) < 10


# --- what is refused


@pytest.mark.parametrize("content", [{}, {"title": 5}, {"title": "t", "number": "one"}])
def test_fields_that_fail_the_types_schema_create_nothing(account: accounts.Account, content: Any) -> None:
    text = refused(call(account, content, path="/api/v3/call/Ticket", Idempotency_Key="k"), 400, "GLOBAL_1002")

    assert "title" in text or "number" in text


def test_all_that_is_wrong_with_the_fields_is_told(account: accounts.Account) -> None:
    text = refused(call(account, {"number": "one"}, path="/api/v3/call/Ticket"), 400, "GLOBAL_1002")

    assert "title" in text
    assert "number" in text


@pytest.mark.parametrize(
    "raw",
    [
        b" ",
        b"{",
        b"5",
        b"[]",
        b"[{}]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"x":NaN}',
        b'{"x":1e999}',
        b'{"x":"\\u0000"}',
        b'{"x":"\\ud800"}',
        b'{"x":"\xff"}',
        b"[" * 5000,
        b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(account: accounts.Account, raw: bytes) -> None:
    refused(call(account, raw, Idempotency_Key="k"), 400, "GLOBAL_1002")


@pytest.mark.parametrize("message_type", ["Nowhere", "echo", "No%20where", "%00", "Private", "Ticket"])
def test_a_type_that_is_unknown_or_not_the_clients_is_refused(message_type: str) -> None:
    account = factories.make_account(types=["Echo", "Private"])

    refused(call(account, {"title": "t"}, path=f"/api/v3/call/{message_type}"), 403, "AUTH_1002")


def test_a_type_that_is_not_the_clients_is_refused_before_its_schema_is_asked() -> None:
    account = factories.make_account(types=["Echo"])

    refused(call(account, {}, path="/api/v3/call/Ticket"), 403, "AUTH_1002")


def test_the_order_type_is_refused(account: accounts.Account) -> None:
    refused(call(account, {}, path="/api/v3/call/Order"), 403, "AUTH_1002")


def test_too_many_open_requests_are_throttled() -> None:
    account = factories.make_account(max_in_flight=1)
    call(account, {})

    answer = call(account, {})

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert answer.json() == {
        "errorCode": "GLOBAL_1001",
        "errorMessage": "Service unavailable. Please try again",
        "content": "",
        "pageable": None,
    }
    assert Request.objects.count() == 1


def test_credentials_scope_content_type_and_method_are_checked(account: accounts.Account) -> None:
    browser, known = Browser(), basic(account.client_id)
    reader = factories.make_account(scopes=[Scope.TRACKING_READ])

    unknown = browser.post(PATH, b"{}", content_type="application/json")
    refused(unknown, 401, "AUTH_1001")
    assert "WWW-Authenticate" in unknown
    refused(call(reader, {}), 403, "AUTH_1002")
    refused(browser.post(PATH, b"{}", content_type="text/plain", headers=known), 415, "GLOBAL_1002")
    refused(browser.get(PATH, headers=known), 405, "GLOBAL_1002")
    refused(browser.post("/api/v3/call", b"{}", content_type="application/json", headers=known), 404, "GLOBAL_1002")


def test_a_body_over_the_limit_is_refused(account: accounts.Account, settings: LazySettings) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 100

    refused(call(account, {"text": "x" * 100}), 413, "GLOBAL_1002")


# --- Idempotency-Key


def test_the_same_key_and_value_are_answered_as_the_first_time(account: accounts.Account) -> None:
    first = call(account, {"a": 1, "b": 2}, Idempotency_Key="key")

    again = call(account, b'{ "b": 2, "a": 1 }', path=f"{PATH}/", Idempotency_Key="key")

    assert (again.status_code, again.content) == (200, first.content)
    assert again["Request-Id"] == first["Request-Id"]
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert Request.objects.count() == 1


def test_the_same_key_with_another_value_is_refused(account: accounts.Account) -> None:
    call(account, {"a": 1}, Idempotency_Key="key")

    answer = call(account, {"a": 2}, Idempotency_Key="key")

    assert (answer.status_code, answer.json()["errorCode"]) == (422, "GLOBAL_1002")
    assert Request.objects.count() == 1


def test_a_key_is_answered_even_at_the_limit() -> None:
    account = factories.make_account(max_in_flight=1)
    first = call(account, {}, Idempotency_Key="key")

    assert call(account, {}, Idempotency_Key="key").content == first.content


def test_a_bad_key_is_refused(account: accounts.Account) -> None:
    refused(call(account, {}, Idempotency_Key="with space"), 400, "GLOBAL_1002")


def test_ids_are_made_anew_for_each_call(account: accounts.Account) -> None:
    ids = {uuid.UUID(call(account, {})["Request-Id"]) for _ in range(3)}

    assert len(ids) == 3
    assert {found.version for found in ids} == {7}
