"""What a poll is answered with, in the document's words.

In: a task as it is now. Out: the overall status, and the body as bytes; stored results go out as they are.
Called by `views.py`. Pure.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

from orchestrator.api import rendering
from tracking.native import words
from tracking.native.bodies import EVENTS, REQUEST, SERVICES
from tracking.native.queries import Message, Task
from tracking.native.words import Code

_NOT_FINISHED = rendering.dumps({"status": Code.POLL.value})
"""The document's literal; the code of the original answers `{"status": {"code": "poll"}}`."""

STARTED = rendering.dumps({"status": {"code": Code.POLL.value}})
_BARE = {code: rendering.dumps({"status": {"code": code.value}}) for code in (Code.TIMEOUT, Code.ERROR)}


def code_of(task: Task) -> Code:
    """Return the overall status. What a mandatory service has lost, waiting for the others does not bring back."""
    if any(words.is_loss(message.status) and message.type in task.mandatory for message in task.messages):
        return Code.ERROR
    if not task.is_open:
        return Code.COMPLETE
    return Code.TIMEOUT if task.is_overdue else Code.POLL


def body(task: Task, code: Code) -> bytes:
    """Return the body of a poll."""
    if code is Code.POLL:
        return _NOT_FINISHED
    if code is not Code.COMPLETE:
        return _BARE[code]
    return rendering.dumps({"OrchestrationResponse": _lists(task), "status": {"code": code.value}})


def _lists(task: Task) -> dict[str, list[dict[str, Any]]]:
    """Deal the messages out to the lists that they were asked for in."""
    left = iter(task.messages)
    return {
        answered: [entry(message) for message in islice(left, task.asked[asked])]
        for asked, (answered, entry) in _ANSWERED.items()
        if asked in task.asked
    }


def _first_form(message: Message) -> dict[str, Any]:
    if words.is_success(message.status):
        return {"serviceName": message.type, "responseData": _result(message)}
    return {"serviceName": message.type, "failure": True}


def _second_form(message: Message) -> dict[str, Any]:
    if words.is_success(message.status):
        return {"name": message.type, "responseData": _result(message), "failure": False}
    return {"name": message.type, "failure": True, "timeout": words.is_timeout(message.failure_kind)}


def _result(message: Message) -> rendering.RawJSON | None:
    return None if message.result is None else rendering.RawJSON(message.result)


_ANSWERED: dict[str, tuple[str, Callable[[Message], dict[str, Any]]]] = {
    REQUEST: ("response", _first_form),
    SERVICES: ("serviceResponse", _second_form),
    EVENTS: ("eventResponse", _second_form),
}
"""What the answer to each list is called, and how its entries look; in the order in which messages are stored."""
