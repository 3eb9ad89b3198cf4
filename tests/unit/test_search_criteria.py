"""What a tracking search asks for: any body is either understood or refused by name."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.json_text import BadJSON
from orchestrator.lifecycle import Status
from tracking.gateway import criteria, periods

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

WORDS = st.sampled_from(
    [
        "messageType",
        "messageStatus",
        "receivedDate",
        "recievedDate",
        "id",
        "externalReference",
        "processedDate",
        "batchReference",
        "Failed",
        "Processed",
        "asc",
        "desc",
        "2018-10-01",
        "9999-12-31",
        "1",
        "10",
        "0",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | WORDS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))
CRITERION = st.fixed_dictionaries(
    {}, optional={"by": WORDS | JSON, "value": WORDS | st.lists(WORDS, max_size=3) | JSON}
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "search": st.lists(CRITERION, max_size=4) | JSON,
        "paging": st.fixed_dictionaries({}, optional={"number": WORDS | JSON, "size": WORDS | JSON}) | JSON,
        "sorts": st.lists(st.fixed_dictionaries({}, optional={"by": WORDS | JSON, "order": WORDS | JSON})) | JSON,
    },
)


def read(body: Any) -> criteria.Search:
    return criteria.read(json.dumps(body).encode(), now=NOON)


def test_without_anything_it_asks_for_today_newest_first() -> None:
    wanted = read({})

    assert wanted.echo == b"[]"
    assert wanted.page is None
    assert wanted.sorts == (criteria.Sort(by=criteria.SortKey.RECEIVED, descending=True),)
    assert wanted.criteria == criteria.Criteria(
        period=periods.Period(since=datetime(2026, 11, 21, tzinfo=UTC), before=datetime(2026, 11, 22, tzinfo=UTC))
    )


def test_every_part_is_read() -> None:
    wanted = read(
        {
            "search": [
                {"by": "messageType", "value": "Estimate"},
                {"by": "messageStatus", "value": ["Processed", "Failed"]},
                {"by": "externalReference", "value": ["a", "b"]},
            ],
            "paging": {"number": "3", "size": 10},
            "sorts": [{"by": "batchReference"}, {"by": "processedDate", "order": "descending"}],
        }
    )

    assert wanted.criteria == criteria.Criteria(
        types=frozenset({"Estimate"}),
        statuses=frozenset({Status.PROCESSING, Status.FAILED}),
        references=(frozenset({"a", "b"}),),
    )
    assert wanted.page == criteria.Page(number=3, size=10)
    assert wanted.sorts == (
        criteria.Sort(by=criteria.SortKey.BATCH_REFERENCE, descending=False),
        criteria.Sort(by=criteria.SortKey.PROCESSED, descending=True),
    )


@given(BODY | JSON)
def test_any_body_is_understood_or_refused(body: Any) -> None:
    try:
        wanted = read(body)
    except (criteria.BadSearch, BadJSON):
        return
    assert json.loads(wanted.echo) == body.get("search", [])
    assert wanted.sorts


@given(
    st.datetimes(
        min_value=datetime(2, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(9998, 12, 31),  # noqa: DTZ001
        timezones=st.builds(timezone, st.timedeltas(-timedelta(hours=14), timedelta(hours=14))),
    )
)
def test_a_date_that_was_printed_finds_what_it_was_printed_for(moment: datetime) -> None:
    text = periods.printed(moment)

    day, second = periods.read([text]), periods.read([text, text])

    assert day.since <= moment < day.before
    assert second.since <= moment < second.before


@pytest.mark.parametrize(
    ("texts", "since", "before"),
    [
        (["2018-10-01"], "2018-10-01T00:00:00+00:00", "2018-10-02T00:00:00+00:00"),
        (["2018-10-01T23:30:00-05:00"], "2018-10-02T00:00:00+00:00", "2018-10-03T00:00:00+00:00"),
        (["2018-10-01", "2018-10-03"], "2018-10-01T00:00:00+00:00", "2018-10-04T00:00:00+00:00"),
        (["2018-10-01T10:00:00+02:00", "2018-10-01"], "2018-10-01T08:00:00+00:00", "2018-10-02T00:00:00+00:00"),
        (["2018-10-01", "2018-10-01T10:00:00Z"], "2018-10-01T00:00:00+00:00", "2018-10-01T10:00:01+00:00"),
        (["2018-10-01", "2018-10-01T10:00:00.25Z"], "2018-10-01T00:00:00+00:00", "2018-10-01T10:00:00.260000+00:00"),
        (["2018-10-01", "2018-10-01T10:00"], "2018-10-01T00:00:00+00:00", "2018-10-01T10:00:01+00:00"),
    ],
)
def test_periods(texts: list[str], since: str, before: str) -> None:
    assert periods.read(texts) == periods.Period(datetime.fromisoformat(since), datetime.fromisoformat(before))
