"""Accept a submission: the one way into the ledger, whichever door it came through.

In: a submission whose shape the door has checked. Out: the door's answer, after COMMIT; the lanes are awake then.
Called by the doors' views, by what stands behind them (placing, startup), and by replaying.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator import (
    committing,
    database_errors,
    dispatch,
    drafting,
    failpoints,
    gathering,
    handlers,
    idempotency,
    storing,
    storing_small,
    turns,
)
from orchestrator.accounts import Account
from orchestrator.drafting import Draft, Unfit
from orchestrator.failpoints import Place
from orchestrator.idempotency import Answer, Key
from orchestrator.lifecycle import Status
from orchestrator.submissions import DuplicatePolicy, NewMessage, Receipt, Submission

__all__ = [
    "DuplicatePolicy",
    "NewMessage",
    "OwnWork",
    "Receipt",
    "Submission",
    "TooManyInFlight",
    "TypeRefused",
    "Unfit",
    "accept",
]

LONGEST_DEADLINE_SECONDS = 1_000_000_000
LARGEST_PRIORITY = 9

_FEW, _SHORT = 20, 65_536
"""Messages, and characters of their payloads: up to here one statement for all rows is cheaper than COPY."""
_MOST_TOGETHER = 50
"""Small requests in one transaction."""


class TypeRefused(Exception):
    """Message types that do not exist or are not the client's: `first_index` of each, by its name."""

    def __init__(self, first_index: Mapping[str, int]) -> None:
        """Say which, and where in the submission each first stands."""
        super().__init__(", ".join(first_index))
        self.first_index = first_index


class TooManyInFlight(Exception):
    """You have as many open requests as you may have."""


MakeAnswer = Callable[[Receipt], Answer]
"""Makes the answer of what was stored. It looks at the receipt alone, and waits for nothing."""

Look = Callable[[], Answer | None]
"""Looks whether there is an answer without storing anything; None where there is none."""


@dataclass(frozen=True, slots=True)
class OwnWork:
    """What a door does itself in the transaction that stores its submission; both may raise the door's own refusal.

    `beforehand`: behind the key and before anything is stored; it may lock rows. When it answers, nothing is stored.
    `beside`: once the submission is stored.
    """

    beforehand: Look
    beside: Callable[[Receipt], None]


def accept(
    submission: Submission,
    *,
    key: Key | None,
    answer: MakeAnswer,
    already: Look | None = None,
    own_work: OwnWork | None = None,
) -> Answer:
    """Store the submission and return what `answer` makes of its receipt, or the key's first answer again.

    One transaction, and a constant number of statements. Small submissions of a client that come at the same time share
    it, unless they have a key or a door's own work.
    `already` may answer for work that is under way, whatever the client's limit; nothing is stored then but the key.
    Raises TypeRefused, TooManyInFlight, Unfit, idempotency.KeyReused, idempotency.KeyBusy; nothing is stored then.
    """
    # Looked up before anything is refused: the request that the key stands for may itself be the one too many.
    if key and (first := idempotency.find(key)):
        return first
    types = _find_types(submission)
    if already and (standing := already()):
        return _keep(standing, key)
    _check_in_flight(submission.account)
    draft = drafting.draft(submission, types)
    if key is None and own_work is None and _is_sociable(submission):
        return answer(_store_in_company(draft))
    return _store_alone(draft, key=key, answer=answer, own_work=own_work)


def _keep(standing: Answer, key: Key | None) -> Answer:
    """Keep an answer for its key, if it has one; there is nothing else to store."""
    return idempotency.answer_once(key=key, work=lambda: standing, stands=lambda: True) if key else standing


