"""Credentials, the token endpoint and scopes ("Common to all" of the contract; RFC 6749 section 4.4)."""

import base64
import json
from typing import Any

import httpx2
import pytest

from tests.acceptance.contract.api import Api, assert_nak, assert_refused, fresh, message, request

TOKEN = "/oauth/token"
NO_ID = "00000000-0000-4000-8000-000000000000"
GRANT = {"grant_type": "client_credentials"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(pair: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def token_of(api: Api, **fields: str) -> dict[str, Any]:
    answer = api.http.post(TOKEN, data={**GRANT, **fields}, auth=api.basic)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("way", ["basic", "form"])
def test_a_client_gets_a_token_and_works_with_it(demo: Api, way: str) -> None:
    credentials = {"client_id": "demo", "client_secret": "demo-secret"} if way == "form" else {}

    answer = demo.http.post(TOKEN, data={**GRANT, **credentials}, auth=None if credentials else demo.basic)

    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] > 0
    assert {"requests:write", "tracking:read"} <= set(answer.json()["scope"].split())
    assert "no-store" in answer.headers["Cache-Control"]
    headers = bearer(answer.json()["access_token"])
    accepted = demo.http.post("/api/v1/requests", json=request(), headers=headers)
    assert accepted.status_code == 202
    assert demo.http.get(accepted.headers["Location"], headers=headers).status_code == 200
    assert demo.get(accepted.headers["Location"]).status_code == 200  # the same client by Basic


def test_the_token_is_a_jwt_with_client_scopes_expiry_issuer_and_audience(demo: Api) -> None:
    middle = token_of(demo)["access_token"].split(".")[1]

    claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))

    assert {"exp", "iss", "aud"} <= set(claims)
    assert "demo" in claims.values()


def test_a_token_can_be_asked_for_fewer_scopes(demo: Api) -> None:
    token = token_of(demo, scope="tracking:read")

    assert token["scope"] == "tracking:read"
    assert_refused(demo.http.post("/api/v1/requests", json=request(), headers=bearer(token["access_token"])), 403)
    assert demo.http.post("/api/v1/tracking", json={}, headers=bearer(token["access_token"])).status_code == 200


def test_a_token_never_has_more_scopes_than_its_client(reader: Api) -> None:
    assert token_of(reader)["scope"] == "tracking:read"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({**GRANT, "scope": "no:such"}, "invalid_scope"),
        ({**GRANT, "scope": "requests:write"}, "invalid_scope"),  # not the reader's
        ({"grant_type": ["client_credentials"] * 2}, "invalid_request"),  # a parameter given twice
        ({**GRANT, "client_id": "demo", "client_secret": "demo-secret"}, "invalid_request"),  # two ways at once
    ],
)
def test_token_errors_are_those_of_the_rfc(reader: Api, form: dict[str, Any], error: str) -> None:
    answer = reader.http.post(TOKEN, data=form, auth=reader.basic, headers={"Accept": "text/html"})

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == error


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, {}),
        (basic("demo:wrong"), {}),
        (basic("nobody-here:demo-secret"), {}),
        (basic("demo"), {}),
        (basic("demo\0:x"), {}),
        ({"Authorization": "Basic !!!"}, {}),
        ({"Authorization": "Bearer demo"}, {}),
        ({}, {"client_id": "demo", "client_secret": "wrong"}),
        ({}, {"client_id": "demo"}),
        ({}, {"client_id": "demo", "client_secret": "\0"}),
    ],
)
def test_an_unknown_client_is_invalid_client_401(demo: Api, headers: dict[str, str], form: dict[str, str]) -> None:
    answer = demo.http.post(TOKEN, data={**GRANT, **form}, headers=headers)

    assert answer.status_code == 401, answer.text
    assert answer.json()["error"] == "invalid_client"
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_other_methods_on_the_token_endpoint_are_405(demo: Api) -> None:
    assert demo.get(TOKEN).status_code == 405
    assert demo.http.put(TOKEN, data=GRANT).status_code == 405


