"""A process is struck at each named place: what its client saw, and then that every promise holds."""

import os
import signal
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_django
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now

from chaos.inside import traps
from orchestrator import backend_types, failpoints
from orchestrator.failpoints import Place
from orchestrator.lifecycle import Status
from orchestrator.models import Claim, Message, Request
from orders import accesses, network
from orders.models import OrderEvent
from tests import factories, losses
from tests.acceptance import backend, rigged
from tests.acceptance.rigged import Rigged
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

SERVICES = {f"TV-{number}": f"TV-{number}" for number in range(20)}


@pytest.fixture(scope="module")
def rig(
    django_db_setup: None,
    django_db_blocker: pytest_django.DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Rigged]:
    """Started processes keep what they know of types and clients, so the ledger is emptied after the last test only."""
    with django_db_blocker.unblock(), backend.running() as called:
        for name in ("Called", network.TYPE):
            backend_types.save(name, {"url": called.url, "attempts": 20})
        accesses.save(["STRUCK"], SERVICES)
        shared = Rigged(directory=tmp_path_factory.mktemp("rigged"), account=factories.make_account(), backend=called)
        try:
            yield shared
        finally:
            shared.end_web()
            shared.end_worker()
            call_command("flush", interactive=False, verbosity=0)
            connection.close()


@pytest.fixture
def _django_db_helper(rig: Rigged) -> None:
    """Take the place of pytest-django's own, which would empty the ledger after each test."""


@pytest.fixture(autouse=True)
def _no_trap_is_left(rig: Rigged) -> Iterator[None]:
    yield
    traps.lift_traps(rig.directory)


def body(**fields: Any) -> dict[str, Any]:
    items = [{"messageType": "Witness", "externalReference": str(number), **fields} for number in range(3)]
    return {"batchReference": uuid.uuid4().hex, "errorPolicy": "proceedOnError", "payload": items}


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def submit(rig: Rigged, message_type: str, count: int, **fields: Any) -> uuid.UUID:
    """Hand work in at the door; returns its Request-Id."""
    rig.web()
    items = [{"messageType": message_type, "externalReference": str(number), **fields} for number in range(count)]
    submission = {"batchReference": uuid.uuid4().hex, "errorPolicy": "proceedOnError", "payload": items}
    answer = rig.call("POST", "/api/v1/requests", json=submission)
    assert answer.status_code == 202, answer.text
    return uuid.UUID(answer.headers["Request-Id"])


def wait_for_end(rig: Rigged, request_id: str | uuid.UUID) -> list[Message]:
    """Have whatever is left carried out, restarting a worker that has ended; the request then adds up."""
    known = uuid.UUID(str(request_id))
    eventually(lambda: rig.worker() and not rigged.open_of(known), within=60, what="the last final status")
    assert rigged.adds_up(known)
    return rigged.messages_of(known)


# ---------------------------------------------------------------- the web process


NINO = {"Accept": "application/vnd.hmrc.1.0+json"}
WITNESS = {"serviceName": "Witness"}
ORDERS = "/api/2.3.1/orders/"
ORDER = {"accessId": "STRUCK", "service": "TV-0", "operation": "ACTIVATE", "forcedTakeover": False}
DOORS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "requests": ("/api/v1/requests", body(), {}),
    "messages": ("/api/v1/messages/Witness", {"batchReference": "b", "payload": [{"externalReference": "1"}]}, {}),
    "call": ("/api/v3/call/Witness", {"hello": "world"}, {}),
    "bulk": ("/api/v3/bulk/Witness", {"bulk": [{"content": {"n": 1}}, {"content": {"n": 2}}]}, {}),
    "startup": ("/native-app/AA123456A/startup", {"request": [WITNESS, WITNESS]}, NINO),
    "services": ("/services/start", {"customer_id": "c", "service_type": "visit"}, {}),
}


