"""GET /api/v1/requests/{id} with entity tags, and how a stream begins. What waits is tested on a real server."""

import uuid
from typing import Any

import pytest
from django.test import Client as Browser

from orchestrator import accounts, outcomes
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import Client, Message, Request, Scope
from orchestrator.outcomes import Ending
from tests import engine, factories
from tests.api.calls import basic
from tracking.gateway import news, stream

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


def get(account: accounts.Account, request: Request, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Browser().get(f"/api/v1/requests/{request.pk}", headers=basic(account.client_id) | named)


def open_stream(account: accounts.Account, request_id: object, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Browser().head(f"/api/v1/requests/{request_id}/stream", headers=basic(account.client_id) | named)


# ---------------------------------------------------------------- entity tags


def test_who_has_the_representation_is_answered_304_without_it(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)
    first = get(account, request)

    again = get(account, request, If_None_Match=first["ETag"])

    assert first.status_code == 200
    assert first["Cache-Control"] == "private, no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]
    assert "Content-Type" not in again


def test_each_change_of_the_representation_has_a_tag_of_its_own(account: accounts.Account) -> None:
    """Claim one, claim another, give one back, finish one, fail one and with it the request: bodies and tags agree."""
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 4, error_policy=ErrorPolicy.HALT)
    seen: dict[bytes, str] = {}

    def look() -> None:
        answer = get(account, request)
        assert answer.status_code == 200
        seen[answer.content] = answer["ETag"]

    look()
    first = engine.claim("Echo", limit=1)
    look()
    second = engine.claim("Echo", limit=1)
    look()
    outcomes.flush([engine.ended(first.messages[0], Ending.RETURNED)])
    look()
    outcomes.flush([engine.ended(second.messages[0])])
    look()
    third = engine.claim("Echo", limit=1)
    outcomes.flush([engine.ended(third.messages[0], Ending.REJECTED, error="No")])
    look()

    assert len(seen) == 6
    assert len(set(seen.values())) == 6


def test_another_message_in_processing_is_another_representation_though_the_counters_agree(
    account: accounts.Account,
) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}, {}])
    message = engine.claim("Echo", limit=1).messages[0]
    before = get(account, request)
    minimal_before = get(account, request, Prefer="return=minimal")

    Message.objects.filter(request=request, status=Status.QUEUED).update(status=Status.PROCESSING)
    outcomes.flush([engine.ended(message, Ending.RETURNED)])

    after = get(account, request, If_None_Match=before["ETag"])
    assert before.json()["data"]["messageStatusSummary"] == after.json()["data"]["messageStatusSummary"]
    assert after.status_code == 200
    assert get(account, request, Prefer="return=minimal", If_None_Match=minimal_before["ETag"]).status_code == 304


def test_the_same_state_has_the_same_tag_again(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)
    before = get(account, request)

    message = engine.claim("Echo").messages[0]
    outcomes.flush([engine.ended(message, Ending.RETURNED)])

    assert get(account, request)["ETag"] == before["ETag"]
    assert get(account, request).content == before.content


def test_the_representation_without_messages_has_a_tag_of_its_own(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)

    minimal = get(account, request, Prefer="return=minimal")

    assert minimal["ETag"] != get(account, request)["ETag"]
    assert "Prefer" in minimal["Vary"]
    assert get(account, request, Prefer="return=minimal", If_None_Match=minimal["ETag"]).status_code == 304


def test_a_new_name_of_the_client_is_another_representation(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)
    before = get(account, request)

    Client.objects.update(name="Another name")
    accounts.forget()

    assert get(account, request, If_None_Match=before["ETag"]).status_code == 200


@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"other", {0}', "*"])
def test_tags_are_compared_weakly_in_all_forms(account: accounts.Account, form: str) -> None:
    request = engine.hand_in(client_id=account.id)
    tag = get(account, request)["ETag"]

    assert get(account, request, If_None_Match=form.format(tag)).status_code == 304


