"""Start a task: one request, with a message for each service that is asked for.

In: what is wanted, and the ticket that came with it. Out: the answer, for a new task or for the one that is running.
Called by `views.py`.
"""

import uuid

from orchestrator import handlers, intake
from orchestrator.auth import Account
from orchestrator.idempotency import Answer, Key
from orchestrator.intake import NewMessage, Receipt, Submission
from orchestrator.lifecycle import ErrorPolicy
from tracking.native import answers, queries
from tracking.native.bodies import Wanted
from tracking.native.cookie import Ticket

DOOR = "startup"


def start(
    *, account: Account, wanted: Wanted, running: Ticket | None, key: Key | None, traceparent: str | None
) -> Answer:
    """Start what is wanted, unless the task of the ticket `running` is. Raises as `intake.accept` does."""
    submission = Submission(
        account=account,
        door=DOOR,
        messages=[NewMessage(entry.name, None, entry.payload) for entry in wanted.entries()],
        error_policy=ErrorPolicy.PROCEED,
        attributes=_attributes(wanted),
        traceparent=traceparent,
    )

    def answer(receipt: Receipt) -> Answer:
        return _started(receipt.request_id)

    def already() -> Answer | None:
        return _started(running.request_id) if running and queries.is_running(running) else None

    return intake.accept(submission, key=key, answer=answer, already=already)


def _started(request_id: uuid.UUID) -> Answer:
    return Answer(status=200, headers={"Request-Id": str(request_id)}, body=answers.STARTED, request_id=request_id)


def _attributes(wanted: Wanted) -> dict[str, object]:
    """Note what polls must know: a service that is mandatory now stays so for this task."""
    types = [handlers.find(name) for name in {entry.name for entry in wanted.entries()}]
    return queries.attributes(
        asked={name: len(entries) for name, entries in wanted.lists.items()},
        mandatory=frozenset(known.name for known in types if known and known.mandatory),
    )
