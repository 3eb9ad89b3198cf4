"""Following requests: nothing missed, nothing doubled, and one statement however many wait."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction

from orchestrator import accounts, outcomes
from orchestrator.following import Change, Followed, Watcher
from orchestrator.lifecycle import ErrorPolicy, Status
from orchestrator.models import Client, Message, Request
from orchestrator.outcomes import Ending
from orchestrator.stages import Kind, Stage
from tests import engine, factories, flowing
from tracking.gateway import news, queries, stream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(settings: LazySettings) -> None:
    settings.WAYBILL_FOLLOW_SECONDS = 0.02


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a client takes it up."""

    id: str
    name: str
    data: Any


def parse(chunk: bytes) -> Iterator[Event]:
    for block in chunk.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if "event" in fields:
            yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))


def course(account: accounts.Account, request: Request, *, after: news.Place = news.START) -> stream.Course:
    return stream.Course(request.pk, account, after)


async def take(events: AsyncIterator[bytes]) -> list[Event]:
    return [event async for chunk in events for event in parse(chunk)]


def finish(*messages: Any, ending: Ending = Ending.COMPLETE, **fields: Any) -> None:
    outcomes.flush([engine.ended(message, ending, **fields) for message in messages])


async def in_thread(job: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Do something else with the ledger, on a connection of its own."""

    def do_it() -> None:
        try:
            job(*arguments, **named)
        finally:
            connection.close()

    await asyncio.to_thread(do_it)


def outcome_numbers(request: Request, events: list[Event]) -> list[int]:
    numbers = {str(message.id): message.number for message in engine.messages_of(request)}
    return [numbers[event.data["id"]] for event in events if event.name == "outcome"]


# ---------------------------------------------------------------- a stream


def test_a_finished_request_is_told_from_its_start_to_its_end(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 3)
    first, second, third = engine.claim("Echo").messages
    finish(second, result='{"weight":\r\n 12.50}')
    finish(first, ending=Ending.REJECTED, error="No such customer")
    finish(third, ending=Ending.TIMED_OUT)

    events = asyncio.run(take(stream.events(course(account, request))))

    assert [(event.name, event.id) for event in events] == [
        ("progress", ""),
        ("outcome", "0.1"),
        ("outcome", "1.0"),
        ("outcome", "2.2"),
        ("progress", "end"),
    ]
    summary = {"total": 3, "queued": 0, "processing": 0, "cancelled": 0, "failed": 2, "invalid": 0, "complete": 1}
    assert events[-1].data["messageStatusSummary"] == summary
    assert events[-1].data["requestStatus"] == "Complete"
    assert events[1].data["result"] == {"weight": 12.5}
    assert {"id", "echoId", "externalReference", "messageStatus", "messageType", "processedTime"} < set(events[1].data)
    assert events[2].data["errors"] == [{"errorMessage": "No such customer"}]
    assert "result" not in events[2].data


def test_a_stream_tells_what_happens_while_it_is_open(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 2)

    async def follow() -> list[Event]:
        events = stream.events(course(account, request))
        told: list[Event] = []
        steps = iter([lambda: claimed.extend(engine.claim("Echo").messages), lambda: finish(claimed[1])])
        async for chunk in events:
            told += parse(chunk)
            if told and told[-1].name == "progress" and not told[-1].id:
                await in_thread(next(steps, lambda: finish(claimed[0])))
        return told

    claimed: list[Any] = []
    told = asyncio.run(follow())

    counts = [event.data["messageStatusSummary"] for event in told if event.name == "progress"]
    assert [(count["queued"], count["processing"], count["complete"]) for count in counts] == [
        (2, 0, 0),
        (0, 2, 0),
        (0, 1, 1),
        (0, 0, 2),
    ]
    assert outcome_numbers(request, told) == [1, 0]
    assert told[-1].id == stream.END


def test_what_was_cancelled_or_invalid_is_told_too(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 4, error_policy=ErrorPolicy.HALT)
    finish(engine.claim("Echo", limit=1).messages[0], ending=Ending.FAILED)

    events = asyncio.run(take(stream.events(course(account, request))))

    statuses = [event.data["messageStatus"] for event in events if event.name == "outcome"]
    assert statuses == [Status.FAILED, Status.CANCELLED, Status.CANCELLED, Status.CANCELLED]


def test_a_long_request_is_told_a_page_at_a_time(account: accounts.Account, settings: LazySettings) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 450)
    finish(*engine.claim("Echo", limit=500).messages)

    async def chunks() -> list[bytes]:
        return [chunk async for chunk in stream.events(course(account, request))]

    told = asyncio.run(chunks())

    assert [sum(event.name == "outcome" for event in parse(chunk)) for chunk in told] == [0, 200, 200, 50]


def test_long_results_make_short_pages(account: accounts.Account) -> None:
    """Three results of 100 KiB don't fit together on a page; one that is longer than a page stands alone."""
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 5)
    long, longest = json.dumps("x" * 100_000), json.dumps("x" * 900_000)
    results = [long, long, long, longest, "1"]
    messages = engine.claim("Echo").messages
    outcomes.flush([engine.ended(message, result=result) for message, result in zip(messages, results, strict=True)])

    pages, place = [], news.START
    while (found := news.read([news.Reading(request.pk, place)])[0]) and found.outcomes:
        pages.append(len(found.outcomes))
        place = found.outcomes[-1].place

    assert pages == [2, 1, 1, 1]


