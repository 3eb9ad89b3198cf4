"""One request of each door, walked through its life and asked for by its UUID in every window: the answers agree.

What each window calls a message's status stands here once more, as the contract's table has it.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client as Browser

from orchestrator import accounts, handlers, outcomes, schemas
from orchestrator.outcomes import INTERNAL_TEXT, TIMEOUT_TEXT, Ending
from tests import engine, factories, ordering
from tests.api import native
from tests.api.calls import basic
from tests.api.services import Services, id_of

pytestmark = pytest.mark.django_db(transaction=True)

TICKET = "Ticket"
NO = "No such thing"


@pytest.fixture(autouse=True)
def ticket_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type that takes any fields but a `title` that is no text."""
    ticket = handlers.MessageType(
        name=TICKET,
        kind=handlers.Kind.PLAIN,
        handler=print,
        schema=schemas.from_json_schema({"properties": {"title": {"type": "string"}}}),
    )
    monkeypatch.setitem(handlers.registry._declared, TICKET, ticket)


@pytest.fixture
def account() -> accounts.Account:
    ordering.make_access()
    return factories.make_account()


@pytest.fixture
def other() -> accounts.Account:
    return factories.make_account()


# ---------------------------------------------------------------- the doors


@dataclass(frozen=True)
class Given:
    """What a door has answered."""

    request_id: str
    type: str = TICKET
    ticket: str | None = None  # of a poll
    batch_reference: str | None = None
    external_reference: str | None = None


def post(account: accounts.Account, path: str, body: Any = None) -> Any:
    raw = b"" if body is None else json.dumps(body).encode()
    return Browser().post(path, raw, content_type="application/json", headers=basic(account.client_id))


def get(account: accounts.Account, path: str) -> Any:
    return Browser().get(path, headers=basic(account.client_id))


def by_requests(account: accounts.Account, fields: dict[str, Any]) -> Given:
    message = {"messageType": TICKET, "externalReference": "ref", **fields}
    answer = post(account, "/api/v1/requests", {"batchReference": "batch", "payload": [message]})
    return Given(answer["Request-Id"], batch_reference="batch", external_reference="ref")


def by_messages(account: accounts.Account, fields: dict[str, Any]) -> Given:
    body = {"batchReference": "batch", "payload": [{"externalReference": "ref", **fields}]}
    answer = post(account, f"/api/v1/messages/{TICKET}", body)
    return Given(answer["Request-Id"], batch_reference="batch", external_reference="ref")


def by_startup(account: accounts.Account, fields: dict[str, Any]) -> Given:
    answer = native.startup(account, {"serviceRequest": [{"name": TICKET, "data": fields}]})
    return Given(answer["Request-Id"], ticket=native.ticket(answer))


def by_call(account: accounts.Account, fields: dict[str, Any]) -> Given:
    return Given(post(account, f"/api/v3/call/{TICKET}", fields)["Request-Id"])


def by_bulk(account: accounts.Account, fields: dict[str, Any]) -> Given:
    return Given(post(account, f"/api/v3/bulk/{TICKET}", {"bulk": [{"content": fields}]})["Request-Id"])


def by_orders(account: accounts.Account, fields: dict[str, Any]) -> Given:
    answer = ordering.post(account, ordering.wish(spReference="batch", **fields))
    return Given(answer["Request-Id"], type="Order", batch_reference="batch")


Door = Callable[[accounts.Account, dict[str, Any]], Given]
DOORS: list[Door] = [by_requests, by_messages, by_startup, by_call, by_bulk, by_orders]
STORING_INVALID: list[Door] = [by_requests, by_messages, by_startup]
"""The doors that store what does not fit its type; the others refuse it."""


# ---------------------------------------------------------------- what becomes of a message, and the windows' words


