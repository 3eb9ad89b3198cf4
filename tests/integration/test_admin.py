"""The operator's desk: what it changes, what it shows, and what it never tells."""

import base64
import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_httpserver import HTTPServer

from orchestrator import accounts, backend_types, clients
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import AuditEntry, Backend, Client, Lane, Message, Request, Worker
from tests import factories, waiting

pytestmark = pytest.mark.django_db

PAGES = ["request", "message", "lane", "worker", "client", "backend"]


@pytest.fixture
def browser() -> Browser:
    operator = User.objects.create_superuser("operator", password="open")
    browser = Browser()
    browser.force_login(operator)
    return browser


@pytest.fixture
def message() -> Message:
    client = factories.make_client()
    now = timezone.now()
    request = Request.objects.create(
        id=uuid.uuid4(),
        client=client,
        door="requests",
        batch_reference="b-1",
        error_policy=ErrorPolicy.HALT,
        types=["Echo"],
        received_at=now,
        total=1,
        open=1,
    )
    return Message.objects.create(
        id=uuid.uuid4(),
        request=request,
        client=client,
        number=0,
        type="Echo",
        lane="Echo",
        turn=1,
        payload='{"note": "' + "x" * 20_000 + '"}',
        status=Status.QUEUED,
        received_at=now,
    )


def make_rows() -> None:
    Lane.objects.create(name="Echo", queue="waybill")
    Worker.objects.create(id=uuid.uuid4(), host="here", pid=1)
    Backend.objects.create(message_type="Parcel", url="http://parcels/")


def client_form(**fields: object) -> dict[str, object]:
    return {
        "client_id": "acme",
        "name": "Acme",
        "enabled": "on",
        "all_scopes": "on",
        "all_types": "on",
        "types": "",
        "max_in_flight": "",
        "secrets-TOTAL_FORMS": "0",
        "secrets-INITIAL_FORMS": "0",
        **fields,
    }


def backend_form(**fields: object) -> dict[str, object]:
    return {
        "message_type": "Parcel",
        "url": "http://parcels/",
        "timeout_seconds": "30",
        "attempts": "5",
        "lane": "",
        "schema": "",
        "headers": "",
        **fields,
    }


def rows_of(answer: Any) -> list[Any]:
    """The rows of a list: of Django's own, or of the requests' search."""
    return list(answer.context["found"].requests if "found" in answer.context else answer.context["cl"].result_list)


@pytest.mark.parametrize("page", PAGES)
def test_every_list_opens_and_counts_no_table(browser: Browser, message: Message, page: str) -> None:
    make_rows()

    with CaptureQueriesContext(
        connection,
    ) as statements:
        answer = browser.get(f"/admin/orchestrator/{page}/")

    assert answer.status_code == 200
    assert not [sql for sql in statements.captured_queries if "COUNT(" in sql["sql"].upper()]


def test_the_desk_asks_who_you_are() -> None:
    answer = Browser().get("/admin/orchestrator/client/")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


class TestTheLedger:
    @pytest.mark.parametrize("page", ["request", "message"])
    def test_is_looked_at(self, browser: Browser, message: Message, page: str) -> None:
        key = message.pk if page == "message" else message.request_id

        answer = browser.get(f"/admin/orchestrator/{page}/{key}/change/")

        assert answer.status_code == 200
        assert len(answer.content) < 200_000

    @pytest.mark.parametrize("page", ["request", "message", "worker"])
    def test_is_never_touched(self, browser: Browser, message: Message, page: str) -> None:
        make_rows()
        key = {"message": message.pk, "request": message.request_id, "worker": Worker.objects.get().pk}[page]

        assert browser.get(f"/admin/orchestrator/{page}/add/").status_code == 403
        assert browser.post(f"/admin/orchestrator/{page}/{key}/change/", {"status": "Failed"}).status_code == 403
        assert browser.post(f"/admin/orchestrator/{page}/{key}/delete/", {"post": "yes"}).status_code == 403

    @pytest.mark.parametrize("page", ["request", "message"])
    def test_is_searched_by_request_id(self, browser: Browser, message: Message, page: str) -> None:
        found = browser.get(f"/admin/orchestrator/{page}/", {"q": str(message.request_id)})
        missed = browser.get(f"/admin/orchestrator/{page}/", {"q": "not an id"})

        assert rows_of(found)[0].pk == (message.pk if page == "message" else message.request_id)
        assert not rows_of(missed)


