"""Startup once more: while a task runs, at the client's limit, with a key. And the preflight check."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator import accounts
from orchestrator.models import Message, Request
from tests import factories
from tests.api.calls import basic
from tests.api.native import ACCEPT, NINO, NOT_FOUND, POLL, asking, begin, browser, end, poll, startup, ticket

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("native_types")]

THROTTLE = {"status": {"code": "throttle"}}


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


# ---------------------------------------------------------------- one running task a cookie


def test_while_the_cookies_task_runs_nothing_is_started(account: accounts.Account) -> None:
    first = startup(account)

    again = startup(account, asking("audit"), cookie=ticket(first), nino="CS 70 01 00 B")

    assert (again.status_code, again.json()) == (200, POLL)
    assert again["Request-Id"] == first["Request-Id"]
    assert Request.objects.count() == 1
    assert poll(ticket(again)).json() == {"status": "poll"}


def test_after_its_end_the_next_task_is_started(account: accounts.Account) -> None:
    cookie = begin(account)
    end()

    again = startup(account, cookie=cookie)

    assert Request.objects.count() == 2
    assert poll(ticket(again)).json() == {"status": "poll"}
    assert poll(cookie).json()["status"] == {"code": "complete"}


def test_after_115_seconds_the_next_task_is_started(account: accounts.Account, settings: Any) -> None:
    cookie = begin(account)
    settings.WAYBILL_POLL_TIMEOUT_SECONDS = 0.0

    startup(account, cookie=cookie)

    assert Request.objects.count() == 2


def test_a_cookie_of_another_client_or_about_another_person_means_nothing(account: accounts.Account) -> None:
    cookie = begin(account)

    for caller, nino in ((factories.make_account(), NINO), (account, "CS700101A")):
        assert startup(caller, cookie=cookie, nino=nino).json() == POLL

    assert Request.objects.count() == 3


@pytest.mark.parametrize("cookie", ["", "rubbish", "%00", "ä"])
def test_a_cookie_that_cannot_be_read_means_nothing(account: accounts.Account, cookie: str) -> None:
    assert startup(account, cookie=cookie).json() == POLL


def test_a_bad_body_is_refused_though_a_task_runs(account: accounts.Account) -> None:
    cookie = begin(account)

    assert startup(account, b"{}", cookie=cookie).status_code == 400
    assert startup(account, asking("nowhere"), cookie=cookie).status_code == 400


# ---------------------------------------------------------------- throttle


def test_a_client_at_its_limit_is_throttled() -> None:
    account = factories.make_account(max_in_flight=1)
    begin(account)

    answer = startup(account)

    assert (answer.status_code, answer.json()) == (429, THROTTLE)
    assert int(answer["Retry-After"]) > 0
    assert "mdtpapi" not in answer.cookies
    end()
    assert startup(account).json() == POLL


def test_a_running_task_comes_before_the_limit_and_a_bad_body_before_both() -> None:
    account = factories.make_account(max_in_flight=1)
    cookie = begin(account)

    assert startup(account, cookie=cookie).json() == POLL
    assert startup(account, asking("nowhere")).status_code == 400


# ---------------------------------------------------------------- Idempotency-Key


def test_the_same_key_is_the_same_task(account: accounts.Account) -> None:
    keyed = ACCEPT | {"Idempotency-Key": "once"}
    first = startup(account, headers=keyed)

    again = startup(account, b' {"request":[{"serviceName":"feedback"}]}', headers=keyed)

    assert (again.status_code, again.json(), again["Idempotent-Replayed"]) == (200, POLL, "true")
    assert again["Request-Id"] == first["Request-Id"]
    assert Request.objects.count() == 1
    end()
    assert poll(ticket(again)).json() == poll(ticket(first)).json()


def test_a_key_belongs_to_its_body_and_its_path(account: accounts.Account) -> None:
    keyed = ACCEPT | {"Idempotency-Key": "once"}
    startup(account, headers=keyed)

    other = startup(account, asking("audit"), headers=keyed)

    assert (other.status_code, other.json()) == (
        422,
        {"code": "UNPROCESSABLE_CONTENT", "message": "Unprocessable Content"},
    )
    assert "Idempotent-Replayed" not in startup(account, nino="CS700101A", headers=keyed)


def test_a_key_that_is_none_is_refused(account: accounts.Account) -> None:
    assert startup(account, headers=ACCEPT | {"Idempotency-Key": "not visible"}).status_code == 400


def test_a_startup_that_started_nothing_is_answered_again_too(account: accounts.Account) -> None:
    keyed = ACCEPT | {"Idempotency-Key": "once"}
    cookie = begin(account)
    startup(account, cookie=cookie, headers=keyed)
    end()

    again = startup(account, cookie=cookie, headers=keyed)

    assert (again.json(), again["Idempotent-Replayed"]) == (POLL, "true")
    assert Request.objects.count() == 1


# ---------------------------------------------------------------- what it costs


@pytest.mark.usefixtures("lasting_caches")
def test_the_number_of_statements_does_not_grow_with_the_services(account: accounts.Account) -> None:
    counts = []
    begin(account, "feedback", "audit")  # the lanes are there, the types known
    for names in (["feedback", "audit"], ["feedback", "audit"] * 5):
        with CaptureQueriesContext(connection) as statements:
            startup(account, asking(*names))
        counts.append(len(statements))

    assert counts[0] == counts[1]
    assert Message.objects.count() == 14


# ---------------------------------------------------------------- preflight check


def preflight(account: accounts.Account | None, body: bytes = b'{"os": "ios", "version": "1.0"}', **call: Any) -> Any:
    headers = basic(account.client_id) if account else {}
    return browser(call.get("cookie")).post(
        f"/native-app/preflight-check{call.get('query', '')}",
        body,
        content_type="application/json",
        headers=headers | call.get("headers", ACCEPT),
    )


def test_preflight_lets_an_app_go_on_and_clears_the_cookie(account: accounts.Account) -> None:
    cookie = begin(account)

    answer = preflight(account, cookie=cookie)

    journey = answer.json()["accounts"]["journeyId"]
    assert answer.status_code == 200
    assert answer.json() == {
        "upgradeRequired": False,
        "accounts": {"routeToIV": False, "routeToTwoFactor": False, "journeyId": str(uuid.UUID(journey))},
    }
    assert (answer.cookies["mdtpapi"].value, answer.cookies["mdtpapi"]["max-age"]) == ("", 0)
    assert poll(answer.cookies["mdtpapi"].value).json() == NOT_FOUND


def test_preflight_gives_a_journey_back(account: accounts.Account) -> None:
    of_query = preflight(account, query="?journeyId=mine")
    of_body = preflight(account, b'{"os": "ios", "version": "1.0", "journeyId": "mine", "more": 1}')

    assert of_query.json()["accounts"]["journeyId"] == of_body.json()["accounts"]["journeyId"] == "mine"


@pytest.mark.parametrize(
    "body", [b" ", b"{}", b"[]", b'{"os": "ios"}', b'{"os": 1, "version": "1"}', b'{"os": "", "version": "1"}']
)
def test_preflight_wants_to_know_the_app(account: accounts.Account, body: bytes) -> None:
    assert preflight(account, body, query="?journeyId=mine").json() == {"code": "BADREQUEST", "message": "Bad Request"}


def test_preflight_checks_accept_then_credentials(account: accounts.Account) -> None:
    reader = factories.make_account(scopes=["tracking:read"])

    assert preflight(None, headers={}).status_code == 406
    assert preflight(None).status_code == 401
    assert preflight(reader).status_code == 403
    assert browser(None).get("/native-app/preflight-check", headers=ACCEPT).status_code == 405
