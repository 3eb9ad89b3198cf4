"""The feed of order events: every end once, oldest first, a list that only grows."""

import itertools
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.contract.api import Api
from tests.acceptance.contract.provider import ROOT, SLOW, Provider, activate, assert_cause, deactivate

REFUSED: dict[str, Any] = {"sandbox": {"status": 400, "detail": "Port is too busy for you"}}


@pytest.fixture(scope="module")
def new(make_client: Callable[..., Api]) -> Provider:
    """A provider whose feed is this file's alone."""
    return Provider(make_client())


def test_each_end_is_an_event(make_client: Callable[..., Api], access: str) -> None:
    mine = Provider(make_client())
    assert mine.api.get(f"{ROOT}/orderevents/").text == "[]"

    orders = [
        mine.done(activate(access)),
        mine.done(deactivate(access, **REFUSED), "DONE_FAILED"),
        mine.done(deactivate(access)),
    ]
    mine.order(deactivate(access))  # as wished already
    mine.placed(activate(access, "TV-1", **SLOW))  # not over

    answer = mine.api.get(f"{ROOT}/orderevents/")
    events = answer.json()
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    assert all(list(event) == ["event", "order"] for event in events)
    assert [event["order"] for event in events] == orders
    assert [list(event["order"]) for event in events] == [list(order) for order in orders]
    assert events[1]["order"]["message"] == "Port is too busy for you"
    keys = [event["event"] for event in events]
    assert len({uuid.UUID(key) for key in keys}) == 3
    for number, key in enumerate(keys):
        assert mine.feed(key) == events[number + 1 :]


def test_a_since_that_is_not_ones_own_event_is_400(ours: Provider, new: Provider, access: str) -> None:
    ours.done(activate(access))
    foreign = ours.feed()[-1]["event"]

    for since in ("", foreign, str(uuid.uuid4()), "0", "1", "nonsense", "\x00", "é", "a" * 2000):
        assert_cause(new.api.get(f"{ROOT}/orderevents/", params={"since": since}), 400)
    assert ours.feed(foreign) == [] or foreign not in [event["event"] for event in ours.feed(foreign)]


def test_an_order_is_no_event(ours: Provider, access: str) -> None:
    key = ours.done(activate(access))["path"].rsplit("/", 1)[1]

    assert_cause(ours.api.get(f"{ROOT}/orderevents/", params={"since": key}), 400)


def test_who_lost_a_service_has_no_event_of_it(new: Provider, ours: Provider, access: str) -> None:
    new.done(activate(access))
    before = new.feed()

    ours.done(activate(access, forcedTakeover=True))

    assert new.feed() == before
    assert ours.feed()[-1]["event"] not in [event["event"] for event in before]


def test_an_order_that_is_over_has_its_event_at_once(new: Provider, access: str) -> None:
    order = new.done(activate(access))

    assert new.feed()[-1]["order"] == order
    new.api.post(f"/api/v1/requests/{order['path'].rsplit('/', 1)[1]}/cancel")
    assert new.feed()[-1]["order"] == order == new.seen(order["path"])


def test_later_answers_begin_with_the_whole_of_earlier_ones(
    new: Provider, make_accesses: Callable[[int], list[str]]
) -> None:
    before = new.feed()
    bodies = [activate(name, service) for name in make_accesses(40) for service in ("BB-100-10", "TV-1")]
    dice = random.Random(7)
    for body in bodies:
        refused = REFUSED["sandbox"] if dice.random() < 0.3 else {}
        body["sandbox"] = {"delay": dice.random() * 0.5, **refused}
    answers: list[list[list[dict[str, Any]]]] = [[], [], []]
    over = threading.Event()

    def read(heard: list[list[dict[str, Any]]]) -> None:
        while not over.is_set():
            heard.append(new.feed())

    def follow() -> list[dict[str, Any]]:
        seen = list(before)
        while len(seen) < len(before) + len(bodies):
            seen += new.feed(seen[-1]["event"] if seen else None)
        return seen

    with ThreadPoolExecutor(12) as pool:
        readers = [pool.submit(read, answer) for answer in answers]
        follower = pool.submit(follow)
        paths = list(pool.map(new.placed, bodies))
        ends = {path: new.ended(path) for path in paths}
        over.set()
        for reader in readers:
            reader.result(30)
        whole = new.feed()
        followed = follower.result(30)

    for reader_answers in answers:
        for earlier, later in itertools.pairwise(reader_answers):
            assert later[: len(earlier)] == earlier
        assert whole[: len(reader_answers[-1])] == reader_answers[-1]
    assert followed == whole
    assert {event["order"]["path"]: event["order"] for event in whole[len(before) :]} == ends
    assert len(whole) == len(before) + len(bodies) == len({event["event"] for event in whole})
