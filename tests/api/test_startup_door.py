"""Startup: POST /native-app/{nino}/startup, and the preflight check before it."""

import json
from typing import Any

import pytest

from orchestrator import accounts, handlers, schemas
from orchestrator.handlers import Kind, MessageType
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import IdempotencyRecord, Message, Request
from tests import factories
from tests.api.calls import basic
from tests.api.native import ACCEPT, NINO, POLL, TYPES, asking, browser, end, poll, startup, ticket, types_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = MessageType(
        name="strict", kind=Kind.PLAIN, handler=print, schema=schemas.from_json_schema({"required": ["title"]})
    )
    private = MessageType(name="private", kind=Kind.PLAIN, handler=print, doors=frozenset({"orders"}))
    for service in (*TYPES, strict, private):
        monkeypatch.setitem(handlers.registry._declared, service.name, service)


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def refused(answer: Any, status: int, code: str, message: str) -> None:
    assert (answer.status_code, answer.json()) == (status, {"code": code, "message": message})
    assert answer["Content-Type"] == "application/json"
    assert "mdtpapi" not in answer.cookies
    assert not Request.objects.exists()
    assert not IdempotencyRecord.objects.exists()


def refused_body(answer: Any) -> None:
    refused(answer, 400, "BADREQUEST", "Bad Request")


# ---------------------------------------------------------------- starting


def test_a_task_is_started(account: accounts.Account) -> None:
    sent = '{"request": [{"serviceName": "feedback", "postRequest": {"n": 1.10}}, {"serviceName": "audit"}]}'

    answer = startup(account, sent.encode())

    request = Request.objects.get()
    assert (answer.status_code, answer.json()) == (200, {"status": {"code": "poll"}})
    assert answer["Content-Type"] == "application/json"
    assert answer["Request-Id"] == str(request.id)
    assert (request.door, request.batch_reference, request.error_policy) == ("startup", None, ErrorPolicy.PROCEED)
    assert list(Message.objects.order_by("number").values_list("type", "external_reference", "payload", "status")) == [
        ("feedback", None, '{"n": 1.10}', Status.QUEUED),
        ("audit", None, "{}", Status.QUEUED),
    ]


@pytest.mark.parametrize("path", ["/native-app/CS700100A/startup", "/native-app/CS700100A/startup/"])
def test_the_path_answers_with_and_without_the_last_slash(account: accounts.Account, path: str) -> None:
    answer = browser(None).post(
        path, json.dumps(asking()), content_type="application/json", headers=basic(account.client_id) | ACCEPT
    )

    assert answer.status_code == 200


def test_the_second_form_starts_services_then_events(account: accounts.Account) -> None:
    answer = startup(
        account, {"eventRequest": [{"name": "audit"}], "serviceRequest": [{"name": "feedback", "data": 5}]}
    )

    assert answer.json() == POLL
    assert types_of(answer["Request-Id"]) == ["feedback", "audit"]
    assert list(Message.objects.order_by("number").values_list("payload", flat=True)) == ["5", "{}"]


@pytest.mark.parametrize("name", ["serviceRequest", "eventRequest"])
def test_one_list_of_the_second_form_is_enough(account: accounts.Account, name: str) -> None:
    assert startup(account, {name: [{"name": "feedback"}]}).json() == POLL


@pytest.mark.parametrize("value", [None, False, 0, "text", [1, [2]], {"a": {"b": None}}])
def test_a_service_is_given_any_json(account: accounts.Account, value: Any) -> None:
    startup(account, {"request": [{"serviceName": "feedback", "postRequest": value}]})

    assert json.loads(Message.objects.get().payload) == value


def test_ten_entries_a_list_are_taken_and_eleven_are_not(account: accounts.Account) -> None:
    refused_body(startup(account, asking(*["feedback"] * 11)))

    assert startup(account, asking(*["feedback"] * 10)).status_code == 200


def test_an_entry_that_does_not_fit_its_type_fails_alone(account: accounts.Account) -> None:
    answer = startup(account, asking("strict", "feedback"))
    end(result='{"ticket_id":1}')

    assert poll(ticket(answer)).json()["OrchestrationResponse"]["response"] == [
        {"serviceName": "strict", "failure": True},
        {"serviceName": "feedback", "responseData": {"ticket_id": 1}},
    ]


def test_the_journey_and_unknown_parameters_are_ignored(account: accounts.Account) -> None:
    assert startup(account, query="?journeyId=1&colour=red").json() == POLL


def test_the_task_is_visible_in_the_other_windows(account: accounts.Account) -> None:
    request_id = startup(account, asking("feedback", "strict"))["Request-Id"]

    tracked = browser(None).get(f"/api/v1/requests/{request_id}", headers=basic(account.client_id)).json()["data"]
    status = browser(None).get(f"/api/v3/global/call/{request_id}", headers=basic(account.client_id)).json()
    states = browser(None).get(f"/services/{request_id}/states", headers=basic(account.client_id)).json()

    assert (tracked["batchReference"], tracked["requestStatus"]) == (None, "Queued")
    assert [message["externalReference"] for message in tracked["payload"]] == [None, None]
    assert [item["status"] for item in status["content"]] == ["OPEN", "FAILURE"]
    assert [(state["service_id"], state["state_id"], state["state_type"]) for state in states] == [(request_id, 0, 8)]


# ---------------------------------------------------------------- the order of checks


