"""Requests that clients wait for: one look at the ledger for all of them together.

In: a request and what its follower has seen of it. Out: when there is more to see. Called by the windows in which
clients wait, in the web server's event loop.

However many wait, the ledger is asked once a tick, in one of two threads, for all that is followed. A look compares
what followers have seen with what is there now: so nothing happens unseen between a client's reading and its waiting.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from orchestrator import ledger_pool
from orchestrator.lifecycle import WORDS

log = structlog.get_logger(__name__)

_Result = TypeVar("_Result")

_THREADS = 2
AWAY_SECONDS = 1.0
"""Between two tries while the ledger is away."""
_BUSY_SHARE = 4
"""After a look that took long the next one comes the later: looking takes a fifth of the time at most."""


class Change(Enum):
    """Why a wait ended."""

    NEWS = "there is more to see"
    NONE = "the time is over"
    GONE = "the request or its client is there no more"
    CLOSING = "the server stops"


class Followed(NamedTuple):
    """What a follower waits for: anything but this `mark`, or, without a mark, that the request is over."""

    request_id: uuid.UUID
    client_id: int
    mark: int | None


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look has found."""

    changed: Collection[Followed]
    gone: Collection[Followed]


class _Clients:
    """Which of the clients that wait are enabled: asked as seldom as the accounts are, by one statement for all."""

    def __init__(self) -> None:
        self._asked_for: frozenset[int] = frozenset()
        self._enabled: frozenset[int] = frozenset()
        self._asked_at = float("-inf")

    def enabled(self, client_ids: Iterable[int]) -> frozenset[int]:
        wanted = frozenset(client_ids)
        age = time.monotonic() - self._asked_at
        if age > settings.WAYBILL_CLIENT_CACHE_SECONDS or not wanted <= self._asked_for:
            with connection.cursor() as cursor:
                cursor.execute(_ENABLED, [list(wanted)])
                self._enabled = frozenset(client_id for (client_id,) in cursor.fetchall())
            self._asked_for, self._asked_at = wanted, time.monotonic()
        return self._enabled


@dataclass(slots=True)
class Watcher:
    """All followers of one process. Lives in the event loop, which is its lock; only looking happens in a thread."""

    _waiting: dict[Followed, set["asyncio.Future[Change]"]] = field(default_factory=dict)
    _looking: "asyncio.Task[None] | None" = None
    _closing: bool = False
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "following"))
    _clients: _Clients = field(default_factory=_Clients)

    @property
    def followers(self) -> int:
        """Return how many wait now; of use from any thread, to bound them."""
        return sum(map(len, tuple(self._waiting.values())))

    @property
    def is_closing(self) -> bool:
        """Tell whether the server stops."""
        return self._closing

    async def wait(self, followed: Followed, *, seconds: float) -> Change:
        """Return when there is more to see, when it is gone, when the server stops, or after so many seconds."""
        if self._closing:
            return Change.CLOSING
        change: asyncio.Future[Change] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(followed, set()).add(change)
        if self._looking is None:
            self._looking = asyncio.create_task(self._keep_looking())
        try:
            async with asyncio.timeout(seconds):
                return await change
        except TimeoutError:
            return Change.NONE
        finally:
            self._forget(followed, change)

    async def in_thread(self, job: Callable[..., _Result], *arguments: object) -> _Result | None:
        """Read the ledger in one of the watcher's threads; None when it is away for a while."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _read, job, *arguments)
        except (OperationalError, InterfaceError) as away:
            log.info("followers have to wait", reason=str(away))
            return None

    def close(self) -> None:
        """End every wait, now and from now on: the server stops, and would wait for them."""
        self._closing = True
        for followed in tuple(self._waiting):
            self._tell(followed, Change.CLOSING)

    def _forget(self, followed: Followed, change: "asyncio.Future[Change]") -> None:
        others = self._waiting.get(followed)
        if others is not None:
            others.discard(change)
            if not others:
                del self._waiting[followed]

    async def _keep_looking(self) -> None:
        """Look as long as somebody waits. Whoever comes when it has just ended begins it anew."""
        try:
            while self._waiting:
                rest = await self._look_once()
                await asyncio.sleep(rest)
        finally:
            self._looking = None

    async def _look_once(self) -> float:
        """Look, tell what was found, and return how long to rest."""
        began = time.monotonic()
        look = await self.in_thread(self._look, tuple(self._waiting))
        if look is None:
            return AWAY_SECONDS
        for followed in look.changed:
            self._tell(followed, Change.NEWS)
        for followed in look.gone:
            self._tell(followed, Change.GONE)
        return max(settings.WAYBILL_FOLLOW_SECONDS, _BUSY_SHARE * (time.monotonic() - began))

    def _tell(self, followed: Followed, change: Change) -> None:
        for waiting in self._waiting.pop(followed, ()):
            if not waiting.done():
                waiting.set_result(change)

    def _look(self, followed: Collection[Followed]) -> _Look:
        enabled = self._clients.enabled({one.client_id for one in followed})
        refused = {one for one in followed if one.client_id not in enabled}
        changed, gone = _find_changed([one for one in followed if one not in refused])
        return _Look(changed=changed, gone=[*gone, *refused])


WATCHER = Watcher()
"""The one of this process."""


def _read(job: Callable[..., _Result], *arguments: object) -> _Result:
    """Run a job that reads, and give its connection back."""
    try:
        return job(*arguments)
    except (OperationalError, InterfaceError) as failure:
        ledger_pool.renew_after(failure)
        raise
    finally:
        connection.close()


def _find_changed(followed: list[Followed]) -> tuple[list[Followed], list[Followed]]:
    """Return those that have more to see, and those whose request is there no more."""
    if not followed:
        return [], []
    with connection.cursor() as cursor:
        ids, marks = [one.request_id for one in followed], [one.mark for one in followed]
        values: dict[str, Any] = {"ids": ids, "marks": marks, **WORDS}
        cursor.execute(_CHANGED, values)
        rows = cursor.fetchall()
    changed = [followed[place - 1] for place, exists in rows if exists]
    gone = [followed[place - 1] for place, exists in rows if not exists]
    return changed, gone


# By primary key.
_ENABLED = "SELECT id FROM orchestrator_client WHERE enabled AND id = ANY (%s)"

BUSY = """(
        SELECT count(*) AS n, coalesce(bit_xor(uuid_hash_extended(id, 0)), 0) AS which FROM orchestrator_message
        WHERE request_id = request.id AND status = %(processing)s AND request.open > 0
    )"""
"""Which messages of `request` are in processing, as a number that is another one for others. By message_processing."""

MARK = """hash_record_extended(ROW(request.total, request.open, request.complete, request.failed, request.invalid,
        request.cancelled, request.completed_at, busy.n, busy.which), 0)"""
"""All that a client can see of `request` change, as one number. A final message never changes and never goes, so equal
counters mean the same final messages; of the open ones those in processing are told apart by `busy`."""

# By primary key, and BUSY for those whose every change counts. Only what has changed comes back.
_CHANGED = f"""
SELECT followed.place, request.id IS NOT NULL
FROM unnest(%(ids)s::uuid[], %(marks)s::bigint[]) WITH ORDINALITY AS followed (id, mark, place)
LEFT JOIN orchestrator_request AS request ON request.id = followed.id
LEFT JOIN LATERAL {BUSY} AS busy ON followed.mark IS NOT NULL
WHERE CASE WHEN followed.mark IS NULL THEN request.id IS NULL OR request.completed_at IS NOT NULL
    ELSE request.id IS NULL OR {MARK} <> followed.mark END
"""  # noqa: S608 - both are constants of this module
