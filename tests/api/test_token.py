"""POST /oauth/token: OAuth 2.0 client credentials, to the letter of RFC 6749."""

import base64
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode

import jwt
import pytest
from django.http import HttpResponse
from django.test import Client as Http

from orchestrator import clients
from orchestrator.models import AuditEntry, Scope
from tests.factories import SECRET, make_client

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"


def ask(http: Http, form: Any = None, *, basic: tuple[str, str] | None = None, **options: Any) -> HttpResponse:
    """POST a form; `basic` are credentials for the Authorization header."""
    body = urlencode(form) if isinstance(form, dict | list) else (form or "")
    headers = options.pop("headers", {})
    if basic is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
    return http.post("/oauth/token", body, **({"content_type": FORM} | options), headers=headers)


def error(answer: HttpResponse) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error", "error_description"}
    assert answer["Content-Type"] == "application/json"
    return answer.status_code, body["error"]


def test_a_client_gets_a_token_by_basic_and_can_use_it(client: Http) -> None:
    account = make_client()

    answer = ask(client, {"grant_type": "client_credentials"}, basic=(account.client_id, SECRET))

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert answer["Pragma"] == "no-cache"
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert set(body["scope"].split()) == set(Scope.values)
    used = client.get(
        f"/api/v3/global/call/{uuid.uuid4()}", headers={"Authorization": f"Bearer {body['access_token']}"}
    )
    assert used.status_code == 404


def test_the_clients_credentials_may_stand_in_the_form(client: Http) -> None:
    account = make_client()

    answer = ask(client, {"grant_type": "client_credentials", "client_id": account.client_id, "client_secret": SECRET})

    assert answer.status_code == 200


def test_the_path_answers_with_a_last_slash_too(client: Http) -> None:
    assert client.post("/oauth/token/", "", content_type=FORM).status_code == 400


def test_fewer_scopes_can_be_asked_for(client: Http) -> None:
    account = make_client(scopes=[Scope.TRACKING_READ, Scope.REQUESTS_WRITE])
    form = {"grant_type": "client_credentials", "scope": "tracking:read"}

    answer = ask(client, form, basic=(account.client_id, SECRET))

    assert answer.json()["scope"] == "tracking:read"
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["scope"] == "tracking:read"
    assert claims["client_id"] == account.client_id
    assert {"iss", "aud", "exp"} <= set(claims)


@pytest.mark.parametrize("scope", ["orders:read", "tracking:read orders:read", "nonsense", " ", "tracking:read\x00"])
def test_a_scope_that_is_unknown_or_not_the_clients_is_refused(client: Http, scope: str) -> None:
    account = make_client(scopes=[Scope.TRACKING_READ])

    answer = ask(client, {"grant_type": "client_credentials", "scope": scope}, basic=(account.client_id, SECRET))

    assert error(answer) == (400, "invalid_scope")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"client_id": "nobody"},
        {"client_id": "nobody", "client_secret": "x"},
        {"client_secret": SECRET},
        {"client_id": "a\x00b", "client_secret": "\x00"},
    ],
)
def test_a_client_that_does_not_prove_itself_is_refused(client: Http, form: dict[str, str]) -> None:
    answer = ask(client, {"grant_type": "client_credentials"} | form)

    assert error(answer) == (401, "invalid_client")
    assert answer["WWW-Authenticate"].startswith("Basic ")
    assert "Bearer" not in answer["WWW-Authenticate"]
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("header", ["", "Basic", "Basic !", "Basic eDp5", "Bearer x", "Basic /w==", "Negotiate x"])
def test_a_bad_authorization_header_is_an_unproven_client(client: Http, header: str) -> None:
    answer = ask(client, {"grant_type": "client_credentials"}, headers={"Authorization": header})

    assert error(answer) == (401, "invalid_client")
    assert answer["WWW-Authenticate"].startswith("Basic ")


