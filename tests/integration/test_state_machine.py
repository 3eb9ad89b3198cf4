"""The engine against a model of one page: hypothesis plays client, worker, clock and bad luck."""

import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from django.db import connection
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django.fixtures import Settings

from orchestrator import outcomes, recovery, stopping
from orchestrator.lifecycle import FINAL, OPEN, ErrorPolicy, Status
from orchestrator.models import Claim, Message, Request
from orchestrator.outcomes import Ending
from orchestrator.queue import Claimed
from tests import engine

CLIENT = 1
LANE = "Echo"
LOSSES_ALONE = 3


# ---------------------------------------------------------------- the model: what a reader of the design expects


@dataclass
class ModelMessage:
    request: "ModelRequest"
    status: Status = Status.QUEUED
    delayed: bool = False
    suspect: bool = False
    losses_alone: int = 0

    def back(self) -> None:
        self.status = Status.CANCELLED if self.request.stopped else Status.QUEUED

    def fail(self) -> None:
        self.status = Status.FAILED
        if self.request.policy is ErrorPolicy.HALT:
            self.request.stop()

    def lose(self, *, alone: bool) -> None:
        self.suspect = True
        self.losses_alone += alone
        if self.losses_alone >= LOSSES_ALONE and not self.request.stopped:
            self.fail()
        else:
            self.back()


@dataclass
class ModelRequest:
    policy: ErrorPolicy
    messages: list[ModelMessage] = field(default_factory=list)
    stopped: bool = False

    @property
    def open(self) -> bool:
        return any(message.status in OPEN for message in self.messages)

    def stop(self) -> None:
        self.stopped = True
        for message in self.messages:
            if message.status is Status.QUEUED:
                message.status, message.delayed = Status.CANCELLED, False


@dataclass
class ModelClaim:
    held: list[Claimed]
    alone: bool


# ---------------------------------------------------------------- the engine beside it


