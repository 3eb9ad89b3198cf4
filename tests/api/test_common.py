"""What holds for every door and window: credentials, methods, paths, and errors in the family's own words."""

import base64
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client as Http
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings
from rest_framework.exceptions import ValidationError

from config.embedded.processes import free_port
from config.urls import urlpatterns as real_paths
from orchestrator.api import problems, rendering
from orchestrator.api.routes import route
from orchestrator.api.window import Request, WindowView
from orchestrator.models import Scope
from tests.factories import SECRET, make_client

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


def credentials(client_id: str, secret: str = SECRET) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


class Example(WindowView):
    """A window like any other."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.TRACKING_READ, "POST": Scope.REQUESTS_WRITE}

    def get(self, request: Request, word: str) -> HttpResponse:
        return rendering.respond({"word": word, "client": request.caller.account.client_id, "q": request.GET.get("q")})

    def post(self, request: Request, word: str) -> HttpResponse:
        return rendering.respond({"word": word, "bytes": len(self.body(request))})


class Failing(WindowView):
    """A window in which something goes wrong."""

    failures: ClassVar[dict[str, Exception]] = {
        "refused": problems.Problem(409, "Already finished", field="id", index=3, headers={"X-Why": "because"}),
        "several": problems.Problem(400, "two", details=[problems.Detail("a"), problems.Detail("b", index=0)]),
        "away": InterfaceError("the connection is closed"),
        "missing": Http404(),
        "denied": PermissionDenied(),
        "suspicious": SuspiciousOperation(),
        "invalid": ValidationError("no"),
        "unanticipated": ZeroDivisionError("secret details"),
    }

    def get(self, request: HttpRequest, kind: str) -> HttpResponse:
        raise self.failures[kind]


def outside_the_windows(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied if "denied" in request.GET else SuspiciousOperation


urlpatterns = [
    route("example/<word>", Example.as_view()),
    route("failing/<kind>", Failing.as_view()),
    route("api/v3/failing/<kind>", Failing.as_view()),
    route("outside", outside_the_windows),
    *real_paths,
]
handler400 = "config.urls.bad_request"
handler403 = "config.urls.forbidden"
handler404 = "config.urls.not_found"
handler500 = "config.urls.server_error"


def gateway(answer: Any) -> tuple[int, str]:
    """The status and the one text of the Gateway's error body."""
    body = answer.json()
    assert set(body) == {"data", "errors", "success"}
    assert body["data"] is None
    assert body["success"] is False
    assert answer["Content-Type"] == "application/json"
    return answer.status_code, body["errors"][0]["errorMessage"]


# ---------------------------------------------------------------- a call that is in order


def test_a_call_in_order_is_answered_and_knows_its_caller(client: Http) -> None:
    account = make_client()

    answer = client.get("/example/hello?q=1", headers=credentials(account.client_id))

    assert answer.status_code == 200
    assert answer.json() == {"word": "hello", "client": account.client_id, "q": "1"}


def test_a_path_answers_with_and_without_the_last_slash_and_never_redirects(client: Http) -> None:
    account = make_client()

    for path in ("/example/hello", "/example/hello/"):
        assert client.get(path, headers=credentials(account.client_id)).json()["word"] == "hello"
    assert client.get("/example/hello//", headers=credentials(account.client_id)).status_code == 404


def test_head_answers_like_get_and_options_tells_the_methods(client: Http) -> None:
    account = make_client()

    head = client.head("/example/hello", headers=credentials(account.client_id))
    options = client.options("/example/hello")

    assert (head.status_code, head.content) == (200, b"")
    assert client.head("/example/hello").status_code == 401
    assert (options.status_code, options["Allow"]) == (204, "GET, POST, HEAD, OPTIONS")


def test_a_body_on_get_is_ignored(client: Http) -> None:
    account = make_client()

    answer = client.generic("GET", "/example/x", b"{broken", headers=credentials(account.client_id))

    assert answer.status_code == 200


# ---------------------------------------------------------------- the checks, in their order


