"""`manage.py client`, `backend` and `submit` against the running stack."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx2
import pytest

from tests.acceptance.contract.api import Api, fresh, message, request
from tests.acceptance.contract.backend import BackEnd
from tests.acceptance.contract.stack import Stack
from tests.waiting import eventually

SOON = 6.0  # "within 5 s", and the time the asking takes


def printed_secret(http: httpx2.Client, name: str, output: str) -> Api:
    """The client with the secret that the command printed: the one word of the output that lets it in."""
    words = {word.strip("\"'.,:;") for line in output.splitlines() for word in line.split() if len(word) > 30}
    works = [word for word in words if Api(http, name, word).post("/api/v1/tracking", {}).status_code == 200]
    assert len(works) == 1, output
    return Api(http, name, works[0])


def test_a_client_made_without_a_secret_gets_one_printed(stack: Stack, http: httpx2.Client) -> None:
    name = fresh("client")

    client = printed_secret(http, name, stack.commanded("client", name))

    done = client.done(message("Echo"), message("Vehicle"))
    assert done["clientName"] == name
    assert done["messageStatusSummary"]["complete"] == 2


def test_a_client_is_updated_in_place(stack: Stack, make_client: Callable[..., Api]) -> None:
    client = make_client("--name", "before")
    feed = client.done()["feedId"]

    stack.commanded(
        "client", client.client_id, "--name", "after", "--scope", "tracking:read", "--secret", client.secret
    )

    def updated() -> bool:
        found = client.search()
        return bool(found[0]["clientName"] == "after" and client.post("/api/v1/requests", request()).status_code == 403)

    eventually(updated, within=SOON, what="the new name and scopes")
    assert client.search()[0]["feedId"] == feed


def test_a_new_secret_lets_the_client_in(stack: Stack, make_client: Callable[..., Api]) -> None:
    client = make_client()

    stack.commanded("client", client.client_id, "--secret", "another secret, é")

    renewed = Api(client.http, client.client_id, "another secret, é")
    eventually(lambda: renewed.post("/api/v1/tracking", {}).status_code == 200, within=SOON, what="the new secret")


def test_scopes_and_types_may_be_given_several_times(make_client: Callable[..., Api]) -> None:
    client = make_client("--scope", "requests:write", "--scope", "tracking:read", "--type", "Echo", "--type", "Vehicle")

    assert client.done(message("Echo"), message("Vehicle"))["messageStatusSummary"]["complete"] == 2
    assert client.post("/api/v1/requests", request(message("Customer"))).status_code == 403


def test_all_types_means_those_made_later_too(
    other: Api, scripted: str, make_type: Callable[..., str], back_end: BackEnd
) -> None:
    assert other.done()["requestStatus"] == "Complete"
    later = make_type("later", "--url", back_end.url())

    eventually(lambda: other.post("/api/v1/requests", request(message(later))).status_code == 202, within=SOON)


def test_a_back_end_is_made_and_moved_while_everything_runs(
    stack: Stack, demo: Api, make_type: Callable[..., str], back_end: BackEnd
) -> None:
    kind = make_type(
        "moving",
        "--url",
        back_end.url("/first"),
        "--header",
        "X-Api-Key: of the house",
        "--header",
        "X-Two: 2",
        "--lane",
        "side",
        "--mandatory",
    )
    started = time.monotonic()
    done = demo.finished(demo.submit(message(kind)), within=SOON)
    [call] = back_end.calls(done["id"])
    assert (call.path, call.headers["x-api-key"], call.headers["x-two"]) == ("/first", "of the house", "2")
    assert time.monotonic() - started < SOON

    stack.commanded("backend", kind, "--url", back_end.url("/second"))

    def moved() -> bool:
        return {back_end.calls(demo.done(message(kind))["id"])[0].path for _ in range(4)} == {"/second"}

    eventually(moved, within=SOON, what="the new address")


REFUSED: list[list[str]] = [
    ["client", "new-one", "--scope", "no:such"],
    ["client", "new-one", "--max-in-flight", "-1"],
    ["client", ""],
    ["client", "with:colon"],
    ["backend", "Refused", "--url", "not a url"],
    ["backend", "Refused", "--url", "http://127.0.0.1:1/", "--timeout", "0"],
    ["backend", "Refused", "--url", "http://127.0.0.1:1/", "--timeout", "nan"],
    ["backend", "Refused", "--url", "http://127.0.0.1:1/", "--attempts", "0"],
    ["backend", "Refused", "--url", "http://127.0.0.1:1/", "--header", "no colon"],
    ["backend", "Refused", "--url", "http://127.0.0.1:1/", "--header", "X-A: b\r\nX-Evil: c"],
    ["backend", "Refused", "--url", "http://127.0.0.1:1/", "--schema", "/no/such/file"],
    ["submit", "/no/such/file"],
]


@pytest.fixture(scope="module")
def refusals(stack: Stack) -> dict[str, CompletedProcess[str]]:
    """All the wrong commands, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda arguments: stack.manage(*arguments), REFUSED)
        return dict(zip(map(" ".join, REFUSED), done, strict=True))


