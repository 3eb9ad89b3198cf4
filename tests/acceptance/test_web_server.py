"""The web server as a client meets it: granian, the bridge to Django, and what bad luck does to a connection."""

import contextlib
import hashlib
import http.client
import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection

from config.embedded import parts, processes
from tests.processes import ROOT, stack_environment
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
THREADS, QUEUE, BODIES = 2, 2, 2


@dataclass(frozen=True, slots=True)
class Web:
    """A running web server."""

    port: int
    child: processes.Child
    log: Path
    opened: list[socket.socket | http.client.HTTPConnection] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any, dict[str, str]]:
        """One call on a connection of its own: status, parsed body, headers."""
        with contextlib.closing(self.connect()) as wire:
            return exchange(wire, method, path, body, **options)

    def connect(self, *, patience: float = 30) -> http.client.HTTPConnection:
        """A connection that is closed at the end of the test."""
        self.opened.append(http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience))
        return self.opened[-1]

    def raw(self, *pieces: bytes) -> socket.socket:
        """A connection on which these bytes were sent; it is closed at the end of the test."""
        wire = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.opened.append(wire)
        for piece in pieces:
            wire.sendall(piece)
        return wire

    def memory(self) -> int:
        """Bytes in use by the server's processes."""
        family = psutil.Process(self.child.process.pid)
        return sum(process.memory_info().rss for process in [family, *family.children(recursive=True)])


def exchange(
    wire: http.client.HTTPConnection, method: str, path: str, body: Any = None, **options: Any
) -> tuple[int, Any, dict[str, str]]:
    wire.request(method, path, body=body, **options)
    answer = wire.getresponse()
    content = answer.read()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, json.loads(content) if content.startswith((b"{", b"[")) else content, headers


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def read_answer(wire: socket.socket) -> tuple[int, Any]:
    answer = http.client.HTTPResponse(wire)
    answer.begin()
    return answer.status, json.loads(answer.read())


JSON = {"Content-Type": "application/json"}
JSON_LINE = "Content-Type: application/json"


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    directory = tmp_path_factory.mktemp("web")
    port, log = processes.free_port(), directory / "web.log"
    environment = stack_environment(
        WAYBILL_ROLE="web",
        DJANGO_SETTINGS_MODULE="tests.acceptance.web_settings",
        WAYBILL_WEB_THREADS=str(THREADS),
        WAYBILL_WEB_QUEUE=str(QUEUE),
        WAYBILL_WEB_BODIES=str(BODIES),
        GRANIAN_HOST="127.0.0.1",
        GRANIAN_PORT=str(port),
    )
    child = processes.start([sys.executable, "-m", *parts.WEB], environment=environment, log=log, directory=ROOT)
    running = Web(port=port, child=child, log=log)
    try:
        processes.wait_until(lambda: _ready(running), what=f"the web server ({log})", within=30, child=child)
        yield running
    finally:
        child.stop(within=10)
    failures = [line for line in log.read_text().splitlines() if "Traceback" in line]
    assert all("test/broken" in line for line in failures), "all that these tests do is anticipated"


def _ready(web: Web) -> bool:
    try:
        return web.call("GET", "/readyz")[0] == 200
    except OSError:
        return False


@pytest.fixture
def web(server: Web) -> Iterator[Web]:
    yield server
    while server.opened:
        server.opened.pop().close()
    assert server.child.alive


# ---------------------------------------------------------------- the ordinary


def test_many_calls_go_over_one_connection(web: Web) -> None:
    wire = web.connect()

    for _ in range(3):
        assert exchange(wire, "GET", "/livez")[:2] == (200, {"status": "alive"})
        assert exchange(wire, "POST", "/test/bodies", b"{}", headers=JSON)[0] == 200
        assert exchange(wire, "GET", "/nowhere")[0] == 404


def test_a_body_arrives_as_it_was_sent(web: Web) -> None:
    for size in (0, 1, 70_000, 5 * MIB):
        body = b"x" * size

        status, seen, _ = web.call("POST", "/test/bodies", body, headers=JSON)

        assert (status, seen) == (200, {"sha256": hashlib.sha256(body).hexdigest(), "declared": str(size)})