def test_method_then_credentials_then_scope_then_content_type_then_body(client: Http, settings: Settings) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 10
    reader = credentials(make_client(scopes=[Scope.TRACKING_READ]).client_id)
    writer = credentials(make_client().client_id)
    long = {"data": b"x" * 11}

    assert gateway(client.put("/example/x", **long))[0] == 405
    assert gateway(client.post("/example/x", **long, content_type="text/plain"))[0] == 401
    assert gateway(client.post("/example/x", **long, content_type="text/plain", headers=reader))[0] == 403
    assert gateway(client.post("/example/x", **long, content_type="text/plain", headers=writer))[0] == 415
    assert gateway(client.post("/example/x", **long, content_type="application/json", headers=writer))[0] == 413
    assert client.post("/example/x", b"x" * 10, content_type="application/json", headers=writer).status_code == 200


def test_a_wrong_method_is_told_the_right_ones(client: Http) -> None:
    answer = client.delete("/example/x")

    assert gateway(answer)[0] == 405
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert gateway(client.generic("BREW", "/example/x"))[0] == 405
    assert gateway(client.generic("__class__", "/example/x"))[0] == 405
    assert gateway(client.generic("DISPATCH", "/example/x"))[0] == 405


def test_missing_credentials_are_asked_for_in_both_ways(client: Http) -> None:
    answer = client.get("/example/x")

    assert gateway(answer)[0] == 401
    assert answer["WWW-Authenticate"].startswith("Bearer ")
    assert "Basic realm=" in answer["WWW-Authenticate"]


