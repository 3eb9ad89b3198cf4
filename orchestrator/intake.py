"""Accept a submission: the one way into the ledger, whichever door it came through.

In: a submission whose shape the door has checked. Out: the door's answer, after COMMIT; the lanes are awake then.
Called by the doors' views.
"""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import uuid_utils

from orchestrator import dispatch, duplicates, failpoints, handlers, idempotency, storing, traceparent, turns
from orchestrator.auth import Account
from orchestrator.failpoints import Place
from orchestrator.idempotency import Answer, Key
from orchestrator.lifecycle import ErrorPolicy, Status

LONGEST_DEADLINE_SECONDS = 1_000_000_000
LARGEST_PRIORITY = 9


class DuplicatePolicy(StrEnum):
    """What becomes of a message whose type and external reference are held by another one."""

    ACCEPT = "accept"
    REJECT = "reject"


class TypeRefused(Exception):
    """Message types that do not exist or are not the client's: `first_index` of each, by its name."""

    def __init__(self, first_index: Mapping[str, int]) -> None:
        """Say which, and where in the submission each first stands."""
        super().__init__(", ".join(first_index))
        self.first_index = first_index


class TooManyInFlight(Exception):
    """You have as many open requests as you may have."""


class Unfit(Exception):
    """Messages whose own fields don't fit their types, in a submission that is taken whole or not at all."""

    def __init__(self, problems: Mapping[int, Sequence[str]]) -> None:
        """Keep what is wrong with each, by its index in the submission."""
        super().__init__(f"{len(problems)} messages don't fit their types")
        self.problems = problems


class NewMessage(NamedTuple):
    """One message as it was handed in. `payload` is its own fields as JSON text."""

    type: str
    external_reference: str | None
    payload: str


@dataclass(frozen=True, slots=True)
class Submission:
    """What a door hands in: at least one message.

    A message whose own fields don't fit its type is stored as Invalid; with `all_or_nothing` the whole is refused.
    `problems`: what the door has found wrong with single messages, by index; they are not looked at any further.
    """

    account: Account
    door: str
    messages: Sequence[NewMessage]
    batch_reference: str | None = None
    error_policy: ErrorPolicy = ErrorPolicy.HALT
    duplicate_policy: DuplicatePolicy = DuplicatePolicy.ACCEPT
    deadline_seconds: float | None = None
    priority: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    traceparent: str | None = None
    replay_of: uuid.UUID | None = None
    all_or_nothing: bool = False
    problems: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was stored; the messages in the submission's order, with their ids, first statuses, and errors."""

    request_id: uuid.UUID
    received_at: datetime
    messages: Sequence[storing.NewRow]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that can be known before the transaction; each list in the messages' order."""

    request_id: uuid.UUID
    message_ids: list[uuid.UUID]
    lanes: list[str]
    turns: list[int]
    problems: dict[int, list[str]]


def accept(
    submission: Submission,
    *,
    key: Key | None,
    answer: Callable[[Receipt], Answer],
    beforehand: Callable[[], Answer | None] | None = None,
    already: Callable[[], Answer | None] | None = None,
) -> Answer:
    """Store the submission and return what `answer` makes of its receipt, or the key's first answer again.

    One transaction, and a constant number of statements. `answer` is called within it, and must not wait for anything.
    A door that has more to do in that transaction does it there, and in `beforehand`: called behind the key and before
    anything is stored, it may lock rows, raise its own refusal, or return the answer, and then nothing is stored.
    `already` is called sooner, between the check of the types and that of the client's limit: it may answer for work
    that is under way, whatever the limit, and then nothing is stored but the key.
    Raises TypeRefused, TooManyInFlight, Unfit, idempotency.KeyReused, idempotency.KeyBusy; nothing is stored then.
    """
    # Looked up before anything is refused: the request that the key stands for may itself be the one too many.
    if key and (first := idempotency.find(key)):
        return first
    types = _find_types(submission)
    if already and (standing := already()):
        return idempotency.answer_once(key=key, work=lambda: standing, stands=lambda: True) if key else standing
    _check_in_flight(submission.account)
    prepared = _prepare(submission, types)
    lanes_to_wake: set[str] = set()

    def store() -> Answer:
        if beforehand and (instead := beforehand()):
            return instead
        statuses, problems = _decide(submission, prepared)
        rows = _make_rows(submission, prepared, statuses, problems)
        received_at = _store(submission, prepared, rows)
        lanes_to_wake.update(row.lane for row in rows if row.status is Status.QUEUED)
        return answer(Receipt(prepared.request_id, received_at, rows))

    final = idempotency.answer_once(key=key, work=store, stands=lambda: storing.has_request(prepared.request_id))
    failpoints.pass_by(Place.ACCEPTED)
    dispatch.wake_all(lanes_to_wake)
    failpoints.pass_by(Place.ANSWERING)
    return final


def _find_types(submission: Submission) -> dict[str, handlers.MessageType]:
    """Return the message types by name; raise TypeRefused for those that don't exist or are not the client's."""
    found: dict[str, handlers.MessageType] = {}
    refused: dict[str, int] = {}
    for index, message in enumerate(submission.messages):
        if message.type in found or message.type in refused:
            continue
        message_type = handlers.find(message.type)
        if message_type is None or not _may_send(submission, message_type):
            refused[message.type] = index
        else:
            found[message.type] = message_type
    if refused:
        raise TypeRefused(refused)
    return found


