"""Replays: new requests with copies of what failed, linked both ways; what is final stays final."""

import io
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from orchestrator import accounts, audit, backend_types, handlers, outcomes, replaying, replays
from orchestrator.lifecycle import EXTERNAL_DOOR, FailureKind, Status
from orchestrator.models import AuditEntry, AuditOutcome, Client, Message, ReplayedMessage, Request
from orchestrator.outcomes import Ending
from orders.models import Order
from tests import engine, factories, ordering
from tests.factories import AMessage

pytestmark = pytest.mark.django_db

SOMEBODY = audit.Actor("somebody", 7, "192.0.2.1")
FAILED, COMPLETE = AMessage(status=Status.FAILED), AMessage()


@pytest.fixture
def client() -> Client:
    return factories.make_client()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    accounts.forget()
    handlers.registry.expire()


def make_failed(client: Client, *messages: AMessage, **fields: Any) -> Request:
    return factories.make_request(client_id=client.pk, messages=messages or (FAILED,), **fields)


def replay_all(message_type: str = "Echo", **options: Any) -> list[replaying.Replayed]:
    now = timezone.now()
    times = {"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)} | options
    return list(replaying.replay_failures(message_type, actor=SOMEBODY, **times))


class TestARequest:
    def test_gets_a_new_one_with_copies_of_what_failed(self, client: Client) -> None:
        original = make_failed(
            client,
            COMPLETE,
            AMessage(status=Status.FAILED, external_reference="r-1"),
            AMessage(status=Status.INVALID),
            AMessage(status=Status.FAILED, external_reference="r-2"),
            batch_reference="b-1",
        )
        Message.objects.filter(request=original).update(payload='{"big":  1.0}')

        replayed = replaying.replay_request(original.pk, actor=SOMEBODY)

        made = Request.objects.get(pk=replayed.request_id)
        copies = factories.messages_of(made)
        assert (made.client_id, made.door, made.batch_reference) == (client.pk, "requests", "b-1")
        assert (made.replay_of, made.error_policy, made.total, made.open) == (original.pk, original.error_policy, 2, 2)
        assert [(copy.external_reference, copy.type, copy.payload) for copy in copies] == [
            ("r-1", "Echo", '{"big":  1.0}'),
            ("r-2", "Echo", '{"big":  1.0}'),
        ]
        assert {copy.status for copy in copies} == {Status.QUEUED}
        assert engine.wake_ups() == ["Echo"]

    def test_keeps_its_own_outcome(self, client: Client) -> None:
        original = make_failed(client, FAILED, COMPLETE)
        before = engine.statuses_of(original)

        replaying.replay_request(original.pk, actor=SOMEBODY)

        assert engine.statuses_of(original) == before
        assert engine.counters_of(original) == {"complete": 1, "failed": 1}

    def test_is_linked_with_its_replay_both_ways(self, client: Client) -> None:
        original = make_failed(client, FAILED, FAILED)

        replayed = replaying.replay_request(original.pk, actor=SOMEBODY)

        assert replays.find_replays(original.pk) == [(replayed.request_id, 2)]
        assert replays.find_origins(replayed.request_id) == [(original.pk, 2)]
        pairs = ReplayedMessage.objects.order_by("copy_id").values_list("original_id", "copy_id")
        copies = factories.messages_of(Request.objects.get(pk=replayed.request_id))
        originals = factories.messages_of(original)
        assert list(pairs) == [(one.pk, copy.pk) for one, copy in zip(originals, copies, strict=True)]

    def test_can_be_replayed_and_succeed(self, client: Client) -> None:
        original = make_failed(client)
        replayed = replaying.replay_request(original.pk, actor=SOMEBODY)

        batch = engine.claim("Echo")
        outcomes.flush([engine.ended(message) for message in batch.messages], finished_claims=[batch.claim_id])

        assert Request.objects.get(pk=replayed.request_id).complete == 1

    def test_leaves_an_entry_in_the_audit_log(self, client: Client) -> None:
        original = make_failed(client)

        replayed = replaying.replay_request(original.pk, actor=SOMEBODY)

        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.object_id) == ("somebody", "replay", str(original.pk))
        assert entry.detail == {"request": str(replayed.request_id), "messages": 1}

    @pytest.mark.parametrize(
        ("messages", "reason"),
        [((COMPLETE,), "no message of this request has failed"), ((AMessage(status=Status.QUEUED),), "has failed")],
    )
    def test_without_failures_is_refused(self, client: Client, messages: tuple[AMessage, ...], reason: str) -> None:
        original = make_failed(client, *messages)

        with pytest.raises(replaying.Refused, match=reason):
            replaying.replay_request(original.pk, actor=SOMEBODY)

        assert Request.objects.count() == 1
        assert AuditEntry.objects.get().outcome == AuditOutcome.REFUSED

    def test_that_is_unknown_is_refused(self) -> None:
        with pytest.raises(replaying.Refused, match="there is no request"):
            replaying.replay_request(uuid.uuid4(), actor=SOMEBODY)

    def test_is_not_replayed_twice_by_accident(self, client: Client) -> None:
        original = make_failed(client)
        first = replaying.replay_request(original.pk, actor=SOMEBODY)

        with pytest.raises(replaying.AlreadyReplayed, match=str(first.request_id)):
            replaying.replay_request(original.pk, actor=SOMEBODY)
        second = replaying.replay_request(original.pk, actor=SOMEBODY, again=True)

        assert replays.find_replays(original.pk) == [(first.request_id, 1), (second.request_id, 1)]

    def test_that_was_replayed_in_part_has_the_rest_replayed(self, client: Client) -> None:
        original = make_failed(client, FAILED, FAILED)
        replaying.replay_message(factories.messages_of(original)[0].pk, actor=SOMEBODY)

        rest = replaying.replay_request(original.pk, actor=SOMEBODY)

        assert rest.messages == 1

    @pytest.mark.django_db(transaction=True)
    def test_is_replayed_once_by_two_at_once(self, client: Client) -> None:
        # Both find no copies, and both begin; the lock lets one look after the other, and the second finds the first's.
        original = make_failed(client)
        refused: list[replaying.Refused] = []

        def replay() -> None:
            try:
                replaying.replay_request(original.pk, actor=SOMEBODY)
            except replaying.Refused as refusal:
                refused.append(refusal)

        with engine.at_once(replay, replay, replay):
            pass

        assert Request.objects.filter(replay_of=original.pk).count() == 1
        assert [type(refusal) for refusal in refused] == [replaying.AlreadyReplayed] * 2

    def test_ignores_the_limits_of_its_client(self) -> None:
        limited = factories.make_client(max_in_flight=1, types=["Other"])
        make_failed(limited, AMessage(status=Status.QUEUED))
        original = make_failed(limited)

        assert replaying.replay_request(original.pk, actor=SOMEBODY).messages == 1

    def test_of_a_disabled_client_is_refused(self, client: Client) -> None:
        original = make_failed(client)
        Client.objects.update(enabled=False)
        accounts.forget()

        with pytest.raises(replaying.Refused, match="is disabled"):
            replaying.replay_request(original.pk, actor=SOMEBODY)

    def test_whose_type_is_gone_is_refused(self, client: Client) -> None:
        original = make_failed(client, AMessage(type="Gone", status=Status.FAILED))

        with pytest.raises(replaying.Refused, match="no message type 'Gone'"):
            replaying.replay_request(original.pk, actor=SOMEBODY)

    def test_that_no_longer_fits_its_type_is_refused_whole(self, client: Client) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/", "schema": {"type": "object", "required": ["size"]}})
        original = make_failed(client, AMessage(type="Parcel", status=Status.FAILED))

        with pytest.raises(replaying.Refused, match="no longer fits its type"):
            replaying.replay_request(original.pk, actor=SOMEBODY)

        assert Request.objects.count() == 1

    def test_of_a_services_owner_is_refused(self, client: Client) -> None:
        original = make_failed(client, door=EXTERNAL_DOOR)

        with pytest.raises(replaying.Refused, match="its owner's"):
            replaying.replay_request(original.pk, actor=SOMEBODY)

    def test_whose_payload_was_cleared_is_refused(self, client: Client) -> None:
        original = make_failed(client)
        Message.objects.update(payload="")

        with pytest.raises(replaying.Refused, match="cleared"):
            replaying.replay_request(original.pk, actor=SOMEBODY)

    def test_of_an_order_is_refused(self) -> None:
        ordering.make_access()
        ordering.place(factories.make_account())
        ordering.carry_out(ending=Ending.REJECTED, error="no")
        order = Order.objects.get()

        with pytest.raises(replaying.Refused, match="placed anew by its provider"):
            replaying.replay_request(order.pk, actor=SOMEBODY)

        assert Order.objects.count() == 1


