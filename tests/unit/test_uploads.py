"""Bodies on their way in: what is bounded, and what a client that stalls or goes away gets."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from config.uploads import Receive, Uploads
from orchestrator.api.problems import Problem

Message = Mapping[str, Any]


def chunk(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


def sending(messages: Iterable[Message]) -> Receive:
    """A client that sends this and then nothing more."""
    waiting = iter(messages)

    async def receive() -> Message:
        for message in waiting:
            return message
        return await asyncio.Future()

    return receive


def uploads(*, each: int = 100_000, together: int = 150_000, idle: float = 5.0) -> Uploads:
    return Uploads(most_each=each, most_together=together, idle_seconds=idle)


def read(within: Uploads, *messages: Message, **headers: str) -> bytes:
    return read_from(within, sending(messages), **headers)


def read_from(within: Uploads, receive: Receive, **headers: str) -> bytes:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}

    async def reading() -> bytes:
        async with within.body(receive, headers=named or {b"transfer-encoding": b"chunked"}) as upload:
            return await upload.read()

    return asyncio.run(reading())


def refusal(reading: Callable[[], object]) -> int:
    with pytest.raises(Problem) as caught:
        reading()
    return caught.value.status


def test_chunks_become_one_body_and_the_room_is_given_back() -> None:
    bounds = uploads()

    assert read(bounds, chunk(b"a"), chunk(b""), chunk(b"bc", more=False)) == b"abc"
    assert bounds.held == 0


def test_a_call_without_a_body_is_not_waited_for() -> None:
    assert read(uploads(), content_type="application/json") == b""


def test_a_body_over_the_limit_is_refused_whatever_it_declares() -> None:
    bounds, long = uploads(each=10), b"x" * 11

    assert refusal(lambda: read(bounds, chunk(long, more=False), content_length="11")) == 413
    assert refusal(lambda: read(bounds, chunk(b"x" * 6), chunk(b"x" * 5, more=False))) == 413
    assert refusal(lambda: read(bounds, chunk(long, more=False), content_length="1")) == 413
    assert read(bounds, chunk(b"x" * 10, more=False), content_length="nonsense") == b"x" * 10
    assert bounds.held == 0


def test_what_is_too_long_is_read_to_its_end_so_that_the_answer_is_seen() -> None:
    seen: list[Message] = []

    def watched() -> Iterable[Message]:
        for message in (chunk(b"x" * 11), chunk(b"x"), chunk(b"x", more=False)):
            seen.append(message)
            yield message

    assert refusal(lambda: read_from(uploads(each=10), sending(watched()))) == 413
    assert len(seen) == 3


def test_all_bodies_together_are_bounded_but_small_ones_always_pass() -> None:
    bounds = uploads()

    async def two_at_once() -> tuple[int, bytes]:
        headers = {b"transfer-encoding": b"chunked"}
        first = bounds.body(sending([chunk(b"x" * 90_000, more=False)]), headers=headers)
        async with first as held:
            await held.read()
            with pytest.raises(Problem) as caught:
                async with bounds.body(sending([chunk(b"x" * 90_000, more=False)]), headers=headers) as second:
                    await second.read()
            async with bounds.body(sending([chunk(b"x" * 60_001, more=False)]), headers=headers) as small:
                return caught.value.status, await small.read()

    status, body = asyncio.run(two_at_once())

    assert (status, len(body), bounds.held) == (503, 60_001, 0)


def test_a_client_that_stalls_is_told_and_one_that_goes_on_slowly_is_not() -> None:
    assert refusal(lambda: read(uploads(idle=0.05), chunk(b"x"))) == 408

    async def slowly() -> bytes:
        messages = iter([*[chunk(b"x")] * 5, chunk(b"x", more=False)])

        async def receive() -> Message:
            await asyncio.sleep(0.05)
            return next(messages)

        upload = uploads(idle=0.2).body(receive, headers={b"transfer-encoding": b"chunked"})
        async with upload:
            return await upload.read()

    assert asyncio.run(slowly()) == b"x" * 6


def test_a_client_that_goes_away_leaves_nothing_behind() -> None:
    bounds = uploads(each=10)

    assert refusal(lambda: read(bounds, chunk(b"x"), GONE)) == 400
    assert refusal(lambda: read(bounds, chunk(b"x" * 11), GONE)) == 413
    assert bounds.held == 0


def test_who_waits_for_leave_to_send_is_refused_without_waiting() -> None:
    bounds = uploads(each=10)

    assert refusal(lambda: read(bounds, content_length="11", expect="100-continue")) == 413
