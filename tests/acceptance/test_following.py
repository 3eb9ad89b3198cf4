"""Waiting clients on the real server: long polls and streams, their cost, and how the server stops."""

import base64
import contextlib
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import LazySettings

from config.embedded import parts, processes
from orchestrator import accounts, outcomes
from orchestrator.models import Client, Request
from tests import engine, factories
from tests.api.calls import basic
from tests.processes import ROOT, stack_environment
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
THREADS, QUEUE = 2, 62


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    took: float

    def data(self) -> Any:
        return json.loads(self.body)["data"]


@dataclass(frozen=True, slots=True)
class Web:
    """A running web server."""

    port: int
    child: processes.Child
    opened: list[socket.socket] = field(default_factory=list)

    def get(self, account: accounts.Account, path: str, *, method: str = "GET", **headers: str) -> Answer:
        began = time.monotonic()
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=40)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(wire):
            wire.request(method, path, headers=basic(account.client_id) | named)
            answer = wire.getresponse()
            body = answer.read()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, body, time.monotonic() - began)

    def raw(self, account: accounts.Account, path: str, **headers: str) -> socket.socket:
        """A connection on which a GET was sent; it is closed at the end of the test."""
        wire = socket.create_connection(("127.0.0.1", self.port), timeout=40)
        self.opened.append(wire)
        named = {name.replace("_", "-"): value for name, value in headers.items()} | basic(account.client_id)
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in named.items())]
        wire.sendall("\r\n".join([*lines, "", ""]).encode())
        return wire

    def processes(self) -> list[psutil.Process]:
        family = psutil.Process(self.child.process.pid)
        return [family, *family.children(recursive=True)]

    def threads(self) -> int:
        return sum(process.num_threads() for process in self.processes())

    def memory(self) -> int:
        return sum(process.memory_info().rss for process in self.processes())


@contextlib.contextmanager
def serving(directory: Path, **settings: str) -> Iterator[Web]:
    port, log = processes.free_port(), directory / "web.log"
    environment = stack_environment(
        WAYBILL_ROLE="web",
        WAYBILL_WEB_THREADS=str(THREADS),
        WAYBILL_WEB_QUEUE=str(QUEUE),
        WAYBILL_FOLLOW_SECONDS="0.05",
        WAYBILL_STREAM_HEARTBEAT="0.3",
        GRANIAN_HOST="127.0.0.1",
        GRANIAN_PORT=str(port),
        **settings,
    )
    child = processes.start([sys.executable, "-m", *parts.WEB], environment=environment, log=log, directory=ROOT)
    web = Web(port=port, child=child)
    try:
        processes.wait_until(lambda: _ready(web), what=f"the web server ({log})", within=40, child=child)
        yield web
    finally:
        for wire in web.opened:
            wire.close()
        child.stop(within=10)
    assert "Traceback" not in log.read_text()