@dataclass(frozen=True)
class Words:
    """The contract's words for one status. `entry`: of a poll, beside its name; None while the poll goes on."""

    status: str
    tracking: str
    request: str
    order: str
    text: str | None = None
    order_text: str = ""
    entry: dict[str, Any] | None = None

    @property
    def over(self) -> bool:
        return self.entry is not None


FAILED = {"failure": True, "timeout": False}
WORDS = {
    "waits": Words("OPEN", "Queued", "Queued", "RECEIVED"),
    "waits for a retry": Words("OPEN", "Queued", "Queued", "RECEIVED"),
    "is under way": Words("OPEN", "Processing", "Processing", "RECEIVED"),
    "succeeded": Words(
        "SUCCESS", "Complete", "Complete", "DONE_SUCCESS", entry={"responseData": {"a": 1}, "failure": False}
    ),
    "was rejected": Words("FAILURE", "Failed", "Complete", "DONE_FAILED", NO, NO, entry=FAILED),
    "failed": Words("INTERNAL_ERROR", "Failed", "Complete", "DONE_FAILED", INTERNAL_TEXT, INTERNAL_TEXT, entry=FAILED),
    "was too slow": Words(
        "INTERNAL_ERROR",
        "Failed",
        "Complete",
        "DONE_FAILED",
        TIMEOUT_TEXT,
        TIMEOUT_TEXT,
        entry={"failure": True, "timeout": True},
    ),
    "was cancelled": Words("FAILURE", "Cancelled", "Cancelled", "DONE_FAILED", order_text="Cancelled", entry=FAILED),
}
INVALID = Words("FAILURE", "Invalid", "Complete", "", 'title: value is not of type "string"', entry=FAILED)

ENDINGS: dict[str, tuple[Ending, dict[str, Any]]] = {
    "waits for a retry": (Ending.RETRY, {"delay": 60.0}),
    "succeeded": (Ending.COMPLETE, {"result": '{"a": 1}'}),
    "was rejected": (Ending.REJECTED, {"error": NO}),
    "failed": (Ending.FAILED, {}),
    "was too slow": (Ending.TIMED_OUT, {}),
}


def meet(fate: str, given: Given, account: accounts.Account) -> None:
    """Let the engine do to the one message what its fate says."""
    if fate == "was cancelled":
        assert post(account, f"/api/v1/requests/{given.request_id}/cancel").status_code == 200
    elif fate != "waits":
        [message] = engine.claim(given.type).messages
        if fate in ENDINGS:
            ending, fields = ENDINGS[fate]
            outcomes.flush([engine.ended(message, ending, **fields)], finished_claims=[message.claim_id])


# ---------------------------------------------------------------- the walk


@pytest.mark.parametrize("fate", WORDS)
@pytest.mark.parametrize("door", DOORS)
def test_every_window_tells_the_same(account: accounts.Account, door: Door, fate: str) -> None:
    given = door(account, {})

    meet(fate, given, account)

    hold_together(account, given, WORDS[fate])


@pytest.mark.parametrize("door", STORING_INVALID)
def test_every_window_tells_of_fields_that_do_not_fit(account: accounts.Account, door: Door) -> None:
    hold_together(account, door(account, {"title": 5}), INVALID)


def hold_together(account: accounts.Account, given: Given, words: Words) -> None:
    """Ask every window, and hold what they tell against the contract's words and against each other."""
    message = look_at_tracking(account, given, words)
    look_at_status(account, given, words)
    look_at_states(account, given, words, message)
    look_at_poll(given, words)
    look_at_orders(account, given, words)