def test_a_missing_scope_is_named(client: Http) -> None:
    account = make_client(scopes=[Scope.ORDERS_READ])

    status, text = gateway(client.get("/example/x", headers=credentials(account.client_id)))

    assert status == 403
    assert "tracking:read" in text


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/problem+json", 200),
        ("application/jsonp", 415),
        ("text/json", 415),
        ("", 415),
        (";", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
def test_a_body_must_be_declared_as_json(client: Http, content_type: str, status: int) -> None:
    account = make_client()

    answer = client.post("/example/x", b"{}", content_type=content_type, headers=credentials(account.client_id))

    assert answer.status_code == status


# ---------------------------------------------------------------- what goes wrong


def test_an_anticipated_refusal_is_told_in_the_familys_words(client: Http) -> None:
    answer = client.get("/failing/refused")

    assert answer.status_code == 409
    assert answer["X-Why"] == "because"
    assert answer.json() == {
        "data": None,
        "errors": [{"errorMessage": "Already finished", "field": "id", "index": 3}],
        "success": False,
    }
    assert client.get("/failing/several").json()["errors"] == [
        {"errorMessage": "a"},
        {"errorMessage": "b", "index": 0},
    ]
    assert client.get("/api/v3/failing/refused").json() == {
        "errorCode": "GLOBAL_1002",
        "errorMessage": "Already finished",
        "content": "",
        "pageable": None,
    }


@pytest.mark.parametrize(
    ("kind", "status"), [("missing", 404), ("denied", 403), ("suspicious", 400), ("invalid", 400), ("away", 503)]
)
def test_exceptions_of_the_frameworks_find_their_status(client: Http, kind: str, status: int) -> None:
    answer = client.get(f"/failing/{kind}")

    assert gateway(answer)[0] == status
    assert ("Retry-After" in answer) == (status == 503)


def test_an_unanticipated_failure_is_logged_once_and_tells_nothing(
    client: Http, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.get("/failing/unanticipated")

    assert gateway(answer) == (500, "Internal server error")
    assert "secret" not in answer.content.decode()
    assert len(caplog.records) == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_refusal_is_not_logged(client: Http, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/failing/refused")
    client.get("/example/x")

    assert caplog.records == []


def test_django_itself_answers_in_the_same_shape(client: Http) -> None:
    assert gateway(client.get("/outside")) == (400, "Bad request")
    assert gateway(client.get("/outside?denied")) == (403, "Forbidden")
    assert gateway(client.get("/nowhere")) == (404, "Resource was not found")
    assert gateway(client.get("/"))[0] == 404
    assert gateway(client.get("/example"))[0] == 404
    assert client.get("/api/v3/nowhere").json()["errorCode"] == "GLOBAL_1002"


@pytest.mark.parametrize("path", ["/example/a%00b", "/example/%FF", "/example/%", "/example/%zz", "/example/a%0Ab"])
def test_odd_bytes_in_a_path_or_query_are_just_text(client: Http, path: str) -> None:
    account = make_client()

    for query in ("", "?q=%00", "?q=%FF", "?%", "?q=%ud800"):
        assert client.get(path + query, headers=credentials(account.client_id)).status_code in {200, 404}


def test_a_thousand_query_parameters_are_no_failure_of_ours(client: Http) -> None:
    account = make_client()

    answer = client.get("/example/x?" + "&".join(["a=1"] * 2000), headers=credentials(account.client_id))

    assert gateway(answer)[0] == 400


def test_a_host_that_is_none_is_no_failure_of_ours(client: Http) -> None:
    account = make_client()

    answer = client.get("/example/x", headers=credentials(account.client_id) | {"Host": "no host/at all"})

    assert answer.status_code in {200, 400}


@pytest.fixture
def ledger_away(transactional_db: None) -> Iterator[None]:
    """A database at whose port nobody listens."""
    known = connection.settings_dict["PORT"]
    connection.close()
    connection.settings_dict["PORT"] = free_port()
    yield
    connection.close()
    connection.settings_dict["PORT"] = known


@pytest.mark.usefixtures("ledger_away")
def test_without_the_ledger_the_answer_is_503_in_shape(client: Http) -> None:
    answer = client.get("/example/x", headers=credentials("anybody"))
    token = client.post(
        "/oauth/token",
        "grant_type=client_credentials&client_id=a&client_secret=b",
        content_type="application/x-www-form-urlencoded",
    )

    assert gateway(answer)[0] == 503
    assert int(answer["Retry-After"]) > 0
    assert (token.status_code, token.json()["error"]) == (503, "temporarily_unavailable")


# ---------------------------------------------------------------- the admin beside the windows


def test_only_the_admins_paths_know_sessions_and_forms() -> None:
    strict = Http(enforce_csrf_checks=True)
    account = make_client()

    answer = strict.post("/example/x", b"{}", content_type="application/json", headers=credentials(account.client_id))
    login = strict.get("/admin/login/")
    forged = strict.post("/admin/login/", {"username": "a", "password": "b"})

    assert answer.status_code == 200
    assert answer.cookies == {}
    assert "Vary" not in answer
    assert (login.status_code, login["X-Frame-Options"]) == (200, "DENY")
    assert "csrftoken" in login.cookies
    assert forged.status_code == 403
    assert strict.get("/admin")["Location"] == "/admin/"


# ---------------------------------------------------------------- every window there is


def _windows(patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, type[WindowView]]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _windows(pattern.url_patterns)
        elif issubclass(getattr(pattern.callback, "cls", object), WindowView):
            path = re.sub(r"\(\?P<nino>[^)]+\)", "CS700100A", str(pattern.pattern))
            path = re.sub(r"\(\?P<\w+>[^)]+\)", "01890000-0000-7000-8000-000000000000", path)
            yield "/" + re.sub(r"\\(.)", r"\1", path.removeprefix("^").removesuffix("/?$")), pattern.callback.cls


GUARDED = [
    pytest.param(path, method, id=f"{method} {window.__name__}")
    for path, window in _windows(get_resolver(django_settings.ROOT_URLCONF).url_patterns)
    for method in window.scopes
]


@pytest.mark.parametrize(("path", "method"), GUARDED)
def test_every_window_asks_for_credentials_and_scope_in_its_own_words(client: Http, path: str, method: str) -> None:
    bare = make_client(scopes=[])
    accept = {"Accept": "application/vnd.hmrc.1.0+json"}  # the poll's family asks for it before all else

    for slash in ("", "/"):
        unknown = client.generic(method, path + slash, headers=accept)
        not_allowed = client.generic(method, path + slash, headers=credentials(bare.client_id) | accept)

        for answer, status in ((unknown, 401), (not_allowed, 403)):
            assert answer.status_code == status
            assert set(answer.json()) == set(problems.body(path, problems.Problem(status, "")))
        assert unknown["WWW-Authenticate"]


@pytest.mark.parametrize(("path", "method"), GUARDED)
def test_every_window_tells_the_methods_it_has(client: Http, path: str, method: str) -> None:
    answer = client.generic("PATCH", path)

    assert answer.status_code == 405
    assert method in answer["Allow"]
    assert set(answer.json()) == set(problems.body(path, problems.Problem(405, "")))


RUBBISH = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"{", id="broken"),
    pytest.param(b"{}{}", id="two values"),
    pytest.param(b"null", id="null"),
    pytest.param(b"1", id="number"),
    pytest.param(b'"x"', id="text"),
    pytest.param(b"[[]]", id="lists"),
    pytest.param(b'{"a": NaN}', id="NaN"),
    pytest.param(b'{"a": 1e999}', id="beyond doubles"),
    pytest.param(b'{"a": "\xff"}', id="no UTF-8"),
    pytest.param(b'{"a": "\\u0000"}', id="NUL"),
    pytest.param(b'{"a": "\\ud800"}', id="lone surrogate"),
    pytest.param(b"\x00" * 10, id="zeros"),
    pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
    pytest.param(b"[" * 5000 + b"]" * 5000, id="5,000 lists deep"),
    pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, id="5,000 objects deep"),
    pytest.param(b"1" * 5000, id="5,000 digits"),
]
POSTS = [(path, method) for path, method in (case.values for case in GUARDED) if method == "POST"]