def _ready(web: Web) -> bool:
    wire = http.client.HTTPConnection("127.0.0.1", web.port, timeout=5)
    with contextlib.closing(wire):
        try:
            wire.request("GET", "/readyz")
            return wire.getresponse().status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with serving(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
def web(server: Web) -> Iterator[Web]:
    yield server
    while server.opened:
        server.opened.pop().close()


@pytest.fixture
def account() -> accounts.Account:
    return factories.make_account()


@pytest.fixture
def beside() -> Iterator[Callable[..., "Future[Answer]"]]:
    """Call while the test goes on."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def path_of(request: Request) -> str:
    return f"/api/v1/requests/{request.pk}"


def finish(lane: str = "Echo") -> None:
    outcomes.flush([engine.ended(message) for message in engine.claim(lane).messages])


def read_until(wire: socket.socket, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        piece = wire.recv(65536)
        assert piece, seen
        seen += piece
    return seen


# ---------------------------------------------------------------- long polls


def test_a_long_poll_is_answered_when_the_request_is_over(
    web: Web, account: accounts.Account, beside: Callable[..., "Future[Answer]"]
) -> None:
    request = engine.hand_in(client_id=account.id)
    waiting = beside(web.get, account, path_of(request), Prefer="wait=30, return=minimal")
    time.sleep(0.3)
    assert not waiting.done()

    finish()

    answer = waiting.result()
    assert answer.status == 200
    assert answer.data()["requestStatus"] == "Complete"
    assert "payload" not in answer.data()
    assert answer.headers["preference-applied"] == "wait=30, return=minimal"
    assert answer.took < 15


def test_a_long_poll_with_a_tag_is_answered_when_there_is_another_one(
    web: Web, account: accounts.Account, beside: Callable[..., "Future[Answer]"]
) -> None:
    request = engine.hand_in(client_id=account.id)
    first = web.get(account, path_of(request))
    waiting = beside(web.get, account, path_of(request), Prefer="wait=30", If_None_Match=first.headers["etag"])
    time.sleep(0.3)
    assert not waiting.done()

    engine.claim("Echo")

    answer = waiting.result()
    assert answer.status == 200
    assert answer.headers["etag"] != first.headers["etag"]
    assert answer.data()["messageStatusSummary"]["processing"] == 1


def test_a_minimal_long_poll_is_not_answered_for_what_it_does_not_show(
    web: Web, account: accounts.Account, beside: Callable[..., "Future[Answer]"]
) -> None:
    """One message is given back and another one claimed: the counters, all that is shown, agree."""
    request = engine.hand_in(client_id=account.id, payloads=[{}, {}])
    engine.run("UPDATE orchestrator_message SET status = 'Processing' WHERE number = 0")
    tag = web.get(account, path_of(request), Prefer="return=minimal").headers["etag"]

    waiting = beside(web.get, account, path_of(request), Prefer="wait=2, return=minimal", If_None_Match=tag)
    engine.run("UPDATE orchestrator_message SET status = CASE number WHEN 0 THEN 'Queued' ELSE 'Processing' END")

    assert waiting.result().status == 304
    assert waiting.result().took > 1.5


@pytest.mark.parametrize(("tagged", "status"), [(False, 200), (True, 304)])
def test_a_long_poll_is_answered_when_its_time_is_over(
    web: Web, account: accounts.Account, tagged: bool, status: int
) -> None:
    request = engine.hand_in(client_id=account.id)
    headers = {"If_None_Match": web.get(account, path_of(request)).headers["etag"]} if tagged else {}

    answer = web.get(account, path_of(request), Prefer="wait=1", **headers)

    assert answer.status == status
    assert answer.headers["preference-applied"] == "wait=1"
    assert 0.9 < answer.took < 10


def test_a_request_that_is_over_or_another_one_is_answered_at_once(web: Web, account: accounts.Account) -> None:
    over, still_open = factories.make_request(client_id=account.id), engine.hand_in(client_id=account.id)
    tag = web.get(account, path_of(over)).headers["etag"]

    answers = [
        web.get(account, path_of(over), Prefer="wait=30"),
        web.get(account, path_of(over), Prefer="wait=30", If_None_Match=tag),
        web.get(account, path_of(still_open), Prefer="wait=30", If_None_Match='"another"'),
        web.get(account, path_of(still_open), Prefer="wait=0"),
    ]

    assert [answer.status for answer in answers] == [200, 304, 200, 200]
    assert max(answer.took for answer in answers) < 10


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "", "1e1", "10s"])
def test_nonsense_is_ignored(web: Web, account: accounts.Account, text: str) -> None:
    answer = web.get(account, path_of(engine.hand_in(client_id=account.id)), Prefer=f"wait={text}")

    assert answer.status == 200
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize("seconds", ["999999", "9" * 10, "9" * 5000])
def test_who_asks_to_wait_for_ever_is_told_how_long(
    web: Web, account: accounts.Account, beside: Callable[..., "Future[Answer]"], seconds: str
) -> None:
    request = engine.hand_in(client_id=account.id)
    waiting = beside(web.get, account, path_of(request), Prefer=f"wait={seconds}")
    time.sleep(0.2)
    finish()

    assert waiting.result().headers["preference-applied"] == "wait=60"


def test_a_client_that_is_disabled_while_it_waits_learns_nothing(
    web: Web, account: accounts.Account, beside: Callable[..., "Future[Answer]"]
) -> None:
    request = engine.hand_in(client_id=account.id)
    waiting = beside(web.get, account, path_of(request), Prefer="wait=30")
    time.sleep(0.3)

    Client.objects.update(enabled=False)

    assert waiting.result().status == 401
    assert waiting.result().took < 15


def test_an_unknown_request_is_not_waited_for(web: Web, account: accounts.Account) -> None:
    foreign = engine.hand_in(client_id=factories.make_account().id)

    answer = web.get(account, path_of(foreign), Prefer="wait=30")

    assert answer.status == 404
    assert answer.took < 10


# ---------------------------------------------------------------- streams


def test_a_stream_is_told_as_it_happens_and_closed_after_the_last_event(web: Web, account: accounts.Account) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}, {}])
    wire = web.raw(account, f"{path_of(request)}/stream", Accept="text/event-stream")
    begun = read_until(wire, b"event: progress")

    finish()

    ended = read_until(wire, b"\r\n0\r\n\r\n")
    assert b"content-type: text/event-stream" in begun.lower()
    assert b"retry: 2000" in begun
    assert ended.count(b"event: outcome") == 2
    assert b"id: end\nevent: progress" in ended


def test_a_stream_goes_on_after_the_last_event_and_says_when_nothing_is_to_come(
    web: Web, account: accounts.Account
) -> None:
    request = engine.hand_in(client_id=account.id, payloads=[{}, {}])
    finish()
    path = f"{path_of(request)}/stream"

    whole = web.get(account, path)
    rest = web.get(account, path, Last_Event_ID="0.0")
    nothing = web.get(account, path, Last_Event_ID="end")

    assert [answer.body.count(b"event: outcome") for answer in (whole, rest)] == [2, 1]
    assert (nothing.status, nothing.body) == (204, b"")


def test_a_streams_head_is_that_of_its_get_and_tells_no_length(web: Web, account: accounts.Account) -> None:
    request = factories.make_request(client_id=account.id)
    path = f"{path_of(request)}/stream"

    whole, head = web.get(account, path), web.get(account, path, method="HEAD")

    changing = {"date", "x-request-id", "transfer-encoding"}  # the last is the wire's, and a HEAD has no body to chunk
    assert (head.status, head.body) == (200, b"")
    assert "content-length" not in head.headers
    assert {name: value for name, value in head.headers.items() if name not in changing} == {
        name: value for name, value in whole.headers.items() if name not in changing
    }


def test_a_silent_stream_has_heartbeats(web: Web, account: accounts.Account) -> None:
    wire = web.raw(account, f"{path_of(engine.hand_in(client_id=account.id))}/stream")

    assert read_until(wire, b"\r\n:\n\n\r\n")


def test_a_stream_outlives_the_servers_connections(web: Web, account: accounts.Account) -> None:
    """PostgreSQL ends every connection of the server while the stream waits."""
    request = engine.hand_in(client_id=account.id)
    wire = web.raw(account, f"{path_of(request)}/stream")
    read_until(wire, b"event: progress")

    engine.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    finish()

    assert b"event: outcome" in read_until(wire, b"id: end")


# ---------------------------------------------------------------- what waiting costs


def test_those_who_wait_hold_no_thread_no_connection_and_no_place(web: Web, account: accounts.Account) -> None:
    """Twice as many wait as the server has threads and places; it reads for others, and forgets nobody who waits."""
    request = engine.hand_in(client_id=account.id)
    web.get(account, path_of(request), Prefer="wait=1")
    threads = web.threads()
    for _ in range(QUEUE):
        web.raw(account, path_of(request), Prefer="wait=30")
    time.sleep(0.5)
    for _ in range(QUEUE):
        read_until(web.raw(account, f"{path_of(request)}/stream"), b"event: progress")

    answers = [web.get(account, path_of(request)) for _ in range(10)]

    assert {answer.status for answer in answers} == {200}
    assert web.threads() <= threads + 4
    assert _held_connections() <= THREADS + 2

    finish()
    for wire in web.opened:
        read_until(wire, b"Complete")


def _held_connections() -> int:
    """Count the connections of others that are doing something, or are in a transaction."""
    return int(
        engine.ask(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
    )


def test_the_server_takes_more_calls_than_may_wait(settings: LazySettings) -> None:
    """Else those who wait would keep out all others: granian's bound is 1,024 by itself."""
    most = int(parts.WEB[parts.WEB.index("--backpressure") + 1])

    assert most >= settings.WAYBILL_MAX_FOLLOWERS + 1024


def test_who_reads_slowly_is_not_remembered_for(web: Web, account: accounts.Account) -> None:
    """Twenty clients that never read have 30 MiB of results to come each: 600 MiB, of which nothing is kept."""
    request = engine.hand_in(client_id=account.id, payloads=[{}] * 300)
    result = json.dumps(base64.b64encode(bytes(75_000)).decode())
    batch = engine.claim("Echo", limit=300).messages
    outcomes.flush([engine.ended(message, result=result) for message in batch])
    before = web.memory()

    slow = []
    for _ in range(20):
        slow.append(web.raw(account, f"{path_of(request)}/stream"))
        assert slow[-1].recv(12) == b"HTTP/1.1 200"
    most = before
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        most = max(most, web.memory())
        time.sleep(0.05)

    assert most - before < 150 * MIB
    assert slow[0].recv(MIB)


def test_more_than_may_wait_are_refused_or_answered_at_once(
    django_db_setup: None, tmp_path: Path, account: accounts.Account
) -> None:
    request = engine.hand_in(client_id=account.id)
    with serving(tmp_path, WAYBILL_MAX_FOLLOWERS="1") as web:
        read_until(web.raw(account, f"{path_of(request)}/stream"), b":\n\n")

        refused = web.get(account, f"{path_of(request)}/stream")
        answered = web.get(account, path_of(request), Prefer="wait=30")

    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert (answered.status, answered.took < 10) == (200, True)


# ---------------------------------------------------------------- the server stops


def test_a_stop_lets_those_who_wait_go(django_db_setup: None, tmp_path: Path, account: accounts.Account) -> None:
    """A stream ends as streams end, so that its client comes again; a long poll is answered."""
    request = engine.hand_in(client_id=account.id)
    answers: list[Answer] = []
    with serving(tmp_path) as web:
        stream = web.raw(account, f"{path_of(request)}/stream")
        read_until(stream, b"event: progress")
        poll = threading.Thread(
            target=lambda: answers.append(web.get(account, path_of(request), Prefer="wait=30, return=minimal"))
        )
        poll.start()
        time.sleep(0.5)

        began = time.monotonic()
        web.child.ask_to_stop()
        ended = read_until(stream, b"\r\n0\r\n\r\n")
        poll.join(10)
        eventually(lambda: not web.child.alive, within=10)

    assert b"event: outcome" not in ended
    assert [answer.status for answer in answers] == [200]
    assert time.monotonic() - began < 4