@pytest.mark.parametrize(
    ("place", "door"),
    [
        (Place.COMMITTING, "requests"),
        (Place.COMMITTED, "call"),
        (Place.COMMITTED, "services"),
        (Place.ACCEPTED, "bulk"),
        (Place.FLAG_RAISED, "messages"),
        (Place.ANSWERING, "startup"),
    ],
)
def test_a_web_process_killed_in_mid_submission_is_asked_again_and_has_stored_it_once(
    rig: Rigged, place: Place, door: str
) -> None:
    rig.web()
    path, submission, more = DOORS[door]
    headers = {**more, **key()}
    before = Request.objects.count()
    rig.trap(place, "kill")

    lost = rig.call_or_lose("POST", path, json=submission, headers=headers)
    rig.wait_until_sprung(place)
    rig.end_web()
    stored = Request.objects.count() - before
    rig.web()
    again = rig.call("POST", path, json=submission, headers=headers)

    assert lost is None
    assert stored == (0 if place is Place.COMMITTING else 1)
    assert again.status_code in {200, 201, 202}
    assert again.headers.get("Idempotent-Replayed") == ("true" if stored else None)
    assert Request.objects.count() == before + 1
    request_id = again.headers["Request-Id"]
    if door != "services":  # that one is over when its owner ends it
        messages = wait_for_end(rig, request_id)
        assert {message.status for message in messages} == {Status.COMPLETE}
        assert set(rig.begun(*(message.id for message in messages))) == {1}


@pytest.mark.parametrize(
    ("place", "action", "status"),
    [
        (Place.COMMITTING, "cut", 503),  # not done, and the client is told so
        (Place.COMMITTING, "commit-and-cut", 202),  # done, and the server saw an error
        (Place.COMMITTED, "fail", 202),  # the same, when the answer itself was lost
    ],
)
def test_a_submission_whose_commit_is_doubtful_is_answered_as_it_ended(
    rig: Rigged, place: Place, action: str, status: int
) -> None:
    rig.web()
    submission, headers = body(), key()
    rig.trap(place, action)

    first = rig.call("POST", "/api/v1/requests", json=submission, headers=headers)
    stored = list(Request.objects.filter(batch_reference=submission["batchReference"]).values_list("id", flat=True))
    again = rig.call("POST", "/api/v1/requests", json=submission, headers=headers)

    assert (first.status_code, again.status_code) == (status, 202)
    assert rig.is_sprung(place)
    if status == 503:
        assert stored == []
        assert int(first.headers["Retry-After"]) > 0
    else:
        assert [str(request_id) for request_id in stored] == [first.headers["Request-Id"]]
        assert again.headers["Request-Id"] == first.headers["Request-Id"]
    assert [message.status for message in wait_for_end(rig, again.headers["Request-Id"])] == [Status.COMPLETE] * 3


def test_an_order_whose_answer_was_lost_is_the_same_order_without_any_key(rig: Rigged) -> None:
    rig.web()
    rig.end_worker()  # it stays RECEIVED meanwhile
    rig.trap(Place.ANSWERING, "kill")

    lost = rig.call_or_lose("POST", ORDERS, json={**ORDER, "service": "TV-1"})
    rig.wait_until_sprung(Place.ANSWERING)
    rig.end_web()
    rig.web()
    again = rig.call("POST", ORDERS, json={**ORDER, "service": "TV-1"})

    assert lost is None
    assert (again.status_code, again.json()["state"]) == (200, "RECEIVED")
    order_id = again.json()["path"].rstrip("/").rsplit("/", 1)[1]
    wait_for_end(rig, order_id)
    assert OrderEvent.objects.filter(order_id=order_id).count() == 1