def test_a_chunked_body_arrives_as_it_was_sent(web: Web) -> None:
    chunks = [b"a" * 10, b"b" * 100_000, b"c"]

    status, seen, _ = web.call("POST", "/test/bodies", iter(chunks), headers=JSON, encode_chunked=True)

    whole = b"".join(chunks)
    assert (status, seen) == (200, {"sha256": hashlib.sha256(whole).hexdigest(), "declared": str(len(whole))})


def test_head_has_the_length_of_get_and_no_body(web: Web) -> None:
    wire = web.connect()

    _, _, got = exchange(wire, "GET", "/api/docs")
    status, body, headers = exchange(wire, "HEAD", "/api/docs")

    assert (status, body) == (200, b"")
    assert headers["content-length"] == got["content-length"]
    assert exchange(wire, "GET", "/livez")[0] == 200


def test_paths_and_headers_reach_django_unchanged(web: Web) -> None:
    headers = {"X-Word": "å".encode(), "X_Posing": "1", "Content-Type": "text/x"}

    _, seen, _ = web.call("GET", "/test/bodies/?a=%00&b=%FF&c=%C3%A5", headers=headers)

    assert seen["PATH_INFO"] == "/test/bodies/"
    assert seen["QUERY_STRING"] == "a=%00&b=%FF&c=%C3%A5"
    assert seen["HTTP_X_WORD"].encode("latin-1") == "å".encode()
    assert "HTTP_X_POSING" not in seen
    assert seen["CONTENT_TYPE"] == "text/x"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"


def test_the_pages_for_people_have_all_their_files_here(web: Web) -> None:
    for page in ("/api/docs", "/api/redoc"):
        text = web.call("GET", page)[1].decode()
        files = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert files
        for path in files:
            status, content, headers = web.call("GET", path)
            assert (status, bool(content)) == (200, True), path
            assert headers["content-type"].split(";")[0] in {"text/css", "text/javascript", "image/png"}


def test_a_static_file_that_is_not_there_is_refused_in_shape(web: Web) -> None:
    for path in ("/static/nothing.js", "/static/../config/settings.py", "/static/%2e%2e/manage.py"):
        status, body, _ = web.call("GET", path)
        assert (status, body["success"]) == (404, False)


# ---------------------------------------------------------------- bodies that are too much


def test_a_body_that_is_too_long_is_refused_in_shape_and_the_connection_goes_on(web: Web) -> None:
    wire = web.connect()

    for path, key in (("/test/bodies", "errors"), ("/api/v3/call/Echo", "errorCode"), ("/oauth/token", "error")):
        status, body, _ = exchange(wire, "POST", path, b"x" * (40 * MIB), headers=JSON)
        assert (status, key in body) == (413, True)

    assert exchange(wire, "GET", "/livez")[0] == 200


def test_a_chunked_body_that_is_too_long_is_refused_too(web: Web) -> None:
    wire = web.connect()
    chunks = (b"x" * MIB for _ in range(40))

    status, body, _ = exchange(wire, "POST", "/test/bodies", chunks, headers=JSON, encode_chunked=True)

    assert (status, body["success"]) == (413, False)
    assert exchange(wire, "GET", "/livez")[0] == 200


def test_a_body_of_exactly_the_limit_is_taken(web: Web) -> None:
    assert web.call("POST", "/test/bodies", b"x" * (32 * MIB), headers=JSON)[0] == 200
    assert web.call("POST", "/test/bodies", b"x" * (32 * MIB + 1), headers=JSON)[0] == 413


def test_a_client_that_asks_before_it_sends_is_told_at_once(web: Web) -> None:
    wire = web.raw(head("/test/bodies", JSON_LINE, f"Content-Length: {40 * MIB}", "Expect: 100-continue"))

    assert read_answer(wire)[0] == 413