@pytest.mark.parametrize("text", ["", "nonsense", '"other"', 'W/"other"', "'", '"'])
def test_other_tags_and_nonsense_are_answered_whole(account: accounts.Account, text: str) -> None:
    request = engine.hand_in(client_id=account.id)

    assert get(account, request, If_None_Match=text).status_code == 200


def test_another_clients_request_has_no_tag(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=factories.make_account().id)

    assert get(account, request, If_None_Match="*").status_code == 404


def test_a_known_tag_costs_one_statement(account: accounts.Account, lasting_caches: None) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 3)
    tag = get(account, request)["ETag"]

    with engine.statements() as statements:
        assert get(account, request, If_None_Match=tag).status_code == 304

    assert len(statements) == 1


# ---------------------------------------------------------------- how a stream begins


def test_a_stream_is_an_event_stream(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)

    answer = open_stream(account, request.pk, Accept="text/event-stream")

    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/event-stream"
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accept", ["*/*", "text/*", "text/html, text/event-stream;q=0.1", ""])
def test_who_takes_anything_takes_events(account: accounts.Account, accept: str) -> None:
    request = engine.hand_in(client_id=account.id)
    headers = {"Accept": accept} if accept else {}

    assert open_stream(account, request.pk, **headers).status_code == 200


def test_who_takes_no_events_is_refused(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)

    answer = Browser().get(
        f"/api/v1/requests/{request.pk}/stream", headers=basic(account.client_id) | {"Accept": "application/json"}
    )

    assert answer.status_code == 406
    assert answer.json()["errors"] == [{"errorMessage": "This is answered as text/event-stream only"}]


def test_only_get_opens_a_stream(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)

    answer = Browser().post(f"/api/v1/requests/{request.pk}/stream", headers=basic(account.client_id))

    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.json()["success"] is False


def test_a_stream_of_an_unknown_malformed_or_foreign_id_is_refused_alike(account: accounts.Account) -> None:
    foreign = engine.hand_in(client_id=factories.make_account().id)
    answers = [
        Browser().get(f"/api/v1/requests/{request_id}/stream", headers=basic(account.client_id))
        for request_id in (foreign.pk, uuid.uuid4(), "4711")
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_a_stream_needs_credentials_and_the_scope() -> None:
    other = factories.make_account(scopes=[Scope.REQUESTS_WRITE])
    request = engine.hand_in(client_id=other.id)

    assert Browser().get(f"/api/v1/requests/{request.pk}/stream").status_code == 401
    assert open_stream(other, request.pk).status_code == 403


def test_who_has_the_last_event_is_told_not_to_come_again(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id)

    answer = open_stream(account, request.pk, Last_Event_ID=stream.END)

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "last", ["nonsense", stream.END, "0.7", "7.0", "-1.0", "0.0", "\u0660.\u0660", "9" * 30 + ".0"]
)
def test_an_id_of_no_event_of_the_request_is_refused(account: accounts.Account, last: str) -> None:
    """The request is open, and none of its messages is final: it has had no outcome, and no end."""
    request = engine.hand_in(client_id=account.id)

    answer = open_stream(account, request.pk, Last_Event_ID=last.encode().decode("latin-1"))

    assert answer.status_code == 400


# ---------------------------------------------------------------- the order in which messages became final


def test_each_final_message_knows_how_many_were_final_before_its_transaction(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 6, error_policy=ErrorPolicy.HALT)
    claimed = engine.claim("Echo", limit=4).messages

    outcomes.flush([engine.ended(claimed[3]), engine.ended(claimed[1])])
    outcomes.flush([engine.ended(claimed[2], Ending.RETURNED), engine.ended(claimed[0], Ending.REJECTED, error="No")])

    assert [message.turn for message in engine.messages_of(request)] == [2, 0, 2, 0, 2, 2]
    (found,) = news.read([news.Reading(request.pk, news.START)]) or [None]
    assert found is not None
    assert [outcome.message.number for outcome in found.outcomes] == [1, 3, 0, 2, 4, 5]
    (rest,) = news.read([news.Reading(request.pk, news.Place(0, 3))])
    assert rest is not None
    assert [outcome.message.number for outcome in rest.outcomes] == [0, 2, 4, 5]
