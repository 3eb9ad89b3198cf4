"""The tracking search: what an answer holds, its order, its pages, and all rows when no page is asked for."""

import json
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.contract.api import WAITS, Api, fresh, ids, message, request
from tests.waiting import eventually

WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
REQUEST_KEYS = {
    "feedId",
    "clientName",
    "id",
    "batchReference",
    "receivedDate",
    "requestStatus",
    "messageStatusSummary",
    "payload",
}
SUMMARY = ["total", "queued", "processing", "cancelled", "failed", "invalid", "complete"]


@pytest.fixture(scope="module")
def client(make_client: Callable[..., Api]) -> Api:
    return make_client("--name", "A friendly name")


@pytest.fixture(scope="module")
def three(client: Api) -> list[str]:
    """Three finished requests, oldest first, whose batch references run the other way."""
    mark = fresh()
    return [str(client.done(message("Echo", mark), batchReference=f"{letter}{mark}")["id"]) for letter in "cba"]


def of_three(three: list[str]) -> tuple[str, list[str]]:
    return ("id", three)


def test_a_request_and_its_messages_are_shown_with_these_fields(client: Api) -> None:
    reference, unable = fresh(), {"sandbox": {"status": 400, "detail": "Unable to process"}}
    items = [message("deskpro-feedback", reference), message("Opportunity", **unable)]
    done = client.done(*items, batchReference=f"batch {reference}", errorPolicy="proceedOnError")

    [found] = client.search(("id", done["id"]))

    assert set(found) == REQUEST_KEYS
    assert str(uuid.UUID(found["feedId"])) == found["feedId"]
    assert found["clientName"] == "A friendly name"
    assert found["batchReference"] == f"batch {reference}"
    assert WHEN.fullmatch(found["receivedDate"])
    assert found["requestStatus"] == "Complete"
    assert list(found["messageStatusSummary"]) == SUMMARY
    assert list(found["messageStatusSummary"].values()) == [2, 0, 0, 0, 1, 0, 1]
    feedback, opportunity = found["payload"]
    fields = {"externalReference", "messageStatus", "messageType", "processedTime"}
    assert set(feedback) == {"deskproFeedbackId", *fields}
    assert set(opportunity) == {"opportunityId", *fields, "errors"}
    assert opportunity["errors"] == [{"errorMessage": "Unable to process"}]
    assert (feedback["messageType"], feedback["externalReference"]) == ("deskpro-feedback", reference)
    assert (feedback["messageStatus"], opportunity["messageStatus"]) == ("Complete", "Failed")
    assert WHEN.fullmatch(feedback["processedTime"])
    assert str(uuid.UUID(feedback["deskproFeedbackId"])) == feedback["deskproFeedbackId"]


def test_a_clients_feed_id_and_name_are_the_same_on_all_its_requests(client: Api, demo: Api, three: list[str]) -> None:
    assert len({(found["feedId"], found["clientName"]) for found in client.search()}) == 1
    assert demo.done()["feedId"] != client.search()[0]["feedId"]


def test_the_search_is_echoed_as_sent(client: Api) -> None:
    search = [
        {"by": "messageType", "value": "Echo"},
        {"value": ["Complete", "Processed"], "by": "messageStatus"},
        {"by": "recievedDate", "value": ["2018-10-01T00:00:00+00:00", "2018-10-02T00:00:00Z"]},
    ]

    answer = client.post("/api/v1/tracking", {"search": search})

    assert json.dumps(answer.json()["data"]["search"]) == json.dumps(search)
    assert answer.json()["data"]["requests"] == []
    assert client.post("/api/v1/tracking", {"search": []}).json()["data"]["search"] == []
    paged = client.post("/api/v1/tracking", {"search": search, "paging": {"number": "1", "size": "10"}})
    assert paged.json()["data"] == answer.json()["data"]


@pytest.mark.parametrize("path", ["/api/v1/tracking", "/api/v1/tracking/"])
def test_an_answer_in_one_page_and_one_streamed_are_the_same(client: Api, three: list[str], path: str) -> None:
    search = [{"by": "id", "value": three}]

    streamed = client.post(path, {"search": search})
    paged = client.post(path, {"search": search, "paging": {"number": 1, "size": 1000}})

    assert streamed.json() == paged.json()
    assert streamed.headers["Content-Type"] == paged.headers["Content-Type"]