@pytest.mark.parametrize("command", [" ".join(arguments) for arguments in REFUSED])
def test_a_wrong_command_ends_with_one_clear_line(refusals: dict[str, CompletedProcess[str]], command: str) -> None:
    done = refusals[command]

    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.strip()


def test_a_schema_that_is_none_is_refused(stack: Stack, tmp_path: Path) -> None:
    for text in ("{not json", '{"type": "no such type"}'):
        (tmp_path / "schema.json").write_text(text)
        options = ["--url", "http://127.0.0.1:1/", "--schema", str(tmp_path / "schema.json")]

        done = stack.manage("backend", "Refused", *options)

        assert done.returncode != 0
        assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("refusals")
def test_what_was_refused_was_not_made(demo: Api) -> None:
    assert demo.post("/api/v1/requests", request(message("Refused"))).status_code == 403


@pytest.fixture
def body_file(tmp_path: Path) -> Callable[..., str]:
    def write(body: Any) -> str:
        path = tmp_path / "body.json"
        path.write_text(body if isinstance(body, str) else json.dumps(body))
        return str(path)

    return write


def test_submit_hands_a_file_in(stack: Stack, demo: Api, body_file: Callable[..., str]) -> None:
    body = request(message("Echo"))

    output = stack.commanded("submit", body_file(body))

    [found] = demo.search(("externalReference", body["batchReference"]))
    assert found["id"] in output


def test_submit_reads_standard_input_and_follows(stack: Stack, demo: Api) -> None:
    body = request(message("Echo"), message("Vehicle", sandbox={"delay": 0.5}))

    done = stack.manage("submit", "-", "--follow", stdin=json.dumps(body))

    assert done.returncode == 0, done.stderr
    [found] = demo.search(("externalReference", body["batchReference"]))
    assert found["requestStatus"] == "Complete"
    assert "Complete" in done.stdout
    for item in body["payload"]:
        assert item["externalReference"] in done.stdout


def test_submit_that_follows_a_failure_exits_1(stack: Stack, body_file: Callable[..., str]) -> None:
    fails = message("Vehicle", sandbox={"status": 400, "detail": "Unable"})

    done = stack.manage("submit", body_file(request(fails)), "--follow")

    assert done.returncode == 1, done.stderr
    assert "Failed" in done.stdout
    assert "Unable" in done.stdout


@pytest.mark.parametrize("body", ["{not json", request(message("NoSuchType"))])
def test_submit_says_why_a_body_was_refused(stack: Stack, body_file: Callable[..., str], body: Any) -> None:
    done = stack.manage("submit", body_file(body))

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert (done.stderr + done.stdout).strip()
