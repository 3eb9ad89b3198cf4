"""Request status v3 and v2: words, pages, ids, errors."""

from typing import Any

import pytest

from tests.acceptance.contract.api import WAITS, Api, assert_nak, message
from tests.waiting import eventually

UNKNOWN = "Provided request ID does not exist for your account"
FAILS = {"sandbox": {"status": 404, "detail": "no"}}
CALL = "/api/v3/global/call/{id}"


@pytest.fixture(scope="module")
def three(demo: Api) -> dict[str, Any]:
    """A finished request of three messages, the second failed."""
    items = [message("Echo"), message("Vehicle", **FAILS), message("Customer")]
    return demo.done(*items, errorPolicy="proceedOnError")


def message_ids(data: dict[str, Any]) -> list[str]:
    return [item[f"{item['messageType'].lower()}Id"] for item in data["payload"]]


def test_a_requests_messages_are_listed_in_order(demo: Api, three: dict[str, Any]) -> None:
    answer = demo.get(CALL.format(id=three["id"]))

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"
    body = answer.json()
    assert list(body) == ["errorCode", "errorMessage", "content", "pageable"]
    assert (body["errorCode"], body["errorMessage"]) == ("", "")
    words = ["SUCCESS", "FAILURE", "SUCCESS"]
    pairs = zip(message_ids(three), words, strict=True)
    assert body["content"] == [{"requestId": key, "status": word} for key, word in pairs]
    assert body["pageable"] == {"page": 0, "size": 10, "totalPages": 1, "totalElements": 3}


def test_a_messages_own_id_lists_it_alone(demo: Api, three: dict[str, Any]) -> None:
    second = message_ids(three)[1]

    body = demo.get(CALL.format(id=second)).json()

    assert body["content"] == [{"requestId": second, "status": "FAILURE"}]
    assert body["pageable"] == {"page": 0, "size": 10, "totalPages": 1, "totalElements": 1}


def test_a_single_messages_request_lists_it_under_the_same_id(demo: Api) -> None:
    request_id = demo.done(message())["id"]

    assert demo.get(CALL.format(id=request_id)).json()["content"] == [{"requestId": request_id, "status": "SUCCESS"}]


PAGES = [
    ({"page": 0, "size": 2}, [0, 1], 2),
    ({"page": 1, "size": 2}, [2], 2),
    ({"page": 2, "size": 2}, [], 2),
    ({"page": 1}, [], 1),
    ({"size": 1}, [0], 3),
    ({"page": 2, "size": 1}, [2], 3),
    ({"size": 1000}, [0, 1, 2], 1),
    ({"page": 1_000_000, "size": 1000}, [], 1),
]


@pytest.mark.parametrize(("page", "places", "pages"), PAGES)
def test_pages(demo: Api, three: dict[str, Any], page: dict[str, int], places: list[int], pages: int) -> None:
    body = demo.get(CALL.format(id=three["id"]), params=page).json()

    assert [item["requestId"] for item in body["content"]] == [message_ids(three)[place] for place in places]
    expected = {"page": page.get("page", 0), "size": page.get("size", 10), "totalPages": pages, "totalElements": 3}
    assert body["pageable"] == expected


BAD_PAGES = [
    {"page": "-1"},
    {"page": "one"},
    {"page": ""},
    {"page": "1.5"},
    {"page": "²"},
    {"page": "\0"},
    {"size": "0"},
    {"size": "-1"},
    {"size": "1001"},
    {"size": "ten"},
    {"size": ""},
    {"size": "1e2"},
    {"page": "0", "size": "x"},
]


@pytest.mark.parametrize("page", BAD_PAGES)
@pytest.mark.parametrize("version", ["v3", "v2"])
def test_a_bad_page_is_global_1002(demo: Api, three: dict[str, Any], version: str, page: dict[str, str]) -> None:
    answer = demo.get(f"/api/{version}/global/call/{three['id']}", params=page)

    assert_nak(answer, 400, "GLOBAL_1002")


@pytest.mark.parametrize("page", [2**31, 2**63, 10**30, "9" * 1000])
def test_a_page_far_out_is_never_a_5xx(demo: Api, three: dict[str, Any], page: Any) -> None:
    answer = demo.get(CALL.format(id=three["id"]), params={"page": page, "size": 1000})

    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 200:
        assert answer.json()["content"] == []
    else:
        assert_nak(answer, 400, "GLOBAL_1002")


def test_v2_answers_statuses_only(demo: Api, three: dict[str, Any]) -> None:
    answer = demo.get(f"/api/v2/global/call/{three['id']}", params={"size": 2})

    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["errorCode", "errorMessage", "content", "pageable"]
    assert body["content"] == [{"status": "SUCCESS"}, {"status": "FAILURE"}]
    assert body["pageable"] == {"page": 0, "size": 2, "totalPages": 2, "totalElements": 3}


def test_the_words_of_every_end(demo: Api, scripted: str) -> None:
    steps: list[dict[str, Any]] = [{}, {"status": 400}, {"status": 500}, {"status": 302, "headers": {"Location": "/"}}]
    ends = [message(scripted, script=[step]) for step in steps]

    done = demo.done(*ends, errorPolicy="proceedOnError")

    assert demo.statuses(done["id"]) == ["SUCCESS", "FAILURE", "INTERNAL_ERROR", "INTERNAL_ERROR"]
    assert [item["messageStatus"] for item in done["payload"]] == ["Complete", "Failed", "Failed", "Failed"]


def test_what_is_not_finished_is_open(demo: Api, scripted: str) -> None:
    request_id = demo.submit(message(scripted, **WAITS), message("Echo"), message("Vehicle", sandbox={"delay": 3}))

    eventually(lambda: demo.statuses(request_id) == ["OPEN", "SUCCESS", "OPEN"], within=8, what="one of three done")

    demo.post(f"/api/v1/requests/{request_id}/cancel")
    eventually(lambda: demo.statuses(request_id) == ["FAILURE", "SUCCESS", "SUCCESS"], within=8, what="the end")


@pytest.mark.parametrize("key", ["", "/", "x/y"])
def test_an_id_that_is_none_is_never_html_or_5xx(demo: Api, key: str) -> None:
    answer = demo.get(f"/api/v3/global/call/{key}")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].split(";")[0] == "application/json"


def test_the_nak_of_an_unknown_id_is_the_documents(demo: Api) -> None:
    answer = demo.get(CALL.format(id="77022d89-8a5b-4ecb-a118-334c7ccb3779"))

    assert_nak(answer, 404, "GLOBAL_1003", UNKNOWN)