class Engine(RuleBasedStateMachine):
    """Every rule does one thing to the engine and the same to the model; then both are compared, whole."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[uuid.UUID, ModelRequest] = {}
        self.messages: dict[uuid.UUID, ModelMessage] = {}
        self.claims: list[ModelClaim] = []
        self.lost: list[Claimed] = []

    @initialize()
    def begin_with_an_empty_ledger(self) -> None:
        """Truncated: messages of equal turn are claimed in the order in which they lie in the table."""
        with connection.cursor() as cursor:
            cursor.execute(
                "TRUNCATE orchestrator_message, orchestrator_request, orchestrator_claim,"
                " orchestrator_lane, orchestrator_clientlane CASCADE"
            )

    @rule(count=st.integers(1, 4), policy=st.sampled_from(ErrorPolicy))
    def submit(self, count: int, policy: ErrorPolicy) -> None:
        request = engine.hand_in(client_id=CLIENT, payloads=[{}] * count, error_policy=policy)
        known = self.requests[request.pk] = ModelRequest(policy)
        for message in engine.messages_of(request):
            known.messages.append(ModelMessage(known))
            self.messages[message.pk] = known.messages[-1]

    # ------------------------------------------------------------ claims

    @precondition(lambda self: self.waiting(suspect=False))
    @rule(limit=st.integers(1, 5))
    def claim(self, limit: int) -> None:
        self._claim(limit=limit, alone=False)

    @precondition(lambda self: self.waiting(suspect=True))
    @rule()
    def claim_a_suspect(self) -> None:
        self._claim(limit=1, alone=True)

    def _claim(self, *, limit: int, alone: bool) -> None:
        claimable = self.waiting(suspect=alone)

        batch = engine.claim(LANE, limit=limit, alone=alone)

        assert len(batch.messages) == min(limit, claimable)
        assert batch.suspects_wait == bool(self.waiting(suspect=True))  # as the statement began
        for claimed in batch.messages:
            message = self.messages[claimed.id]
            assert (message.status, message.delayed, message.suspect) == (Status.QUEUED, False, alone)
            message.status = Status.PROCESSING
        self.claims.append(ModelClaim(batch.messages, alone))

    def waiting(self, *, suspect: bool) -> int:
        return sum(
            message.status is Status.QUEUED and not message.delayed and message.suspect is suspect
            for message in self.messages.values()
        )

    # ------------------------------------------------------------ outcomes

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def report(self, data: st.DataObject) -> None:
        """Finish, fail, retry, skip or give back some of what a claim holds, in one flush."""
        claim = data.draw(st.sampled_from(self.claims))
        reported = data.draw(st.lists(st.sampled_from(claim.held), min_size=1, unique_by=lambda message: message.id))
        endings = {message.id: data.draw(st.sampled_from(self._endings(message))) for message in reported}
        claim.held = [message for message in claim.held if message not in reported]
        self.claims = [claim for claim in self.claims if claim.held]

        self._flush(reported, endings, finished=not claim.held)

        for message in reported:
            self._end(self.messages[message.id], endings[message.id])
        for message in reported:  # whatever the flush halted is Cancelled by the end of it
            if self.messages[message.id].request.stopped:
                self.messages[message.id].request.stop()

    def _endings(self, message: Claimed) -> list[Ending]:
        begun = [Ending.COMPLETE, Ending.REJECTED, Ending.FAILED, Ending.TIMED_OUT, Ending.RETRY, Ending.INTERRUPTED]
        return [*begun, Ending.RETURNED, *([Ending.SKIPPED] if self.messages[message.id].request.stopped else [])]

    def _flush(self, reported: list[Claimed], endings: dict[uuid.UUID, Ending], *, finished: bool) -> None:
        outcomes.flush(
            [engine.ended(message, endings[message.id]) for message in reported],
            finished_claims={reported[0].claim_id} if finished else (),
        )

    def _end(self, message: ModelMessage, ending: Ending) -> None:
        match ending:
            case Ending.COMPLETE:
                message.status = Status.COMPLETE
            case Ending.REJECTED | Ending.FAILED | Ending.TIMED_OUT:
                message.fail()
            case Ending.SKIPPED:
                message.status = Status.CANCELLED
            case Ending.RETRY:
                message.back()
                message.delayed = message.status is Status.QUEUED
            case Ending.RETURNED | Ending.INTERRUPTED:
                message.back()

    @precondition(lambda self: self.lost)
    @rule(data=st.data(), ending=st.sampled_from(sorted(Ending, key=str)))
    def report_too_late(self, data: st.DataObject, ending: Ending) -> None:
        """A worker that was only slow: its claim is gone, and whatever it says changes nothing."""
        message = data.draw(st.sampled_from(self.lost))

        self._flush([message], {message.id: ending}, finished=True)

    # ------------------------------------------------------------ clocks

    @precondition(lambda self: any(message.delayed for message in self.messages.values()))
    @rule()
    def release_retries(self) -> None:
        recovery.release_due_retries()

        for message in self.messages.values():
            message.delayed = False

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def lose_a_worker(self, data: st.DataObject) -> None:
        """Its lease runs out, recovery suspects it at the first look, and gives back what it held at the second."""
        claim = data.draw(st.sampled_from(self.claims))
        row = Claim.objects.filter(pk=claim.held[0].claim_id)
        row.update(leased_until=long_ago())
        assert recovery.suspect_expired_claims() == 1
        assert recovery.give_back_lost_claims() == set()  # not at the first look
        row.update(suspected_at=long_ago())

        assert recovery.give_back_lost_claims() == {LANE}

        self.claims.remove(claim)
        self.lost += claim.held
        for message in claim.held:
            self.messages[message.id].lose(alone=claim.alone)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew_in_time(self, data: st.DataObject) -> None:
        """Suspected, but alive: the renewal comes before the second look."""
        claim = data.draw(st.sampled_from(self.claims))
        row = Claim.objects.filter(pk=claim.held[0].claim_id)
        row.update(leased_until=long_ago())
        recovery.suspect_expired_claims()

        engine.renew(claim.held[0].claim_id)

        assert recovery.give_back_lost_claims() == set()

    # ------------------------------------------------------------ stops

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(list(self.requests)))
        known = self.requests[request_id]
        if not known.open:
            with pytest.raises(stopping.AlreadyFinished):
                stopping.cancel(client_id=CLIENT, request_id=request_id)
            return

        stopping.cancel(client_id=CLIENT, request_id=request_id)

        known.stop()

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def expire(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(list(self.requests)))
        known = self.requests[request_id]
        Request.objects.filter(pk=request_id).update(deadline_at=long_ago())

        assert stopping.expire_overdue() == (known.open and not known.stopped)

        if known.open:
            known.stop()

    # ------------------------------------------------------------ what must hold after every step

    @invariant()
    def the_messages_are_the_models(self) -> None:
        stored = {
            message.pk: (message.status, message.available_at is not None, message.suspect, message.losses_alone)
            for message in Message.objects.all()
        }

        assert stored == {
            message_id: (message.status.value, message.delayed, message.suspect, message.losses_alone)
            for message_id, message in self.messages.items()
        }

    @invariant()
    def the_counters_add_up(self) -> None:
        for request in Request.objects.all():
            known = self.requests[request.pk]
            tally = Counter(message.status for message in known.messages)
            assert (request.complete, request.failed, request.invalid, request.cancelled) == (
                tally[Status.COMPLETE],
                tally[Status.FAILED],
                tally[Status.INVALID],
                tally[Status.CANCELLED],
            )
            assert request.open == sum(message.status in OPEN for message in known.messages)
            assert (request.completed_at is not None) == (not known.open)
            assert (request.stopped_at is not None) == known.stopped

    @invariant()
    def the_final_messages_stand_in_the_order_of_their_commits(self) -> None:
        assert engine.misplaced() == 0

    @invariant()
    def no_claim_is_left_dangling(self) -> None:
        held = {message.id: message.claim_id for claim in self.claims for message in claim.held}

        assert dict(Message.objects.filter(status=Status.PROCESSING).values_list("pk", "claim_id")) == held
        assert set(Claim.objects.values_list("pk", flat=True)) == set(held.values())

    def teardown(self) -> None:
        """Whatever happened, the work comes to its end."""
        for claim in self.claims:
            self._flush(claim.held, {message.id: Ending.COMPLETE for message in claim.held}, finished=True)
        recovery.release_due_retries()
        for alone in (False, True):
            while batch := engine.claim(LANE, limit=1 if alone else 100, alone=alone).messages:
                self._flush(batch, {message.id: Ending.COMPLETE for message in batch}, finished=True)

        assert not Request.objects.filter(open__gt=0).exists()
        assert not Claim.objects.exists()
        assert set(Message.objects.values_list("status", flat=True)) <= {status.value for status in FINAL}


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.django_db(transaction=True)
def test_the_engine_does_what_the_model_says(settings: Settings) -> None:
    settings.WAYBILL_LOSSES_ALONE = LOSSES_ALONE
    settings.WAYBILL_LEASE = settings.WAYBILL_HEARTBEAT = 60.0  # no lease runs out unless a rule says so

    run_state_machine_as_test(
        Engine,
        settings=hypothesis.settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            print_blob=True,
        ),
    )
