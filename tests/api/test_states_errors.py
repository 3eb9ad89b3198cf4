"""Whatever is wrong with a call to the states window is told in the family's own words."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from config.embedded.processes import free_port
from orchestrator.models import Scope
from tests import factories
from tests.api.calls import basic
from tests.api.services import ALIAS, Services, assert_refused, mine
from tests.factories import AMessage

pytestmark = pytest.mark.django_db
__all__ = ["mine"]

ID = uuid.UUID("01890000-0000-7000-8000-000000000000")
GETS = [
    f"/services/{ID}",
    *(f"/services/{ID}/{collection}{scope}" for collection in ("states", "tasks") for scope in ("", "/active", "/0")),
    "/customers/51X/services/completed",
    "/services/anonymous/51X",
]
POSTS = [
    "/services/start",
    f"/services/{ID}/end",
    *(f"/services/{ID}/{path}" for path in ("states/start", "states/transition", "states/0/end")),
    *(f"/services/{ID}/{path}" for path in ("tasks/start", "tasks/0/end")),
    f"/customers/51X/services/{ID}",
]
PUTS = [f"/services/{ID}{place}/extensions/x" for place in ("", "/states/0", "/tasks/0")]
OPERATIONS = [
    *(("GET", path) for path in GETS),
    *(("POST", path) for path in POSTS),
    *(("PUT", path) for path in PUTS),
    ("DELETE", f"/services/{ID}"),
]
every_operation = pytest.mark.parametrize(("method", "path"), [*OPERATIONS, *((m, ALIAS + p) for m, p in OPERATIONS)])


def call(method: str, path: str, account: Any = None, body: bytes = b"", content_type: str = "") -> Any:
    headers = basic(account.client_id) if account else None
    return Browser().generic(method, path, body, content_type, headers=headers)


# ---------------------------------------------------------------- who calls, and how


@every_operation
def test_without_credentials_and_without_the_scope(method: str, path: str) -> None:
    needed = Scope.SERVICES_READ if method == "GET" else Scope.SERVICES_WRITE
    others = factories.make_account(scopes=set(Scope.values) - {needed})

    unknown = call(method, path)

    assert_refused(unknown, 401, "Unauthorized")
    assert "Basic realm=" in unknown["WWW-Authenticate"]
    assert needed in assert_refused(call(method, path, others), 403, "Forbidden")


@every_operation
def test_a_wrong_method(mine: Services, method: str, path: str) -> None:
    answer = call("PATCH", path, mine.account)

    assert_refused(answer, 405, "MethodNotAllowed")
    assert method in answer["Allow"]


@pytest.mark.parametrize(("method", "path"), [("POST", path) for path in POSTS] + [("PUT", path) for path in PUTS])
def test_a_wrong_content_type_and_a_body_too_long(mine: Services, settings: Settings, method: str, path: str) -> None:
    settings.WAYBILL_MAX_BODY_BYTES = 10

    assert_refused(call(method, path, mine.account, b"{}", "text/plain"), 415, "UnsupportedMediaType")
    assert_refused(call(method, path, mine.account, b"{}", ""), 415, "UnsupportedMediaType")
    assert_refused(call(method, path, mine.account, b'{"a": "0123"}', "application/json"), 413, "TooLarge")


@pytest.mark.parametrize(
    "path", ["/services", "/services/x/nowhere", "/customers", "/customers/x", "/genesys/1/cs", "/genesys/1/cs/x"]
)
def test_paths_of_the_family_that_lead_nowhere(mine: Services, path: str) -> None:
    assert_refused(call("GET", path, mine.account), 404, "NotFound")


def test_a_bad_and_a_reused_key(mine: Services) -> None:
    body = {"customer_id": 1, "service_type": 1}

    assert_refused(mine.post("/services/start", body, Idempotency_Key="å"), 400, "BadRequest")
    assert_refused(mine.post("/services/start", body, Idempotency_Key=""), 400, "BadRequest")
    assert mine.read("/customers/1/services") == []


# ---------------------------------------------------------------- what is sent


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"1", b"null", b'"x"', b'{"a": NaN}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"\xff", b"[" * 5000],
)
@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_is_no_object_is_refused(mine: Services, path: str, body: bytes) -> None:
    assert_refused(mine.post(path, body), 400, "BadRequest")


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"NaN", b'"\\u0000"', b"1e999"])
def test_an_extension_must_be_json(mine: Services, body: bytes) -> None:
    service = mine.start()

    assert_refused(mine.put(f"{service}/extensions/x", body), 415 if not body else 400, _named(body))


def _named(body: bytes) -> str:
    return "BadRequest" if body else "UnsupportedMediaType"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "customer_id"),
        ({"customer_id": "x"}, "service_type"),
        ({"service_type": 1}, "customer_id"),
        ({"customer_id": None, "contact_key": "1", "service_type": 1}, "customer_id"),
        ({"customer_id": "", "service_type": 1}, "customer_id"),
        ({"customer_id": "x" * 256, "service_type": 1}, "customer_id"),
        ({"contact_key": [], "service_type": 1}, "contact_key"),
        ({"customer_id": 1, "service_type": True}, "service_type"),
        ({"customer_id": 1, "service_type": {}}, "service_type"),
        ({"customer_id": 1, "service_type": 1, "est_duration": "an hour"}, "est_duration"),
        ({"customer_id": 1, "service_type": 1, "est_duration": -1}, "est_duration"),
        ({"customer_id": 1, "service_type": 1, "timestamp": 1274196214}, "timestamp"),
        ({"customer_id": 1, "service_type": 1, "timestamp": "now"}, "timestamp"),
        ({"customer_id": 1, "service_type": 1, "timestamp": "2026-02-30T00:00:00Z"}, "timestamp"),
        ({"customer_id": 1, "service_type": 1, "session_id": "s" * 33}, "session_id"),
        ({"customer_id": 1, "service_type": 1, "interaction_id": "i" * 51}, "interaction_id"),
        ({"customer_id": 1, "service_type": 1, "interaction_id": 10**51}, "interaction_id"),
        ({"customer_id": 1, "service_type": 1, "media_type": None}, "media_type"),
        ({"customer_id": 1, "service_type": 1, "disposition": 1}, "disposition"),
    ],
)
def test_a_bad_field_of_a_start_is_named(mine: Services, body: dict[str, Any], named: str) -> None:
    message = assert_refused(mine.post("/services/start", body), 400, "BadRequest")

    assert message.startswith(named)


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("states/start", {}, "state_type"),
        ("states/start", {"state_type": ""}, "state_type"),
        ("states/start", {"state_type": 1, "previous_state_id": "0"}, "previous_state_id"),
        ("states/start", {"state_type": 1, "previous_state_id": -1}, "previous_state_id"),
        ("tasks/start", {"state_id": 0}, "task_type"),
        ("tasks/start", {"task_type": 1, "state_id": 0.5}, "state_id"),
        ("states/0/end", {"disposition": []}, "disposition"),
        ("states/0/end", {"disposition_desc": "d" * 65}, "disposition_desc"),
        ("states/0/end", {"disposition_desc": 5}, "disposition_desc"),
        ("end", {"timestamp": ""}, "timestamp"),
        ("states/transition", {}, "from"),
        ("states/transition", {"from": {"state_id": 0}}, "state_type"),
        ("states/transition", {"from": {}, "to": {"state_type": 1}}, "from"),
        ("states/transition", {"from": 0, "to": {"state_type": 1}}, "from"),
        ("states/transition", {"from": {"state_id": 0}, "to": 1}, "to"),
        ("states/transition", {"from": {"state_id": "0"}, "to": {"state_type": 1}}, "state_id"),
    ],
)
def test_a_bad_field_of_any_other_body_is_named(mine: Services, path: str, body: dict[str, Any], named: str) -> None:
    service = mine.start()
    mine.start_state(service)

    assert assert_refused(mine.post(f"{service}/{path}", body), 400, "BadRequest").startswith(named)
    assert len(mine.read(f"{service}/states/active")) == 1


# ---------------------------------------------------------------- the ledger


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
@every_operation
def test_without_the_ledger(method: str, path: str) -> None:
    headers = basic("anybody")

    answer: Any = Browser().generic(method, path, b"", headers=headers)

    assert_refused(answer, 503, "Unavailable")
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize("count", [1, 200])
def test_one_statement_that_only_reads_answers_whatever_is_asked(mine: Services, count: int) -> None:
    request = factories.make_request(client_id=mine.account.id, messages=[AMessage()] * count)
    driven = mine.start()
    for _ in range(count):
        mine.start_state(driven)
        mine.start_task(driven, state_id=0)
    everything = {name: "true" for kind in ("states", "tasks") for name in (f"active_{kind}", f"completed_{kind}")}
    paths = [
        f"{service}{path}" for service in (f"/services/{request.id}", driven) for path in ("", "/states", "/tasks")
    ]

    for path in [*paths, f"{driven}/states/0", f"{driven}/tasks/0", "/customers/51X/services", "/services/anonymous/1"]:
        with CaptureQueriesContext(connection) as statements:
            mine.read(path, extensions="x", **everything)

        about_services = [query["sql"] for query in statements if "orchestrator_service" in query["sql"]]
        assert len(about_services) == 1
        assert all(query["sql"].lstrip().startswith(("SELECT", "WITH found")) for query in statements)
        assert not any(word in json.dumps(about_services) for word in ("INSERT", "UPDATE", "DELETE"))


@pytest.mark.usefixtures("lasting_caches")
def test_an_end_takes_as_many_statements_however_much_ends_by_it(mine: Services) -> None:
    counts = []
    for size in (1, 60):
        service = mine.start()
        for _ in range(size):
            mine.start_state(service)
            mine.start_task(service, state_id=0)
        with CaptureQueriesContext(connection) as statements:
            mine.post(f"{service}/end")
        counts.append(len([query for query in statements if "orchestrator_client" not in query["sql"]]))

    assert counts[0] == counts[1] <= 12
