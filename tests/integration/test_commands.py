"""The commands: what they make, keep, print and refuse, and how `submit` follows a request."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from orchestrator import accounts, backend_types, backends, breakers, handlers
from orchestrator.limits import NO_LIMITS, Limits
from orchestrator.models import AuditEntry, Backend, Client
from tests import waiting

REQUEST_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def run(*arguments: str) -> str:
    """Run a command and return what it printed."""
    printed = io.StringIO()
    call_command(*arguments, stdout=printed)
    return printed.getvalue()


def secret_in(printed: str) -> str:
    return next(line.partition(": ")[2] for line in printed.splitlines() if line.startswith("secret: "))


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    accounts.forget()
    handlers.registry.expire()


@pytest.mark.django_db
class TestClient:
    def test_is_made_with_everything_and_its_secret_printed_once(self) -> None:
        printed = run("client", "acme")

        account = accounts.prove("acme", secret_in(printed))
        assert account is not None
        assert account.name == "acme"
        assert account.scopes == accounts.ALL_SCOPES
        assert account.types is None
        assert account.max_in_flight is None
        assert "secret" not in run("client", "acme")

    def test_has_its_secrets_rotated_and_the_log_says_so(self) -> None:
        run("client", "acme", "--secret", "old")

        printed = run("client", "acme", "--rotate", "1")

        assert accounts.prove("acme", secret_in(printed)) is not None
        assert accounts.prove("acme", "old") is not None
        run("client", "acme", "--rotate", "0")
        assert accounts.prove("acme", "old") is None
        assert accounts.prove("acme", secret_in(printed)) is None
        entries = AuditEntry.objects.filter(object_type="client", object_id="acme").order_by("pk")
        assert [entry.detail["secret"] for entry in entries] == [
            "given, others kept",
            "generated, others end after 1 h",
            "generated, others ended at once",
        ]
        assert "old" not in str(list(entries.values_list("detail")))
        assert {entry.actor.partition(":")[0] for entry in entries} == {"command line"}

    @pytest.mark.parametrize("hours", ["-1", "nan", "1e9"])
    def test_is_not_rotated_by_nonsense(self, hours: str) -> None:
        with pytest.raises(CommandError, match="hours"):
            run("client", "acme", f"--rotate={hours}")

        assert not Client.objects.exists()

    def test_is_made_as_told(self) -> None:
        options = ["--scope", "tracking:read", "--scope", "requests:write", "--type", "Echo", "--max-in-flight", "3"]

        printed = run("client", "acme", "--secret", "known", "--name", "Acme Ltd", *options)

        account = accounts.prove("acme", "known")
        assert account is not None
        assert account.name == "Acme Ltd"
        assert account.scopes == {"tracking:read", "requests:write"}
        assert account.types == frozenset({"Echo"})
        assert account.max_in_flight == 3
        assert "known" not in printed

    def test_keeps_what_no_option_names(self) -> None:
        run("client", "acme", "--scope", "tracking:read", "--type", "Echo", "--max-in-flight", "3", "--secret", "one")
        feed = Client.objects.get().feed_id

        run("client", "acme", "--name", "Other")

        client = Client.objects.get()
        assert (client.name, client.scopes, client.types) == ("Other", ["tracking:read"], ["Echo"])
        assert (client.max_in_flight, client.feed_id) == (3, feed)
        assert accounts.prove("acme", "one")

    def test_gets_everything_back(self) -> None:
        run("client", "acme", "--scope", "tracking:read", "--type", "Echo", "--max-in-flight", "3")

        run("client", "acme", "--all-scopes", "--all-types", "--max-in-flight", "0")

        client = Client.objects.get()
        assert (client.scopes, client.types, client.max_in_flight) == (None, None, None)

    def test_gets_a_second_secret_beside_the_first(self) -> None:
        run("client", "acme", "--secret", "one")
        run("client", "acme", "--secret", "two")

        assert accounts.prove("acme", "one")
        assert accounts.prove("acme", "two")

    def test_given_the_same_secret_again_has_it_once(self) -> None:
        run("client", "acme", "--secret", "one")
        run("client", "acme", "--secret", "one")

        assert Client.objects.get().secrets.count() == 1

    def test_has_its_secrets_replaced(self) -> None:
        run("client", "acme", "--secret", "one")

        secret = secret_in(run("client", "acme", "--replace-secrets"))

        accounts.forget()
        assert accounts.prove("acme", secret)
        assert accounts.prove("acme", "one") is None

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (["a:b"], "not a client id: 'a:b'"),
            ([""], "not a client id"),
            (["åsa"], "not a client id"),
            (["acme", "--scope", "everything"], "unknown scope: everything"),
            (["acme", "--max-in-flight", "-1"], "the limit must be from 1"),
            (["acme", "--max-in-flight", "many"], "invalid int value"),
            (["acme", "--secret", ""], "a secret must be"),
            (["acme", "--secret", "a\nb"], "a secret must be"),
            (["acme", "--name", "a\x00"], "a name must be"),
            (["acme", "--type", ""], "a message type must be"),
        ],
    )
    def test_that_can_not_be_is_told_in_one_line(self, arguments: list[str], text: str) -> None:
        with pytest.raises(CommandError) as refused:
            run("client", *arguments)

        assert text in str(refused.value)
        assert "\n" not in str(refused.value)
        assert not Client.objects.exists()


@pytest.mark.django_db
class TestBackend:
    def test_makes_a_new_type_at_once(self) -> None:
        run("backend", "Parcel", "--url", "http://parcels/in?tenant=7")

        parcel = handlers.find("Parcel")
        assert parcel is not None
        assert parcel.kind is handlers.Kind.HTTP
        assert (parcel.lane_name, parcel.timeout, parcel.policy.attempts) == ("Parcel", 30.0, 5)
        assert (parcel.schema, parcel.mandatory) == (None, False)
        assert isinstance(parcel.handler, backends.Target)
        assert parcel.handler.url == "http://parcels/in?tenant=7"

    def test_makes_it_as_told(self, tmp_path: Path) -> None:
        schema = tmp_path / "schema.json"
        schema.write_text('{"type": "object", "required": ["weight"]}')
        options = ["--timeout", "2.5", "--attempts", "2", "--lane", "Post", "--mandatory", "--schema", str(schema)]

        printed = run("backend", "Parcel", "--url", "https://p/", *options, "--header", "Authorization: Bearer hidden")

        parcel = handlers.find("Parcel")
        assert parcel is not None
        assert (parcel.lane_name, parcel.timeout, parcel.policy.attempts) == ("Post", 2.5, 2)
        assert parcel.mandatory
        assert parcel.schema is not None
        assert parcel.schema.problems("{}")
        assert isinstance(parcel.handler, backends.Target)
        assert parcel.handler.headers == (("Authorization", "Bearer hidden"),)
        assert "hidden" not in printed
        assert b"hidden" not in bytes(Backend.objects.get().headers_sealed or b"")

    def test_keeps_what_no_option_names(self) -> None:
        run(
            "backend",
            "Parcel",
            "--url",
            "http://p/",
            "--timeout",
            "2",
            "--mandatory",
            "--header",
            "A: 1",
            "--lane",
            "L",
        )

        run("backend", "Parcel", "--attempts", "9")

        parcel = handlers.find("Parcel")
        assert parcel is not None
        assert (parcel.timeout, parcel.policy.attempts, parcel.mandatory, parcel.lane_name) == (2.0, 9, True, "L")
        assert isinstance(parcel.handler, backends.Target)
        assert parcel.handler.headers == (("A", "1"),)

    def test_takes_options_back(self, tmp_path: Path) -> None:
        schema = tmp_path / "schema.json"
        schema.write_text("{}")
        options = ["--mandatory", "--header", "A: 1", "--lane", "L", "--schema", str(schema)]
        run("backend", "Parcel", "--url", "http://p/", *options)

        run("backend", "Parcel", "--no-mandatory", "--no-headers", "--lane", "", "--no-schema")

        row = Backend.objects.get()
        assert (row.mandatory, row.headers_sealed, row.lane, row.schema) == (False, None, "", None)

    def test_limits_it(self) -> None:
        printed = run(
            "backend", "Parcel", "--url", "http://p/", "--concurrency", "5", "--rate", "90/min", "--burst", "3"
        )

        parcel = handlers.find("Parcel")
        assert parcel is not None
        assert parcel.limits == Limits(concurrency=5, rate=1.5, burst=3, breaker=20)
        assert "concurrency: 5, rate: 1.5/s (3 at once), breaker: after 20 failures in a row\n" in printed

    def test_takes_limits_back(self) -> None:
        options = ["--concurrency", "5", "--rate", "10/s", "--burst", "3", "--breaker", "7"]
        run("backend", "Parcel", "--url", "http://p/", *options)

        printed = run("backend", "Parcel", "--no-concurrency", "--no-rate", "--no-breaker")

        parcel = handlers.find("Parcel")
        assert parcel is not None
        assert parcel.limits == NO_LIMITS
        assert "concurrency: no limit, rate: no limit, breaker: none\n" in printed

    def test_says_when_it_is_down(self) -> None:
        run("backend", "Parcel", "--url", "http://p/")
        breakers.tell("Parcel", breakers.Sight(failures=20), breaker=20)

        assert "breaker: after 20 failures in a row, now open\n" in run("backend", "Parcel")

    @pytest.mark.parametrize(
        ("option", "value"),
        [("--concurrency", "0"), ("--rate", "0/s"), ("--rate", "10/day"), ("--burst", "0"), ("--breaker", "-1")],
    )
    def test_refuses_limits_that_can_not_be(self, option: str, value: str) -> None:
        with pytest.raises(CommandError) as refused:
            run("backend", "Parcel", "--url", "http://p/", f"{option}={value}")

        assert "\n" not in str(refused.value)
        assert not Backend.objects.exists()

    def test_is_seen_by_a_process_that_is_running(self) -> None:
        assert handlers.find("Parcel") is None

        Backend.objects.create(message_type="Parcel", url="http://p/")  # as another process does

        parcel = waiting.eventually(lambda: handlers.find("Parcel"), within=5)
        Backend.objects.update(timeout_seconds=7)
        waiting.eventually(lambda: (found := handlers.find("Parcel")) and found.timeout == 7, within=5)
        assert parcel.kind is handlers.Kind.HTTP

    def test_wins_over_a_handler_in_code(self) -> None:
        run("backend", "Echo", "--url", "http://p/")

        echo = handlers.find("Echo")

        assert echo is not None
        assert echo.kind is handlers.Kind.HTTP

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ([], "Parcel is new: it needs a URL"),
            (["--url", "ftp://p/"], "the URL must be like"),
            (["--url", "p"], "the URL must be like"),
            (["--url", "http://"], "the URL must be like"),
            (["--url", "http://p:99999/"], "URL"),
            (["--url", "http://user:word@p/"], "must not hold credentials"),
            (["--url", "http://x..y/"], "x..y is no host"),
            (["--url", "http://-/"], "- is no host"),
            (["--url", "http://169%2e254%2e169%2e254/"], "is no host"),
            (["--url", "http://[::169.254.169.254]/"], "metadata service"),
            (["--url", "http://[::ffff:a9fe:a9fe]/"], "metadata service"),
            (["--url", "http://169\N{IDEOGRAPHIC FULL STOP}254.169.254/"], "metadata service"),
            (["--url", "http://0251.254.43518/"], "metadata service"),
            (["--url", "http://p/a b"], "no spaces"),
            (["--url", "http://p/\n"], "URL"),
            (["--url", "http://[p/"], "URL"),
            (["--url", "http://p/", "--burst", "5"], "give a rate too"),
            (["--url", "http://p/", "--burst", "5", "--no-rate"], "give a rate too"),
            (["--url", "http://p/", "--timeout", "0"], "the timeout must be"),
            (["--url", "http://p/", "--timeout", "nan"], "the timeout must be"),
            (["--url", "http://p/", "--timeout", "inf"], "the timeout must be"),
            (["--url", "http://p/", "--attempts", "0"], "the attempts must be"),
            (["--url", "http://p/", "--attempts", "100000"], "the attempts must be"),
            (["--url", "http://p/", "--lane", "a/b"], "not a lane's name"),
            (["--url", "http://p/", "--header", "no colon"], "'Name: value'"),
            (["--url", "http://p/", "--header", "A B: 1"], "not a header's name"),
            (["--url", "http://p/", "--header", "A: å"], "printable ASCII"),
            (["--url", "http://p/", "--header", "A: 1\r\nB: 2"], "printable ASCII"),
            (["--url", "http://p/", "--header", "Content-Length: 1"], "is set by Waybill itself"),
            (["--url", "http://p/", "--header", "idempotency-key: 1"], "is set by Waybill itself"),
            (["--url", "http://p/", "--schema", "/no/such/file"], "the schema can't be read"),
        ],
    )
    def test_that_can_not_be_is_told_in_one_line(self, arguments: list[str], text: str) -> None:
        with pytest.raises(CommandError) as refused:
            run("backend", "Parcel", *arguments)

        assert text in str(refused.value)
        assert "\n" not in str(refused.value)
        assert not Backend.objects.exists()

    def test_keeps_its_url_when_the_new_one_is_refused_and_the_log_says_who_tried(self) -> None:
        run("backend", "Parcel", "--url", "http://p/")

        for url in ("http://[::ffff:a9fe:a9fe]/", "ftp://user:hidden@p/", "http://user:hidden@[p/"):
            with pytest.raises(CommandError):
                run("backend", "Parcel", "--url", url)

        assert Backend.objects.get().url == "http://p/"
        entries = AuditEntry.objects.filter(object_type="backend", object_id="Parcel", outcome="refused")
        assert len(entries) == 3
        assert "hidden" not in str([entry.detail for entry in entries])

    @pytest.mark.parametrize("name", ["", "a/b", "a?b", " a", "a\n", "x" * 101])
    def test_refuses_a_type_that_no_path_can_name(self, name: str) -> None:
        with pytest.raises(CommandError, match="not a message type"):
            run("backend", name, "--url", "http://p/")

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("{", "not valid JSON"),
            ("[]", "must be a JSON object"),
            ('{"type": "nothing"}', "not a JSON Schema"),
            ('{"$ref": "http://127.0.0.1:9/x"}', "not a JSON Schema"),
            ("\x00", "not valid JSON"),
            ('{"title": "\\u0000"}', "NUL"),
            ('{"title": "\\ud800"}', "surrogate"),
        ],
    )
    def test_refuses_a_bad_schema(self, tmp_path: Path, text: str, reason: str) -> None:
        file = tmp_path / "schema.json"
        file.write_text(text)

        with pytest.raises(CommandError, match=reason) as refused:
            run("backend", "Parcel", "--url", "http://p/", "--schema", str(file))

        assert "\n" not in str(refused.value)

    def test_leaves_the_others_alone_when_a_row_is_broken(self) -> None:
        run("backend", "Parcel", "--url", "http://p/")
        Backend.objects.create(message_type="Broken", url="http://p/", headers_sealed=b"not sealed here")
        Backend.objects.create(message_type="Wrong", url="http://p/", schema={"type": "nothing"})

        found = backend_types.load()

        assert set(found) == {"Parcel"}


@pytest.mark.django_db(transaction=True)
def test_a_ledger_that_is_away_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", "9")

    with pytest.raises(CommandError, match="the ledger can't be reached") as refused:
        run("client", "acme")

    connection.close()
    assert "\n" not in str(refused.value)


class Gateway:
    """The API's own shapes, scripted: a request whose messages end one by one."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("")
        self.body = b""
        self.authorization: str | None = None
        self.errors: list[dict[str, Any]] = []
        self.messages: list[tuple[str, str, str | None]] = [("a", "Complete", None), ("b", "Complete", None)]
        self.unreachable = 0
        self._looks = 0
        server.expect_request("/api/v1/requests", method="POST").respond_with_handler(self._accept)
        server.expect_request(f"/api/v1/requests/{REQUEST_ID}", method="GET").respond_with_handler(self._show)

    def _accept(self, request: Request) -> Response:
        self.body, self.authorization = request.get_data(), request.headers.get("Authorization")
        return self._answer({"id": REQUEST_ID}, status=202)

    def _show(self, request: Request) -> Response:
        if self.unreachable:
            self.unreachable -= 1
            return Response("{}", status=503)
        self._looks += 1
        ended = self.messages[: self._looks - 1]
        statuses = ("Processing", "Cancelled", "Failed", "Invalid", "Complete")
        summary = {name.lower(): sum(status == name for _, status, _ in ended) for name in statuses}
        summary |= {"total": len(self.messages), "queued": len(self.messages) - len(ended)}
        data: dict[str, Any] = {"id": REQUEST_ID, "messageStatusSummary": summary}
        if request.headers.get("Prefer") != "return=minimal":
            data["payload"] = [
                {
                    "externalReference": reference,
                    "messageStatus": status,
                    "messageType": "Echo",
                    **({"errors": [{"errorMessage": error}]} if error else {}),
                }
                for reference, status, error in self.messages
            ]
        return self._answer(data)

    def _answer(self, data: dict[str, Any], status: int = 200) -> Response:
        content = {"data": data, "errors": self.errors, "success": True}
        return Response(json.dumps(content), status=status, content_type="application/json")