def look_at_tracking(account: accounts.Account, given: Given, words: Words) -> dict[str, Any]:
    shown = get(account, f"/api/v1/requests/{given.request_id}").json()["data"]
    body = {"search": [{"by": "id", "value": given.request_id}, {"by": "messageStatus", "value": words.tracking}]}
    found = post(account, "/api/v1/tracking", body)

    assert json.loads(found.getvalue())["data"]["requests"] == [shown]
    assert (shown["id"], shown["requestStatus"], shown["batchReference"]) == (
        given.request_id,
        words.request,
        given.batch_reference,
    )
    summary = shown["messageStatusSummary"]
    assert {name for name, count in summary.items() if count} == {"total", words.tracking.lower()}
    [message] = shown["payload"]
    assert (message[f"{given.type.lower()}Id"], message["messageType"]) == (given.request_id, given.type)
    assert (message["messageStatus"], message["externalReference"]) == (words.tracking, given.external_reference)
    assert message.get("errors") == ([{"errorMessage": words.text}] if words.text else None)
    assert (message["processedTime"] is not None) == words.over
    found_message: dict[str, Any] = message
    return found_message


def look_at_status(account: accounts.Account, given: Given, words: Words) -> None:
    third = get(account, f"/api/v3/global/call/{given.request_id}").json()
    second = get(account, f"/api/v2/global/call/{given.request_id}").json()

    assert third["content"] == [{"requestId": given.request_id, "status": words.status}]
    assert second["content"] == [{"status": words.status}]
    assert third["pageable"] == second["pageable"] == {"page": 0, "size": 10, "totalPages": 1, "totalElements": 1}


def look_at_states(account: accounts.Account, given: Given, words: Words, message: dict[str, Any]) -> None:
    services = Services(account)
    path = f"/services/{given.request_id}"
    [state] = services.read(f"{path}/states", active_tasks="true", completed_tasks="true")
    listed, others = ("completed", "active") if words.over else ("active", "completed")
    [task] = state[f"{listed}_tasks"]

    assert state[f"{others}_tasks"] == []
    assert (state["service_id"], state["state_id"], state["state_type"]) == (given.request_id, 0, 8)
    assert (task["task_id"], task["task_type"]) == (0, given.type)
    assert ("completed" in state) == ("completed" in task) == words.over
    assert task.get("disposition") == (words.tracking if words.over else None)
    assert task.get("disposition_desc") == (words.text[:64] if words.text else None)
    if words.over:
        assert task["completed"]["timestamp"][:19] == message["processedTime"][:19]
        assert state["completed"] == task["completed"]
    assert [each["state_id"] for each in services.read(f"{path}/states/{listed}")] == [0]
    assert services.read(f"{path}/states/{others}") == []
    assert services.read(f"{path}/tasks") == services.read(f"{path}/tasks/{listed}") == [task]


def look_at_poll(given: Given, words: Words) -> None:
    if given.ticket is None:
        return
    answer = native.poll(given.ticket).json()

    if not words.over:
        assert answer == {"status": "poll"}
        return
    assert answer == {
        "OrchestrationResponse": {"serviceResponse": [{"name": given.type, **(words.entry or {})}]},
        "status": {"code": "complete"},
    }


def look_at_orders(account: accounts.Account, given: Given, words: Words) -> None:
    path = f"/api/2.3.1/orders/{given.request_id}"
    answer = get(account, path)
    if given.type != "Order":
        assert answer.status_code == 404
        return
    order = answer.json()

    assert (order["path"], order["state"], order["message"]) == (path, words.order, words.order_text)
    assert [event["order"] for event in ordering.events(account)] == ([order] if words.over else [])


# ---------------------------------------------------------------- several messages