class TestAClient:
    def test_is_made_and_its_secret_shown_once(self, browser: Browser) -> None:
        answer = browser.post("/admin/orchestrator/client/add/", client_form(), follow=True)

        shown = re.search(r"Secret of acme: (\S+)", answer.content.decode())
        assert shown
        account = accounts.prove("acme", shown[1])
        assert account is not None
        assert account.types is None
        again = browser.get("/admin/orchestrator/client/")
        assert shown[1] not in again.content.decode()

    def test_is_changed_without_a_new_secret(self, browser: Browser) -> None:
        client = clients.save("acme", {"scopes": ["tracking:read"]}, secret="known").client
        secret = client.secrets.get()
        form = client_form(
            name="Other", all_types="", types=" Echo \n\nParcel\n", all_scopes="", scopes=["requests:write"]
        )
        inline = {
            "secrets-TOTAL_FORMS": "1",
            "secrets-INITIAL_FORMS": "1",
            "secrets-0-id": secret.pk,
            "secrets-0-client": client.pk,
        }

        answer = browser.post(f"/admin/orchestrator/client/{client.pk}/change/", form | inline, follow=True)

        client.refresh_from_db()
        assert answer.status_code == 200
        assert "Secret of" not in answer.content.decode()
        assert (client.client_id, client.name) == ("acme", "Other")
        assert (client.scopes, client.types) == (["requests:write"], ["Echo", "Parcel"])
        assert client.secrets.count() == 1

    def test_gets_one_more_secret(self, browser: Browser) -> None:
        client = clients.save("acme", {}, secret="known").client

        answer = browser.post(
            f"/admin/orchestrator/client/{client.pk}/change/", client_form(new_secret="on"), follow=True
        )

        assert "Secret of acme" in answer.content.decode()
        assert client.secrets.count() == 2

    def test_has_its_secrets_rotated_without_a_gap(self, browser: Browser) -> None:
        client = clients.save("acme", {}, secret="old").client
        form = client_form(rotate="on", overlap_hours="2")

        answer = browser.post(f"/admin/orchestrator/client/{client.pk}/change/", form, follow=True)

        shown = re.search(r"Secret of acme: (\S+)", answer.content.decode())
        assert shown
        assert accounts.prove("acme", shown[1])
        assert accounts.prove("acme", "old")
        old, new = client.secrets.order_by("pk")
        assert timedelta(hours=1) < old.expires_at - timezone.now() < timedelta(hours=3)
        assert new.expires_at is None
        entry = AuditEntry.objects.get(action="rotate secrets")
        assert (entry.object_id, entry.detail) == ("acme", {"others": "end after 2 h"})

    def test_can_no_longer_use_a_secret_that_was_rotated_out(self, browser: Browser) -> None:
        client = clients.save("acme", {}, secret="old").client
        form = client_form(rotate="on", overlap_hours="0")
        browser.post(f"/admin/orchestrator/client/{client.pk}/change/", form)

        headers = {"Authorization": "Basic " + base64.b64encode(b"acme:old").decode()}
        answers = [Browser().get("/api/v1/requests/1", headers=headers) for _ in range(2)]

        assert {answer.status_code for answer in answers} == {401}
        assert "rotated" in answers[0].content.decode()
        assert AuditEntry.objects.get(action="rotate secrets").detail == {"others": "ended at once"}
        entry = AuditEntry.objects.get(outcome="refused")
        assert (entry.actor, entry.object_type, entry.object_id) == ("client: acme", "client", "acme")

    def test_that_is_disabled_is_refused_within_seconds_with_its_tokens(self, browser: Browser) -> None:
        client = clients.save("acme", {}, secret="known").client
        basic = {"Authorization": "Basic " + base64.b64encode(b"acme:known").decode()}
        form = "application/x-www-form-urlencoded"
        token = Browser().post("/oauth/token", "grant_type=client_credentials", content_type=form, headers=basic).json()
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        assert Browser().get("/api/v1/requests/1", headers=bearer).status_code == 404

        browser.post(f"/admin/orchestrator/client/{client.pk}/change/", client_form(enabled=""))

        for headers in (basic, bearer):
            refused = lambda headers=headers: Browser().get("/api/v1/requests/1", headers=headers).status_code == 401  # noqa: E731
            waiting.eventually(refused, within=5)

    def test_that_is_shown_never_tells_its_secret(self, browser: Browser) -> None:
        client = clients.save("acme", {}, secret="a-known-secret").client

        page = browser.get(f"/admin/orchestrator/client/{client.pk}/change/").content.decode()

        assert "a-known-secret" not in page
        assert str(client.feed_id) in page

    @pytest.mark.parametrize("wrong", [{"client_id": "a:b"}, {"client_id": ""}, {"scopes": ["all"]}])
    def test_that_can_not_be_is_refused_in_the_form(self, browser: Browser, wrong: dict[str, object]) -> None:
        answer = browser.post("/admin/orchestrator/client/add/", client_form(**wrong))

        assert answer.status_code == 200
        assert answer.context["adminform"].form.errors
        assert not Client.objects.exists()

    def test_is_never_deleted(self, browser: Browser) -> None:
        client = factories.make_client()

        assert browser.post(f"/admin/orchestrator/client/{client.pk}/delete/", {"post": "yes"}).status_code == 403


