"""Replay what failed: new requests with copies of the messages, linked both ways. What is final stays final.

In: a request, a message, or a type and a time, and who wants it. Out: the new requests, and entries in the audit log.
Called by the desk and `manage.py replay`.

A copy has its original's type, payload, references, client and door; it is tried as often as any new message. The
client's own limits don't hold here: the operator decides. The races: two replays of one failure at once. All replays
take one lock, then look whether their originals have copies: the second one sees the first one's.
"""

import dataclasses
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.conf import settings

from orchestrator import accounts, audit, handlers, intake, replays
from orchestrator.idempotency import Answer
from orchestrator.intake import Receipt, Submission
from orchestrator.lifecycle import EXTERNAL_DOOR, ErrorPolicy, Status
from orchestrator.models import AuditAction, Client
from orchestrator.replays import Candidate

_ROUNDS = 3


class Refused(Exception):
    """This can't be replayed; the text says why, for the operator."""


class AlreadyReplayed(Refused):
    """All of it was replayed already, and nobody said that it shall be again. `copies`: the requests that hold it."""

    def __init__(self, copies: Sequence[uuid.UUID]) -> None:
        """Name the replays."""
        super().__init__(f"already replayed by request {', '.join(map(str, copies))}")
        self.copies = copies


@dataclass(frozen=True, slots=True)
class Replayed:
    """A new request, and how many messages it copies."""

    request_id: uuid.UUID
    messages: int


@dataclass(frozen=True, slots=True)
class _Wish:
    """How copies are to be made, and what the audit log says of it."""

    actor: audit.Actor
    deed: audit.Deed
    again: bool
    all_or_nothing: bool = True
    error_policy: ErrorPolicy | None = None  # None: the original's


class _Overtaken(Exception):
    """Another replay has copied some of these since they were chosen."""


_refused_types: dict[str, str] = {}


def refuse_type(message_type: str, *, because: str) -> None:
    """Let an app say that messages of its type are never replayed, and why."""
    _refused_types[message_type] = because


def check_request(request_id: uuid.UUID) -> None:
    """Raise Refused when no message of a request can be replayed, not even again."""
    _check_either(_choose_failed(request_id))


def check_message(message_id: uuid.UUID) -> None:
    """Raise Refused when a message can't be replayed, not even again."""
    _check_either(_choose_one(message_id))


def replay_request(request_id: uuid.UUID, *, actor: audit.Actor, again: bool = False) -> Replayed:
    """Replay a request's failed messages: those without a copy, with `again` all. Raise Refused."""
    wish = _Wish(actor, audit.Deed(AuditAction.REPLAY, "request", str(request_id)), again)
    with _recording_refusals(wish):
        return _replay(partial(_choose_failed, request_id), wish)


def replay_message(message_id: uuid.UUID, *, actor: audit.Actor, again: bool = False) -> Replayed:
    """Replay one failed message. Raise Refused."""
    wish = _Wish(actor, audit.Deed(AuditAction.REPLAY, "message", str(message_id)), again)
    with _recording_refusals(wish):
        return _replay(partial(_choose_one, message_id), wish)


def replay_failures(
    message_type: str, *, since: datetime, until: datetime | None = None, actor: audit.Actor, again: bool = False
) -> Iterator[Replayed]:
    """Replay all failures of a type between two times, by bounded requests; yield each as it stands. Raise Refused.

    `until`: now, unless told. One request a client, door and batch reference, of at most WAYBILL_MAX_MESSAGES messages
    and as many bytes as a body may have; each is a transaction of its own, so a replay that is broken off goes on where
    it was. The copies that fail again while this runs failed after `until`, and are not taken up.
    """
    deed = audit.Deed(AuditAction.REPLAY, "message type", message_type)
    wish = _Wish(actor, deed, again, all_or_nothing=False, error_policy=ErrorPolicy.PROCEED)
    limit = settings.WAYBILL_MAX_MESSAGES
    with _recording_refusals(wish):
        _check_type(message_type)
        after, until = None, until or replays.read_clock()
        while page := replays.find_failures(
            message_type, since=since, until=until, after=after, limit=limit, again=again
        ):
            for group in _group(page):
                with suppress(AlreadyReplayed):  # another replay was quicker
                    yield _replay(partial(list, group), wish)
            after = page[-1]


def _choose_failed(request_id: uuid.UUID) -> list[Candidate]:
    failed = replays.find_failed(request_id)
    if not failed:
        known = replays.has_request(request_id)
        raise Refused("no message of this request has failed" if known else f"there is no request {request_id}")
    return failed


def _choose_one(message_id: uuid.UUID) -> list[Candidate]:
    message = replays.find_message(message_id)
    if message is None:
        raise Refused(f"there is no message {message_id}")
    if message.status is not Status.FAILED:
        raise Refused(f"this message did not fail: it is {message.status}")
    return [message]


