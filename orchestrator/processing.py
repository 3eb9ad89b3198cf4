"""Run messages: from a claimed message to its outcome.

In: claimed messages and their types. Out: outcomes. Called by the drain (plain, batch) and its calls (async, HTTP).

No transaction and no lock is held here. A handler may say no (`Rejected`), ask for a later try (`RetryLater`), be too
slow, or break: each becomes an outcome, and nothing it raises gets further.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pydantic
import structlog
from django.conf import settings

from orchestrator import failpoints, handlers, payloads, scrubbing, tracing
from orchestrator.failpoints import Place
from orchestrator.handlers import JSONText, MessageType, Work
from orchestrator.outcomes import Ending, Outcome
from orchestrator.queue import Claimed

log = structlog.get_logger(__name__)

_UNKNOWN_PAUSE = 5.0
"""Seconds until a message that this worker doesn't know how to carry out is offered again: another release may."""


class ResultTooLarge(Exception):
    """The handler's result is larger than WAYBILL_MAX_BODY_BYTES."""


def run_one(message: Claimed, message_type: MessageType) -> Outcome:
    """Call a plain handler with one message."""
    try:
        result = message_type.handler(_work(message))
        return complete(message, result)
    except BaseException as error:  # noqa: BLE001 - every way to fail has its outcome: SystemExit is the handler's too
        return failed(message, message_type, error)


def run_list(messages: Sequence[Claimed], message_type: MessageType) -> list[Outcome]:
    """Call a batch handler with the whole list; an exception in place of a result is that message's own."""
    try:
        results = list(message_type.handler([_work(message) for message in messages]))
    except BaseException as error:  # noqa: BLE001 - it is everybody's
        results = [error] * len(messages)
    if len(results) != len(messages):
        wrong = ValueError(f"the batch handler of {message_type.name} returned {len(results)} for {len(messages)}")
        results = [wrong] * len(messages)
    return [_batch_outcome(message, message_type, result) for message, result in zip(messages, results, strict=True)]


Failing = Callable[[Claimed, MessageType, BaseException], Outcome]
"""Makes the outcome of a handler that raised."""


async def call(message: Claimed, message_type: MessageType, *, failing: Failing | None = None) -> Outcome:
    """Await an async handler, within its timeout; `failing`: who judges what it raises, if not `failed`."""
    failing = failing or failed
    try:
        async with asyncio.timeout(message_type.timeout):
            result = await message_type.handler(_work(message))
        return complete(message, result)
    except TimeoutError:
        return failing(message, message_type, handlers.TooSlow(f"took longer than {message_type.timeout} s"))
    except BaseException as error:  # noqa: BLE001 - every way to fail has its outcome: SystemExit would end the loop
        if isinstance(error, asyncio.CancelledError) and _is_broken_off():
            return ended(message, Ending.INTERRUPTED)
        return failing(message, message_type, error)


def _is_broken_off() -> bool:
    """Tell whether the process stops this call; else the handler let a cancelling of its own escape."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def complete(message: Claimed, result: Any) -> Outcome:
    """Make the outcome of a handler that returned; raises when its result can't be kept as JSON."""
    failpoints.pass_by(Place.CALLED)
    return ended(message, Ending.COMPLETE, result=encode(result))


def skipped(message: Claimed) -> Outcome:
    """Make the outcome of a message whose request was stopped before it began."""
    return ended(message, Ending.SKIPPED)


def returned(message: Claimed) -> Outcome:
    """Make the outcome of a message that this worker gives back without having begun it."""
    return ended(message, Ending.RETURNED)


def unknown(message: Claimed) -> Outcome:
    """Give back, untouched, a message whose type, or whose payload's key, this worker doesn't know."""
    return ended(message, Ending.RETURNED, delay=_UNKNOWN_PAUSE)


def failed(message: Claimed, message_type: MessageType, error: BaseException) -> Outcome:
    """Make the outcome of a handler that raised: rejected, tried again, or failed for good."""
    if isinstance(error, handlers.Rejected):
        return ended(message, Ending.REJECTED, error=_storable(str(error)))
    wish = error.after if isinstance(error, handlers.RetryLater) else None
    delay = message_type.policy.delay(attempts=message.attempts + 1, wish=wish)
    _log_failure(message, error, delay)
    if delay is not None:
        return ended(message, Ending.RETRY, delay=delay)
    return ended(message, Ending.TIMED_OUT if isinstance(error, handlers.TooSlow) else Ending.FAILED)


def ended(
    message: Claimed,
    ending: Ending,
    *,
    result: str | None = None,
    error: str | None = None,
    delay: float | None = None,
) -> Outcome:
    """Make an outcome of a claimed message."""
    return Outcome(
        message_id=message.id,
        request_id=message.request_id,
        claim_id=message.claim_id,
        ending=ending,
        result=result,
        error=error,
        delay=delay,
    )


def encode(result: Any) -> str:
    """Turn a handler's result into JSON text that the ledger can keep.

    Raises TypeError or ValueError for what is not JSON, ResultTooLarge for what is longer than a body that comes in.
    An HTTP back end's answer is bounded before, where it is read: it may grow here, as text that becomes JSON.
    """
    text = result.text if isinstance(result, JSONText) else _dump(result)
    if len(text) > settings.WAYBILL_MAX_BODY_BYTES:
        raise ResultTooLarge(f"{len(text)} characters")
    return text


def _dump(result: Any) -> str:
    try:
        return orjson.dumps(result, default=_plain_value).decode()
    except TypeError:
        # Integers beyond 64 bits and lone surrogates are legal in Python: the first are kept, the second mended.
        text = json.dumps(result, default=_plain_value, ensure_ascii=False, allow_nan=False)
        return _storable(text)


def _plain_value(value: Any) -> Any:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"a result of {type(value).__name__} is not JSON")


def _storable(text: str) -> str:
    """Replace what PostgreSQL's text can't hold: NUL and lone surrogates."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _batch_outcome(message: Claimed, message_type: MessageType, result: Any) -> Outcome:
    if isinstance(result, BaseException):
        return failed(message, message_type, result)
    try:
        return complete(message, result)
    except Exception as error:  # noqa: BLE001 - a result that can't be kept is that message's failure
        return failed(message, message_type, error)


def _work(message: Claimed) -> Work:
    return Work(
        id=message.id,
        request_id=message.request_id,
        client_id=message.client_id,
        type=message.type,
        external_reference=message.external_reference,
        payload=_reveal(message),
        attempt=message.attempts + 1,
        traceparent=tracing.current() or message.traceparent,
    )


def _reveal(message: Claimed) -> str:
    return payloads.reveal(message.payload, message_id=message.id, part=payloads.Part.PAYLOAD)


def _log_failure(message: Claimed, error: BaseException, delay: float | None) -> None:
    try:
        payload: str | None = _reveal(message)
    except payloads.Unreadable:
        payload = None
    log.warning(
        "message failed" if delay is None else "message will be tried again",
        message_id=str(message.id),
        request_id=str(message.request_id),
        type=message.type,
        attempt=message.attempts + 1,
        delay=delay,
        error=scrubbing.describe(error, payload=payload),
        **({"exception": scrubbing.describe_whole(error, payload=payload)} if delay is None else {}),
    )