def test_a_service_is_followed_until_its_owner_ends_it(account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id, door="services", messages=[], ended=False)

    async def follow() -> list[Event]:
        told: list[Event] = []
        async for chunk in stream.events(course(account, request)):
            told += parse(chunk)
            if told:
                await in_thread(end)
        return told

    def end() -> None:
        Request.objects.filter(pk=request.pk).update(completed_at=request.received_at)

    told = asyncio.run(follow())

    assert [event.data["requestStatus"] for event in told] == ["Processing", "Complete"]


def test_a_stream_ends_when_its_request_is_there_no_more(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)

    async def follow() -> list[Event]:
        told: list[Event] = []
        async for chunk in stream.events(course(account, request)):
            told += parse(chunk)
            if told:
                await in_thread(Message.objects.all().delete)
                await in_thread(Request.objects.all().delete)
        return told

    assert [event.name for event in asyncio.run(follow())] == ["progress"]


def test_a_stream_ends_when_its_client_is_disabled(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)

    async def follow() -> list[Event]:
        told: list[Event] = []
        async for chunk in stream.events(course(account, request)):
            told += parse(chunk)
            await in_thread(Client.objects.update, enabled=False)
        return told

    assert [event.name for event in asyncio.run(follow())] == ["progress"]


def test_a_silent_stream_has_heartbeats_and_ends_after_its_time(
    account: accounts.Account, settings: LazySettings
) -> None:
    settings.WAYBILL_STREAM_HEARTBEAT, settings.WAYBILL_STREAM_SECONDS = 0.05, 0.5
    request = engine.hand_in(client_id=account.id)

    async def chunks() -> list[bytes]:
        return [chunk async for chunk in stream.events(course(account, request))]

    retry, progress, *silence = asyncio.run(chunks())

    assert retry == b"retry: 2000\n\n"
    assert progress.startswith(b"event: progress\n")
    assert set(silence) == {b":\n\n"}
    assert len(silence) > 1


# ---------------------------------------------------------------- nothing missed, nothing doubled

_WRITERS = 4
_MESSAGES = 160


def test_a_stream_that_is_taken_up_again_and_again_misses_and_doubles_nothing(account: accounts.Account) -> None:
    """The race: outcomes are committed in another order than they were begun, and in another than `processed_at`.

    Writers flush a few messages each, hold their transaction open for a while, and commit; a client reads, leaves at
    any moment, and comes again with the last id it has. A place taken from the messages' numbers or ids, or from a
    number drawn before the request's lock, loses here.
    """
    request = engine.hand_in(client_id=account.id, payloads=[{}] * _MESSAGES)
    seed = random.randrange(10**6)
    told: list[Event] = []

    with engine.at_once(*(lambda number=number: _write(random.Random(seed + number)) for number in range(_WRITERS))):
        asyncio.run(_read_with_interruptions(course(account, request), told, random.Random(seed)))

    numbers = outcome_numbers(request, told)
    assert sorted(numbers) == list(range(_MESSAGES)), f"seed {seed}"
    assert numbers != list(range(_MESSAGES)), "there was nothing to be put in order"


def _write(chance: random.Random) -> None:
    while batch := engine.claim("Echo", limit=chance.randint(1, 6)).messages:
        chance.shuffle(batch)
        for message in batch:
            with transaction.atomic():
                finish(message, ending=chance.choice([Ending.COMPLETE, Ending.REJECTED]))
                time.sleep(chance.random() * 0.01)
    connection.close()


async def _read_with_interruptions(whole: stream.Course, told: list[Event], chance: random.Random) -> None:
    deadline = time.monotonic() + 60
    place = whole.after
    while not (told and told[-1].id == stream.END):
        assert time.monotonic() < deadline
        events = stream.events(stream.Course(whole.request_id, whole.account, place))
        patience = chance.randint(1, 12)
        async for chunk in events:
            told += parse(chunk)
            place = next((_place(event) for event in reversed(told) if event.name == "outcome"), place)
            patience -= 1
            if not patience:
                break
        await events.aclose()  # type: ignore[attr-defined]