class TestABackEnd:
    def test_is_made(self, browser: Browser) -> None:
        form = backend_form(headers="Authorization: Bearer hidden\nX-Tenant: 7", schema='{"type": "object"}')

        answer = browser.post("/admin/orchestrator/backend/add/", form, follow=True)

        row = Backend.objects.get()
        assert answer.status_code == 200
        assert (row.message_type, row.schema) == ("Parcel", {"type": "object"})
        assert backend_types.unseal_headers(row.headers_sealed) == (
            ("Authorization", "Bearer hidden"),
            ("X-Tenant", "7"),
        )

    def test_is_given_limits_and_loses_them(self, browser: Browser) -> None:
        limits = {"concurrency": "5", "rate": "1.5", "burst": "3", "breaker": "7"}
        browser.post("/admin/orchestrator/backend/add/", backend_form(**limits))
        given = Backend.objects.get()

        browser.post("/admin/orchestrator/backend/Parcel/change/", backend_form())

        taken = Backend.objects.get()
        assert (given.concurrency, given.rate, given.burst, given.breaker) == (5, 1.5, 3, 7)
        assert (taken.concurrency, taken.rate, taken.burst, taken.breaker) == (None, None, None, None)

    def test_shows_an_empty_box_where_nothing_is_set(self, browser: Browser) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/"})

        for page in ("add", "Parcel/change"):
            form = browser.get(f"/admin/orchestrator/backend/{page}/").context["adminform"].form
            assert {name for name in form.fields if form[name].value() in {"null", "None"}} == set()

    def test_shows_its_schema_and_loses_it(self, browser: Browser) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/", "schema": {"type": "object"}})
        page = "/admin/orchestrator/backend/Parcel/change/"

        shown = browser.get(page).context["adminform"].form["schema"].value()
        browser.post(page, backend_form(schema=""))

        assert json.loads(shown) == {"type": "object"}
        assert Backend.objects.get().schema is None

    def test_never_shows_its_headers(self, browser: Browser) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/", "headers": (("Authorization", "Bearer hidden"),)})

        page = browser.get("/admin/orchestrator/backend/Parcel/change/").content.decode()

        assert "Authorization" in page
        assert "hidden</" not in page
        assert "Bearer" not in page

    @pytest.mark.parametrize(
        ("fields", "names"), [({}, ["A"]), ({"headers": "B: 2"}, ["B"]), ({"no_headers": "on"}, [])]
    )
    def test_keeps_its_headers_unless_told_otherwise(
        self, browser: Browser, fields: dict[str, object], names: list[str]
    ) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/", "headers": (("A", "1"),)})

        browser.post("/admin/orchestrator/backend/Parcel/change/", backend_form(attempts="2", **fields))

        row = Backend.objects.get()
        assert row.attempts == 2
        assert [name for name, _ in backend_types.unseal_headers(row.headers_sealed)] == names

    @pytest.mark.parametrize(
        ("wrong", "field"),
        [
            ({"url": "ftp://parcels/"}, "url"),
            ({"headers": "no colon"}, "headers"),
            ({"headers": "Host: elsewhere"}, "headers"),
            ({"timeout_seconds": "0"}, "timeout_seconds"),
            ({"timeout_seconds": "nan"}, "timeout_seconds"),
            ({"schema": '{"type": "nothing"}'}, "schema"),
            ({"schema": '{"title": "\\u0000"}'}, "schema"),
            ({"schema": '{"title": "\\ud800"}'}, "schema"),
            ({"schema": '{"minimum": NaN}'}, "schema"),
            ({"message_type": "a/b"}, "message_type"),
            ({"lane": "a/b"}, "lane"),
            ({"concurrency": "0"}, "concurrency"),
            ({"rate": "0"}, "rate"),
            ({"burst": "0"}, "burst"),
            ({"burst": "3"}, "burst"),
            ({"breaker": "20000"}, "breaker"),
        ],
    )
    def test_that_can_not_be_is_refused_in_the_form(
        self, browser: Browser, wrong: dict[str, object], field: str
    ) -> None:
        answer = browser.post("/admin/orchestrator/backend/add/", backend_form(**wrong))

        assert answer.status_code == 200
        assert field in answer.context["adminform"].form.errors
        assert not Backend.objects.exists()

    def test_at_a_metadata_address_is_refused_and_recorded(self, browser: Browser) -> None:
        form = backend_form(url="http://169.254.169.254/latest/?token=hidden")

        answer = browser.post("/admin/orchestrator/backend/add/", form)

        assert "credentials" in str(answer.context["adminform"].form.errors["url"])
        assert not Backend.objects.exists()
        entry = AuditEntry.objects.get(action="add")
        assert (entry.outcome, entry.detail["reason"]) == ("refused", "can't be so: url (host 169.254.169.254)")

    def test_is_called_for_a_test(self, browser: Browser, httpserver: HTTPServer) -> None:
        httpserver.expect_oneshot_request("/parcels", method="POST", headers={"X-Tenant": "7"}).respond_with_data(
            "<b>no</b>", status=503
        )
        backend_types.save("Parcel", {"url": httpserver.url_for("/parcels"), "headers": (("X-Tenant", "7"),)})
        page = "/admin/orchestrator/backend/Parcel/trial/"

        asked = browser.get(page)
        answer = browser.post(page, {"payload": '{"a": 1}'}).content.decode()

        assert asked.status_code == 200
        assert "503" in answer
        assert "&lt;b&gt;no&lt;/b&gt;" in answer
        assert AuditEntry.objects.get(action="test call").detail["status"] == 503
        assert not Message.objects.exists()

    @pytest.mark.parametrize(
        ("payload", "says"),
        [
            ("", "required"),
            ("no json", "not valid JSON"),
            ("[", "not valid JSON"),
            ('{"weight": NaN}', "not valid JSON"),
            ('{"weight": Infinity}', "not valid JSON"),
            ('{"weight": 1e999}', "beyond the range"),
            ('{"name": "\\u0000"}', "NUL"),
            ("[" * 1_000 + "]" * 1_000, "levels deep"),
            *((other, "must be a JSON object") for other in ("[]", "null", "1", '"text"', "true")),
        ],
    )
    def test_is_called_only_with_what_a_message_could_hold(
        self, browser: Browser, httpserver: HTTPServer, payload: str, says: str
    ) -> None:
        backend_types.save("Parcel", {"url": httpserver.url_for("/parcels")})

        answer = browser.post("/admin/orchestrator/backend/Parcel/trial/", {"payload": payload})

        assert says in str(answer.context["form"].errors["payload"])
        assert not httpserver.log
        assert not AuditEntry.objects.filter(action="test call").exists()

    def test_that_does_not_answer_says_so(self, browser: Browser) -> None:
        backend_types.save("Parcel", {"url": "http://127.0.0.1:1/", "timeout_seconds": 1})

        answer = browser.post("/admin/orchestrator/backend/Parcel/trial/", {"payload": "{}"}).content.decode()

        assert "no answer" in answer

    def test_shows_its_recent_failures(self, browser: Browser) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/"})
        client = factories.make_client()
        failed = factories.AMessage(type="Parcel", status=Status.FAILED, errors=("<too> heavy",))
        made = factories.make_request(client_id=client.pk, messages=[failed, factories.AMessage(type="Parcel")])

        page = browser.get("/admin/orchestrator/backend/Parcel/change/").content.decode()

        first, second = factories.messages_of(made)
        assert str(first.pk) in page
        assert "&lt;too&gt; heavy" in page
        assert str(second.pk) not in page

    def test_is_deleted(self, browser: Browser) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/"})

        browser.post("/admin/orchestrator/backend/Parcel/delete/", {"post": "yes"})

        assert not Backend.objects.exists()


