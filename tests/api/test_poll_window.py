"""Poll: GET /native-app/{nino}/poll."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.embedded.processes import free_port
from orchestrator import accounts, stopping
from orchestrator.models import Request
from orchestrator.outcomes import Ending
from tests import factories
from tests.api.native import ACCEPT, NOT_FOUND, begin, browser, end, poll, startup, ticket

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("native_types")]


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def begin_second(account: accounts.Account, **lists: list[str]) -> str:
    return ticket(startup(account, {of: [{"name": name} for name in names] for of, names in lists.items()}))


# ---------------------------------------------------------------- the document's examples


def test_not_finished_is_the_documents_literal(account: accounts.Account) -> None:
    answer = poll(begin(account))

    assert (answer.status_code, answer.json()) == (200, {"status": "poll"})
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "no-store"


def test_success_as_in_the_document(account: accounts.Account) -> None:
    cookie = begin(account)
    end(result='{"ticket_id": 1234567890}')

    answer = poll(cookie)

    assert answer.status_code == 200
    assert answer.json() == {
        "OrchestrationResponse": {"response": [{"serviceName": "feedback", "responseData": {"ticket_id": 1234567890}}]},
        "status": {"code": "complete"},
    }
    assert answer["Content-Type"] == "application/json"
    assert answer["Cache-Control"] == "private, max-age=14400"
    assert answer["Vary"] == "Cookie"


@pytest.mark.parametrize("ending", [Ending.REJECTED, Ending.FAILED, Ending.TIMED_OUT])
def test_failure_as_in_the_document(account: accounts.Account, ending: Ending) -> None:
    cookie = begin(account)
    end(ending)

    assert poll(cookie).json() == {
        "OrchestrationResponse": {"response": [{"serviceName": "feedback", "failure": True}]},
        "status": {"code": "complete"},
    }
    assert poll(cookie)["Cache-Control"] == "private, max-age=14400"


# ---------------------------------------------------------------- the end


def test_entries_come_in_the_order_asked_for(account: accounts.Account) -> None:
    cookie = begin(account, "audit", "feedback", "audit")
    end(of="feedback", result="[]")
    end(of="audit", result='"heard"')

    assert poll(cookie).json()["OrchestrationResponse"]["response"] == [
        {"serviceName": "audit", "responseData": "heard"},
        {"serviceName": "feedback", "responseData": []},
        {"serviceName": "audit", "responseData": "heard"},
    ]


def test_a_result_goes_out_as_it_is_stored(account: accounts.Account) -> None:
    cookie = begin(account)
    end(result='{"a":  1.10, "long": 12345678901234567890123, "a": "\\u00e4"}')

    assert b'"responseData":{"a":  1.10, "long": 12345678901234567890123, "a": "\\u00e4"}' in poll(cookie).content


def test_a_cancelled_service_is_a_failure(account: accounts.Account) -> None:
    cookie = begin(account)
    stopping.cancel(client_id=account.id, request_id=Request.objects.get().id)

    assert poll(cookie).json()["OrchestrationResponse"]["response"] == [{"serviceName": "feedback", "failure": True}]


def test_the_task_is_complete_when_its_last_service_is(account: accounts.Account) -> None:
    cookie = begin(account, "feedback", "audit")
    end(of="feedback")

    assert poll(cookie).json() == {"status": "poll"}
    end(of="audit")
    assert poll(cookie).json()["status"] == {"code": "complete"}


def test_a_service_that_is_to_be_tried_again_is_not_finished(account: accounts.Account) -> None:
    cookie = begin(account)
    end(Ending.RETRY, delay=60.0)

    assert poll(cookie).json() == {"status": "poll"}


def test_the_second_form_is_answered_list_by_list(account: accounts.Account) -> None:
    cookie = begin_second(account, eventRequest=["audit"], serviceRequest=["feedback", "Echo"])
    end(of="feedback", result="null")
    end(Ending.REJECTED, of="Echo")
    end(Ending.TIMED_OUT, of="audit")

    assert poll(cookie).json() == {
        "OrchestrationResponse": {
            "serviceResponse": [
                {"name": "feedback", "responseData": None, "failure": False},
                {"name": "Echo", "failure": True, "timeout": False},
            ],
            "eventResponse": [{"name": "audit", "failure": True, "timeout": True}],
        },
        "status": {"code": "complete"},
    }


@pytest.mark.parametrize(
    ("asked", "answered"), [("serviceRequest", "serviceResponse"), ("eventRequest", "eventResponse")]
)
def test_a_list_that_was_not_asked_for_is_not_answered(account: accounts.Account, asked: str, answered: str) -> None:
    cookie = begin_second(account, **{asked: ["feedback"]})
    assert poll(cookie).json() == {"status": "poll"}
    end(result="1")

    assert poll(cookie).json()["OrchestrationResponse"] == {
        answered: [{"name": "feedback", "responseData": 1, "failure": False}]
    }


# ---------------------------------------------------------------- timeout and error


def test_a_task_that_takes_too_long_is_a_timeout_until_it_is_finished(account: accounts.Account, settings: Any) -> None:
    cookie = begin(account)
    settings.WAYBILL_POLL_TIMEOUT_SECONDS = 0.0

    late = poll(cookie)

    assert (late.status_code, late.json()) == (200, {"status": {"code": "timeout"}})
    assert late["Cache-Control"] == "no-store"
    end()
    assert poll(cookie).json()["status"] == {"code": "complete"}


@pytest.mark.parametrize("ending", [Ending.REJECTED, Ending.FAILED, Ending.TIMED_OUT])
def test_without_a_mandatory_service_the_task_is_an_error(account: accounts.Account, ending: Ending) -> None:
    cookie = begin(account, "tax-summary", "feedback")
    end(of="feedback")
    end(ending, of="tax-summary")

    answer = poll(cookie)

    assert (answer.status_code, answer.json()) == (200, {"status": {"code": "error"}})
    assert answer["Cache-Control"] == "no-store"


def test_a_lost_mandatory_service_is_told_before_the_others_end(account: accounts.Account) -> None:
    cookie = begin(account, "tax-summary", "feedback")
    end(Ending.REJECTED, of="tax-summary")

    assert poll(cookie).json() == {"status": {"code": "error"}}


def test_a_mandatory_service_that_succeeds_is_like_any_other(account: accounts.Account) -> None:
    cookie = begin(account, "tax-summary", "feedback")
    end(of="tax-summary")
    end(Ending.REJECTED, of="feedback")

    assert poll(cookie).json()["status"] == {"code": "complete"}


# ---------------------------------------------------------------- who asks, and how


def test_credentials_are_ignored(account: accounts.Account) -> None:
    cookie = begin(account)

    assert poll(cookie, headers=ACCEPT | {"Authorization": "Bearer nonsense"}).json() == {"status": "poll"}


def test_the_checks_come_in_the_originals_order() -> None:
    seen = [poll(None, nino="nonsense", headers={}), poll(None, headers={}), poll(None)]

    assert [(answer.status_code, answer.json()) for answer in seen] == [
        (400, {"code": "BADREQUEST", "message": "Bad Request"}),
        (406, {"code": "ACCEPT_HEADER_INVALID", "message": "The accept header is missing or invalid"}),
        (404, NOT_FOUND),
    ]
    assert {answer["Content-Type"] for answer in seen} == {"application/json"}


def test_the_nino_may_be_written_otherwise_and_its_suffix_does_not_count(account: accounts.Account) -> None:
    cookie = ticket(startup(account, nino="CS 70 01 00 A"))

    for nino in ("CS700100A", "CS 700100 A", "CS700100D"):
        assert poll(cookie, nino=nino).json() == {"status": "poll"}


def test_another_nino_is_refused(account: accounts.Account) -> None:
    answer = poll(begin(account), nino="CS700101A")

    assert answer.status_code == 401
    assert answer.json() == {"code": "UNAUTHORIZED", "message": "Unauthorized to access resource"}


def test_the_journey_is_ignored_and_both_paths_answer(account: accounts.Account) -> None:
    cookie = begin(account)

    assert poll(cookie, query="?journeyId=1").status_code == poll(cookie, query="/").status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_other_methods_are_refused_in_the_familys_words(method: str) -> None:
    answer = poll(None, method=method)

    assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_head_answers_like_get_and_options_asks_for_nothing(account: accounts.Account) -> None:
    head = poll(begin(account), method="head")
    options = browser(None).options("/native-app/nonsense/poll")

    assert (head.status_code, head.content, head["Cache-Control"]) == (200, b"", "no-store")
    assert (options.status_code, options["Allow"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.django_db(transaction=True)
def test_without_the_ledger_the_answer_is_503_in_shape(
    account: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = begin(account)
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "PORT", free_port())
        answers = [poll(cookie), startup(account), startup(None)]
        connection.close()

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (503, {"code": "SERVICE_UNAVAILABLE", "message": "Service Unavailable"}),
        (503, {"code": "SERVICE_UNAVAILABLE", "message": "Service Unavailable"}),
        (401, {"code": "UNAUTHORIZED", "message": "Unauthorized to access resource"}),
    ]
    assert int(answers[0]["Retry-After"]) > 0


# ---------------------------------------------------------------- what it costs


@pytest.mark.usefixtures("lasting_caches")
@pytest.mark.parametrize("names", [["feedback"], ["feedback"] * 10])
def test_one_statement_that_only_reads_answers(account: accounts.Account, names: list[str]) -> None:
    cookie = begin(account, *names)
    for _ in range(2):
        with CaptureQueriesContext(connection) as statements:
            assert poll(cookie).status_code == 200
        assert len(statements) == 1
        assert statements[0]["sql"].lstrip().startswith("SELECT")
        if Request.objects.get().open:
            end()