def test_all_bodies_together_are_bounded(web: Web) -> None:
    size = 31 * MIB
    begun = [
        web.raw(head("/test/bodies", JSON_LINE, f"Content-Length: {size}"), b"x" * (size - 1)) for _ in range(BODIES)
    ]

    refused = eventually(lambda: _if_refused(web, size), what="the refusal")
    small = web.call("POST", "/test/bodies", b"{}", headers=JSON)
    for wire in begun:
        wire.sendall(b"x")

    assert refused["errors"][0]["errorMessage"]
    assert small[0] == 200
    assert [read_answer(wire)[0] for wire in begun] == [200] * BODIES
    assert web.call("POST", "/test/bodies", b"x" * size, headers=JSON)[0] == 200


def _if_refused(web: Web, size: int) -> Any:
    """Until the others have arrived there is room: not refused yet."""
    status, body, headers = web.call("POST", "/test/bodies", b"x" * size, headers=JSON)
    return body if status == 503 and int(headers["retry-after"]) > 0 else None


def test_a_client_that_goes_away_in_mid_upload_leaves_nothing_behind(web: Web) -> None:
    size = 31 * MIB
    for _ in range(3 * BODIES):
        lost = web.raw(head("/test/bodies", JSON_LINE, f"Content-Length: {size}"), b"x" * (20 * MIB))
        lost.close()

    def room_again() -> bool:
        return web.call("POST", "/test/bodies", b"x" * size, headers=JSON)[0] == 200

    eventually(room_again, what="the room of the lost uploads")


def test_twenty_large_bodies_at_once_do_not_fill_the_memory(web: Web) -> None:
    before, statuses = web.memory(), []

    def send() -> None:
        statuses.append(web.call("POST", "/test/bodies", b"x" * (31 * MIB), headers=JSON)[0])

    senders = [threading.Thread(target=send) for _ in range(20)]
    for sender in senders:
        sender.start()
    most = before
    while any(sender.is_alive() for sender in senders):
        most = max(most, web.memory())
        senders[0].join(0.05)
    for sender in senders:
        sender.join()

    assert set(statuses) <= {200, 503}
    assert 200 in statuses
    assert most - before < 4 * BODIES * 32 * MIB


# ---------------------------------------------------------------- too many at once


def test_when_the_queue_is_full_the_answer_is_503_in_shape_and_health_still_answers(web: Web, tmp_path: Path) -> None:
    until = tmp_path / "until"
    held = [
        web.raw(head(f"/test/hold?until={until}&began={tmp_path / str(number)}", method="GET"))
        for number in range(THREADS)
    ]
    eventually(lambda: len(list(tmp_path.iterdir())) == THREADS, what="the busy threads")
    held += [web.raw(head(f"/test/hold?until={until}&began={until}", method="GET")) for _ in range(QUEUE)]

    status, body, headers = eventually(lambda: _if_full(web), what="the full queue")
    health = web.call("GET", "/livez")[0], web.call("GET", "/readyz")[0]
    until.touch()

    assert (status, body["errorCode"]) == (503, "GLOBAL_1001")
    assert int(headers["retry-after"]) > 0
    assert health == (200, 200)
    answers = [read_answer(wire)[0] for wire in held]
    assert answers[:THREADS] == [200] * THREADS
    assert set(answers) <= {200, 503}  # our own looks at the queue may have taken a place in it
    assert web.call("GET", "/test/pid")[0] == 200


def _if_full(web: Web) -> Any:
    wire = web.connect(patience=0.5)  # while there is room in the queue, it waits there
    with contextlib.suppress(TimeoutError):
        answer = exchange(wire, "GET", "/api/v3/global/call/x")
        return answer if answer[0] == 503 else None
    return None


def test_slow_uploads_hold_no_thread(web: Web) -> None:
    for _ in range(3 * (THREADS + QUEUE)):
        web.raw(head("/test/bodies", JSON_LINE, "Content-Length: 100"), b"x")

    assert web.call("GET", "/test/pid")[0] == 200