class TestALane:
    @pytest.mark.parametrize("queue", ["", "two words", "a,b", "l" * 201, "ü"])
    def test_takes_no_queue_that_no_broker_could_have(self, browser: Browser, queue: str) -> None:
        Lane.objects.create(name="Echo", queue="waybill")

        answer = browser.post("/admin/orchestrator/lane/Echo/change/", {"queue": queue})

        assert answer.status_code == 200
        assert Lane.objects.get().queue == "waybill"

    def test_changes_its_queue_on_its_page_and_nothing_else(self, browser: Browser) -> None:
        Lane.objects.create(name="Echo", queue="waybill", clock=7)

        browser.post("/admin/orchestrator/lane/Echo/change/", {"queue": "slow", "paused": "on", "clock": "0"})

        lane = Lane.objects.get()
        assert (lane.queue, lane.paused, lane.clock) == ("slow", False, 7)

    def test_offers_what_can_be_done(self, browser: Browser) -> None:
        Lane.objects.create(name="my_lane", queue="waybill")
        Lane.objects.create(name="Other", queue="waybill", paused=True)

        asked = browser.get("/admin/orchestrator/lane/my_5Flane/change/").content.decode()

        assert "/admin/orchestrator/lane/my_5Flane/pause/" in asked
        assert "/resume/" in browser.get("/admin/orchestrator/lane/Other/change/").content.decode()