def test_the_checks_come_in_the_originals_order(account: accounts.Account) -> None:
    reader = factories.make_account(scopes=["tracking:read"])
    bad, empty = {"Accept": "application/json"}, b"{}"
    no_nino, not_acceptable = (400, "BADREQUEST"), (406, "ACCEPT_HEADER_INVALID")

    seen = [
        startup(None, empty, nino="nonsense", headers=bad),
        startup(None, empty, headers=bad),
        startup(None, empty),
        startup(reader, empty),
        startup(account, empty),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in seen] == [
        no_nino,
        not_acceptable,
        (401, "UNAUTHORIZED"),
        (403, "FORBIDDEN"),
        (400, "BADREQUEST"),
    ]
    assert "WWW-Authenticate" in seen[2]


@pytest.mark.parametrize("nino", ["CS700100A", "CS 70 01 00 A", "CS70 0100A", "ZY999999D", "AA000000B"])
def test_a_nino_is_taken_with_and_without_spaces(account: accounts.Account, nino: str) -> None:
    assert startup(account, nino=nino).status_code == 200


@pytest.mark.parametrize(
    "nino",
    [
        *("CS700100", "CS700100E", "CS7001000A", "cs700100a", "CS  700100A", " CS700100A", "CS700100A ", "C S700100A"),
        *("BG123456A", "GB123456A", "NK123456A", "KN123456A", "TN123456A", "NT123456A", "ZZ123456A"),
        *("DA123456A", "FA123456A", "IA123456A", "QA123456A", "UA123456A", "VA123456A", "AO123456A", "AD123456A"),
        *("CS٧٠٠١٠٠A", "CS700100A%0A", "%00", "x" * 2000, "CS700100A;CS700100A"),  # noqa: RUF001 - not ASCII
    ],
)
def test_other_texts_are_no_ninos(account: accounts.Account, nino: str) -> None:
    refused_body(startup(account, nino=nino))


@pytest.mark.parametrize(
    "accept",
    [
        *(None, "", "*/*", "application/json", "application/vnd.hmrc.1.0+JSON", "application/vnd.hmrc.2.0+json"),
        *("application/vnd.hmrc.1.0+json;q=1", "application/vnd.hmrc.1.0+json, application/json"),
    ],
)
def test_accept_must_be_exact(account: accounts.Account, accept: str | None) -> None:
    answer = startup(account, headers={} if accept is None else {"Accept": accept})

    refused(answer, 406, "ACCEPT_HEADER_INVALID", "The accept header is missing or invalid")


@pytest.mark.parametrize(
    "body",
    [
        *(
            b" ",
            b"{",
            b"[]",
            b"null",
            b'"request"',
            b"{}",
            b'{"request": null}',
            b'{"request": {}}',
            b'{"request": []}',
        ),
        b'{"request": ["feedback"]}',
        b'{"request": [{"serviceName": 1}]}',
        b'{"request": [{"postRequest": {}}]}',
        b'{"request": [{"serviceName": "feedback", "data": {}}]}',
        b'{"request": [{"serviceName": "feedback"}], "more": 1}',
        b'{"request": [{"serviceName": "feedback"}], "eventRequest": [{"name": "audit"}]}',
        b'{"request": [{"serviceName": "feedback"}], "serviceRequest": [{"name": "audit"}]}',
        b'{"serviceRequest": []}',
        b'{"serviceRequest": [{"name": "feedback"}], "eventRequest": []}',
        b'{"serviceRequest": [{"name": "feedback"}], "eventRequest": null}',
        b'{"serviceRequest": [{"serviceName": "feedback"}]}',
        b'{"request": [{"serviceName": "feedback", "postRequest": NaN}]}',
        b'{"request": [{"serviceName": "feedback", "postRequest": 1e999}]}',
        b'{"request": [{"serviceName": "feedback", "postRequest": "\\u0000"}]}',
        b'{"request": [{"serviceName": "feedback", "postRequest": "\\ud800"}]}',
        b'{"request": [{"serviceName": "feedback", "postRequest": "\xff"}]}',
        b'{"request": [{"serviceName": "feedback", "postRequest": ' + b"[" * 101 + b"]" * 101 + b"}]}",
    ],
)
def test_a_malformed_body_is_refused_whole(account: accounts.Account, body: bytes) -> None:
    refused_body(startup(account, body))


@pytest.mark.parametrize("name", ["nowhere", "audit", "private", "", "x" * 10_000])
def test_a_service_that_is_unknown_or_not_the_clients_refuses_the_whole(name: str) -> None:
    account = factories.make_account(types=["feedback", "private"])

    refused_body(startup(account, asking("feedback", name)))


def test_a_body_must_be_declared_as_json(account: accounts.Account) -> None:
    refused(startup(account, content_type="text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type")


def test_a_body_that_is_too_long_is_refused(account: accounts.Account, settings: Any) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 10

    refused(startup(account), 413, "CONTENT_TOO_LARGE", "Content Too Large")


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_other_methods_are_refused_in_the_familys_words(method: str) -> None:
    answer = getattr(browser(None), method)(f"/native-app/{NINO}/startup", headers=ACCEPT)

    refused(answer, 405, "METHOD_NOT_ALLOWED", "Method Not Allowed")
    assert answer["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("path", ["/native-app", "/native-app/CS700100A", "/native-app/CS700100A/stop"])
def test_paths_of_the_family_that_lead_nowhere(path: str) -> None:
    refused(browser(None).get(path, headers=ACCEPT), 404, "NOTFOUND", "Resource was not found")
