"""Requests at the desk: found, followed, cancelled, replayed; masked for those who may not see all."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client as Browser
from django.test import override_settings
from django.utils import timezone

from orchestrator import audit, masking, payloads, replaying, replays
from orchestrator.admin import finding
from orchestrator.lifecycle import EXTERNAL_DOOR, Status, StopReason
from orchestrator.models import AuditEntry, AuditOutcome, Client, Message, Request
from orchestrator.roles import Role
from tests import engine, factories, flowing
from tests.factories import AMessage

pytestmark = pytest.mark.django_db

PAGE = "/admin/orchestrator/request/"
SOMEBODY = audit.Actor("somebody")
FAILED, COMPLETE, QUEUED = AMessage(status=Status.FAILED), AMessage(), AMessage(status=Status.QUEUED)


def log_in(role: Role | None) -> Browser:
    user, _ = User.objects.get_or_create(username=str(role), is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def browser() -> Browser:
    return log_in(Role.OPERATOR)


@pytest.fixture
def client() -> Client:
    return factories.make_client()


def make(client: Client, *messages: AMessage, **fields: Any) -> Request:
    return factories.make_request(client_id=client.pk, messages=messages or (COMPLETE,), **fields)


def search(browser: Browser, **query: object) -> list[uuid.UUID]:
    answer = browser.get(PAGE, query)
    assert answer.status_code == 200
    return [found.pk for found in answer.context["found"].requests]


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return str(answer.content.decode())


def assert_told(answer: Any, *texts: str) -> None:
    """The page says why there is nothing to do, and has no button to do it."""
    page = answer.content.decode()
    assert answer.status_code == 200
    assert all(text in page for text in texts), page
    assert 'type="submit" class="ledger-button' not in page


class TestTheSearch:
    def test_lists_requests_newest_first(self, browser: Browser, client: Client) -> None:
        now = timezone.now()
        made = [make(client, received_at=now - timedelta(minutes=age)).pk for age in (3, 2, 1)]

        assert search(browser) == made[::-1]

    def test_finds_by_whatever_names_a_request(self, browser: Browser, client: Client) -> None:
        wanted = make(client, COMPLETE, AMessage(external_reference="e-1"), batch_reference="b-1")
        make(factories.make_client(), AMessage(external_reference="e-2"), batch_reference="b-2")
        message = factories.messages_of(wanted)[1]

        for text in (wanted.pk, str(wanted.pk).upper(), message.pk, "b-1", "e-1", client.client_id, f" {wanted.pk} "):
            assert search(browser, q=text) == [wanted.pk], text
        assert search(browser, q="b-") == search(browser, q=uuid.uuid4()) == search(browser, q="'; DROP") == []

    def test_finds_what_several_clients_call_the_same(self, browser: Browser, client: Client) -> None:
        other = factories.make_client()
        made = {make(client, batch_reference="same").pk, make(other, batch_reference="same").pk}

        assert set(search(browser, q="same")) == made
        assert len(search(browser, q="same", client=other.client_id)) == 1

    @pytest.mark.parametrize(
        ("standing", "found"),
        [
            ("unfinished", ["open"]),
            ("with failures", ["failed"]),
            ("stopped", ["stopped"]),
            ("finished without failures", ["complete"]),
            ("", ["stopped", "failed", "open", "complete"]),
        ],
    )
    @pytest.mark.parametrize("of_client", [True, False])
    def test_filters_by_status(
        self, browser: Browser, client: Client, standing: str, found: list[str], of_client: bool
    ) -> None:
        now = timezone.now()
        made = {
            make(client, *messages, received_at=now + timedelta(seconds=second)).pk: name
            for second, (name, messages) in enumerate(
                {"complete": (COMPLETE,), "open": (QUEUED,), "failed": (FAILED, COMPLETE)}.items()
            )
        }
        stopped = make(client, AMessage(status=Status.CANCELLED), received_at=now + timedelta(seconds=9))
        Request.objects.filter(pk=stopped.pk).update(stopped_at=now, stop_reason=StopReason.CANCELLED)
        made[stopped.pk] = "stopped"

        query = {"status": standing} | ({"client": client.client_id} if of_client else {})

        assert [made[pk] for pk in search(browser, **query)] == found

    def test_filters_by_type_client_and_time(self, browser: Browser, client: Client) -> None:
        day = datetime(2026, 3, 1, 12, tzinfo=UTC)
        old = make(client, AMessage(type="Parcel"), received_at=day)
        new = make(client, COMPLETE, AMessage(type="Parcel"), received_at=day + timedelta(days=1))
        other = make(factories.make_client(), received_at=day + timedelta(days=2))

        assert search(browser, type="Parcel") == [new.pk, old.pk]
        assert search(browser, type="Parcel", since="2026-03-02T00:00") == [new.pk]
        assert search(browser, until="2026-03-01T12:00") == [old.pk]
        assert search(browser, since="2026-03-03T00:00") == [other.pk]
        assert search(browser, client=client.client_id) == [new.pk, old.pk]
        assert search(browser, client=client.client_id, until="2026-03-01T23:59") == [old.pk]
        assert search(browser, client="nobody") == []

    @pytest.mark.parametrize(
        "query", [{}, {"client": "acme"}, {"status": "with failures"}, {"type": "Echo"}, {"q": "b"}]
    )
    def test_goes_on_where_the_page_before_ended(self, browser: Browser, query: dict[str, str]) -> None:
        client = factories.make_client(client_id="acme")
        now = timezone.now()
        made = [
            make(client, FAILED, batch_reference="b", received_at=now - timedelta(minutes=age)).pk for age in range(60)
        ]

        first = browser.get(PAGE, query)
        second = browser.get(PAGE + first.context["next_page"])

        assert [one.pk for one in first.context["found"].requests] == made[:50]
        assert [one.pk for one in second.context["found"].requests] == made[50:]
        assert second.context["next_page"] == ""

    def test_looks_through_so_many_and_no_more(
        self, browser: Browser, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(finding, "_LOOKED_THROUGH", 3)
        now = timezone.now()
        rare = make(client, AMessage(type="Rare"), received_at=now - timedelta(hours=9))
        others = [make(client, received_at=now - timedelta(hours=age)) for age in (4, 3, 2, 1)]

        first = browser.get(PAGE, {"type": "Rare"})
        second = browser.get(PAGE + first.context["next_page"])

        assert first.context["found"].requests == []
        assert first.context["found"].looked_back_to == others[1].received_at
        assert "Look further back" in text_of(first)
        assert second.context["found"].requests == [rare]

    @pytest.mark.parametrize("query", [{"since": "yesterday"}, {"status": "Failed"}, {"before": "x"}, {"q": "x" * 400}])
    def test_says_what_makes_no_sense(self, browser: Browser, client: Client, query: dict[str, str]) -> None:
        make(client)

        assert browser.get(PAGE, query).status_code == 200


class TestTheRequestsPage:
    def test_shows_the_request_its_course_and_its_messages(self, browser: Browser, client: Client) -> None:
        made = make(
            client,
            AMessage(status=Status.FAILED, external_reference="<i>", errors=("<b>no</b>",)),
            COMPLETE,
            batch_reference="b-1",
        )
        Request.objects.filter(pk=made.pk).update(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        Message.objects.filter(request=made).update(payload='{"a":"<script>"}', result='{"n":1.0}', attempts=3)

        page = text_of(browser.get(f"{PAGE}{made.pk}/change/"))

        for shown in (
            "b-1",
            "&lt;b&gt;no&lt;/b&gt;",
            "&lt;i&gt;",
            "&lt;script&gt;",
            "0af7651916cd43dd8448eb211c80319c",
        ):
            assert shown in page
        for hidden in ("<b>no", '"<script>', "<i>"):
            assert hidden not in page
        assert "received" in page
        assert "finished" in page
        assert "1.0" in page

    def test_tells_how_far_it_is(self, browser: Browser, client: Client) -> None:
        made = make(client, COMPLETE, QUEUED, QUEUED, FAILED, AMessage(status=Status.PROCESSING))

        progress = browser.get(f"{PAGE}{made.pk}/progress/?numbers=0,3,9").json()

        assert progress == {
            "counts": {
                "total": 5,
                "complete": 1,
                "failed": 1,
                "invalid": 0,
                "cancelled": 0,
                "processing": 1,
                "queued": 2,
            },
            "over": False,
            "messages": {"0": ["Complete", 0], "3": ["Failed", 0]},
        }
        assert browser.get(f"{PAGE}{make(client).pk}/progress/").json()["over"] is True

    def test_pages_through_its_messages(self, browser: Browser, client: Client) -> None:
        made = make(client, *[COMPLETE] * 60, FAILED)

        first = browser.get(f"{PAGE}{made.pk}/change/")
        second = browser.get(f"{PAGE}{made.pk}/change/{first.context['next_messages']}")
        failed = browser.get(f"{PAGE}{made.pk}/change/?only=failed")

        assert [row.message.number for row in first.context["rows"]] == list(range(50))
        assert [row.message.number for row in second.context["rows"]] == list(range(50, 61))
        assert [row.message.number for row in failed.context["rows"]] == [60]

    def test_links_replays_both_ways(self, browser: Browser, client: Client) -> None:
        made = make(client, FAILED)
        replayed = replaying.replay_request(made.pk, actor=SOMEBODY)

        assert str(replayed.request_id) in text_of(browser.get(f"{PAGE}{made.pk}/change/"))
        assert str(made.pk) in text_of(browser.get(f"{PAGE}{replayed.request_id}/change/"))

    def test_shows_a_services_states(self, browser: Browser) -> None:
        service = flowing.begin(factories.make_account(), states=2)

        page = text_of(browser.get(f"{PAGE}{service.service_id}/change/"))

        assert page.count("began</strong>") == 2

    def test_is_bounded_whatever_the_request_holds(self, browser: Browser, client: Client) -> None:
        made = make(client, *[COMPLETE] * 60)
        Message.objects.filter(request=made).update(payload='{"a":"' + "x" * 100_000 + '"}', result='"y"')

        assert len(browser.get(f"{PAGE}{made.pk}/change/").content) < 1_000_000

    @pytest.mark.parametrize("key", [uuid.UUID(int=7), "no-id"])
    def test_that_is_unknown_is_not_found(self, browser: Browser, key: object) -> None:
        assert browser.get(f"{PAGE}{key}/change/").status_code == 404
        assert browser.get(f"{PAGE}{key}/progress/").status_code in {302, 404}

    @override_settings(WAYBILL_MASKED_FIELDS=["iban", "customer.name"])
    @pytest.mark.parametrize(("role", "shown"), [(Role.VIEWER, False), (Role.OPERATOR, True)])
    def test_masks_fields_for_viewers(self, client: Client, role: Role, shown: bool) -> None:
        made = make(client)
        message = factories.messages_of(made)[0]
        text = '{"customer":{"name":"Ada","iban":"DE02"},"sum":7}'
        Message.objects.filter(request=made).update(payload=text, result=text)
        browser = log_in(role)

        for path in (f"{PAGE}{made.pk}/change/", f"/admin/orchestrator/message/{message.pk}/change/"):
            page = text_of(browser.get(path))
            assert ("Ada" in page, "DE02" in page, masking.MASK in page) == (shown, shown, not shown)
            assert "sum" in page


class TestCancelling:
    def test_asks_then_cancels_and_leaves_an_entry(self, browser: Browser, client: Client) -> None:
        made = engine.hand_in(client_id=client.pk, payloads=[{}, {}])

        asked = text_of(browser.get(f"{PAGE}{made.pk}/cancel/"))
        before = engine.counters_of(made)
        answer = browser.post(f"{PAGE}{made.pk}/cancel/", follow=True)

        assert "What waits is cancelled (2 messages). What has begun goes on (0 messages)." in asked
        assert before == {"open": 2}
        assert "Cancelled" in text_of(answer)
        assert engine.counters_of(made) == {"cancelled": 2}
        entry = AuditEntry.objects.get(action="cancel")
        assert (entry.actor, entry.object_id, entry.outcome) == ("operator", str(made.pk), AuditOutcome.DONE)

    @pytest.mark.parametrize("door", ["requests", EXTERNAL_DOOR])
    def test_of_what_has_nothing_to_cancel_is_not_asked_but_told(
        self, browser: Browser, client: Client, door: str
    ) -> None:
        made = make(client, *([QUEUED] if door == EXTERNAL_DOOR else []), door=door)

        answer = browser.get(f"{PAGE}{made.pk}/cancel/")

        assert_told(answer, "There is nothing to cancel", "no open message")

    def test_of_what_is_finished_is_refused_and_recorded(self, browser: Browser, client: Client) -> None:
        made = make(client)

        answer = browser.post(f"{PAGE}{made.pk}/cancel/", follow=True)

        assert "no open message" in text_of(answer)
        assert AuditEntry.objects.get(action="cancel").outcome == AuditOutcome.REFUSED

    def test_is_not_a_viewers(self, client: Client) -> None:
        made = make(client, QUEUED)
        browser = log_in(Role.VIEWER)

        assert browser.get(f"{PAGE}{made.pk}/cancel/").status_code == 403
        assert browser.post(f"{PAGE}{made.pk}/cancel/").status_code == 403
        assert "Cancel" not in text_of(browser.get(f"{PAGE}{made.pk}/change/"))
        assert AuditEntry.objects.get(action="cancel").outcome == AuditOutcome.REFUSED
        assert engine.counters_of(made) == {"open": 1}


class TestReplaying:
    def test_asks_then_replays_a_request(self, browser: Browser, client: Client) -> None:
        made = make(client, FAILED, COMPLETE)

        asked = text_of(browser.get(f"{PAGE}{made.pk}/replay/"))
        before = Request.objects.count()
        answer = browser.post(f"{PAGE}{made.pk}/replay/", follow=True)

        assert "what failed (1 message)" in asked
        assert before == 1
        assert "Replayed: 1 message by" in text_of(answer)
        assert replays.find_replays(made.pk) == [(answer.context["shown"].pk, 1)]

    def test_shows_that_it_was_replayed_already_and_asks(self, browser: Browser, client: Client) -> None:
        made = make(client, FAILED)
        first = replaying.replay_request(made.pk, actor=SOMEBODY)

        asked = text_of(browser.get(f"{PAGE}{made.pk}/replay/"))
        refused = text_of(browser.post(f"{PAGE}{made.pk}/replay/", follow=True))
        again = text_of(browser.post(f"{PAGE}{made.pk}/replay/", {"again": "on"}, follow=True))

        assert str(first.request_id) in asked
        assert "already replayed" in refused
        assert "Replayed: 1" in again

    def test_of_a_request_without_failures_is_not_asked_but_told(self, browser: Browser, client: Client) -> None:
        answer = browser.get(f"{PAGE}{make(client, COMPLETE).pk}/replay/")

        assert_told(answer, "There is nothing to replay", "no message of this request has failed")

    def test_of_a_services_tasks_is_not_asked_but_told(self, browser: Browser, client: Client) -> None:
        answer = browser.get(f"{PAGE}{make(client, FAILED, door=EXTERNAL_DOOR).pk}/replay/")

        assert_told(answer, "There is nothing to replay", "its owner&#x27;s")

    def test_of_a_message_that_did_not_fail_is_not_asked_but_told(self, browser: Browser, client: Client) -> None:
        (message,) = factories.messages_of(make(client, COMPLETE))

        answer = browser.get(f"/admin/orchestrator/message/{message.pk}/replay/")

        assert_told(answer, "There is nothing to replay", "this message did not fail: it is Complete")

    def test_again_is_still_asked_when_everything_was_replayed(self, browser: Browser, client: Client) -> None:
        made = make(client, FAILED)
        replaying.replay_request(made.pk, actor=SOMEBODY)

        assert browser.get(f"{PAGE}{made.pk}/replay/").context["question"].yes == "Replay"

    def test_of_what_did_not_fail_changes_nothing_and_is_recorded(self, browser: Browser, client: Client) -> None:
        made = make(client)

        answer = browser.post(f"{PAGE}{made.pk}/replay/", follow=True)

        assert "no message of this request has failed" in text_of(answer)
        assert Request.objects.count() == 1
        assert AuditEntry.objects.get(action="replay").outcome == AuditOutcome.REFUSED

    def test_asks_then_replays_a_message(self, browser: Browser, client: Client) -> None:
        message = factories.messages_of(make(client, FAILED, FAILED))[0]
        page = f"/admin/orchestrator/message/{message.pk}/"

        browser.get(f"{page}replay/")
        answer = browser.post(f"{page}replay/", follow=True)

        copy = factories.messages_of(answer.context["shown"])[0]
        assert str(answer.context["shown"].pk) in text_of(browser.get(f"{page}change/"))
        assert str(message.pk) in text_of(browser.get(f"/admin/orchestrator/message/{copy.pk}/change/"))
        assert "already replayed" in text_of(browser.post(f"{page}replay/", follow=True))

    def test_counts_then_replays_a_types_failures(self, browser: Browser, client: Client) -> None:
        hour_ago = timezone.now() - timedelta(hours=1)
        make(client, FAILED, FAILED, received_at=hour_ago)
        page, query = f"{PAGE}replay-failures/", {"type": "Echo", "since": "2026-01-01T00:00"}

        counted = text_of(browser.get(page, query))
        answer = text_of(browser.post(page, query, follow=True))

        assert '<dd id="failures">2</dd>' in counted
        assert "Replayed 2 messages by 1 new request." in answer
        assert '<dd id="failures">0</dd>' in answer
        assert "nothing to replay" in text_of(browser.post(page, query, follow=True))

    @pytest.mark.parametrize("query", [{"type": "Gone", "since": "2026-01-01T00:00"}, {"type": "Echo", "since": "x"}])
    def test_of_what_makes_no_sense_is_refused(self, browser: Browser, query: dict[str, str]) -> None:
        answer = browser.post(f"{PAGE}replay-failures/", query, follow=True)

        assert answer.status_code == 200
        assert not Request.objects.exists()

    def test_is_not_a_viewers(self, client: Client) -> None:
        made = make(client, FAILED)
        browser = log_in(Role.VIEWER)

        answers = [
            browser.post(f"{PAGE}{made.pk}/replay/"),
            browser.post(f"/admin/orchestrator/message/{made.pk}/replay/"),
            browser.post(f"{PAGE}replay-failures/", {"type": "Echo", "since": "2026-01-01T00:00"}),
        ]

        assert {answer.status_code for answer in answers} == {403}
        assert list(AuditEntry.objects.filter(action="replay").values_list("outcome", flat=True)) == ["refused"] * 3
        assert Request.objects.count() == 1


@pytest.mark.parametrize("text", ["message", "request", "reference"])
def test_messages_are_found_by_id_and_reference(browser: Browser, client: Client, text: str) -> None:
    made = make(client, AMessage(external_reference="e-1"), QUEUED)
    first, second = factories.messages_of(made)
    wanted, found = {
        "message": (second.pk, {second.pk}),
        "request": (made.pk, {first.pk, second.pk}),
        "reference": ("e-1", {first.pk}),
    }[text]

    answer = browser.get("/admin/orchestrator/message/", {"q": str(wanted)})

    assert {message.pk for message in answer.context["cl"].result_list} == found


class TestTextsAtRest:
    """Encrypted, cleared, or under a key that has gone: the desk says so, or shows what it may."""

    KEYS: dict[str, bytes] = {"k1": b"1" * 32}

    @pytest.fixture
    def sealed(self, client: Client, settings: Any) -> Request:
        settings.WAYBILL_PAYLOAD_KEYS, settings.WAYBILL_PAYLOAD_KEY_ID = self.KEYS, "k1"
        made = make(client, FAILED)
        message = factories.messages_of(made)[0]
        texts = {
            part.name.lower(): payloads.seal('{"colour":"blue","iban":"DE00"}', message_id=message.pk, part=part)
            for part in payloads.Part
        }
        Message.objects.filter(pk=message.pk).update(**texts)
        return made

    @pytest.fixture(params=["request", "message"])
    def address(self, sealed: Request, request: pytest.FixtureRequest) -> str:
        return f"/admin/orchestrator/{request.param}/{sealed.pk}/change/"  # a single message has its request's id

    def test_what_is_encrypted_is_shown_in_clear(self, browser: Browser, address: str) -> None:
        page = text_of(browser.get(address))

        assert page.count("blue") == 2
        assert "sealed:" not in page

    @override_settings(WAYBILL_MASKED_FIELDS=["iban"])
    def test_it_is_masked_for_viewers_as_ever(self, address: str) -> None:
        page = text_of(log_in(Role.VIEWER).get(address))

        assert "blue" in page
        assert "DE00" not in page

    def test_without_its_key_it_is_not_shown(self, browser: Browser, address: str, settings: Any) -> None:
        settings.WAYBILL_PAYLOAD_KEYS, settings.WAYBILL_PAYLOAD_KEY_ID = {}, ""

        assert text_of(browser.get(address)).count("encrypted with a key that is not here") == 2

    def test_what_was_cleared_says_so(self, browser: Browser, address: str, sealed: Request) -> None:
        Message.objects.filter(request=sealed).update(payload="", result=None)

        assert "cleared: its days are over" in text_of(browser.get(address))

    def test_a_replay_hands_in_what_was_sealed(self, sealed: Request) -> None:
        replayed = replaying.replay_message(sealed.pk, actor=SOMEBODY)

        copy = Message.objects.get(request_id=replayed.request_id)
        shown = payloads.reveal(copy.payload, message_id=copy.pk, part=payloads.Part.PAYLOAD)
        assert shown == '{"colour":"blue","iban":"DE00"}'
