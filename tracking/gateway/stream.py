"""A request's course as Server-Sent Events (HTML, "Server-sent events"): what it comes to, as it comes.

In: a request, whose it is, and the place after which its follower wants to hear. Out: chunks of events.
Called by `stream_view.py`; the event loop pulls. Nothing is held between two chunks but the place: what a slow reader
has not taken yet stays in the ledger.
"""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from django.conf import settings

from orchestrator import following
from orchestrator.api import rendering
from orchestrator.auth import Account
from orchestrator.following import Change, Followed
from tracking.gateway import news
from tracking.gateway import rendering as room_rendering

END = "end"
"""The id of the last event: whoever has it has all."""
_PLACE = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})", re.ASCII)
_RETRY = b"retry: 2000\n\n"
_HEARTBEAT = b":\n\n"
_READINGS_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Course:
    """What is followed, by whom, and after which place."""

    request_id: uuid.UUID
    account: Account
    after: news.Place


async def events(course: Course) -> AsyncIterator[bytes]:
    """Yield events until the request is over and all is told; or it is gone, the server stops, or it took very long.

    Progress is told first, and whenever it is another one; the outcomes in between, in the order of `news.py`.
    """
    telling = _Telling(course)
    yield _RETRY
    while (chunk := await telling.next_chunk()) is not None:
        if chunk:
            yield chunk


class _Telling:
    """How far one follower has been told."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._place = course.after
        self._shown = b""  # the progress told last
        self._waits_for: Followed | None = None  # None: there may be more to read at once
        self._is_over = False
        self._ends_at = time.monotonic() + settings.WAYBILL_STREAM_SECONDS

    async def next_chunk(self) -> bytes | None:
        """Return what there is to tell, empty if nothing after all, a heartbeat for silence, None at the end."""
        left = self._ends_at - time.monotonic()
        if self._is_over or left <= 0:
            return None
        if self._waits_for is not None:
            change = await following.WATCHER.wait(self._waits_for, seconds=min(left, settings.WAYBILL_STREAM_HEARTBEAT))
            if change is not Change.NEWS:
                return _HEARTBEAT if change is Change.NONE else None
        try:
            found = await _READER.read(news.Reading(self._course.request_id, self._place))
        except _LedgerAway:
            await asyncio.sleep(following.AWAY_SECONDS)
            return _HEARTBEAT
        return None if found is None else self._tell(found)

    def _tell(self, found: news.News) -> bytes:
        """Write down what was found: all outcomes of a page, and progress when nothing is left to read."""
        progress = _dump_progress(found, self._course.account)
        chunk = [] if self._shown else [_event("progress", progress)]
        chunk += [_outcome_event(outcome) for outcome in found.outcomes]
        if found.outcomes:
            self._place = found.outcomes[-1].place
        if found.goes_on:
            self._shown = self._shown or progress
            return b"".join(chunk)
        self._is_over = found.head.request.completed_at is not None
        if self._is_over:
            chunk.append(_event("progress", progress, event_id=END))
        elif self._shown and progress != self._shown:
            chunk.append(_event("progress", progress))
        self._shown = progress
        self._waits_for = Followed(self._course.request_id, self._course.account.id, found.head.mark)
        return b"".join(chunk)


class _LedgerAway(Exception):
    """The ledger can't be read at present."""


class _Unreadable(Exception):
    """The ledger's news could not be made out; the cause says why."""


class _Reader:
    """Reads for all streams of the process, a handful by one statement."""

    def __init__(self) -> None:
        self._asked: list[tuple[news.Reading, asyncio.Future[news.News | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def read(self, reading: news.Reading) -> news.News | None:
        """Return a request's news, None if it is there no more; raise _LedgerAway."""
        answer: asyncio.Future[news.News | None] = asyncio.get_running_loop().create_future()
        self._asked.append((reading, answer))
        if self._reading is None:
            self._reading = asyncio.create_task(self._keep_reading())
        return await answer

    async def _keep_reading(self) -> None:
        try:
            while self._asked:
                batch, self._asked = self._asked[:_READINGS_AT_ONCE], self._asked[_READINGS_AT_ONCE:]
                await self._read_batch([one for one in batch if not one[1].done()])
        finally:
            self._reading = None

    async def _read_batch(self, batch: list[tuple[news.Reading, "asyncio.Future[news.News | None]"]]) -> None:
        found: list[news.News | None] | None = None
        cause: Exception | None = None
        try:
            found = await following.WATCHER.in_thread(news.read, [reading for reading, _ in batch])
        except Exception as broken:  # noqa: BLE001 - those who asked have it raised, and nobody waits for ever
            cause = broken
        for place, (_, answer) in enumerate(batch):
            if answer.done():
                continue  # its client has gone meanwhile
            if found is None:
                answer.set_exception(_make_failure(cause))
            else:
                answer.set_result(found[place])


def _make_failure(cause: Exception | None) -> Exception:
    """Make the exception of one stream alone: raised in several, one object would gather all their tracebacks."""
    if cause is None:
        return _LedgerAway()
    failure = _Unreadable(_Unreadable.__doc__)
    failure.__cause__ = cause
    return failure


_READER = _Reader()


def print_place(place: news.Place) -> str:
    """Print a place as an event's id."""
    return f"{place.turn}.{place.number}"


def read_place(text: str) -> news.Place | None:
    """Read an event's id; None if it is none of ours."""
    found = _PLACE.fullmatch(text)
    return news.Place(int(found[1]), int(found[2])) if found else None


def _dump_progress(found: news.News, account: Account) -> bytes:
    """Return the request as GET shows it with return=minimal."""
    return rendering.dumps(room_rendering.request_body(found.head.request, (), account=account, payload=False))


def _outcome_event(outcome: news.Outcome) -> bytes:
    body = {"id": outcome.message.id, **room_rendering.message_body(outcome.message)}
    if outcome.result is not None:
        body["result"] = rendering.RawJSON(_on_one_line(outcome.result))
    return _event("outcome", rendering.dumps(body), event_id=print_place(outcome.place))


def _on_one_line(text: str) -> str:
    """Return the JSON text without line ends, which would end the event's field: in JSON they are only space."""
    return text.replace("\r", " ").replace("\n", " ")


def _event(name: str, data: bytes, *, event_id: str = "") -> bytes:
    """Write one event. Without an id the client keeps that of the event before."""
    head = f"id: {event_id}\n" if event_id else ""
    return head.encode() + b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
