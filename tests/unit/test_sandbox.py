"""The sandbox back end: what a payload asks for, it does."""

import asyncio
import json
import time
import uuid
from typing import Any

import httpx2
import pytest

from config.embedded import sandbox


async def post(message_type: str, body: Any, key: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=sandbox.application)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        return await client.post(f"/{message_type}", json=body, headers={"Idempotency-Key": key} if key else {})


def call(message_type: str = "Vehicle", *, key: str = "", **wish: Any) -> httpx2.Response:
    return asyncio.run(post(message_type, {"sandbox": wish} if wish else {}, key))


@pytest.mark.parametrize(
    ("message_type", "field"),
    [
        ("deskpro-feedback", "ticket_id"),
        ("Opportunity", "opportunityId"),
        ("Estimate", "estimateId"),
        ("Vehicle", "vehicleId"),
        ("Customer", "customerId"),
        ("Order", "orderId"),
    ],
)
def test_each_type_is_answered_in_a_body_that_suits_it(message_type: str, field: str) -> None:
    answer = call(message_type, key=str(uuid.uuid4()))

    assert answer.status_code == 200
    assert list(answer.json()) == [field]


def test_the_same_key_gets_the_same_answer() -> None:
    key = str(uuid.uuid4())

    assert call("deskpro-feedback", key=key).json() == call("deskpro-feedback", key=key).json()
    assert call("deskpro-feedback", key=key).json() != call("deskpro-feedback", key=key + "x").json()


def test_the_status_asked_for_comes_with_the_detail_asked_for() -> None:
    answer = call(status=422, detail="No such car.")

    assert answer.status_code == 422
    assert answer.json() == {"detail": "No such car."}


def test_a_failure_without_a_detail_has_one_all_the_same() -> None:
    assert call(status=503).json() == {"detail": "The sandbox was asked to answer 503."}


def test_only_the_first_calls_with_a_key_fail() -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())

    statuses = [call(key=one, status=503, times=2).status_code for _ in range(4)]

    assert statuses == [503, 503, 200, 200]
    assert call(key=other, status=503, times=2).status_code == 503


def test_without_times_all_calls_fail() -> None:
    key = str(uuid.uuid4())

    assert [call(key=key, status=500).status_code for _ in range(3)] == [500] * 3


def test_two_hundred_slow_calls_are_slow_together() -> None:
    async def all_at_once() -> list[httpx2.Response]:
        calls = [post("Vehicle", {"sandbox": {"delay": 0.5}}, "") for _ in range(200)]
        return await asyncio.gather(*calls)

    began = time.monotonic()
    answers = asyncio.run(all_at_once())

    assert {answer.status_code for answer in answers} == {200}
    assert time.monotonic() - began < 50  # one after the other would take 100 s


def test_a_204_has_no_body() -> None:
    answer = call(status=204)

    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "wish",
    [
        {"status": "503"},
        {"status": 99},
        {"status": 600},
        {"status": True},
        {"delay": -1},
        {"delay": None},
        {"times": "2"},
        {"times": -1},
    ],
)
def test_a_wish_that_can_not_be_obeyed_is_named(wish: dict[str, Any]) -> None:
    answer = asyncio.run(post("Vehicle", {"sandbox": wish}, ""))

    assert answer.status_code == 400
    assert f"sandbox.{next(iter(wish))} must be a number" in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"1", json.dumps({"sandbox": {}}).encode()])
def test_a_payload_that_asks_for_nothing_succeeds(body: bytes) -> None:
    assert sandbox.read_wish(body) == sandbox.Wish()


def test_only_post_is_taken() -> None:
    async def get() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=sandbox.application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox") as client:
            return await client.get("/Vehicle")

    assert asyncio.run(get()).status_code == 405