ORDERS: list[tuple[list[dict[str, str]] | None, list[int]]] = [
    (None, [2, 1, 0]),
    ([], [2, 1, 0]),
    ([{"by": "receivedDate"}], [0, 1, 2]),
    ([{"by": "receivedDate", "order": "asc"}], [0, 1, 2]),
    ([{"by": "receivedDate", "order": "ascending"}], [0, 1, 2]),
    ([{"by": "receivedDate", "order": "desc"}], [2, 1, 0]),
    ([{"by": "receivedDate", "order": "descending"}], [2, 1, 0]),
    ([{"by": "processedDate"}], [0, 1, 2]),
    ([{"by": "processedDate", "order": "desc"}], [2, 1, 0]),
    ([{"by": "batchReference"}], [2, 1, 0]),
    ([{"by": "batchReference", "order": "asc"}], [2, 1, 0]),
    ([{"by": "batchReference", "order": "desc"}], [0, 1, 2]),
    ([{"by": "batchReference", "order": "desc"}, {"by": "receivedDate", "order": "desc"}], [0, 1, 2]),
]


@pytest.mark.parametrize(("sorts", "order"), ORDERS)
@pytest.mark.parametrize("paging", [None, {"number": 1, "size": 10}])
def test_sorting(client: Api, three: list[str], sorts: Any, order: list[int], paging: Any) -> None:
    fields = {name: value for name, value in (("sorts", sorts), ("paging", paging)) if value is not None}

    assert ids(client.search(of_three(three), **fields)) == [three[place] for place in order]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_unfinished_requests_are_last_by_processed_date(
    client: Api, scripted: str, three: list[str], order: str
) -> None:
    waiting = client.submit(message("Echo"), message(scripted, **WAITS))
    eventually(lambda: client.seen(waiting)["messageStatusSummary"]["complete"], within=8)

    found = client.search(of_three([*three, waiting]), sorts=[{"by": "processedDate", "order": order}])

    assert ids(found) == [*(three if order == "asc" else three[::-1]), waiting]
    client.post(f"/api/v1/requests/{waiting}/cancel")


@pytest.mark.parametrize("as_written", [int, str])
def test_pages(client: Api, three: list[str], as_written: Callable[[int], Any]) -> None:
    def page(number: int, size: int) -> list[str]:
        return ids(client.search(of_three(three), paging={"number": as_written(number), "size": as_written(size)}))

    newest_first = three[::-1]
    assert page(1, 2) == newest_first[:2]
    assert page(2, 2) == newest_first[2:]
    assert page(3, 2) == []
    assert page(1, 1000) == newest_first
    assert page(1_000_000, 1000) == []
    assert [page(number, 1) for number in (1, 2, 3)] == [[one] for one in newest_first]


@pytest.fixture(scope="module")
def many(make_client: Callable[..., Api]) -> tuple[Api, list[str]]:
    """A client with 1,010 requests."""
    client = make_client("--max-in-flight", "2000")

    def submit(number: int) -> str:
        return client.submit(message("Echo", f"n{number}"), batchReference=f"{number:04}")

    with ThreadPoolExecutor(8) as pool:
        return client, list(pool.map(submit, range(1010)))


def test_without_a_page_all_rows_are_found_in_order(many: tuple[Api, list[str]]) -> None:
    client, made = many

    everything = client.search()
    by_batch = client.search(sorts=[{"by": "batchReference"}])

    assert len(everything) == 1010
    assert set(ids(everything)) == set(made)
    received = [found["receivedDate"] for found in everything]
    assert received == sorted(received, reverse=True)
    assert [found["batchReference"] for found in by_batch] == [f"{number:04}" for number in range(1010)]
    assert ids(by_batch) == made


@pytest.mark.parametrize("by", ["receivedDate", "processedDate", "batchReference"])
def test_pages_put_together_are_all_rows(many: tuple[Api, list[str]], by: str) -> None:
    client, made = many
    eventually(lambda: client.search(("messageStatus", ["Queued", "Processing"])) == [], within=30, what="1,010 Echo")
    sorts = [{"by": by, "order": "desc"}]

    pages = [client.search(sorts=sorts, paging={"number": number, "size": 500}) for number in (1, 2, 3, 4)]

    assert [len(page) for page in pages] == [500, 500, 10, 0]
    together = [key for page in pages for key in ids(page)]
    assert together == ids(client.search(sorts=sorts))
    assert set(together) == set(made)


def test_the_reader_of_a_stream_may_go_away(many: tuple[Api, list[str]], demo: Api) -> None:
    client, _ = many
    for _round in range(3):
        with client.http.stream("POST", "/api/v1/tracking", json={}, auth=client.basic) as answer:
            assert answer.status_code == 200
            next(answer.iter_raw(100))

    assert demo.post("/api/v1/requests", request()).status_code == 202
