"""From a submission to the rows it becomes.

In: a submission, its message types, turns. Out: a draft, and the rows of its request and messages. Called by intake.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator import context, duplicates, handlers, ids, payloads, storing, traceparent, turns
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.submissions import DuplicatePolicy, Submission


class Unfit(Exception):
    """Messages whose own fields don't fit their types, in a submission that is taken whole or not at all."""

    def __init__(self, problems: Mapping[int, Sequence[str]]) -> None:
        """Keep what is wrong with each, by its index in the submission."""
        super().__init__(f"{len(problems)} messages don't fit their types")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Draft:
    """All that can be known before the transaction; each list in the messages' order.

    `ranks`: each message's place, from 1, among those of its lane; `counts`: how many there are, by lane.
    """

    submission: Submission
    request_id: uuid.UUID
    message_ids: list[uuid.UUID]
    lanes: list[str]
    ranks: list[int]
    counts: dict[str, int]
    problems: dict[int, list[str]]


def draft(submission: Submission, types: Mapping[str, handlers.MessageType]) -> Draft:
    """Look the messages over and give them their ids. Raises Unfit."""
    lanes = [types[message.type].lane_name for message in submission.messages]
    problems = _find_problems(submission, types)
    if problems and submission.all_or_nothing:
        raise Unfit(problems)
    request_id, message_ids = _make_ids(len(lanes))
    context.note(request_id=request_id)
    ranks, counts = _rank(lanes)
    return Draft(submission, request_id, message_ids, lanes, ranks, counts, problems)


def make_rows(draft: Draft, bases: Mapping[str, turns.Base]) -> list[storing.NewRow]:
    """Make the messages' rows. Looks into the ledger for duplicates, under a lock, if the submission wants that."""
    priority = draft.submission.priority
    statuses, problems = _decide(draft)
    key_id = payloads.key_id()
    columns = zip(draft.message_ids, draft.submission.messages, draft.lanes, draft.ranks, statuses, strict=True)
    return [
        storing.NewRow(
            message_id,
            message.type,
            lane,
            bases[lane].turn(rank=rank, priority=priority) if status is Status.QUEUED else 0,
            message.external_reference,
            payloads.seal(message.payload, message_id=message_id, part=payloads.Part.PAYLOAD),
            status,
            problems.get(index, ()),
            key_id,
        )
        for index, (message_id, message, lane, rank, status) in enumerate(columns)
    ]


def make_request(draft: Draft, rows: Sequence[storing.NewRow]) -> storing.NewRequest:
    """Make the row of the request that the messages' rows belong to."""
    submission = draft.submission
    statuses = [row.status for row in rows]
    cancelled = statuses.count(Status.CANCELLED)
    return storing.NewRequest(
        id=draft.request_id,
        client_id=submission.account.id,
        door=submission.door,
        batch_reference=submission.batch_reference,
        error_policy=submission.error_policy,
        attributes=submission.attributes,
        types=sorted({row.type for row in rows}),
        traceparent=submission.traceparent or traceparent.begin(draft.request_id),
        deadline_seconds=submission.deadline_seconds,
        replay_of=submission.replay_of,
        halted=cancelled > 0,
        open=statuses.count(Status.QUEUED),
        invalid=statuses.count(Status.INVALID),
        cancelled=cancelled,
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
    request_id = ids.make(at=now)
    if count == 1:
        return request_id, [request_id]
    return request_id, sorted((ids.make(at=now) for _ in range(count)), key=lambda made: made.int)


def _rank(lanes: Sequence[str]) -> tuple[list[int], dict[str, int]]:
    """Count the messages of each lane, Invalid ones too: gaps between turns are harmless."""
    counts: dict[str, int] = {}
    ranks = []
    for lane in lanes:
        counts[lane] = counts.get(lane, 0) + 1
        ranks.append(counts[lane])
    return ranks, counts


def _decide(draft: Draft) -> tuple[list[Status], dict[int, list[str]]]:
    """Return each message's first status, and the problems of the Invalid ones."""
    submission, problems = draft.submission, draft.problems
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