@pytest.mark.parametrize("door", ["requests", "bulk"])
def test_every_window_lists_the_messages_in_one_order(account: accounts.Account, door: str) -> None:
    fates = ["succeeded", "was rejected", "failed", "was too slow", "waits for a retry", "is under way", "waits"]
    items = [{"externalReference": fate, "number": number} for number, fate in enumerate(fates)]
    if door == "requests":
        body = {"batchReference": "b", "errorPolicy": "proceedOnError", "payload": items}
        request_id = post(account, f"/api/v1/messages/{TICKET}", body)["Request-Id"]
    else:
        request_id = post(account, f"/api/v3/bulk/{TICKET}", {"bulk": [{"content": item} for item in items]})[
            "Request-Id"
        ]
    claimed = engine.claim(TICKET, limit=len(fates) - 1).messages
    outcomes.flush(
        [
            engine.ended(message, ENDINGS[fate][0], **ENDINGS[fate][1])
            for fate, message in zip(fates, claimed, strict=False)
            if fate in ENDINGS
        ]
    )

    shown = get(account, f"/api/v1/requests/{request_id}").json()["data"]
    listed = get(account, f"/api/v3/global/call/{request_id}").json()["content"]
    tasks = Services(account).read(f"/services/{request_id}/tasks")

    assert [message["messageStatus"] for message in shown["payload"]] == [WORDS[fate].tracking for fate in fates]
    assert [item["status"] for item in listed] == [WORDS[fate].status for fate in fates]
    assert [item["requestId"] for item in listed] == [message["ticketId"] for message in shown["payload"]]
    assert [task["task_id"] for task in tasks] == list(range(len(fates)))
    assert ["completed" in task for task in tasks] == [WORDS[fate].over for fate in fates]
    assert shown["requestStatus"] == "Processing"
    assert shown["messageStatusSummary"] == {
        "total": 7,
        "queued": 2,
        "processing": 1,
        "cancelled": 0,
        "failed": 3,
        "invalid": 0,
        "complete": 1,
    }


# ---------------------------------------------------------------- a service of its owner's


def test_a_service_is_followed_in_every_window(account: accounts.Account) -> None:
    services = Services(account)
    path = services.start()
    service_id = str(id_of(path))

    def told() -> tuple[str, list[str], list[str]]:
        shown = get(account, f"/api/v1/requests/{service_id}").json()["data"]
        listed = get(account, f"/api/v3/global/call/{service_id}").json()["content"]
        assert found_by_id(account, service_id) == [shown]
        return (
            shown["requestStatus"],
            [item["messageStatus"] for item in shown["payload"]],
            [item["status"] for item in listed],
        )

    assert told() == ("Processing", [], [])

    state = services.start_state(path)
    task = services.start_task(path, state_id=state)
    assert told() == ("Processing", ["Processing"], ["OPEN"])
    assert post(account, f"/api/v1/requests/{service_id}/cancel").status_code == 409

    services.post(f"{path}/tasks/{task}/end")
    assert told() == ("Processing", ["Complete"], ["SUCCESS"])

    services.post(f"{path}/end")
    assert told() == ("Complete", ["Complete"], ["SUCCESS"])

    services.delete(path)
    assert found_by_id(account, service_id) == []
    assert get(account, f"/api/v3/global/call/{service_id}").status_code == 404
    assert services.get(f"{path}/states").status_code == 404


def found_by_id(account: accounts.Account, request_id: str) -> list[dict[str, Any]]:
    answer = post(account, "/api/v1/tracking", {"search": [{"by": "id", "value": request_id}]})
    found: list[dict[str, Any]] = json.loads(answer.getvalue())["data"]["requests"]
    return found


# ---------------------------------------------------------------- another client's


@pytest.mark.parametrize("door", DOORS)
def test_another_clients_request_is_in_no_window(
    account: accounts.Account, other: accounts.Account, door: Door
) -> None:
    given = door(account, {})
    windows = [
        "/api/v1/requests/{}",
        "/api/v3/global/call/{}",
        "/api/v2/global/call/{}",
        "/services/{}",
        "/services/{}/states",
        "/services/{}/tasks",
        "/api/2.3.1/orders/{}",
    ]

    for window in windows:
        theirs, nobodys = (get(other, window.format(wanted)) for wanted in (given.request_id, uuid.uuid4()))
        assert (theirs.status_code, theirs.json()) == (404, nobodys.json()), window
    assert post(other, f"/api/v1/requests/{given.request_id}/cancel").status_code == 404
    assert found_by_id(other, given.request_id) == []
    assert ordering.events(other) == []