def _replay(choose: Callable[[], list[Candidate]], wish: _Wish) -> Replayed:
    """Choose and hand in, once more when another replay came in between."""
    for _ in range(_ROUNDS):
        chosen = _leave_copied_out(choose(), again=wish.again)
        try:
            return _hand_in(chosen, wish)
        except _Overtaken:
            continue
    raise Refused("others are replaying the same: look again")


def _leave_copied_out(candidates: list[Candidate], *, again: bool) -> list[Candidate]:
    if again:
        return candidates
    copies = replays.find_copies(candidates)
    chosen = [candidate for candidate in candidates if candidate.id not in copies]
    if not chosen:
        raise AlreadyReplayed(sorted({request_id for found in copies.values() for request_id in found}))
    return chosen


def _hand_in(chosen: Sequence[Candidate], wish: _Wish) -> Replayed:
    """Store the copies as a request, in one transaction with their links and the audit log's entry."""
    submission = _make_submission(chosen, wish)

    def look_again() -> None:
        replays.lock()
        if not wish.again and replays.find_copies(chosen):
            raise _Overtaken

    def note(receipt: Receipt) -> None:
        copies = [row.id for row in receipt.messages]
        replays.link(zip(chosen, copies, strict=True), request_id=receipt.request_id)
        audit.record(wish.actor, wish.deed, detail={"request": receipt.request_id, "messages": len(copies)})

    try:
        own_work = intake.OwnWork(beforehand=look_again, beside=note)
        answer = intake.accept(submission, key=None, answer=_name_request, own_work=own_work)
    except intake.TypeRefused as refused:
        raise Refused(f"there is no message type {refused} that this door takes any more") from refused
    except intake.Unfit as unfit:
        index, problems = min(unfit.problems.items())
        raise Refused(f"message {chosen[index].id} no longer fits its type: {'; '.join(problems)}") from unfit
    if answer.request_id is None:
        raise TypeError("a replay's answer names its request")
    return Replayed(answer.request_id, len(chosen))


def _name_request(receipt: Receipt) -> Answer:
    return Answer(status=201, body=b"", request_id=receipt.request_id)


def _make_submission(chosen: Sequence[Candidate], wish: _Wish) -> Submission:
    _check(chosen)
    first = chosen[0]
    originals = {candidate.request_id for candidate in chosen}
    return Submission(
        account=_find_account(first.client_id),
        door=first.door,
        messages=[intake.NewMessage(*copied) for copied in replays.find_payloads([one.id for one in chosen])],
        batch_reference=first.batch_reference,
        error_policy=wish.error_policy or first.error_policy,
        replay_of=first.request_id if len(originals) == 1 else None,
        all_or_nothing=wish.all_or_nothing,
    )


def _check(chosen: Sequence[Candidate]) -> None:
    """Raise Refused for what no copy can be made of, whoever asks."""
    for message_type in sorted({candidate.type for candidate in chosen}):
        _check_type(message_type)
    if chosen[0].door == EXTERNAL_DOOR:
        raise Refused("a service's tasks are its owner's: they are begun anew through the states window")
    if not all(candidate.payload_bytes for candidate in chosen):
        raise Refused("the payload was cleared when it was old enough: there is nothing to hand in")


def _check_either(chosen: Sequence[Candidate]) -> None:
    """Check what has no copy yet; where everything has one, what can only be replayed again."""
    copies = replays.find_copies(chosen)
    _check([candidate for candidate in chosen if candidate.id not in copies] or chosen)


def _check_type(message_type: str) -> None:
    if because := _refused_types.get(message_type):
        raise Refused(because)
    if handlers.find(message_type) is None:
        raise Refused(f"there is no message type {message_type!r}")


def _find_account(client_id: int) -> accounts.Account:
    """Return the client, without the limits that hold for its own calls."""
    name = Client.objects.values_list("client_id", flat=True).get(pk=client_id)
    account = accounts.find(name)
    if account is None:
        raise Refused(f"client {name} is disabled: enable it first")
    return dataclasses.replace(account, types=None, max_in_flight=None)


def _group(page: Sequence[Candidate]) -> Iterator[list[Candidate]]:
    """Put together what can be one request, and keep each within what a body may have."""
    groups: dict[tuple[int, str, str | None], list[Candidate]] = {}
    for one in page:
        groups.setdefault((one.client_id, one.door, one.batch_reference), []).append(one)
    for group in groups.values():
        yield from _split(group, most=settings.WAYBILL_MAX_BODY_BYTES)


def _split(group: Sequence[Candidate], *, most: int) -> Iterator[list[Candidate]]:
    part: list[Candidate] = []
    room = most
    for one in group:
        if part and one.payload_bytes > room:
            yield part
            part, room = [], most
        part.append(one)
        room -= one.payload_bytes
    yield part


@contextmanager
def _recording_refusals(wish: _Wish) -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        audit.refuse(wish.actor, wish.deed, reason=str(refused))
        raise
