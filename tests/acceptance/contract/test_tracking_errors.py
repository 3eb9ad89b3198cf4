"""The tracking search: what it refuses, naming the criterion."""

from typing import Any

import pytest

from tests.acceptance.contract.api import Api, assert_refused, message


def refused(api: Api, body: Any) -> str:
    return str(assert_refused(api.post("/api/v1/tracking", body), 400))


def criterion(by: Any, value: Any) -> dict[str, Any]:
    return {"search": [{"by": "messageType", "value": "Echo"}, {"by": by, "value": value}]}


@pytest.mark.parametrize(
    "status", ["complete", "COMPLETE", "Done", "", " Complete", "SUCCESS", "processed", ["Complete", "Unknown"]]
)
def test_an_unknown_status_is_400(demo: Api, status: Any) -> None:
    assert "messageStatus" in refused(demo, criterion("messageStatus", status))


@pytest.mark.parametrize("by", ["colour", "MessageType", "messagetype", "batchReference", "", "requestStatus"])
def test_an_unknown_criterion_is_400(demo: Api, by: str) -> None:
    assert by in refused(demo, criterion(by, "x"))


DATES: list[Any] = [
    "",
    "yesterday",
    "2018-13-01",
    "2018-02-30",
    "2018-10",
    "01/10/2018",
    "2018-10-01T25:00:00+00:00",
    "2018-10-01T00:00:00+99:00",
    "0000-00-00",
    "\u0662\u0660\u0661\u0668-\u0661\u0660-\u0660\u0661",
    "-2018-10-01",
    ["2018-10-01", "soon"],
    ["2018-10-01", "2018-10-02", "2018-10-03"],
    ["2018-10-02", "2018-10-01"],
    ["2018-10-01T00:00:01+00:00", "2018-10-01T00:00:00+00:00"],
]


@pytest.mark.parametrize("value", DATES)
@pytest.mark.parametrize("by", ["receivedDate", "recievedDate"])
def test_a_bad_date_is_400(demo: Api, by: str, value: Any) -> None:
    text = refused(demo, criterion(by, value))

    assert "receivedDate" in text or "recievedDate" in text


@pytest.mark.parametrize(
    "value", ["0001-01-01", "9999-12-31", ["0001-01-01", "9999-12-31"], "9999-12-31T23:59:59-12:00"]
)
def test_the_ends_of_time_are_never_a_5xx(demo: Api, value: Any) -> None:
    answer = demo.post("/api/v1/tracking", criterion("receivedDate", value))

    assert answer.status_code in {200, 400}, answer.text


@pytest.mark.parametrize("by", ["messageType", "messageStatus", "receivedDate", "id", "externalReference"])
@pytest.mark.parametrize("value", [5, None, True, {}, [5], [None], [["Echo"]], ["Echo", {}], 1.5])
def test_a_value_that_is_no_text_is_400(demo: Api, by: str, value: Any) -> None:
    assert by in refused(demo, criterion(by, value))


@pytest.mark.parametrize(
    "search",
    [{}, "Echo", 5, ["Echo"], [5], [None], [[]], [{}], [{"by": "messageType"}], [{"value": "Echo"}], [{"by": 5}]],
)
def test_a_search_of_another_shape_is_400(demo: Api, search: Any) -> None:
    assert refused(demo, {"search": search})


PAGES: list[Any] = [
    {"number": 0, "size": 10},
    {"number": -1, "size": 10},
    {"number": 1, "size": 0},
    {"number": 1, "size": -5},
    {"number": 1, "size": 1001},
    {"number": "1", "size": "1001"},
    {"number": 1},
    {"size": 10},
    {},
    {"number": "one", "size": 10},
    {"number": "", "size": 10},
    {"number": "-1", "size": 10},
    {"number": "+1", "size": 10},
    {"number": " 1", "size": 10},
    {"number": "1.0", "size": 10},
    {"number": "²", "size": 10},
    {"number": "0x1", "size": 10},
    {"number": "1_0", "size": 10},
    {"number": 1.5, "size": 10},
    {"number": True, "size": 10},
    {"number": None, "size": 10},
    {"number": [1], "size": 10},
    {"number": 1, "size": {}},
    [1, 10],
    "1",
    5,
]


@pytest.mark.parametrize("paging", PAGES)
def test_a_bad_page_is_400(demo: Api, paging: Any) -> None:
    text = refused(demo, {"paging": paging})

    assert any(word in text for word in ("paging", "number", "size"))


@pytest.mark.parametrize("number", [10**9, 2**63, 10**30, "9" * 30, "9" * 5000])
def test_a_page_far_out_is_never_a_5xx(demo: Api, number: Any) -> None:
    answer = demo.post("/api/v1/tracking", {"paging": {"number": number, "size": 1000}})

    assert answer.status_code in {200, 400}, answer.text
    if answer.status_code == 200:
        assert answer.json()["data"]["requests"] == []


SORTS: list[Any] = [
    [{"by": "receivedDate", "order": "78452e72-0fcb-4455-afc3-68fadb22646f"}],  # the document's example
    [{"by": "receivedDate", "order": ""}],
    [{"by": "receivedDate", "order": 1}],
    [{"by": "receivedDate", "order": None}],
    [{"by": "colour"}],
    [{"by": "externalReference", "order": "asc"}],
    [{"by": "messageStatus"}],
    [{"by": ""}],
    [{"by": None}],
    [{"by": ["receivedDate"]}],
    ["receivedDate"],
    [None],
    "receivedDate",
    5,
]


@pytest.mark.parametrize("sorts", SORTS)
def test_an_unknown_sort_or_order_is_400(demo: Api, sorts: Any) -> None:
    text = refused(demo, {"sorts": sorts})

    assert any(word in text for word in ("sorts", "by", "order"))


EXAMPLE_ONE = """{
"search": [ { "by": "id", "value": [ "78452e72-0fcb-4455-afc3-68fadb22646f" ] } ],
"paging": { "number": "1", "size": "10" },
"sorts": [ { "by": "receivedDate", "order": "%s" } ]
}"""
EXAMPLE_TWO = """{
  "search": [
    { "by": "messageType", "value": [ "Estimate" ] },
    { "by": "messageStatus", "value": ["Failed", "Complete"] },
    { "by": "recievedDate", "value": ["2018-10-01T00:00:00+00:00", "2018-10-02T00:00:00+00:00"] }%s
]
}"""
EXAMPLE_THREE = """{
  "search": [
    { "by": "messageType", "value": "Opportunity" },
    { "by": "messageStatus", "value": "Failed" },
    { "by": "receivedDate", "value": [ "2018-10-01T00:00:00+00:00", "2018-10-03T00:00:00+00:00" ] }
  ]
}"""


def test_the_documents_examples_but_for_their_slips(demo: Api) -> None:
    for text in (EXAMPLE_ONE % "asc", EXAMPLE_TWO % "", EXAMPLE_THREE):
        answer = demo.raw("/api/v1/tracking", text)

        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["requests"] == []

    for text in (EXAMPLE_ONE % "78452e72-0fcb-4455-afc3-68fadb22646f", EXAMPLE_TWO % ","):
        assert_refused(demo.raw("/api/v1/tracking", text), 400)


def test_very_many_values_are_answered(demo: Api) -> None:
    done = demo.done(message())
    values = [*(f"no such {number}" for number in range(20_000)), done["id"]]

    answer = demo.post("/api/v1/tracking", {"search": [{"by": "id", "value": values}]})

    assert answer.status_code == 200 or assert_refused(answer, 400)
    assert demo.post("/api/v1/tracking", criterion("messageType", "Echo")).status_code == 200
