"""The bulk call: POST /api/v3/bulk/{messageType}."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from orchestrator import accounts, handlers, schemas
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import IdempotencyRecord, Message, Request, Scope
from tests import factories
from tests.api.calls import basic

pytestmark = pytest.mark.django_db

PATH = "/api/v3/bulk/Echo"
TICKETS = "/api/v3/bulk/Ticket"


@pytest.fixture(autouse=True)
def ticket_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type whose fields must have a title."""
    document = {"required": ["title"], "properties": {"title": {"type": "string"}}}
    ticket = handlers.MessageType(
        name="Ticket", kind=handlers.Kind.PLAIN, handler=print, schema=schemas.from_json_schema(document)
    )
    monkeypatch.setitem(handlers.registry._declared, "Ticket", ticket)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def node(**fields: Any) -> dict[str, Any]:
    return {"content": fields}


def call(account: accounts.Account, *nodes: Any, path: str = PATH, **headers: str) -> Any:
    """POST a bulk of nodes. Header names are written with underscores."""
    return post(account, json.dumps({"bulk": list(nodes)}).encode(), path=path, **headers)


def post(account: accounts.Account, raw: bytes, *, path: str = PATH, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Browser(raise_request_exception=False).post(
        path, raw, content_type="application/json", headers=basic(account.client_id) | named
    )


def nothing_was_stored(answer: Any) -> None:
    assert answer["Content-Type"] == "application/json"
    assert "Request-Id" not in answer
    assert not Request.objects.exists()
    assert not IdempotencyRecord.objects.exists()


def refused(answer: Any, status: int, code: str) -> str:
    """Look that the whole was refused with the family's NAK; return its text."""
    found = answer.json()
    assert answer.status_code == status, found
    assert found == {"errorCode": code, "errorMessage": found["errorMessage"], "content": "", "pageable": None}
    assert found["errorMessage"]
    nothing_was_stored(answer)
    text: str = found["errorMessage"]
    return text


def refused_nodes(answer: Any) -> list[dict[str, Any]]:
    """Look that nodes were refused, and nothing stored; return them."""
    found = answer.json()
    assert answer.status_code == 400, found
    assert set(found) == {"bulk", "pageable"}
    assert found["pageable"] is None
    assert all((each["errorCode"], each["requestId"]) == ("GLOBAL_1002", "") for each in found["bulk"])
    assert all(each["errorMessage"] for each in found["bulk"])
    nothing_was_stored(answer)
    nodes: list[dict[str, Any]] = found["bulk"]
    return nodes


def test_a_bulk_is_acknowledged_node_by_node(account: accounts.Account) -> None:
    first = {"subscriberIdentifiers": {"msisdn": "46700000000"}, "content": {"n": 1}}
    second = {"content": {"n": 2}}

    answer = call(account, first, second)

    messages = Message.objects.order_by("number")
    request = Request.objects.get()
    assert answer.status_code == 200
    assert answer["Request-Id"] == str(request.id)
    assert answer.json() == {
        "bulk": [
            {"errorCode": "", "errorMessage": "", "requestId": str(messages[0].id), **first},
            {
                "errorCode": "",
                "errorMessage": "",
                "requestId": str(messages[1].id),
                "subscriberIdentifiers": None,
                **second,
            },
        ],
        "pageable": {"page": 0, "size": 2, "totalPages": 1, "totalElements": 2},
    }
    assert (request.door, request.error_policy, request.batch_reference) == ("bulk", ErrorPolicy.PROCEED, None)
    assert [message.payload for message in messages] == ['{"n":1}', '{"n":2}']
    assert {message.status for message in messages} == {Status.QUEUED}


def test_the_umbrellas_id_lists_all_nodes_and_each_nodes_id_itself(account: accounts.Account) -> None:
    answer = call(account, node(), node(), node())

    listed = [each["requestId"] for each in answer.json()["bulk"]]
    assert statuses(account, answer["Request-Id"]) == [{"requestId": each, "status": "OPEN"} for each in listed]
    assert statuses(account, listed[1]) == [{"requestId": listed[1], "status": "OPEN"}]
    assert answer["Request-Id"] not in listed


def statuses(account: accounts.Account, wanted: str) -> Any:
    return Browser().get(f"/api/v3/global/call/{wanted}", headers=basic(account.client_id)).json()["content"]


def test_a_bulk_of_one_has_one_id(account: accounts.Account) -> None:
    answer = call(account, node())

    assert [each["requestId"] for each in answer.json()["bulk"]] == [answer["Request-Id"]]


def test_what_is_echoed_is_as_it_was_written(account: accounts.Account) -> None:
    raw = (
        b'{"bulk": [{"subscriberIdentifiers": [1.50, 123456789012345678901234567890],'
        b' "content": {"b": 1E+5 , "a": "\\u00e9"}, "more": "ignored"}], "more": "ignored"}'
    )

    answer = post(account, raw)

    assert b'"subscriberIdentifiers":[1.50, 123456789012345678901234567890]' in answer.content
    assert b'"content":{"b": 1E+5 , "a": "\\u00e9"}' in answer.content
    assert Message.objects.get().payload == '{"b":1E+5,"a":"\\u00e9"}'


@pytest.mark.parametrize("identifiers", ["text", 5, None, [], {"a": {"b": []}}, True])
def test_subscriber_identifiers_are_any_json(account: accounts.Account, identifiers: Any) -> None:
    answer = call(account, {"subscriberIdentifiers": identifiers, "content": {}})

    assert answer.json()["bulk"][0]["subscriberIdentifiers"] == identifiers


@pytest.mark.usefixtures("lasting_caches")
def test_two_hundred_nodes_are_accepted_by_as_many_statements_as_thirty(account: accounts.Account) -> None:
    call(account, node())
    with CaptureQueriesContext(connection) as few:
        call(account, *[node(n=n) for n in range(30)])
    with CaptureQueriesContext(connection) as many:
        answer = call(account, *[node(n=n) for n in range(200)])

    assert answer.status_code == 200
    assert len(answer.json()["bulk"]) == 200
    assert len(many) == len(few)


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_path_answers_with_and_without_the_last_slash(account: accounts.Account, slash: str) -> None:
    assert call(account, node(), path=PATH + slash).status_code == 200


# --- what is refused


def test_only_the_nodes_that_failed_are_listed_and_nothing_is_created(account: accounts.Account) -> None:
    bad = {"subscriberIdentifiers": {"msisdn": "2"}, "content": {"title": 5}}

    nodes = refused_nodes(call(account, node(title="a"), bad, node(title="b"), path=TICKETS, Idempotency_Key="k"))

    assert nodes == [
        {
            "errorCode": "GLOBAL_1002",
            "errorMessage": 'title: value is not of type "string"',
            "requestId": "",
            **bad,
        }
    ]


@pytest.mark.parametrize("bad", [5, None, "text", [], {}, {"content": None}, {"content": []}, {"content": "text"}])
def test_a_node_of_another_shape_fails(account: accounts.Account, bad: Any) -> None:
    nodes = refused_nodes(call(account, node(), bad))

    assert [each["content"] for each in nodes] == [bad.get("content") if isinstance(bad, dict) else None]


def test_nodes_of_another_shape_and_those_that_fail_the_schema_are_listed_together_in_order(
    account: accounts.Account,
) -> None:
    nodes = refused_nodes(
        call(account, node(), 5, node(title="fits"), {"content": "no object"}, node(title=7), path=TICKETS)
    )

    assert [each["content"] for each in nodes] == [{}, None, "no object", {"title": 7}]
    assert [each["errorMessage"].split()[0] for each in nodes] == ['"title"', "A", "content", "title:"]


def test_more_than_two_hundred_nodes_are_refused_as_a_whole(account: accounts.Account) -> None:
    text = refused(call(account, *[node()] * 201), 400, "GLOBAL_1002")

    assert "200" in text


@pytest.mark.parametrize(
    "raw",
    [
        b" ",
        b"{",
        b"5",
        b"[]",
        b"{}",
        b"null",
        b'{"bulk":[]}',
        b'{"bulk":null}',
        b'{"bulk":{"content":{}}}',
        b'{"Bulk":[{"content":{}}]}',
        b'[{"content":{}}]',
        b'{"bulk":[{"content":{"x":NaN}}]}',
        b'{"bulk":[{"content":{"x":1e999}}]}',
        b'{"bulk":[{"content":{"x":"\\u0000"}}]}',
        b'{"bulk":[{"content":{},"subscriberIdentifiers":"\\ud800"}]}',
        b'{"bulk":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_bulk_is_refused_as_a_whole(account: accounts.Account, raw: bytes) -> None:
    refused(post(account, raw, Idempotency_Key="k"), 400, "GLOBAL_1002")


@pytest.mark.parametrize("message_type", ["Nowhere", "Ticket", "Order", "%00"])
@pytest.mark.parametrize("nodes", [[{"content": {}}], [{"content": {}}, 5]])
def test_a_type_that_is_unknown_or_not_the_clients_is_refused(message_type: str, nodes: list[Any]) -> None:
    account = factories.make_account(types=["Echo"])

    refused(call(account, *nodes, path=f"/api/v3/bulk/{message_type}"), 403, "AUTH_1002")


def test_too_many_open_requests_are_throttled() -> None:
    account = factories.make_account(max_in_flight=1)
    call(account, node(), node())

    answer = call(account, node())

    assert (answer.status_code, answer.json()["errorCode"]) == (429, "GLOBAL_1001")
    assert int(answer["Retry-After"]) > 0
    assert Request.objects.count() == 1


def test_credentials_scope_content_type_and_method_are_checked(account: accounts.Account) -> None:
    browser, known = Browser(), basic(account.client_id)
    reader = factories.make_account(scopes=[Scope.TRACKING_READ])

    refused(browser.post(PATH, b"{}", content_type="application/json"), 401, "AUTH_1001")
    refused(call(reader, node()), 403, "AUTH_1002")
    refused(browser.post(PATH, b"{}", content_type="text/plain", headers=known), 415, "GLOBAL_1002")
    refused(browser.delete(PATH, headers=known), 405, "GLOBAL_1002")


# --- Idempotency-Key


def test_the_same_key_and_value_are_answered_as_the_first_time(account: accounts.Account) -> None:
    first = call(account, node(a=1, b=2), node(), Idempotency_Key="key")

    again = post(account, b'{"bulk": [{"content": {"b": 2, "a": 1}}, {"content": {}}]}', Idempotency_Key="key")

    assert (again.status_code, again.content) == (200, first.content)
    assert (again["Request-Id"], again["Idempotent-Replayed"]) == (first["Request-Id"], "true")
    assert Request.objects.count() == 1


def test_the_same_key_with_another_value_is_refused(account: accounts.Account) -> None:
    call(account, node(), Idempotency_Key="key")

    answer = call(account, node(), node(), Idempotency_Key="key")

    assert (answer.status_code, answer.json()["errorCode"]) == (422, "GLOBAL_1002")
    assert Request.objects.count() == 1


def test_a_refused_bulk_leaves_its_key_free(account: accounts.Account) -> None:
    refused_nodes(call(account, node(), path=TICKETS, Idempotency_Key="key"))

    assert call(account, node(title="t"), path=TICKETS, Idempotency_Key="key").status_code == 200