@pytest.mark.parametrize(
    ("place", "action", "first_status", "then"),
    [
        (Place.CANCELLING, "kill", None, 200),
        (Place.CANCELLED, "kill", None, 409),
        (Place.CANCELLING, "cut", 503, 200),
        (Place.CANCELLING, "commit-and-cut", 503, 409),
        (Place.CANCELLED, "fail", 503, 409),
    ],
)
def test_a_cancel_that_is_struck_is_done_whole_or_not_at_all(
    rig: Rigged, place: Place, action: str, first_status: int | None, then: int
) -> None:
    rig.web()
    rig.end_worker()  # everything stays Queued
    submitted = rig.call("POST", "/api/v1/requests", json=body()).headers["Request-Id"]
    rig.trap(place, action)

    first = rig.call_or_lose("POST", f"/api/v1/requests/{submitted}/cancel")
    rig.wait_until_sprung(place)
    if action == "kill":
        rig.end_web()
        rig.web()
    seen = {message.status for message in rigged.messages_of(uuid.UUID(submitted))}
    again = rig.call("POST", f"/api/v1/requests/{submitted}/cancel")

    assert (first.status_code if first else None, again.status_code) == (first_status, then)
    assert seen == {Status.CANCELLED if then == 409 else Status.QUEUED}
    messages = wait_for_end(rig, submitted)
    assert {message.status for message in messages} == {Status.CANCELLED}
    assert rig.begun(*(message.id for message in messages)) == [0, 0, 0]


# ---------------------------------------------------------------- the worker process


@pytest.mark.parametrize(
    ("place", "action", "calls"),
    [
        (Place.CLAIMED, "kill", {1}),
        (Place.CALLED, "kill", {1, 2}),
        (Place.MID_FLUSH, "kill", {1, 2}),
        (Place.MID_FLUSH, "cut", {1}),
        (Place.MID_FLUSH, "fail", {1}),
        (Place.FLUSHING, "kill", {1, 2}),
        (Place.FLUSHING, "cut", {1}),
        (Place.FLUSHING, "commit-and-cut", {1}),
        (Place.FLUSHED, "kill", {1, 2}),
        (Place.FLUSHED, "fail", {1}),
    ],
)
def test_a_worker_that_is_struck_records_each_outcome_once(
    rig: Rigged, place: Place, action: str, calls: set[int]
) -> None:
    """Messages and an order in one drain. A call that had no record is made again with its key, and no other is."""
    rig.web()
    worker = rig.worker()
    service = f"TV-{2 + next(numbers)}"
    rig.trap(place, action)

    request_id = submit(rig, "Called", 40)
    ordered = rig.call("POST", ORDERS, json={**ORDER, "service": service}).headers["Request-Id"]
    rig.wait_until_sprung(place)
    if action == "kill":
        eventually(lambda: not worker.alive, what="the worker's end")
    messages = wait_for_end(rig, request_id)
    [carried_out] = wait_for_end(rig, ordered)

    assert {message.status for message in [*messages, carried_out]} == {Status.COMPLETE}
    assert {message.attempts for message in [*messages, carried_out]} == {1}
    assert set(rig.called(*(message.id for message in messages))) <= calls
    for message in [*messages, carried_out]:  # whoever was called twice was lost in between, and the ledger says so
        assert rig.called(message.id)[0] <= 1 + message.losses
    assert OrderEvent.objects.filter(order_id=ordered).count() == 1
    assert not Claim.objects.exists()


numbers = iter(range(18))


def test_a_worker_frozen_with_a_claim_that_it_knows_nothing_of_leaves_it_to_others(rig: Rigged) -> None:
    """The race: it stands still between the claim's COMMIT and its first look, for longer than the lease."""
    frozen = rig.worker()
    rig.trap(Place.CLAIMED, "freeze")
    request_id = submit(rig, "Witness", 10)
    rig.wait_until_sprung(Place.CLAIMED)

    rig.part_with_worker()
    messages = wait_for_end(rig, request_id)
    os.kill(frozen.pid, signal.SIGCONT)
    others = wait_for_end(rig, submit(rig, "Witness", 10))
    frozen.kill()

    assert [(message.status, message.attempts, message.losses) for message in messages] == [
        (Status.COMPLETE, 1, 1)
    ] * 10
    assert rig.begun(*(message.id for message in messages)) == [1] * 10
    assert rig.begun(*(message.id for message in others)) == [1] * 10
    assert rigged.messages_of(request_id) == messages


# ---------------------------------------------------------------- housekeeping