def _store_alone(draft: Draft, *, key: Key | None, answer: MakeAnswer, own_work: OwnWork | None) -> Answer:
    bases = turns.allocate(client_id=draft.submission.account.id, counts=draft.counts)
    lanes_to_wake: set[str] = set()

    def store() -> Answer:
        if own_work and (instead := own_work.beforehand()):
            return instead
        rows = drafting.make_rows(draft, bases)
        received_at = _insert([(drafting.make_request(draft, rows), rows)])
        lanes_to_wake.update(_claimable(rows))
        receipt = Receipt(draft.request_id, received_at, rows)
        if own_work:
            own_work.beside(receipt)
        return answer(receipt)

    final = idempotency.answer_once(key=key, work=store, stands=lambda: storing.has_request(draft.request_id))
    _wake(lanes_to_wake)
    return final


# ------------------------------------------------------------ in company


def _is_sociable(submission: Submission) -> bool:
    """Tell whether the submission can share a transaction: it is quickly stored, and waits for nobody's lock."""
    return _is_small(submission.messages) and submission.duplicate_policy is DuplicatePolicy.ACCEPT


def _store_in_company(draft: Draft) -> Receipt:
    """Store the draft with those of its client that come at the same time; whoever stored them wakes their lanes.

    By client: whatever holds one client's rows (a cancel of its million messages, say) must not hold up another's.
    """
    receipt, stored = _company.bring(draft.submission.account.id, draft)
    if stored:
        _wake({lane for one in stored if isinstance(one, Receipt) for lane in _claimable(one.messages)})
    return receipt


def _store_all(drafts: Sequence[Draft]) -> Sequence[Receipt | BaseException]:
    """Store the drafts of one client in one transaction; one that the ledger refuses costs only itself."""
    try:
        return _store_together(drafts)
    except Exception as error:
        if len(drafts) == 1 or database_errors.is_passing(error):
            raise
    return [_store_one(draft) for draft in drafts]


def _store_one(draft: Draft) -> Receipt | BaseException:
    try:
        return _store_together([draft])[0]
    except Exception as error:  # noqa: BLE001 - it is raised in the thread that brought the draft
        return error


def _store_together(drafts: Sequence[Draft]) -> Sequence[Receipt]:
    return committing.commit(work=_work_for_all(drafts), stands=lambda: storing.has_request(drafts[0].request_id))


def _work_for_all(drafts: Sequence[Draft]) -> Callable[[], Sequence[Receipt]]:
    """Give every draft its turns, in the order in which they came, and return what stores them."""
    counts: Counter[str] = Counter()
    for draft in drafts:
        counts.update(draft.counts)
    bases = turns.allocate(client_id=drafts[0].submission.account.id, counts=counts)
    wholes: list[storing_small.Whole] = []
    for draft in drafts:
        rows = drafting.make_rows(draft, bases)
        wholes.append((drafting.make_request(draft, rows), rows))
        bases = {lane: base.after(draft.counts.get(lane, 0)) for lane, base in bases.items()}

    def work() -> Sequence[Receipt]:
        received_at = _insert(wholes)
        return [Receipt(request.id, received_at, rows) for request, rows in wholes]

    return work


_company = gathering.Gathering(_store_all, most=_MOST_TOGETHER)


# ------------------------------------------------------------ what both ways have in common


def _insert(wholes: Sequence[storing_small.Whole]) -> datetime:
    request, rows = wholes[0]
    if len(wholes) > 1 or _is_small(rows):
        return storing_small.insert(wholes, client_id=request.client_id)
    received_at = storing.insert_request(request)
    storing.copy_messages(rows, request_id=request.id, client_id=request.client_id, received_at=received_at)
    return received_at


def _is_small(messages: Sequence[NewMessage | storing.NewRow]) -> bool:
    return len(messages) <= _FEW and sum(len(message.payload) for message in messages) <= _SHORT


def _claimable(rows: Iterable[storing.NewRow]) -> set[str]:
    return {row.lane for row in rows if row.status is Status.QUEUED}


def _wake(lanes: Iterable[str]) -> None:
    failpoints.pass_by(Place.ACCEPTED)
    dispatch.wake_all(lanes)
    failpoints.pass_by(Place.ANSWERING)


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
