"""Request status: GET /api/v3/global/call/{id} and its elder, v2."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from orchestrator import accounts
from orchestrator.lifecycle import FailureKind, Status
from tests import factories
from tests.api.calls import basic
from tests.factories import AMessage

pytestmark = pytest.mark.django_db

UNKNOWN = {
    "errorCode": "GLOBAL_1003",
    "errorMessage": "Provided request ID does not exist for your account",
    "content": "",
    "pageable": None,
}


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def ask(account: accounts.Account, wanted: object, *, query: str = "", version: str = "v3") -> Any:
    return Browser().get(f"/api/{version}/global/call/{wanted}{query}", headers=basic(account.client_id))


def test_a_request_lists_its_messages_in_order_as_in_the_document(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id, messages=[AMessage(), AMessage(status=Status.FAILED)])

    answer = ask(account, request.id)

    first, second = factories.messages_of(request)
    assert answer.status_code == 200
    assert answer.json() == {
        "errorCode": "",
        "errorMessage": "",
        "content": [
            {"requestId": str(first.id), "status": "SUCCESS"},
            {"requestId": str(second.id), "status": "FAILURE"},
        ],
        "pageable": {"page": 0, "size": 10, "totalPages": 1, "totalElements": 2},
    }


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (AMessage(status=Status.QUEUED), "OPEN"),
        (AMessage(status=Status.PROCESSING), "OPEN"),
        (AMessage(status=Status.COMPLETE), "SUCCESS"),
        (AMessage(status=Status.FAILED, failure_kind=FailureKind.REJECTED), "FAILURE"),
        (AMessage(status=Status.FAILED, failure_kind=FailureKind.INTERNAL), "INTERNAL_ERROR"),
        (AMessage(status=Status.FAILED, failure_kind=FailureKind.TIMEOUT), "INTERNAL_ERROR"),
        (AMessage(status=Status.INVALID), "FAILURE"),
        (AMessage(status=Status.CANCELLED), "FAILURE"),
    ],
)
def test_each_status_has_its_word(account: accounts.Account, message: AMessage, word: str) -> None:
    request = factories.make_request(client_id=account.id, messages=[message])

    assert [item["status"] for item in ask(account, request.id).json()["content"]] == [word]


def test_a_single_call_has_one_id_in_header_and_item(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id)

    assert ask(account, request.id).json()["content"] == [{"requestId": str(request.id), "status": "SUCCESS"}]


def test_one_message_of_many_is_found_by_its_own_id(account: accounts.Account) -> None:
    request = factories.make_request(
        client_id=account.id, messages=[AMessage(), AMessage(status=Status.QUEUED), AMessage()]
    )
    wanted = factories.messages_of(request)[1].id

    answer = ask(account, wanted).json()

    assert answer["content"] == [{"requestId": str(wanted), "status": "OPEN"}]
    assert answer["pageable"] == {"page": 0, "size": 10, "totalPages": 1, "totalElements": 1}
    assert ask(account, wanted, query="?page=1").json()["content"] == []


def test_v2_answers_statuses_alone(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id, messages=[AMessage(), AMessage(status=Status.QUEUED)])

    answer = ask(account, request.id, version="v2")

    assert answer.status_code == 200
    assert answer.json() == {
        "errorCode": "",
        "errorMessage": "",
        "content": [{"status": "SUCCESS"}, {"status": "OPEN"}],
        "pageable": {"page": 0, "size": 10, "totalPages": 1, "totalElements": 2},
    }


def test_pages_together_are_the_whole(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id, messages=[AMessage()] * 25)

    pages = [ask(account, request.id, query=f"?page={page}").json() for page in range(4)]

    listed = [item["requestId"] for page in pages for item in page["content"]]
    assert [len(page["content"]) for page in pages] == [10, 10, 5, 0]
    assert listed == [str(message.id) for message in factories.messages_of(request)]
    assert pages[3]["pageable"] == {"page": 3, "size": 10, "totalPages": 3, "totalElements": 25}


def test_the_largest_page_holds_a_thousand(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id, messages=[AMessage()] * 1001)

    answer = ask(account, request.id, query="?page=0&size=1000").json()

    assert len(answer["content"]) == 1000
    assert answer["pageable"] == {"page": 0, "size": 1000, "totalPages": 2, "totalElements": 1001}


def test_a_service_without_messages_has_an_empty_page(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id, messages=[], door="services", ended=False)

    answer = ask(account, request.id).json()

    assert answer["content"] == []
    assert answer["pageable"] == {"page": 0, "size": 10, "totalPages": 0, "totalElements": 0}


def test_a_page_far_beyond_the_end_is_empty(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id)

    answer = ask(account, request.id, query="?page=999999999999999&size=1000")

    assert answer.status_code == 200
    assert answer.json()["content"] == []


@pytest.mark.parametrize(
    "query",
    [
        "?page=-1",
        "?page=x",
        "?page=",
        "?page=1.0",
        "?page=%D9%A1",
        "?page=1000000000000000000000000",
        "?size=0",
        "?size=1001",
        "?size=-5",
        "?size=ten",
        "?size=",
    ],
)
def test_a_bad_page_is_refused(account: accounts.Account, query: str) -> None:
    request = factories.make_request(client_id=account.id)

    answer = ask(account, request.id, query=query)

    assert answer.status_code == 400
    assert_nak(answer, "GLOBAL_1002")
    assert answer.json()["errorMessage"].startswith(query[1:5])


@pytest.mark.parametrize("query", ["?colour=red", "?page=0&Size=0"])
def test_unknown_parameters_are_ignored(account: accounts.Account, query: str) -> None:
    request = factories.make_request(client_id=account.id)

    assert ask(account, request.id, query=query).status_code == 200


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize(
    "wanted",
    [uuid.uuid4(), "no-uuid", "1", "{77022d89-8a5b-4ecb-a118-334c7ccb3779}", "77022d898a5b4ecba118334c7ccb3779"],
)
def test_an_id_that_is_unknown_or_malformed_does_not_exist(
    account: accounts.Account, wanted: object, version: str
) -> None:
    answer = ask(account, wanted, version=version)

    assert (answer.status_code, answer.json()) == (404, UNKNOWN)


def test_another_clients_ids_do_not_exist(account: accounts.Account) -> None:
    request = factories.make_request(client_id=factories.make_account().id, messages=[AMessage(), AMessage()])

    for wanted in (request.id, factories.messages_of(request)[0].id):
        answer = ask(account, wanted)
        assert (answer.status_code, answer.json()) == (404, UNKNOWN)


def test_an_id_in_capitals_is_the_same_id(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id)

    assert ask(account, str(request.id).upper()).json()["content"][0]["requestId"] == str(request.id)


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_with_and_without_the_last_slash(account: accounts.Account, version: str) -> None:
    request = factories.make_request(client_id=account.id)

    plain, slashed = (ask(account, request.id, query=query, version=version) for query in ("", "/"))

    assert (plain.status_code, plain.json()) == (slashed.status_code, slashed.json())


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_who_calls_must_be_known_and_allowed(version: str) -> None:
    writer = factories.make_account(scopes=["requests:write"])

    unknown = Browser().get(f"/api/{version}/global/call/{uuid.uuid4()}")
    wrong = Browser().get(f"/api/{version}/global/call/x", headers=basic(writer.client_id, "guess"))
    unscoped = ask(writer, uuid.uuid4(), version=version)

    assert (unknown.status_code, wrong.status_code, unscoped.status_code) == (401, 401, 403)
    assert "WWW-Authenticate" in unknown
    assert_nak(unknown, "AUTH_1001")
    assert_nak(wrong, "AUTH_1001")
    assert_nak(unscoped, "AUTH_1002")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_other_methods_are_refused_in_the_familys_words(account: accounts.Account, method: str) -> None:
    answer = getattr(Browser(), method)(f"/api/v3/global/call/{uuid.uuid4()}", headers=basic(account.client_id))

    assert answer.status_code == 405
    assert_nak(answer, "GLOBAL_1002")


def test_paths_of_the_family_that_lead_nowhere(account: accounts.Account) -> None:
    for path in ("/api/v3/global/nothing", "/api/v2"):
        answer = Browser().get(path)
        assert answer.status_code == 404
        assert_nak(answer, "GLOBAL_1002")


@pytest.mark.parametrize("count", [1, 50])
def test_one_statement_that_only_reads_answers(account: accounts.Account, count: int) -> None:
    request = factories.make_request(client_id=account.id, messages=[AMessage()] * count)

    with CaptureQueriesContext(connection) as statements:
        ask(account, request.id)

    about_messages = [query["sql"] for query in statements if "orchestrator_message" in query["sql"]]
    assert len(about_messages) == 1
    assert all(query["sql"].lstrip().startswith("SELECT") for query in statements)


def assert_nak(answer: Any, code: str) -> None:
    body = answer.json()
    assert body == {"errorCode": code, "errorMessage": body["errorMessage"], "content": "", "pageable": None}
    assert body["errorMessage"]
    assert answer["Content-Type"] == "application/json"
