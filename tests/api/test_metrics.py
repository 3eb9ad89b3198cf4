"""`/metrics`, and the backlog of lanes for autoscalers."""

from collections.abc import Iterator

import pytest
import pytest_django
from django.db import connection
from django.test import Client as Http
from prometheus_client.parser import text_string_to_metric_families

from orchestrator import exposition, lanes, measures, tallies
from orchestrator.outcomes import Ending
from tests import engine

pytestmark = pytest.mark.django_db(transaction=True)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(autouse=True)
def _from_nought(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Count from nought, and trust no look at the ledger of the test before."""
    monkeypatch.setattr(measures, "_own", measures.Measures())
    monkeypatch.setattr(exposition, "_look", exposition._Look())
    yield
    exposition._look.thread.shutdown()


def scrape(http: Http, **headers: str) -> Samples:
    answer = http.get("/metrics", headers=headers)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def sample(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def carry_out(count: int, ending: Ending = Ending.COMPLETE, **fields: object) -> None:
    engine.hand_in(client_id=1, payloads=[{}] * count)
    with engine.running_worker(housekeeping=False) as worker:
        worker.recorder.put([engine.ended(message, ending, **fields) for message in engine.claim("Echo").messages])
        worker.recorder.wait_until_empty(timeout=10)


def test_it_tells_what_was_done_what_waits_and_who_works(client: Http) -> None:
    carry_out(3)
    carry_out(1, Ending.REJECTED, error="no")
    engine.hand_in(client_id=1, payloads=[{}] * 2)

    seen = scrape(client)

    assert sample(seen, "waybill_up") == 1
    assert sample(seen, "waybill_outcomes_total", type="Echo", lane="Echo", status="complete") == 3
    assert sample(seen, "waybill_outcomes_total", type="Echo", lane="Echo", status="failed") == 1
    assert sample(seen, "waybill_failures_total", type="Echo", lane="Echo", kind="rejected") == 1
    assert sample(seen, "waybill_message_seconds_count", type="Echo", lane="Echo", status="complete") == 3
    assert sample(seen, "waybill_message_seconds_bucket", type="Echo", lane="Echo", status="complete", le="+Inf") == 3
    assert sample(seen, "waybill_lane_queued_messages", lane="Echo") == 2
    assert (sample(seen, "waybill_lane_oldest_seconds", lane="Echo") or 0) > 0
    assert sample(seen, "waybill_lane_paused", lane="Echo") == 0
    assert sample(seen, "waybill_workers", state="working") == 0
    assert all(name.startswith("waybill_") for name, _ in seen)


def test_openmetrics_is_spoken_where_it_is_asked_for(client: Http) -> None:
    plain = client.get("/metrics")
    asked = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert plain["Content-Type"].startswith("text/plain; version=")
    assert asked["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert asked.content.endswith(b"# EOF\n")


def test_the_ledger_is_asked_once_a_second_however_often_somebody_looks(
    client: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    ask = exposition._ask
    monkeypatch.setattr(exposition, "_ask", lambda: (asked.append(1), ask())[1])
    monkeypatch.setattr(exposition, "_KNOWN_FOR_SECONDS", 600.0)

    for _ in range(20):
        client.get("/metrics")
        client.get("/metrics/lanes")

    assert asked == [1]


def test_without_the_ledger_it_says_so_and_never_fails(client: Http) -> None:
    settings = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict |= {"PORT": 1}
    try:
        seen = scrape(client)
        lanes_answer = client.get("/metrics/lanes")
    finally:
        connection.settings_dict |= {"PORT": settings["PORT"]}

    assert sample(seen, "waybill_up") == 0
    assert not any(name.startswith("waybill_lane_") for name, _ in seen)
    assert lanes_answer.status_code == 503
    assert lanes_answer.json()["success"] is False


def test_a_token_guards_the_figures_where_it_is_set(client: Http, settings: pytest_django.Settings) -> None:
    settings.WAYBILL_METRICS_TOKEN = "opensesame"

    for path in ("/metrics", "/metrics/lanes", "/metrics/lanes/Echo"):
        refused = client.get(path)
        assert refused.status_code == 401
        assert refused["WWW-Authenticate"].startswith("Bearer")
        assert refused.json()["errors"][0]["errorMessage"]
        assert client.get(path, headers={"Authorization": "Bearer opensesam\u00e9"}).status_code == 401
    assert sample(scrape(client, Authorization="Bearer opensesame"), "waybill_up") == 1


# ---------------------------------------------------------------- for autoscalers


def test_the_backlog_of_lanes_as_json(client: Http) -> None:
    engine.hand_in(client_id=1, payloads=[{}] * 3)
    engine.hand_in(client_id=1, message_type="Other", payloads=[{}] * 2)
    lanes.pause("Other")

    everything = client.get("/metrics/lanes").json()
    echo = client.get("/metrics/lanes/Echo").json()

    assert (everything["backlog"], everything["claimable"]) == (5, 3)
    assert [lane["lane"] for lane in everything["lanes"]] == ["Echo", "Other"]
    assert everything["lanes"][0]["backlog"] == echo["backlog"] == 3
    assert echo["oldestSeconds"] > 0
    assert everything["lanes"][1] | {"oldestSeconds": 0} == {
        "lane": "Other",
        "backlog": 2,
        "claimable": 0,
        "oldestSeconds": 0,
        "processing": 0,
        "retrying": 0,
        "paused": True,
    }


def test_an_unknown_lane_is_not_found_in_the_gateways_words(client: Http) -> None:
    answer = client.get("/metrics/lanes/nothing")

    assert answer.status_code == 404
    assert answer.json() == {
        "data": None,
        "errors": [{"errorMessage": "There is no such lane: no message has ever waited in it"}],
        "success": False,
    }


def test_what_a_killed_process_had_not_written_is_all_that_is_missing(client: Http) -> None:
    measures.count(measures.Event.RESCUED, 4, of_type="Echo", lane="Echo")
    tallies.write()
    measures.count(measures.Event.RESCUED, 1, of_type="Echo", lane="Echo")

    assert sample(scrape(client), "waybill_rescues_total", type="Echo", lane="Echo") == 4