def _may_send(submission: Submission, message_type: handlers.MessageType) -> bool:
    door_open = message_type.doors is None or submission.door in message_type.doors
    return door_open and submission.account.may_send(message_type.name)


def _check_in_flight(account: Account) -> None:
    """Raise TooManyInFlight at the client's limit. POSTs at the same time may overshoot it by as many as they are."""
    limit = account.max_in_flight
    if limit is not None and storing.count_open_requests(client_id=account.id, limit=limit) >= limit:
        raise TooManyInFlight(TooManyInFlight.__doc__)


def _prepare(submission: Submission, types: Mapping[str, handlers.MessageType]) -> _Prepared:
    lanes = [types[message.type].lane_name for message in submission.messages]
    problems = _find_problems(submission, types)
    if problems and submission.all_or_nothing:
        raise Unfit(problems)
    request_id, message_ids = _make_ids(len(lanes))
    return _Prepared(
        request_id=request_id,
        message_ids=message_ids,
        lanes=lanes,
        turns=_allocate_turns(submission, lanes),
        problems=problems,
    )


def _find_problems(submission: Submission, types: Mapping[str, handlers.MessageType]) -> dict[int, list[str]]:
    """Return what is wrong with each message's own fields, by its index; those that fit are left out."""
    schemas = {name: message_type.schema for name, message_type in types.items()}
    found = {index: list(texts) for index, texts in submission.problems.items()}
    for index, message in enumerate(submission.messages):
        schema = schemas[message.type]
        if schema and index not in found and (problems := schema.problems(message.payload)):
            found[index] = problems
    return found


def _make_ids(count: int) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """Make the ids of a request and its messages: of one millisecond, ascending. A single message has its request's."""
    now = time.time_ns()
    request_id = _make_id(now)
    if count == 1:
        return request_id, [request_id]
    return request_id, sorted((_make_id(now) for _ in range(count)), key=lambda made: made.int)


def _make_id(nanoseconds: int) -> uuid.UUID:
    return uuid.UUID(bytes=uuid_utils.uuid7(nanoseconds=nanoseconds).bytes)


def _allocate_turns(submission: Submission, lanes: Sequence[str]) -> list[int]:
    """Return each message's turn in its lane. Invalid ones have theirs too: gaps are harmless."""
    ranks: dict[str, int] = {}
    ranked = []
    for lane in lanes:
        ranks[lane] = ranks.get(lane, 0) + 1
        ranked.append(ranks[lane])
    bases = turns.allocate(client_id=submission.account.id, counts=ranks)
    priority = submission.priority
    return [bases[lane].turn(rank=rank, priority=priority) for lane, rank in zip(lanes, ranked, strict=True)]


def _decide(submission: Submission, prepared: _Prepared) -> tuple[list[Status], dict[int, list[str]]]:
    """Return each message's first status, and the problems of the Invalid ones."""
    problems = prepared.problems
    if submission.duplicate_policy is DuplicatePolicy.REJECT:
        problems = problems | _find_duplicates(submission, problems)
    others = Status.QUEUED
    if problems and submission.error_policy is ErrorPolicy.HALT:
        others = Status.CANCELLED
    statuses = [Status.INVALID if index in problems else others for index in range(len(submission.messages))]
    return statuses, problems


def _find_duplicates(submission: Submission, problems: Mapping[int, list[str]]) -> dict[int, list[str]]:
    wanted = {
        index: (message.type, message.external_reference)
        for index, message in enumerate(submission.messages)
        if message.external_reference is not None and index not in problems
    }
    return duplicates.find(client_id=submission.account.id, references=wanted)


def _make_rows(
    submission: Submission,
    prepared: _Prepared,
    statuses: Sequence[Status],
    problems: Mapping[int, list[str]],
) -> list[storing.NewRow]:
    columns = zip(prepared.message_ids, submission.messages, prepared.lanes, prepared.turns, statuses, strict=True)
    return [
        storing.NewRow(
            message_id,
            message.type,
            lane,
            turn if status is Status.QUEUED else 0,
            message.external_reference,
            message.payload,
            status,
            problems.get(index, ()),
        )
        for index, (message_id, message, lane, turn, status) in enumerate(columns)
    ]


def _store(submission: Submission, prepared: _Prepared, rows: Sequence[storing.NewRow]) -> datetime:
    statuses = [row.status for row in rows]
    client_id = submission.account.id
    cancelled = statuses.count(Status.CANCELLED)
    received_at = storing.insert_request(
        storing.NewRequest(
            id=prepared.request_id,
            client_id=client_id,
            door=submission.door,
            batch_reference=submission.batch_reference,
            error_policy=submission.error_policy,
            attributes=submission.attributes,
            types=sorted({row.type for row in rows}),
            traceparent=submission.traceparent or traceparent.begin(prepared.request_id),
            deadline_seconds=submission.deadline_seconds,
            replay_of=submission.replay_of,
            halted=cancelled > 0,
            open=statuses.count(Status.QUEUED),
            invalid=statuses.count(Status.INVALID),
            cancelled=cancelled,
        )
    )
    storing.copy_messages(rows, request_id=prepared.request_id, client_id=client_id, received_at=received_at)
    return received_at