def lose_claim(rig: Rigged) -> uuid.UUID:
    """Work that a lost worker holds; nobody sees that before `let_leases_lapse`."""
    rig.end_worker()
    request_id = submit(rig, "Witness", 5)
    assert len(losses.claim("Witness").messages) == 5
    Claim.objects.update(leased_until=Now() + timedelta(minutes=30))
    return request_id


@pytest.mark.parametrize("action", ["kill", "cut", "commit-and-cut"])
def test_a_lost_claim_is_given_back_once_whatever_strikes_the_giver(rig: Rigged, action: str) -> None:
    request_id = lose_claim(rig)
    rig.worker()
    rig.trap(Place.GIVING_BACK, action)

    losses.let_leases_lapse()
    rig.wait_until_sprung(Place.GIVING_BACK)
    messages = wait_for_end(rig, request_id)

    assert [(message.status, message.attempts, message.losses) for message in messages] == [(Status.COMPLETE, 1, 1)] * 5
    assert rig.begun(*(message.id for message in messages)) == [1] * 5


def test_a_housekeeper_killed_between_a_give_back_and_its_wake_up_costs_delay_only(rig: Rigged) -> None:
    request_id = lose_claim(rig)
    worker = rig.worker()
    rig.trap(Place.GIVEN_BACK, "kill")

    losses.let_leases_lapse()
    eventually(lambda: not worker.alive, within=30, what="the worker's end")
    messages = wait_for_end(rig, request_id)

    assert [(message.status, message.losses) for message in messages] == [(Status.COMPLETE, 1)] * 5
    assert rig.begun(*(message.id for message in messages)) == [1] * 5


def test_a_housekeeper_killed_between_a_release_and_its_wake_up_costs_delay_only(rig: Rigged) -> None:
    rig.end_worker()
    request_id = submit(rig, "Witness", 5)
    retries = Message.objects.filter(request=request_id)
    retries.update(available_at=Now() + timedelta(minutes=30))
    worker = rig.worker()
    rig.trap(Place.RELEASED, "kill")

    retries.update(available_at=Now())
    eventually(lambda: not worker.alive, within=30, what="the worker's end")
    messages = wait_for_end(rig, request_id)

    assert [(message.status, message.losses) for message in messages] == [(Status.COMPLETE, 0)] * 5
    assert rig.begun(*(message.id for message in messages)) == [1] * 5


def test_a_worker_killed_in_mid_stop_is_recovered_like_any_other(rig: Rigged, tmp_path: Path) -> None:
    began, release = tmp_path / "began", tmp_path / "release"
    worker = rig.worker()
    request_id = submit(rig, "HoldAsync", 3, began=str(began), release=str(release))
    eventually(lambda: began.exists() and len(began.read_text().splitlines()) == 3, what="three handlers")
    rig.trap(Place.STOPPING, "kill")

    worker.child.ask_to_stop()  # the calls outlive the grace time
    eventually(lambda: not worker.alive, within=30, what="the worker's end")
    release.touch()
    messages = wait_for_end(rig, request_id)

    assert rig.is_sprung(Place.STOPPING)
    assert [(message.status, message.attempts) for message in messages] == [(Status.COMPLETE, 1)] * 3


# ---------------------------------------------------------------- nobody is struck by accident


def test_a_process_that_no_app_has_rigged_passes_every_place_unharmed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHAOS_DIRECTORY", str(tmp_path))
    for place in Place:
        traps.set_trap(tmp_path, place, "kill")

    for place in Place:
        failpoints.pass_by(place)

    assert not any(traps.is_sprung(tmp_path, place) for place in Place)


def test_every_place_is_passed_somewhere_and_struck_here() -> None:
    source = "".join(path.read_text() for path in (rigged.ROOT / "orchestrator").rglob("*.py"))
    struck = Path(__file__).read_text()

    for place in Place:
        assert source.count(f"failpoints.pass_by(Place.{place.name})") >= 1, place
        assert f"Place.{place.name}" in struck, place