@pytest.mark.parametrize("rubbish", RUBBISH)
@pytest.mark.parametrize(("path", "method"), POSTS)
def test_no_rubbish_breaks_any_window(client: Http, path: str, method: str, rubbish: bytes) -> None:
    account = make_client()

    answer = client.generic(
        method, path, rubbish, content_type="application/json", headers=credentials(account.client_id)
    )

    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == set(problems.body(path, problems.Problem(answer.status_code, "")))


# ---------------------------------------------------------------- health and description


def test_livez_needs_nothing(client: Http) -> None:
    assert client.get("/livez").json() == {"status": "alive"}


def test_readyz_names_what_it_leans_on(client: Http) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "database": "ok", "migrations": "ok", "broker": "ok"}


@pytest.mark.django_db(transaction=True)  # readiness looks from a connection of its own
def test_a_migration_that_is_not_applied_makes_it_unready(client: Http) -> None:
    rename = "UPDATE django_migrations SET app = %s WHERE app = %s"
    with connection.cursor() as cursor:
        cursor.execute(rename, ["elsewhere", "orchestrator"])
        answer = client.get("/readyz")
        cursor.execute(rename, ["orchestrator", "elsewhere"])

    assert (answer.status_code, answer.json()["migrations"]) == (503, "unapplied")


@pytest.mark.usefixtures("ledger_away")
def test_without_the_database_it_is_unready_but_alive(client: Http) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {"status": "unready", "database": "unreachable", "migrations": "unknown", "broker": "ok"}
    assert client.get("/livez").status_code == 200


def test_without_the_broker_it_is_still_ready(client: Http, settings: Settings) -> None:
    settings.BROKER_URL = f"redis://127.0.0.1:{free_port()}/0"

    answer = client.get("/readyz")

    assert (answer.status_code, answer.json()["broker"]) == (200, "unreachable")


def test_the_description_is_openapi_and_names_every_window(client: Http) -> None:
    document = client.get("/api/schema").json()

    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"basic", "bearer"}
    for path, window in _windows(list(real_paths)):
        shown = [known for known in document["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path)]
        assert shown or window.__module__.endswith(".docs"), path


def test_every_operation_with_a_scope_describes_its_refusals(client: Http) -> None:
    for path, operations in client.get("/api/schema").json()["paths"].items():
        for operation in operations.values():
            expected = {"500", "503"} | (
                {"401", "403"} if "security" in operation and path != "/oauth/token" else set()
            )
            assert expected <= set(operation["responses"]), path


def test_the_description_comes_as_yaml_too(client: Http) -> None:
    assert client.get("/api/schema?format=yaml").content.startswith(b"openapi: 3.1")


@pytest.mark.parametrize("path", ["/api/docs", "/api/redoc"])
def test_the_pages_for_people_lean_on_nothing_outside_and_have_no_inline_script(client: Http, path: str) -> None:
    page = client.get(path)

    assert page["Content-Type"].startswith("text/html")
    text = page.content.decode()
    assert "http://" not in text
    assert "https://" not in text
    assert re.findall(r"<script(?! src=)", text) == []
    assert "style=" not in text