class TestAMessage:
    def test_gets_a_copy(self, client: Client) -> None:
        original = factories.messages_of(make_failed(client, FAILED, FAILED))[1]

        replayed = replaying.replay_message(original.pk, actor=SOMEBODY)

        assert ReplayedMessage.objects.get().original_id == original.pk
        assert ReplayedMessage.objects.get().copy_request_id == replayed.request_id

    @pytest.mark.parametrize("status", set(Status) - {Status.FAILED})
    def test_that_did_not_fail_is_refused(self, client: Client, status: Status) -> None:
        [message] = factories.messages_of(make_failed(client, AMessage(status=status)))

        with pytest.raises(replaying.Refused, match=f"did not fail: it is {status}"):
            replaying.replay_message(message.pk, actor=SOMEBODY)

        entry = AuditEntry.objects.get()
        assert (entry.outcome, entry.object_type) == (AuditOutcome.REFUSED, "message")
        assert Request.objects.count() == 1

    def test_that_is_unknown_is_refused(self) -> None:
        with pytest.raises(replaying.Refused, match="there is no message"):
            replaying.replay_message(uuid.uuid4(), actor=SOMEBODY)


class TestAType:
    def test_has_its_failures_since_a_time_replayed(self, client: Client) -> None:
        now = timezone.now()
        make_failed(client, AMessage(status=Status.FAILED, processed_at=now - timedelta(hours=2)))
        make_failed(client, FAILED, COMPLETE, AMessage(type="Other", status=Status.FAILED))
        make_failed(client, FAILED)

        [replayed] = replay_all()

        assert replayed.messages == 2
        assert Request.objects.get(pk=replayed.request_id).replay_of is None
        assert AuditEntry.objects.get().object_id == "Echo"
        assert replay_all() == []

    def test_keeps_clients_doors_and_batches_apart(self, client: Client) -> None:
        other = factories.make_client()
        make_failed(client)
        make_failed(other)
        make_failed(client, door="bulk")
        make_failed(client, batch_reference="another")
        make_failed(client)

        replayed = replay_all()

        assert sorted(one.messages for one in replayed) == [1, 1, 1, 2]
        made = Request.objects.filter(pk__in=[one.request_id for one in replayed])
        assert {(one.client_id, one.door, one.batch_reference) for one in made} == {
            (client.pk, "requests", "a batch"),
            (client.pk, "bulk", "a batch"),
            (client.pk, "requests", "another"),
            (other.pk, "requests", "a batch"),
        }

    @override_settings(WAYBILL_MAX_MESSAGES=2)
    def test_is_replayed_by_bounded_requests(self, client: Client) -> None:
        make_failed(client, *[FAILED] * 5)

        assert [one.messages for one in replay_all()] == [2, 2, 1]

    @override_settings(WAYBILL_MAX_BODY_BYTES=25)
    def test_is_replayed_by_requests_of_bounded_size(self, client: Client) -> None:
        make_failed(client, *[FAILED] * 3)
        Message.objects.update(payload='{"a":123456}')

        assert [one.messages for one in replay_all()] == [2, 1]

    def test_that_fails_again_meanwhile_is_not_taken_up_twice(self, client: Client) -> None:
        make_failed(client, FAILED, batch_reference="1")
        make_failed(client, FAILED, batch_reference="2")
        course = replaying.replay_failures(
            "Echo",
            since=timezone.now() - timedelta(hours=1),
            until=timezone.now() + timedelta(seconds=2),
            actor=SOMEBODY,
        )

        first = next(course)
        Message.objects.filter(request=first.request_id).update(
            status=Status.FAILED, failure_kind=FailureKind.REJECTED, processed_at=datetime(9999, 1, 1, tzinfo=UTC)
        )

        assert len(list(course)) == 1

    def test_whose_message_no_longer_fits_does_not_hold_the_others(self, client: Client) -> None:
        backend_types.save("Parcel", {"url": "http://parcels/", "schema": {"type": "object", "required": ["size"]}})
        request = make_failed(client, *[AMessage(type="Parcel", status=Status.FAILED)] * 2)
        Message.objects.filter(request=request, number=1).update(payload='{"size": 1}')

        [replayed] = replay_all("Parcel")

        statuses = engine.statuses_of(Request.objects.get(pk=replayed.request_id))
        assert sorted(statuses) == [Status.INVALID, Status.QUEUED]

    def test_that_is_unknown_or_never_replayed_is_refused(self) -> None:
        for name in ("Gone", "Order"):
            with pytest.raises(replaying.Refused):
                replay_all(name)

        assert set(AuditEntry.objects.values_list("object_id", "outcome")) == {
            ("Gone", AuditOutcome.REFUSED),
            ("Order", AuditOutcome.REFUSED),
        }


