"""The monkey: it kills, freezes, empties, restarts and misleads, one mischief after the other.

In: a running stack and its back end. Out: mischief, noted in the journal with its beginning and end. Called by the run.
Every mischief ends by itself or is ended by `calm`; none touches a process that is not the stack's.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

import psycopg
import redis.asyncio as redis

from chaos import backend, journal
from chaos.backend import Unreliable
from chaos.clients import World
from chaos.inside import traps
from chaos.stack import Stack
from orchestrator.failpoints import Place

_WORKERS = ("worker-1", "worker-2")
_LONGER_THAN_A_LEASE = 8.0
_DEADLY = [place for place in Place if place is not Place.STOPPING]
_STRUCK_IN_A_TRANSACTION = (Place.COMMITTING, Place.CANCELLING, Place.FLUSHING, Place.GIVING_BACK)


class Monkey:
    """One a run."""

    def __init__(self, stack: Stack, unreliable: Unreliable, world: World) -> None:
        self._stack = stack
        self._backend = unreliable
        self._world = world
        self._chance = world.chance
        self._frozen: set[int] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._shifted: asyncio.subprocess.Process | None = None

    async def rage(self, *, rest: float) -> None:
        """Go through the deck again and again, in ever other orders, until the run is over."""
        deck: list[Mischief] = []
        while not self._world.over.is_set():
            if not deck:
                deck = list(DECK)
                self._chance.shuffle(deck)
            await self._do(deck.pop())
            await self._wait_for_web()
            await self._world.pause(2 * rest)

    async def _wait_for_web(self) -> None:
        """A web server that is never up shows nothing: it may start before the next mischief, however slow that is."""
        while not self._world.over.is_set() and not await self._stack.is_ready("/livez"):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)

    async def calm(self) -> None:
        """End every mischief that is under way."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._backend.mood = "well"
        traps.lift_traps(self._stack.directory)
        for pid in list(self._frozen):
            self._thaw(pid)
        if self._shifted and self._shifted.returncode is None:
            self._shifted.terminate()
            await self._shifted.wait()

    async def _do(self, mischief: "Mischief") -> None:
        at = journal.now()
        try:
            name = await mischief(self)
        except (OSError, psycopg.Error, redis.RedisError) as error:  # what it wants to harm is down already
            name = f"missed: {type(error).__name__}"
        self._world.journal.note("mischief", name=name, at=at, until=journal.now())

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # ------------------------------------------------------------ processes

    async def kill_worker(self) -> str:
        return self._signal(self._chance.choice(_WORKERS), signal.SIGKILL)

    async def kill_web(self) -> str:
        return self._signal("web", signal.SIGKILL)

    async def kill_beat(self) -> str:
        return self._signal("beat", signal.SIGKILL)

    async def stop_worker(self) -> str:
        """A rolling restart's half: SIGTERM, sometimes twice; sometimes QUIT or INT."""
        name = self._chance.choice(_WORKERS)
        number = self._chance.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
        done = self._signal(name, number)
        if self._chance.random() < 0.3:
            await asyncio.sleep(0.3)
            self._signal(name, number)
        return done

    async def stop_web(self) -> str:
        return self._signal("web", signal.SIGTERM)

    async def freeze_worker(self) -> str:
        """A zombie: it stands still for longer than its lease, and comes back."""
        return await self._freeze(self._chance.choice(_WORKERS), _LONGER_THAN_A_LEASE)

    async def freeze_valkey(self) -> str:
        return await self._freeze("valkey", 3.0)

    async def kill_valkey(self) -> str:
        return self._signal("valkey", signal.SIGKILL)

    async def restart_postgres(self) -> str:
        return self._signal("postgres", signal.SIGINT)

    async def kill_postgres(self) -> str:
        return self._signal("postgres", signal.SIGKILL)

    def _signal(self, part: str, number: signal.Signals) -> str:
        pid = self._stack.pid_of(part)
        if pid is None:
            return f"missed: {part} is down"
        os.kill(pid, number)
        return f"{number.name} {part.partition('-')[0]}"

    async def _freeze(self, part: str, seconds: float) -> str:
        pid = self._stack.pid_of(part)
        if pid is None:
            return f"missed: {part} is down"
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)
        try:
            await asyncio.wait_for(self._world.over.wait(), seconds)
        except TimeoutError:
            pass
        finally:
            self._thaw(pid)
        return f"freeze {part.partition('-')[0]}"

    def _thaw(self, pid: int) -> None:
        self._frozen.discard(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    async def trap(self) -> str:
        """Have somebody struck at a named place."""
        place = self._chance.choice(_DEADLY)
        actions = ["kill", "cut", "commit-and-cut"] if place in _STRUCK_IN_A_TRANSACTION else ["kill"]
        action = self._chance.choice(actions)
        traps.set_trap(self._stack.directory, place, action)
        for _ in range(30):
            await asyncio.sleep(0.1)
            if traps.is_sprung(self._stack.directory, place):
                return f"trap {action}"
        return "missed: nobody passed the trap"

    async def shift_clock(self) -> str:
        """Let a worker join whose clock is an hour fast or slow; the one before leaves."""
        if self._shifted and self._shifted.returncode is None:
            self._shifted.kill()
            await self._shifted.wait()
        hour = self._chance.choice(["3600", "-3600"])
        self._shifted = await self._stack.start_worker("shifted", CHAOS_CLOCK_SHIFT=hour)
        return "clock shifted"

    # ------------------------------------------------------------ servers

    async def empty_valkey(self) -> str:
        async with redis.Redis.from_url(self._stack.variables["BROKER_URL"], socket_timeout=2) as client:
            await client.flushall()
        return "FLUSHALL"

    async def pause_valkey(self) -> str:
        async with redis.Redis.from_url(self._stack.variables["BROKER_URL"], socket_timeout=2) as client:
            await client.execute_command("CLIENT", "PAUSE", "2000", "ALL")
        return "CLIENT PAUSE"

    async def terminate_connections(self) -> str:
        def terminate() -> None:
            with self._stack.connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

        await asyncio.to_thread(terminate)
        return "pg_terminate_backend"

    async def hold_transaction(self) -> str:
        """Idle in a transaction: a snapshot of everything, and one request locked."""

        async def hold(connection: psycopg.Connection[tuple[object, ...]]) -> None:
            try:
                await asyncio.sleep(6)
            finally:
                with contextlib.suppress(psycopg.Error):
                    connection.close()

        def begin() -> psycopg.Connection[tuple[object, ...]]:
            connection = self._stack.connect()
            connection.autocommit = False
            connection.execute("SELECT count(*) FROM orchestrator_lane")
            connection.execute(
                "SELECT id FROM orchestrator_request ORDER BY id DESC LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"
            )
            return connection

        self._later(hold(await asyncio.to_thread(begin)))
        return "idle transaction"

    async def change_mood(self) -> str:
        """The back end becomes slow, half-open, lying or failing for a while."""
        mood = self._chance.choice([mood for mood in backend.MOODS if mood != "well"])
        self._backend.mood = mood

        async def recover() -> None:
            await asyncio.sleep(4)
            if self._backend.mood == mood:
                self._backend.mood = "well"

        self._later(recover())
        return f"back end {mood}"


Mischief = Callable[[Monkey], Awaitable[str]]

DECK: tuple[Mischief, ...] = (
    *(Monkey.kill_worker, Monkey.kill_worker, Monkey.stop_worker, Monkey.freeze_worker, Monkey.shift_clock),
    *(Monkey.kill_web, Monkey.stop_web, Monkey.kill_beat),
    *(Monkey.trap, Monkey.trap, Monkey.trap, Monkey.trap),
    *(Monkey.kill_valkey, Monkey.freeze_valkey, Monkey.empty_valkey, Monkey.pause_valkey),
    *(Monkey.restart_postgres, Monkey.kill_postgres, Monkey.terminate_connections, Monkey.hold_transaction),
    *(Monkey.change_mood, Monkey.change_mood, Monkey.change_mood),
)