def test_a_new_back_end_or_client_does_not_take_the_name_of_one_that_is_there(browser: Browser) -> None:
    Backend.objects.create(message_type="Parcel", url="http://parcels/")
    factories.make_client(client_id="acme", name="Acme")

    parcel = {"message_type": "Parcel", "url": "http://elsewhere/", "timeout_seconds": "5", "attempts": "3"}
    backend = browser.post("/admin/orchestrator/backend/add/", parcel)
    client = browser.post("/admin/orchestrator/client/add/", client_form(client_id="acme", name="Somebody else"))

    for answer, taken in ((backend, "message_type"), (client, "client_id")):
        assert answer.status_code == 200
        assert "already exists" in str(answer.context["adminform"].form.errors[taken])
    assert Backend.objects.get().url == "http://parcels/"
    assert Client.objects.get(client_id="acme").name == "Acme"


@pytest.mark.parametrize(
    "asked",
    [
        *("auditentry/?q=%00", "auditentry/?action=%00", "client/?q=a&q=%00", "request/?q=%00"),
        *("backend/%00/change/", "backend/%00/trial/", "lane/a%00b/change/"),
    ],
)
def test_nothing_is_found_by_a_nul(browser: Browser, asked: str) -> None:
    assert browser.get(f"/admin/orchestrator/{asked}").status_code == 404
