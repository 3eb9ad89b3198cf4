"""The first page of the desk and what it offers to do: figures for those who may see them, deeds with an entry each."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from orchestrator import breakers, measures
from orchestrator.models import AuditEntry, Backend, Lane, Worker
from orchestrator.roles import Role
from tests import engine, factories
from tests.integration.test_trends import count

pytestmark = pytest.mark.django_db

NOW = "/admin/dashboard/now"
HISTORY = "/admin/dashboard/history"


def browser_of(role: Role | None) -> Browser:
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    browser = Browser(REMOTE_ADDR="192.0.2.7")
    browser.force_login(user)
    return browser


@pytest.fixture
def operator() -> Browser:
    return browser_of(Role.OPERATOR)


@pytest.fixture
def viewer() -> Browser:
    return browser_of(Role.VIEWER)


def now(browser: Browser) -> dict[str, Any]:
    answer = browser.get(NOW)
    assert answer.status_code == 200
    figures: dict[str, Any] = answer.json()
    return figures


class TestThePage:
    def test_is_the_dashboard(self, viewer: Browser) -> None:
        page = viewer.get("/admin/").content.decode()

        assert 'data-now="/admin/dashboard/now"' in page
        assert 'data-history="/admin/dashboard/history"' in page

    def test_is_a_list_for_those_who_may_not_see_lanes(self) -> None:
        page = browser_of(None).get("/admin/")

        assert page.status_code == 200
        assert "data-now" not in page.content.decode()

    @pytest.mark.parametrize("address", [NOW, HISTORY])
    def test_tells_its_figures_to_nobody_else(self, address: str) -> None:
        assert Browser().get(address).status_code == 302
        assert browser_of(None).get(address).status_code == 403

    @pytest.mark.parametrize("address", [NOW, HISTORY])
    def test_is_only_read(self, viewer: Browser, address: str) -> None:
        assert viewer.post(address).status_code == 405

    def test_runs_nothing_inline(self, viewer: Browser) -> None:
        """It must work under a content security policy that knows no 'unsafe-inline' for scripts."""
        page = viewer.get("/admin/").content.decode()
        board = page[page.index('id="board"') : page.index('data-rows="workers"')]

        assert "<script" not in board
        assert "style=" not in board
        assert " onclick" not in board


class TestNow:
    def test_tells_what_waits_and_runs(self, viewer: Browser) -> None:
        engine.hand_in(client_id=factories.make_client().pk, payloads=[{}] * 3)
        engine.claim("Echo", limit=1)
        Worker.objects.create(id=engine.WORKER, host="here", pid=7, queues=["waybill"])
        count("complete", 30, seconds=0.3)
        count("failed", 10, seconds=0.3)

        figures = now(viewer)

        [lane], [worker] = figures["lanes"], figures["workers"]
        assert (lane["key"], lane["state"], lane["queued"]["number"], lane["processing"]) == ("Echo", "working", 2, 1)
        assert (lane["failure_rate"], lane["a_minute"] > 10, 0.2 < lane["p95"] < 0.6) == (0.25, True, True)
        assert (worker["name"], worker["state"], worker["holds"]) == ("here:7", "working", {"Echo": 1})
        assert figures["total"]["queued"]["number"] == 2
        assert figures["total"]["workers"] == 1

    def test_tells_how_back_ends_fare(self, viewer: Browser) -> None:
        for name in ("Parcel", "Vehicle", "Quiet", "Ailing", "Busy"):
            Backend.objects.create(message_type=name, url="http://there/", lane="shared" if name == "Busy" else "")
        breakers.tell("Parcel", breakers.Sight(failures=9, last_failure="connection refused"), breaker=5)
        breakers.tell("shared", breakers.Sight(answered=True, calls=1, seconds=0.1), breaker=5)
        count(measures.called("complete"), 99, type="Vehicle", lane="Vehicle", seconds=0.04)
        count(measures.called("complete"), 9, type="Ailing", lane="Ailing")
        count(measures.called("retry"), 1, type="Ailing", lane="Ailing")
        count(measures.called("timed out"), 1, type="Busy", lane="shared")

        told = {row["key"]: row for row in now(viewer)["backends"]}

        assert {name: row["state"] for name, row in told.items()} == {
            "Parcel": "down",
            "Vehicle": "healthy",
            "Quiet": "not called",
            "Ailing": "ailing",
            "Busy": "failing",
        }
        assert (told["Parcel"]["breaker"], told["Parcel"]["last_failure"]) == ("open", "connection refused")
        assert (told["Quiet"]["breaker"], told["Busy"]["breaker"]) == ("closed", "closed")
        assert 0.025 < told["Vehicle"]["p95"] <= 0.05

    def test_tells_why_a_lane_stands_still(self, viewer: Browser) -> None:
        for name in ("Paused", "Broken", "Held", "Waiting", "Idle"):
            Lane.objects.create(name=name, queue="waybill", paused=name == "Paused")
        breakers.tell("Broken", breakers.Sight(failures=9, last_failure="no"), breaker=5)
        breakers.tell("Held", breakers.Sight(answered=True, hold=60.0), breaker=5)
        engine.hand_in(client_id=factories.make_client().pk, lane="Waiting")

        states = {lane["key"]: lane["state"] for lane in now(viewer)["lanes"]}

        assert states == {name: name.lower() for name in ("Paused", "Broken", "Held", "Waiting", "Idle")}

    def test_offers_deeds_to_those_who_may_do_them(self, viewer: Browser, operator: Browser) -> None:
        Lane.objects.create(name="my_lane", queue="waybill")
        Worker.objects.create(id=engine.WORKER, host="here", pid=7, queues=[], draining=True, resting=True)

        offered = now(operator)
        [lane], [worker] = offered["lanes"], offered["workers"]

        assert (lane["action"], lane["action_url"]) == ("pause", "/admin/orchestrator/lane/my_5Flane/pause/")
        assert (worker["action"], worker["state"]) == ("undrain", "drained")
        assert [row["action"] for part in ("lanes", "workers") for row in now(viewer)[part]] == [None, None]

    def test_asks_few_questions_and_counts_no_table(self, viewer: Browser) -> None:
        for number in range(5):
            Lane.objects.create(name=f"Lane-{number}", queue="waybill")
            Backend.objects.create(message_type=f"Type-{number}", url="http://there/")
            Worker.objects.create(id=uuid.uuid4(), host="here", pid=number, queues=[])
        now(viewer)

        with CaptureQueriesContext(connection) as asked:
            now(viewer)

        own = [one["sql"] for one in asked.captured_queries if "orchestrator_" in one["sql"]]
        assert len(own) == 6
        assert not [one for one in asked.captured_queries if one["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]


class TestHistory:
    @pytest.mark.parametrize(("query", "points"), [("", 60), ("?span=hour", 60), ("?span=day", 24), ("?span=x", 60)])
    def test_has_its_points(self, viewer: Browser, query: str, points: int) -> None:
        count("complete", 7)

        told = viewer.get(HISTORY + query).json()["points"]

        assert len(told) == points
        assert sum(point["complete"] for point in told) == 7
        assert set(told[-1]) == {"at", "complete", "failed", "p50", "p95"}

    @pytest.mark.parametrize(("lane", "done"), [("Echo", 7), ("Other", 0)])
    def test_is_of_one_lane_when_asked(self, viewer: Browser, lane: str, done: int) -> None:
        count("complete", 7)

        told = viewer.get(f"{HISTORY}?lane={lane}").json()["points"]

        assert sum(point["complete"] for point in told) == done


class TestADeed:
    LANE = "/admin/orchestrator/lane/Echo"

    def test_is_done_after_a_question_and_recorded(self, operator: Browser) -> None:
        Lane.objects.create(name="Echo", queue="waybill")

        question = operator.get(f"{self.LANE}/pause/")
        assert "Pause lane Echo?" in question.content.decode()
        assert not Lane.objects.get().paused
        assert not AuditEntry.objects.filter(action="pause").exists()

        done = operator.post(f"{self.LANE}/pause/", follow=True)
        assert "Lane Echo is paused." in done.content.decode()
        assert Lane.objects.get().paused
        entry = AuditEntry.objects.get(action="pause")
        assert (entry.actor, entry.object_type, entry.object_id, entry.outcome, entry.ip) == (
            *("a-operator", "lane", "Echo", "done", "192.0.2.7"),
        )

        operator.post(f"{self.LANE}/resume/")
        assert not Lane.objects.get().paused
        assert AuditEntry.objects.filter(action="resume", outcome="done").count() == 1

    def test_that_was_done_already_says_so(self, operator: Browser) -> None:
        Lane.objects.create(name="Echo", queue="waybill", paused=True)

        assert "was paused already" in operator.post(f"{self.LANE}/pause/", follow=True).content.decode()

    @pytest.mark.parametrize("word", ["pause", "resume"])
    def test_on_an_unknown_lane_is_refused_clearly(self, operator: Browser, word: str) -> None:
        address = f"/admin/orchestrator/lane/No_2FLane/{word}/"

        looked, tried = operator.get(address, follow=True), operator.post(address, follow=True)

        for page in (looked, tried):
            assert "There is no lane &#x27;No/Lane&#x27;." in page.content.decode()
        assert not Lane.objects.exists()
        entry = AuditEntry.objects.get(action=word)
        assert (entry.object_id, entry.outcome) == ("No/Lane", "refused")

    @pytest.mark.parametrize("worker", [str(uuid.UUID(int=7)), "no-id"])
    def test_on_an_unknown_worker_is_refused_clearly(self, operator: Browser, worker: str) -> None:
        page = operator.post(f"/admin/orchestrator/worker/{worker}/drain/", follow=True)

        assert "There is no worker" in page.content.decode()
        assert AuditEntry.objects.get(action="drain").outcome == "refused"

    def test_drains_a_worker_and_puts_it_back_to_work(self, operator: Browser) -> None:
        worker = Worker.objects.create(id=uuid.uuid4(), host="here", pid=1, queues=[])
        address = f"/admin/orchestrator/worker/{worker.id}"

        assert "/drain/" in operator.get(f"{address}/change/").content.decode()
        assert str(worker.id) in operator.get(f"{address}/drain/").content.decode()
        operator.post(f"{address}/drain/")
        assert Worker.objects.get().draining
        operator.post(f"{address}/undrain/")
        assert not Worker.objects.get().draining

        assert list(
            AuditEntry.objects.filter(object_type="worker").values_list("action", flat=True).order_by("id")
        ) == [
            *("drain", "put back to work"),
        ]

    @pytest.mark.parametrize("role", [Role.VIEWER, None])
    def test_is_refused_to_those_who_may_not_do_it(self, role: Role | None) -> None:
        Lane.objects.create(name="Echo", queue="waybill")
        worker = Worker.objects.create(id=uuid.uuid4(), host="here", pid=1, queues=[])
        browser = browser_of(role)

        for address in (f"{self.LANE}/pause/", f"/admin/orchestrator/worker/{worker.id}/drain/"):
            assert browser.get(address).status_code == 403
            assert browser.post(address).status_code == 403

        assert not Lane.objects.get().paused
        assert not Worker.objects.get().draining
        assert [entry.outcome for entry in AuditEntry.objects.exclude(action="log in")] == ["refused", "refused"]
