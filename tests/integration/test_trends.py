"""Rates and charts: sums of the tally, whoever wrote its rows and whenever they were folded."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from orchestrator import measures, tallies, trends
from orchestrator.measures import BOUNDS
from orchestrator.models import Tally
from tests import engine

pytestmark = pytest.mark.django_db


def count(event: str, n: int, *, ago: timedelta = timedelta(), seconds: float = 0.3, **fields: str) -> None:
    """What one process has counted in one minute."""
    buckets = [0] * (len(BOUNDS) + 1)
    buckets[next(place for place, bound in enumerate(BOUNDS) if bound >= seconds)] = n
    minute = (now() - ago).replace(second=0, microsecond=0)
    Tally.objects.create(
        **{"minute": minute, "process": "one", "type": "Echo", "lane": "Echo", "event": event, **fields},
        count=n,
        seconds=n * seconds,
        buckets=buckets,
    )


def now() -> datetime:
    at: datetime = engine.ask("SELECT now()")
    return at.astimezone(UTC)


class TestRates:
    def test_tell_each_lane_and_the_whole(self) -> None:
        count("complete", 90)
        count("failed", 10, ago=timedelta(minutes=3))
        count("complete", 50, process="two", lane="Other")

        rates = trends.read_rates()

        assert (rates.lanes["Echo"].ended, rates.lanes["Echo"].failed) == (100, 10)
        assert rates.lanes["Echo"].failure_rate == pytest.approx(0.1)
        assert rates.whole.ended == 150
        # The running minute and the one before: between one and two minutes.
        assert 45 <= rates.lanes["Echo"].a_minute <= 90
        assert rates.whole.a_minute == pytest.approx(rates.lanes["Echo"].a_minute + rates.lanes["Other"].a_minute)

    def test_tell_how_long_it_took(self) -> None:
        count("complete", 95, seconds=0.3)
        count("failed", 5, seconds=20.0)

        rate = trends.read_rates().lanes["Echo"]

        half, most = rate.quantile(0.5), rate.quantile(0.99)
        assert half is not None
        assert most is not None
        assert 0.25 < half <= 0.5
        assert 10 < most <= 30

    def test_know_nothing_where_nothing_ended(self) -> None:
        count("claimed", 5)
        count("complete", 5, ago=timedelta(minutes=10))

        rates = trends.read_rates()

        assert rates.lanes == {}
        assert (rates.whole.failure_rate, rates.whole.quantile(0.5)) == (None, None)

    def test_keep_calls_apart_from_messages(self) -> None:
        count(measures.called("complete"), 6)
        count(measures.called("rejected"), 2)  # by a back end that is well
        count(measures.called("retry"), 2)

        rates = trends.read_rates()

        assert rates.lanes == {}
        assert (rates.calls["Echo"].ended, rates.calls["Echo"].failed) == (10, 2)


class TestHistory:
    def test_has_a_point_a_minute_for_an_hour(self) -> None:
        count("complete", 7, ago=timedelta(minutes=10))
        count("failed", 3, ago=timedelta(minutes=10), lane="Other")
        count("complete", 1, ago=timedelta(minutes=61))

        points = trends.read_history(trends.Span.HOUR)

        assert len(points) == 60
        assert [(point.complete, point.failed) for point in points if point.complete or point.failed] == [(7, 3)]
        assert points[49].complete == 7
        assert points[49].p50 is not None
        assert points[0].p50 is None

    def test_has_a_point_an_hour_for_a_day_of_folded_rows_too(self) -> None:
        for minutes in range(0, 300, 30):
            count("complete", 1, ago=timedelta(minutes=minutes))
        tallies.fold()

        points = trends.read_history(trends.Span.DAY)

        assert len(points) == 24
        assert sum(point.complete for point in points) == 10

    def test_is_of_one_lane_when_asked(self) -> None:
        count("complete", 7)
        count("complete", 5, lane="Other")

        assert sum(point.complete for point in trends.read_history(trends.Span.HOUR, lane="Other")) == 5
        assert sum(point.complete for point in trends.read_history(trends.Span.HOUR, lane="None")) == 0


def test_the_tally_is_read_from_its_minute_on() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {trends._RATES}", {"minutes": 5, "finals": ["complete"], "called": "called: "})
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Index Cond: (minute >=" in plan.replace("((", "(")