Submit = Callable[..., str]


@pytest.fixture
def gateway(httpserver: HTTPServer) -> Gateway:
    return Gateway(httpserver)


@pytest.fixture
def submit(gateway: Gateway, tmp_path: Path) -> Submit:
    file = tmp_path / "body.json"
    file.write_text('{"batchReference": "b"}')

    def run_submit(*arguments: str) -> str:
        return run("submit", str(file), "--url", gateway.url, *arguments)

    return run_submit


class TestSubmit:
    def test_hands_the_body_in_as_it_is(self, submit: Submit, gateway: Gateway) -> None:
        printed = submit()

        assert gateway.body == b'{"batchReference": "b"}'
        assert gateway.authorization == "Basic ZGVtbzpkZW1vLXNlY3JldA=="
        assert printed == f"Request-Id: {REQUEST_ID}\n"

    def test_follows_to_the_end(self, submit: Submit, capsys: pytest.CaptureFixture[str]) -> None:
        submit("--follow")

        shown = capsys.readouterr().out
        assert "2/2" in shown
        assert "2 Complete" in shown
        assert shown.count("Echo") == 2

    @pytest.mark.parametrize("status", ["Failed", "Invalid", "Cancelled"])
    def test_exits_1_when_a_message_went_wrong_and_says_which(
        self, submit: Submit, gateway: Gateway, status: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gateway.messages = [("a", "Complete", None), ("bad one", status, "[bold]No such parcel")]

        with pytest.raises(SystemExit) as ended:
            submit("--follow")

        assert ended.value.code == 1
        rows = [line for line in capsys.readouterr().out.splitlines() if "Echo" in line]
        assert "bad one" in rows[0]
        assert "[bold]No such parcel" in rows[0]
        assert "Complete" in rows[1]

    def test_waits_out_a_restart(self, submit: Submit, gateway: Gateway) -> None:
        gateway.unreachable = 3

        submit("--follow")

        assert gateway.unreachable == 0

    def test_names_what_is_invalid(self, submit: Submit, gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
        gateway.errors = [{"errorMessage": "weight is missing", "index": 3}]

        with pytest.raises(SystemExit):
            submit()

        assert "index 3: weight is missing" in capsys.readouterr().err

    def test_tells_a_refusal_in_one_line(self, httpserver: HTTPServer, tmp_path: Path) -> None:
        errors = [{"errorMessage": "must be text", "field": "batchReference"}]
        httpserver.expect_request("/api/v1/requests").respond_with_json(
            {"data": None, "errors": errors, "success": False}, status=400
        )
        file = tmp_path / "body.json"
        file.write_text("{}")

        with pytest.raises(CommandError, match="answered 400: field batchReference: must be text"):
            run("submit", str(file), "--url", httpserver.url_for(""))

    @pytest.mark.parametrize("answer", ["<html>", "[]", "{}", '{"errors": 1}'])
    def test_survives_an_answer_of_something_else(self, httpserver: HTTPServer, tmp_path: Path, answer: str) -> None:
        httpserver.expect_request("/api/v1/requests").respond_with_data(answer, status=502)
        file = tmp_path / "body.json"
        file.write_text("{}")

        with pytest.raises(CommandError, match="answered 502"):
            run("submit", str(file), "--url", httpserver.url_for(""))

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nowhere", "ftp://x", "http://["])
    def test_tells_when_nobody_is_there(self, tmp_path: Path, url: str) -> None:
        file = tmp_path / "body.json"
        file.write_text("{}")

        with pytest.raises(CommandError, match=r"can't be reached|not an address"):
            run("submit", str(file), "--url", url)

    def test_tells_when_there_is_no_file(self) -> None:
        with pytest.raises(CommandError, match="can't be read: No such file"):
            run("submit", "/no/such/file")

    def test_reads_standard_input(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{}")))

        run("submit", "-", "--url", gateway.url)

        assert gateway.body == b"{}"
