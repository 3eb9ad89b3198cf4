"""`Idempotency-Key`: the same answer again, and nothing created twice, under any concurrency."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.acceptance.contract.api import Api, assert_refused, fresh, message, request

DOORS = pytest.mark.parametrize(("door", "status"), [("/api/v1/requests", 202), ("/api/v1/messages/Echo", 200)])
REPLAYED = "Idempotent-Replayed"


def send(api: Api, door: str, body: Any, key: str, **headers: str) -> httpx2.Response:
    return api.post(door, body, headers={"Idempotency-Key": key, **headers})


@DOORS
def test_the_same_key_and_value_get_the_first_answer_again(demo: Api, door: str, status: int) -> None:
    key, body = fresh("key"), request(message(), message())

    first, again = send(demo, door, body, key), send(demo, door, body, key)

    assert (first.status_code, again.status_code) == (status, status)
    assert REPLAYED not in first.headers
    assert again.headers[REPLAYED] == "true"
    assert again.content == first.content
    assert again.headers["Request-Id"] == first.headers["Request-Id"]
    assert again.headers.get("Location") == first.headers.get("Location")
    assert len(demo.search(("externalReference", body["batchReference"]))) == 1


def test_the_value_counts_not_its_spelling(demo: Api) -> None:
    key, body = fresh("key"), request(message(word="é", number=10, list=[1, {"a": 1, "b": 2}]))
    turned = {name: body[name] for name in reversed(body)}
    turned["payload"] = [dict(reversed(item.items())) for item in body["payload"]]
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}

    first = send(demo, "/api/v1/requests", body, key)
    spelt = json.dumps(turned, indent=4, ensure_ascii=True)
    again = demo.http.post("/api/v1/requests", content=spelt, headers=headers, auth=demo.basic)

    assert again.status_code == 202, again.text
    assert again.headers[REPLAYED] == "true"
    assert again.content == first.content


@DOORS
def test_the_same_key_with_another_body_is_422(demo: Api, door: str, status: int) -> None:
    key, body = fresh("key"), request(message(order=[1, 2]))
    assert send(demo, door, body, key).status_code == status
    others = [
        request(),
        {**body, "priority": 1},
        {**body, "payload": [*body["payload"], message()]},
        {**body, "payload": [{**body["payload"][0], "order": [2, 1]}]},
        {**body, "payload": [{**body["payload"][0], "order": ["1", 2]}]},
    ]

    for different in others:
        assert_refused(send(demo, door, different, key), 422)

    assert send(demo, door, body, key).headers[REPLAYED] == "true"
    assert len(demo.search(("externalReference", body["batchReference"]))) == 1


def test_a_key_belongs_to_one_client_and_one_path(demo: Api, other: Api) -> None:
    key, body = fresh("key"), request()

    answers = [
        send(demo, "/api/v1/requests", body, key),
        send(demo, "/api/v1/messages/Echo", body, key),
        send(other, "/api/v1/requests", body, key),
    ]

    assert [answer.status_code for answer in answers] == [202, 200, 202]
    assert all(REPLAYED not in answer.headers for answer in answers)
    assert len({answer.headers["Request-Id"] for answer in answers}) == 3


@pytest.mark.parametrize(
    ("refused", "status"),
    [
        ({"payload": []}, 400),
        ({"batchReference": "b", "payload": [{"messageType": "NoSuch", "externalReference": "r"}]}, 403),
    ],
)
def test_refused_requests_are_not_kept(demo: Api, refused: Any, status: int) -> None:
    key = fresh("key")
    assert_refused(send(demo, "/api/v1/requests", refused, key), status)
    assert_refused(send(demo, "/api/v1/requests", refused, key), status)

    answer = send(demo, "/api/v1/requests", request(), key)

    assert answer.status_code == 202, answer.text
    assert REPLAYED not in answer.headers


def at_once(calls: int, call: Any) -> list[httpx2.Response]:
    barrier = threading.Barrier(calls)

    def one(number: int) -> httpx2.Response:
        barrier.wait(timeout=10)
        return call(number)

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(one, range(calls)))


@pytest.mark.parametrize("_round", range(3))
def test_ten_connections_at_once_create_one_request(demo: Api, _round: int) -> None:
    key, body = fresh("key"), request(*[message() for _ in range(50)])

    answers = at_once(10, lambda _: send(demo, "/api/v1/requests", body, key))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["Request-Id"] for answer in answers}) == 1
    assert sum(REPLAYED not in answer.headers for answer in answers) == 1
    [only] = demo.search(("externalReference", body["batchReference"]))
    assert only["messageStatusSummary"]["total"] == 50


def test_ten_bodies_with_one_key_at_once_create_one_request(demo: Api) -> None:
    key, mark = fresh("key"), fresh("batch")

    answers = at_once(
        10, lambda number: send(demo, "/api/v1/requests", request(message(n=number), batchReference=mark), key)
    )

    words = sorted(answer.status_code for answer in answers)
    assert words.count(202) == 1 or len({a.content for a in answers if a.status_code == 202}) == 1
    assert set(words) == {202, 422}
    assert len(demo.search(("externalReference", mark))) == 1


def test_a_replay_answers_even_when_the_work_is_done(demo: Api) -> None:
    key, body = fresh("key"), request()
    first = send(demo, "/api/v1/requests", body, key)
    demo.finished(first.headers["Request-Id"])

    again = send(demo, "/api/v1/requests", body, key)

    assert again.content == first.content
    assert again.headers[REPLAYED] == "true"


def test_without_a_key_every_post_creates(demo: Api) -> None:
    body = request()

    assert len({demo.post("/api/v1/requests", body).headers["Request-Id"] for _ in range(3)}) == 3