def test_a_wrong_secret_and_a_disabled_client_are_refused(client: Http) -> None:
    account, disabled = make_client(), make_client()
    disabled.enabled = False
    disabled.save()

    for credentials in ((account.client_id, "wrong"), (disabled.client_id, SECRET)):
        answer = ask(client, {"grant_type": "client_credentials"}, basic=credentials)
        assert error(answer) == (401, "invalid_client")


def test_a_secret_that_was_rotated_out_is_told_so_in_every_way_to_send_it(client: Http) -> None:
    account = make_client()
    clients.save(account.client_id, {}, overlap=timedelta(0))
    grant = {"grant_type": "client_credentials"}

    by_basic = ask(client, grant, basic=(account.client_id, SECRET))
    in_the_form = ask(client, grant | {"client_id": account.client_id, "client_secret": SECRET})

    for answer in (by_basic, in_the_form):
        assert error(answer) == (401, "invalid_client")
        assert "rotated" in answer.json()["error_description"]
        assert answer["WWW-Authenticate"].startswith("Basic ")
    assert AuditEntry.objects.get(outcome="refused").object_id == account.client_id


def test_credentials_given_twice_are_refused(client: Http) -> None:
    account = make_client()
    form = {"grant_type": "client_credentials", "client_id": account.client_id}

    twice = ask(client, form | {"client_secret": SECRET}, basic=(account.client_id, SECRET))
    only_named = ask(client, form, basic=(account.client_id, SECRET))
    another = ask(client, form | {"client_id": "another"}, basic=(account.client_id, SECRET))

    assert error(twice) == (400, "invalid_request")
    assert only_named.status_code == 200
    assert error(another) == (400, "invalid_request")


def test_basic_credentials_may_be_form_encoded_as_the_rfc_says(client: Http) -> None:
    account = make_client(client_id=f"a client: {uuid.uuid4()}", secret="100 % secret + more")

    encoded = (quote_plus(account.client_id), quote_plus("100 % secret + more"))

    assert ask(client, {"grant_type": "client_credentials"}, basic=encoded).status_code == 200


def test_another_grant_is_not_supported(client: Http) -> None:
    account = make_client()

    for grant in (
        "password",
        "authorization_code",
        "CLIENT_CREDENTIALS",
        "urn:ietf:params:oauth:grant-type:device_code",
    ):
        assert error(ask(client, {"grant_type": grant}, basic=(account.client_id, SECRET))) == (
            400,
            "unsupported_grant_type",
        )


@pytest.mark.parametrize(
    "form",
    [
        "",
        "grant_type=",
        "scope=x",
        "grant_type=client_credentials&grant_type=client_credentials",
        "grant_type=client_credentials&scope=a&scope=b",
        "grant_type=client_credentials&x=1&x=1",
        "grant_type=%ff",
        "&".join(f"f{number}=1" for number in range(2000)),
        b"\xff\xfe",
    ],
)
def test_a_form_that_is_incomplete_malformed_or_repeats_itself_is_refused(client: Http, form: str) -> None:
    account = make_client()

    answer = ask(client, form, basic=(account.client_id, SECRET))

    assert error(answer) == (400, "invalid_request")


def test_a_parameter_without_a_value_counts_as_absent(client: Http) -> None:
    account = make_client()

    answer = ask(client, "grant_type=client_credentials&scope=&client_secret=", basic=(account.client_id, SECRET))

    assert answer.status_code == 200


def test_another_content_type_method_or_size_is_refused_in_the_same_shape(client: Http) -> None:
    assert error(ask(client, "{}", content_type="application/json")) == (415, "invalid_request")
    assert error(ask(client, "x=" + "y" * 70_000)) == (413, "invalid_request")
    wrong_method = client.get("/oauth/token")
    assert error(wrong_method) == (405, "invalid_request")
    assert wrong_method["Allow"] == "POST, OPTIONS"
    assert error(client.get("/oauth/authorize")) == (404, "invalid_request")
