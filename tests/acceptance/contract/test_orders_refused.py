"""Orders that are refused: every 400, and the common errors in this family's body."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.contract.api import Api, assert_refused, message, request
from tests.acceptance.contract.provider import ROOT, SLOW, Provider, activate, assert_cause, deactivate

MISSING: Any = object()
BAD_FIELDS: list[tuple[str, Any]] = [
    *(
        ("accessId", value)
        for value in (MISSING, None, "", 1, ["a"], "STTA-1", "STTA 1", "é", "x" * 33, "NoSuchAccess")
    ),
    *(("service", value) for value in (MISSING, None, "", 1, [], {}, "NoSuchService", "x" * 1000, "🚚")),
    *(("operation", value) for value in (MISSING, None, "", "activate", "TAKE", 1, [])),
    *(("forcedTakeover", value) for value in (MISSING, None, "true", 1, 0, [], {})),
    *(("equipment", value) for value in (None, {}, "x", [1], [None], [{}], [{"vendorId": 1, "macAddress": "x"}])),
    *(("equipment", [{"vendorId": "v"}]) for _ in range(1)),
    *(("spReference", value) for value in (None, 1, [], "x" * 256)),
]


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_a_bad_or_missing_field_is_400(ours: Provider, access: str, field: str, value: Any) -> None:
    body = {**activate(access), field: value}
    if value is MISSING:
        del body[field]

    answer = ours.order(body)

    assert_cause(answer, 400)
    assert "Location" not in answer.headers
    assert "Request-Id" not in answer.headers


@pytest.mark.parametrize("value", [True, False, None])
def test_a_takeover_is_refused_with_deactivate(ours: Provider, access: str, value: Any) -> None:
    assert_cause(ours.order(deactivate(access, forcedTakeover=value)), 400)


def test_an_unknown_service_is_named(ours: Provider, access: str) -> None:
    for body in (activate(access, "BB-1"), deactivate(access, "BB-1")):
        assert_cause(ours.order(body), 400, "Unknown service: 'BB-1'")


def test_the_longest_reference_is_accepted(ours: Provider, access: str) -> None:
    ours.done(activate(access, spReference="é" * 255, equipment=[]))


@pytest.mark.parametrize(
    "content", [b"", b"{bad", b"null", b"[]", b'"x"', b'{"a": NaN}', b'{"a": "\\u0000"}', b'"\xff"', b"[" * 200]
)
def test_a_body_that_is_no_object_of_json_is_400(demo: Api, content: bytes) -> None:
    assert_cause(demo.raw(f"{ROOT}/orders/", content), 400)


def test_an_unknown_order_is_404(ours: Provider, theirs: Provider, access: str) -> None:
    path = ours.placed(activate(access))
    nobodys = f"{ROOT}/orders/{uuid.uuid4()}"

    foreign, unknown = theirs.api.get(path), theirs.api.get(nobodys)

    assert_cause(unknown, 404)
    assert (foreign.status_code, foreign.text.replace(path, nobodys)) == (404, unknown.text)
    for key in ("4711", "%00", "%ff", "a" * 2000, str(ours.api.submit())):
        assert_cause(ours.api.get(f"{ROOT}/orders/{key}"), 404)
    assert ours.seen(f"{path}/")["accessId"] == access


def test_credentials_and_scopes(demo: Api, reader: Api, make_client: Callable[..., Api], access: str) -> None:
    for path in ("orders/", "orderevents/", "accesses/", f"orders/{uuid.uuid4()}"):
        method = "POST" if path == "orders/" else "GET"
        nobody = demo.http.request(method, f"{ROOT}/{path}", json=activate(access))
        assert_cause(nobody, 401)
        assert nobody.headers["WWW-Authenticate"]
        assert_cause(demo.http.request(method, f"{ROOT}/{path}", json={}, auth=("demo", "wrong")), 401)
        assert_cause(demo.http.request(method, f"{ROOT}/{path}", json=activate(access), auth=reader.basic), 403)
    looking = Provider(make_client("--scope", "orders:read"))
    assert looking.feed() == []
    assert_cause(looking.order(activate(access)), 403)


def test_the_type_order_must_be_the_clients(make_client: Callable[..., Api], access: str) -> None:
    assert_cause(Provider(make_client("--type", "Echo")).order(activate(access)), 403)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("orders/", ["PUT", "PATCH", "DELETE"]),
        ("orderevents/", ["POST", "PUT", "DELETE"]),
        ("accesses/", ["POST", "PUT", "DELETE"]),
        (f"orders/{uuid.UUID(int=7)}", ["POST", "PUT", "DELETE"]),
    ],
)
def test_a_wrong_method_is_405(demo: Api, path: str, methods: list[str]) -> None:
    for method in methods:
        answer = demo.raw(f"{ROOT}/{path}", b"{}", method=method)
        assert_cause(answer, 405)
        assert answer.headers["Allow"]


def test_a_wrong_content_type_is_415(demo: Api) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "text/json"):
        assert_cause(demo.raw(f"{ROOT}/orders/", b"{}", kind=kind), 415)


def test_too_many_in_flight_is_429(make_client: Callable[..., Api], access: str) -> None:
    mine = Provider(make_client("--max-in-flight", "1"))
    mine.placed(activate(access, **SLOW))

    answer = mine.order(activate(access, "TV-1"))

    assert_cause(answer, 429)
    assert answer.headers["Retry-After"].isdigit()
    assert mine.order(activate(access)).status_code == 200  # the one under way is no new one


def test_the_type_order_is_refused_at_the_gateways_doors(demo: Api, access: str) -> None:
    own = activate(access)

    assert_refused(demo.post("/api/v1/requests", request(message("Order", **own))), 403)
    assert_refused(demo.post("/api/v1/requests", request(message(), message("Order", **own))), 403)
    assert_refused(demo.post("/api/v1/messages/Order", request(message("Order", **own))), 403)