def unsigned(token: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{head}.{token.split('.')[1]}."


def all_credentials_that_fail(good: str) -> list[dict[str, str]]:
    head, body, signature = good.split(".")
    other_body = (
        base64.urlsafe_b64encode(json.dumps({"sub": "demo", "client_id": "demo"}).encode()).decode().rstrip("=")
    )
    return [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
        basic("demo:wrong"),
        basic("demo:"),
        basic("demo\0:demo-secret"),
        basic("nobody-here:demo-secret"),
        {"Authorization": "Digest username=demo"},
        bearer("rubbish"),
        bearer("a.b.c"),
        bearer(f"{head}.{other_body}.{signature}"),
        bearer(f"{head}.{body}.{signature[:-4]}AAAA"),
        bearer(unsigned(good)),
    ]


def test_bad_credentials_get_401_in_the_error_body_of_each_window(demo: Api) -> None:
    for headers in all_credentials_that_fail(token_of(demo)["access_token"]):
        answers = [
            demo.http.post("/api/v1/requests", json=request(), headers=headers),
            demo.http.post("/api/v1/messages/Echo", json=request(), headers=headers),
            demo.http.get(f"/api/v1/requests/{NO_ID}", headers=headers),
            demo.http.post(f"/api/v1/requests/{NO_ID}/cancel", headers=headers),
            demo.http.post("/api/v1/tracking", json={}, headers=headers),
        ]
        naks = [demo.http.get(f"/api/{version}/global/call/{NO_ID}", headers=headers) for version in ("v3", "v2")]

        for answer in answers:
            assert_refused(answer, 401)
            assert answer.headers["WWW-Authenticate"]
        for answer in naks:
            assert_nak(answer, 401, "AUTH_1001")
            assert answer.headers["WWW-Authenticate"]


def test_the_scheme_of_the_credentials_is_read_in_any_case(demo: Api) -> None:
    words = basic("demo:demo-secret")["Authorization"].split()

    answer = demo.http.post("/api/v1/tracking", json={}, headers={"Authorization": f"bASIC {words[1]}"})

    assert answer.status_code == 200


def refusals_of_a_reader(api: Api) -> list[httpx2.Response]:
    return [
        api.post("/api/v1/requests", request()),
        api.post("/api/v1/messages/Echo", request()),
        api.post(f"/api/v1/requests/{NO_ID}/cancel"),
    ]


def test_who_may_only_look_cannot_submit_or_cancel(reader: Api) -> None:
    for answer in refusals_of_a_reader(reader):
        assert_refused(answer, 403)

    assert reader.post("/api/v1/tracking", {}).status_code == 200
    assert reader.get(f"/api/v1/requests/{NO_ID}").status_code == 404
    assert reader.get(f"/api/v3/global/call/{NO_ID}").status_code == 404


def test_who_may_only_submit_cannot_look(writer: Api) -> None:
    accepted = writer.post("/api/v1/requests", request())
    assert accepted.status_code == 202

    assert_refused(writer.get(accepted.headers["Location"]), 403)
    assert_refused(writer.post("/api/v1/tracking", {}), 403)
    assert_nak(writer.get(f"/api/v3/global/call/{accepted.headers['Request-Id']}"), 403, "AUTH_1002")
    assert_nak(writer.get(f"/api/v2/global/call/{accepted.headers['Request-Id']}"), 403, "AUTH_1002")


def test_a_message_type_that_is_not_the_clients_is_403(writer: Api, make_client: Any) -> None:
    only_echo = make_client("--type", "Echo")
    reference = fresh()

    for body in (
        request(message("Vehicle", reference)),
        request(message("Echo", reference), message("Vehicle", reference)),
        request(message("Order", reference)),
    ):
        assert_refused(only_echo.post("/api/v1/requests", body), 403)
    assert_refused(only_echo.post("/api/v1/messages/Vehicle", request({"externalReference": reference})), 403)

    assert only_echo.search(("externalReference", reference)) == []
    assert writer.post("/api/v1/messages/Echo", request()).status_code == 200
