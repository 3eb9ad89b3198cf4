"""A run: start a stack, let clients, readers and the monkey loose, calm down, drain, and write down the ledger.

In: how long, and the seed of chance. Out: a directory with all the evidence. Called by `make chaos`.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from chaos import furnish, journal, ledger, readers, stack
from chaos.backend import Unreliable
from chaos.clients import Client, World
from chaos.journal import Journal
from chaos.monkey import Monkey
from chaos.stack import Stack

_SUBMITTERS = 4  # of each client
_READERS = 2
_TICK = 0.1
_QUIET_WITHIN = 120.0


@dataclass(frozen=True, slots=True)
class Wish:
    """`seconds` of chaos; up to `drain` seconds for what is left; a mischief every `rest` seconds or so."""

    directory: Path
    seconds: float
    seed: int
    drain: float
    rest: float
    pace: float


async def run(wish: Wish, *, say: Callable[[str], None]) -> None:
    """Do it all; raise SystemExit when the stack can't be started or does not come back."""
    chance = random.Random(wish.seed)
    world = World(Journal(wish.directory / "journal.jsonl"), chance, pace=wish.pace)
    unreliable = Unreliable(wish.directory, chance=chance)
    await unreliable.start()
    async with stack.running(wish.directory) as running:
        await running.carry_out("chaos.furnish", unreliable.url)
        say(f"the stack is up; chaos for {wish.seconds:g} s, seed {wish.seed}")
        async with _all_clients(running, world) as known:
            await _rage(wish, running, unreliable, world, known)
            say("calm again; draining")
            await running.wait_until_ready(within=_QUIET_WITHIN)
            took = await _drain(running, known, world, within=wish.drain)
            say(f"drained in {took:.0f} s")
            for client in known:
                await readers.read_feed(client)
        await asyncio.to_thread(_dump, running, wish.directory / "ledger.json")
    await unreliable.stop()
    world.journal.close()


@asynccontextmanager
async def _all_clients(running: Stack, world: World) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as exits:
        known = [Client(name, url=running.url, world=world) for name in (*furnish.CLIENTS, furnish.STRANGER)]
        for client in known:
            exits.push_async_callback(client.close)
        yield known


async def _rage(wish: Wish, running: Stack, unreliable: Unreliable, world: World, known: list[Client]) -> None:
    monkey = Monkey(running, unreliable, world)
    *owners, stranger = known
    loops = [client.keep_submitting() for client in owners for _ in range(_SUBMITTERS)]
    loops += [readers.keep_reading(client) for client in owners for _ in range(_READERS)]
    loops += [readers.keep_reading_feed(client) for client in owners]
    loops += [readers.keep_probing(stranger), stranger.keep_submitting(), _watch_the_machine(world)]
    tasks = [asyncio.ensure_future(loop) for loop in [*loops, monkey.rage(rest=wish.rest)]]
    try:
        await asyncio.wait(tasks, timeout=wish.seconds, return_when=asyncio.FIRST_EXCEPTION)
        world.over.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await monkey.calm()


async def _watch_the_machine(world: World) -> None:
    """Note when this machine stood still: promises about time can't be held against it then."""
    while not world.over.is_set():
        began = time.monotonic()
        await asyncio.sleep(_TICK)
        late = time.monotonic() - began - _TICK
        if late > 0.05:
            world.journal.note("stall", at=journal.now(), seconds=late)


async def _drain(running: Stack, known: list[Client], world: World, *, within: float) -> float:
    """End the services, and wait until nothing is open; what then still is open is a violation, and is found as one."""
    began = time.monotonic()
    by_name = {client.name: client for client in known}
    while time.monotonic() - began < within:
        for name, service in list(world.services):
            await by_name[name].end_service(service)
        if not world.services and not await asyncio.to_thread(_count_open, running):
            break
        await asyncio.sleep(0.5)
    return time.monotonic() - began


def _count_open(running: Stack) -> int:
    try:
        with running.connect() as connection:
            return ledger.count_open(connection)
    except psycopg.OperationalError:
        return -1


def _dump(running: Stack, path: Path) -> None:
    with running.connect() as connection:
        ledger.dump(connection, path)
