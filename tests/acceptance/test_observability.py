"""What an operator sees of a running stack: one trace a message, metrics that add up, logs that never tell too much.

All of it from one stack that has done real work: accepted, carried out, retried, refused, broken, and rejected.
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.embedded import processes
from tests.acceptance import collector, stacks
from tests.waiting import eventually

DEPLOY = stacks.ROOT / "deploy"
PAYLOAD_MARK = "payload-of-nobody-elses-business"
SECRET_MARK = "secret-of-a-back-end"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
INCOMING = f"00-{TRACE_ID}-b7ad6b7169203331-01"
CALL_ID = "call-of-the-observer"


class Echoing(BaseHTTPRequestHandler):
    """A back end that quotes what it gets: in results, in refusals, in failures."""

    seen: list[dict[str, str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        status = json.loads(body)["status"]
        answer = json.dumps({"you": "said", "it": body.decode()}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@dataclass(frozen=True)
class Run:
    """A stack that has worked, what its back end got, and what its collector has."""

    stack: stacks.Stack
    home: Path
    spans: collector.Collector
    password: str

    def logs(self) -> dict[str, str]:
        texts = {path.name: path.read_text(errors="replace") for path in (self.home / "logs").iterdir()}
        return texts | {"make up": stacks.printed(self.home)}


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Echoing)
    Thread(target=backend.serve_forever, daemon=True).start()
    with stacks.new_home() as home, collector.running() as spans:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": spans.url, "WAYBILL_RETRY_FIRST": "0.1"}
        stack = stacks.ready(home, port=processes.free_port(), environment=environment)
        try:
            url = f"http://127.0.0.1:{backend.server_address[1]}/"
            header = f"X-Api-Key: {SECRET_MARK}"
            stacks.manage(home, "backend", "Quoting", "--url", url, "--header", header, "--attempts", "2")
            password = secrets.token_hex(16)
            stacks.manage(home, "client", "observer", "--secret", password)
            yield _work(Run(stack, home, spans, password))
        finally:
            stack.kill()
            backend.shutdown()
            backend.server_close()


def _work(run: Run) -> Run:
    for status in (200, 400, 500):
        run.stack.carry_out("Quoting", status=status, name=PAYLOAD_MARK)
    run.stack.carry_out("Echo", name=PAYLOAD_MARK)
    message = {"messageType": "Quoting", "externalReference": "1", "status": 200, "name": PAYLOAD_MARK}
    answer = run.stack.call(
        "POST",
        "/api/v1/requests",
        auth=("observer", run.password),
        json={"batchReference": "observed", "payload": [message]},
        headers={"traceparent": INCOMING, "X-Request-Id": CALL_ID},
    )
    path = f"/api/v1/requests/{answer.json()['data']['id']}?"

    def is_over() -> bool:
        found = run.stack.call("GET", path, auth=("observer", run.password)).json()
        return bool(found["data"]["payload"][0]["processedTime"])

    eventually(is_over, within=30, what="the end of the observed message")
    return run


def scrape(run: Run) -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = run.stack.call("GET", "/metrics")
    assert answer.status_code == 200
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def counted(run: Run, name: str, **labels: str) -> float:
    return sum(value for found, value in scrape(run).get(name, []) if labels.items() <= found.items())


# ---------------------------------------------------------------- traces


def test_one_trace_leads_from_the_post_to_the_outcome(run: Run) -> None:
    names = ("POST /api/v1/requests", "send Quoting", "claim Quoting", "process Quoting", "POST", "record outcome")
    found = eventually(
        lambda: spans if set(names) <= (spans := run.spans.of_trace(TRACE_ID)).keys() else None,
        within=20,
        what=f"a trace with {names}",
    )
    served, sent, claimed, processed, called, recorded = (found[name] for name in names)

    assert {span.service for span in (served, sent)} == {"waybill-web"}
    assert {span.service for span in (claimed, processed, called, recorded)} == {"waybill-worker"}
    assert served.parent_id == "b7ad6b7169203331"
    assert sent.parent_id == claimed.parent_id == served.id
    assert processed.parent_id == claimed.id
    assert called.parent_id == recorded.parent_id == processed.id
    assert served.attributes["http.route"] == "/api/v1/requests"
    assert (served.attributes["http.response.status_code"], called.attributes["http.response.status_code"]) == (
        202,
        200,
    )
    assert recorded.attributes["waybill.outcome"] == "complete"


def test_the_back_end_is_told_of_the_same_trace(run: Run) -> None:
    [call] = [seen for seen in Echoing.seen if TRACE_ID in seen["traceparent"]]
    parent = call["traceparent"].split("-")[2]

    span = eventually(
        lambda: next((span for span in run.spans.spans if span.id == parent), None), within=20, what="the call's span"
    )
    assert (span.name, span.trace_id) == ("POST", TRACE_ID)


def test_no_span_holds_a_payload_or_a_secret(run: Run) -> None:
    text = json.dumps([span.attributes for span in run.spans.spans])

    assert PAYLOAD_MARK not in text
    assert SECRET_MARK not in text


# ---------------------------------------------------------------- metrics


def test_the_metrics_add_up_to_what_was_done(run: Run) -> None:
    def outcomes(status: str) -> float:
        return counted(run, "waybill_outcomes_total", type="Quoting", status=status)

    def received() -> float:
        return counted(run, "waybill_messages_received_total", type="Quoting")

    # Each process writes its figures with its heartbeat.
    eventually(
        lambda: (outcomes("complete"), outcomes("failed"), received()) == (2, 2, 4), within=30, what="the figures"
    )

    assert counted(run, "waybill_failures_total", type="Quoting", kind="rejected") == 1
    assert counted(run, "waybill_failures_total", type="Quoting", kind="internal") == 1
    assert counted(run, "waybill_retries_total", type="Quoting") == 1
    assert counted(run, "waybill_messages_claimed_total", type="Quoting") == 5
    assert counted(run, "waybill_call_seconds_count", type="Quoting") == 5
    assert counted(run, "waybill_message_seconds_count", type="Quoting") == 4
    assert counted(run, "waybill_workers", state="working") == 2
    assert counted(run, "waybill_wakeups_total", result="published") >= 1


def test_http_calls_are_counted_by_the_template_of_their_route(run: Run) -> None:
    run.stack.call("GET", f"/nowhere/{PAYLOAD_MARK}")
    run.stack.call("GET", "/static/admin/css/base.css")
    run.stack.call("BREW", "/livez")

    assert counted(run, "waybill_http_requests_total", method="POST", route="/api/v1/requests", status="202") == 5
    assert counted(run, "waybill_http_requests_total", method="GET", route="/api/v1/requests/{id}") >= 5
    assert counted(run, "waybill_http_requests_total", route="unrouted", status="404") == 1
    assert counted(run, "waybill_http_requests_total", route="/static/{path}", status="200") == 1
    assert counted(run, "waybill_http_requests_total", method="other", route="/livez") == 1
    assert counted(run, "waybill_http_request_seconds_count", route="/api/v1/requests", method="POST") == 5
    assert PAYLOAD_MARK not in run.stack.call("GET", "/metrics").text


def test_the_dashboard_and_the_alerts_ask_only_for_what_there_is(run: Run) -> None:
    """Only names are compared: what has not happened here has no sample, but its family is described."""
    text = run.stack.call("GET", "/metrics").text
    families = {(family.name, family.type) for family in text_string_to_metric_families(text)}
    exposed = {name for name, _ in families}
    exposed |= {f"{name}_total" for name, kind in families if kind == "counter"}
    exposed |= {f"{name}_{end}" for name, kind in families if kind == "histogram" for end in ("bucket", "count", "sum")}

    for file in (DEPLOY / "grafana" / "waybill.json", DEPLOY / "prometheus" / "alerts.yml"):
        asked = set(re.findall(r"\bwaybill_[a-z_]+", file.read_text()))
        assert asked, file
        assert asked - exposed == set(), file
    assert all(name.startswith("waybill_") for name in exposed)


# ---------------------------------------------------------------- logs


def test_each_line_is_json_and_says_whom_it_is_about(run: Run) -> None:
    lines = [
        json.loads(line) for line in run.logs()["worker-1.log"].splitlines() + run.logs()["worker-2.log"].splitlines()
    ]
    about = [line for line in lines if line["event"] == "message failed"]

    assert len(about) == 1
    assert {"message_id", "request_id", "lane", "type", "client"} <= about[0].keys()
    assert (about[0]["lane"], about[0]["type"]) == ("Quoting", "Quoting")
    assert all({"timestamp", "level", "logger"} <= line.keys() for line in lines)


def test_a_call_has_an_id_in_its_answer(run: Run) -> None:
    given = run.stack.call("GET", "/livez", headers={"X-Request-Id": CALL_ID}).headers["X-Request-Id"]
    refused = run.stack.call("GET", "/livez", headers={"X-Request-Id": 'a"b c'}).headers["X-Request-Id"]

    assert given == CALL_ID
    assert re.fullmatch(r"[0-9a-f]{16}", refused)


def test_no_log_holds_a_payload_or_a_secret(run: Run) -> None:
    for name, text in run.logs().items():
        for mark in (PAYLOAD_MARK, SECRET_MARK, run.password):
            assert mark not in text, name