def test_slow_readers_of_a_stream_hold_no_thread_and_no_database_connection(web: Web) -> None:
    for _ in range(30):
        slow = web.raw(head("/test/stream?chunks=1000", method="GET"))
        assert slow.recv(20).startswith(b"HTTP/1.1 200")

    for _ in range(3):
        assert web.call("GET", "/readyz")[0] == 200
        assert web.call("GET", "/test/stream?chunks=3")[0] == 200


def test_when_the_database_ended_its_connections_one_call_fails_and_the_next_ones_do_not(web: Web) -> None:
    for _ in range(10):
        assert web.call("GET", "/test/row")[0] == 200

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        (ended,) = cursor.fetchone()

    assert ended > 0
    assert web.call("GET", "/test/row")[0] in {200, 503}
    for _ in range(20):
        assert web.call("GET", "/test/row")[0] == 200


# ---------------------------------------------------------------- streams


def test_a_stream_arrives_whole_and_in_order(web: Web) -> None:
    _, content, headers = web.call("GET", "/test/stream?chunks=200")

    assert [int(line) for line in content.splitlines()] == list(range(200))
    assert headers["transfer-encoding"] == "chunked"


def test_a_long_stream_does_not_grow_the_process(web: Web) -> None:
    web.call("GET", "/test/stream?chunks=10")
    before = web.memory()

    wire = web.connect()
    wire.request("GET", "/test/stream?chunks=4000")
    answer = wire.getresponse()
    read = 0
    while piece := answer.read(MIB):
        read += len(piece)

    assert read == 4000 * 65_536
    assert web.memory() - before < 50 * MIB


def test_the_head_of_a_stream_has_no_body(web: Web) -> None:
    wire = web.connect()

    assert exchange(wire, "HEAD", "/test/stream?chunks=1000")[:2] == (200, b"")
    assert exchange(wire, "GET", "/livez")[0] == 200


def test_a_stream_that_breaks_cuts_the_connection(web: Web) -> None:
    with pytest.raises(http.client.IncompleteRead):
        web.call("GET", "/test/broken")


def test_what_waits_is_sent_piece_by_piece_and_ends_with_its_client(web: Web, tmp_path: Path) -> None:
    waiting = [_begin_to_wait(web, tmp_path / str(number)) for number in range(10)]
    assert web.call("GET", "/test/pid")[0] == 200
    assert list(tmp_path.iterdir()) == []

    for wire in waiting:
        wire.close()

    eventually(lambda: len(list(tmp_path.iterdir())) == 10, what="the end of the streams")


def _begin_to_wait(web: Web, ended: Path) -> socket.socket:
    wire = web.raw(head(f"/test/events?ended={ended}", method="GET"))
    seen = b""
    while b"data: first" not in seen:
        seen += wire.recv(1000)
        assert seen.startswith(b"HTTP/1.1 200")
    return wire


# ---------------------------------------------------------------- what is no HTTP, or hardly


@pytest.mark.parametrize(
    "sent",
    [
        b"rubbish\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"POST /test/bodies HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /test/bodies HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /test/bodies HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_hardly_http_is_refused_and_harms_nobody(web: Web, sent: bytes) -> None:
    wire = web.raw()
    with contextlib.suppress(OSError):
        wire.sendall(sent)
        wire.shutdown(socket.SHUT_WR)
        first = wire.recv(100)
        assert first == b"" or re.match(rb"HTTP/1\.[01] 4\d\d", first)

    assert web.call("GET", "/livez")[0] == 200


def test_two_credentials_in_one_call_are_bad_credentials(web: Web) -> None:
    line = "Authorization: Basic eDp5"

    wire = web.raw(head("/api/v3/global/call/x", line, line, method="GET"))

    assert read_answer(wire) == (401, {**read_nak(401), "errorMessage": "The Basic credentials are malformed"})


def read_nak(status: int) -> dict[str, Any]:
    return {"errorCode": f"AUTH_1{status - 400:03d}", "errorMessage": "", "content": "", "pageable": None}