def _place(event: Event) -> news.Place:
    place = stream.read_place(event.id)
    assert place is not None
    return place


def test_streams_that_are_read_together_raise_exceptions_of_their_own(
    account: accounts.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    cause = ValueError("no news")

    def broken(readings: list[news.Reading]) -> None:
        raise cause

    async def follow_all(requests: list[Request]) -> list[Any]:
        return await asyncio.gather(
            *(take(stream.events(course(account, request))) for request in requests), return_exceptions=True
        )

    monkeypatch.setattr(news, "read", broken)
    failures = asyncio.run(follow_all([engine.hand_in(client_id=account.id) for _ in range(3)]))

    assert len({id(failure) for failure in failures}) == 3
    assert {failure.__cause__ for failure in failures} == {cause}


def test_the_order_of_outcomes_does_not_lean_on_clocks(account: accounts.Account) -> None:
    """A database whose clock is set back writes an earlier time behind a later one."""
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 2)
    late, early = engine.claim("Echo").messages
    finish(late)
    Message.objects.filter(pk=late.id).update(processed_at=request.received_at + timedelta(hours=1))
    (found,) = news.read([news.Reading(request.pk, news.START)])
    assert found is not None

    finish(early)

    (rest,) = news.read([news.Reading(request.pk, found.outcomes[-1].place)])
    assert rest is not None
    assert [outcome.message.id for outcome in rest.outcomes] == [early.id]


def test_the_tasks_of_a_service_become_final_in_order(account: accounts.Account) -> None:
    """All other ways to become final are walked by the state machine, with the same invariant."""
    call = flowing.begin(account, states=1)
    tasks = [flowing.start_task(call, state) for state in (0, 0, None)]
    flowing.end(call, Stage(Kind.TASK, tasks[1]))
    flowing.end(call)

    (found,) = news.read([news.Reading(call.service_id, news.START)])

    assert found is not None
    assert [outcome.message.number for outcome in found.outcomes] == [1, 0, 2]
    assert engine.misplaced() == 0


# ---------------------------------------------------------------- one look for all


def test_however_many_wait_one_look_is_two_statements(account: accounts.Account) -> None:
    """One asks for the clients, one for the requests."""
    requests = [engine.hand_in(client_id=account.id) for _ in range(30)]
    watcher = Watcher()
    followed = [_followed(account, request) for request in requests]

    with engine.statements() as statements:
        look = watcher._look([*followed, *followed])

    assert (len(statements), look.changed, look.gone) == (2, [], [])


def test_only_those_who_have_something_to_see_are_told(account: accounts.Account) -> None:
    changed, still, over, gone = (engine.hand_in(client_id=account.id) for _ in range(4))
    for_change = [_followed(account, request) for request in (changed, still, gone)]
    for_end = [Followed(request.pk, account.id, None) for request in (changed, over, gone)]
    engine.run("UPDATE orchestrator_message SET status = 'Processing' WHERE request_id = %s", changed.pk)
    engine.run("UPDATE orchestrator_request SET open = 0, complete = 1, completed_at = now() WHERE id = %s", over.pk)
    Message.objects.filter(request=gone).delete()
    gone.delete()

    look = Watcher()._look([*for_change, *for_end])

    assert list(look.changed) == [for_change[0], for_end[1]]
    assert set(look.gone) == {for_change[2], for_end[2]}


def test_what_happens_between_reading_and_waiting_is_told(account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id)
    followed = _followed(account, request)
    engine.claim("Echo")

    change = asyncio.run(Watcher().wait(followed, seconds=20))

    assert change is Change.NEWS


def test_a_wait_ends_when_its_time_is_over_and_leaves_nothing_behind(account: accounts.Account) -> None:
    watcher = Watcher()
    followed = _followed(account, engine.hand_in(client_id=account.id))

    assert asyncio.run(watcher.wait(followed, seconds=0.1)) is Change.NONE
    assert watcher.followers == 0


def test_closing_ends_every_wait_and_all_to_come(account: accounts.Account) -> None:
    watcher = Watcher()
    followed = _followed(account, engine.hand_in(client_id=account.id))

    async def wait_and_close() -> list[Change]:
        waits = [asyncio.create_task(watcher.wait(followed, seconds=20)) for _ in range(3)]
        await asyncio.sleep(0.1)
        watcher.close()
        return [*await asyncio.gather(*waits), await watcher.wait(followed, seconds=20)]

    assert asyncio.run(wait_and_close()) == [Change.CLOSING] * 4


def _followed(account: accounts.Account, request: Request) -> Followed:
    head = queries.find_head(client_id=account.id, request_id=request.pk)
    assert head is not None
    return Followed(request.pk, account.id, head.mark)