class TestTheCommand:
    @staticmethod
    def run(*arguments: str) -> str:
        printed = io.StringIO()
        call_command("replay", *arguments, stdout=printed)
        return printed.getvalue()

    def test_replays_requests_and_messages(self, client: Client) -> None:
        request = make_failed(client)
        message = factories.messages_of(make_failed(client, FAILED, FAILED))[0]

        printed = self.run(str(request.pk), str(message.pk))

        assert printed.endswith("replayed: 2 messages\n")
        assert {entry.actor.partition(":")[0] for entry in AuditEntry.objects.all()} == {"command line"}

    @pytest.mark.parametrize("since", ["2h", "2026-01-01T00:00Z", "2026-01-01 00:00:00"])
    def test_replays_a_type(self, client: Client, since: str) -> None:
        make_failed(client, FAILED, FAILED, received_at=timezone.now() - timedelta(hours=1))

        assert "2 messages" in self.run("--type", "Echo", "--since", since)
        assert "replayed: 0 messages" in self.run("--type", "Echo", "--since", since)

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--type", "Echo"],
            ["--since", "1h"],
            ["no-id"],
            [str(uuid.uuid4())],
            ["--type", "Echo", "--since", "yesterday"],
            ["--type", "Echo", "--since", "2026-99-01T00:00Z"],
            ["--type", "Gone", "--since", "1h"],
        ],
    )
    def test_refuses_what_makes_no_sense(self, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            self.run(*arguments)

        assert not Request.objects.exists()

    def test_tells_one_message_from_many(self, client: Client) -> None:
        assert self.run(str(make_failed(client).pk)).splitlines()[-1] == "replayed: 1 message"

    @pytest.mark.parametrize("since", ["99999999d", "999999999h"])
    def test_says_what_is_wrong_with_a_time_before_all_times(self, since: str) -> None:
        with pytest.raises(CommandError, match=rf"^not a time: '{since}' ago is before the year 1$"):
            self.run("--type", "Echo", "--since", since)
