"""The token endpoint: OAuth 2.0 client credentials (RFC 6749 §4.4), and the error bodies of its §5.2.

In: a form, and the client's credentials by Basic or in the form. Out: a bearer token, or the RFC's error.
"""

from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema

from orchestrator import accounts, auth, tokens
from orchestrator.api import problems, rendering
from orchestrator.api.window import WindowView, read_body

PREFIX = "/oauth/"
_LONGEST_FORM = 65_536
_MOST_FIELDS = 100
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CODES = {401: "invalid_client", 429: "temporarily_unavailable", 500: "server_error", 503: "temporarily_unavailable"}


def error_body(problem: problems.Problem) -> dict[str, Any]:
    """Put a problem into RFC 6749's words (§5.2)."""
    return {"error": problem.code or _CODES.get(problem.status, "invalid_request"), "error_description": problem.text}


problems.register(PREFIX, error_body, name="TokenError")

_FORM = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["client_credentials"]},
        "scope": {"type": "string", "description": "Words apart by spaces; by default all that the client has."},
        "client_id": {"type": "string", "description": "Only without Basic."},
        "client_secret": {"type": "string", "description": "Only without Basic."},
    },
    "additionalProperties": {"type": "string", "description": "Ignored; no parameter may come twice."},
}
_TOKEN = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"type": "string", "const": "Bearer"},
        "expires_in": {"type": "integer", "description": "Seconds."},
        "scope": {"type": "string"},
    },
}
_EXAMPLE = {
    "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJ3YXliaWxsIn0.c2lnbmF0dXJl",
    "token_type": "Bearer",
    "expires_in": 3600,
    "scope": "requests:write tracking:read",
}


def _describe_error(description: str, **texts: str) -> OpenApiResponse:
    examples = [OpenApiExample(code, value={"error": code, "error_description": text}) for code, text in texts.items()]
    return OpenApiResponse({"$ref": "#/components/schemas/TokenError"}, description=description, examples=examples)


_documented = extend_schema(
    operation_id="token",
    tags=["credentials"],
    summary="A bearer token for client credentials",
    description="OAuth 2.0 client credentials (RFC 6749 §4.4). The client proves itself by Basic or in the form.",
    auth=[{"basic": []}, {}],  # type: ignore[list-item]
    request={"application/x-www-form-urlencoded": _FORM},
    responses={
        200: OpenApiResponse(_TOKEN, description="A token", examples=[OpenApiExample("Token", value=_EXAMPLE)]),
        400: _describe_error(
            "The form is not in order",
            invalid_request="grant_type is missing",
            unsupported_grant_type="Only client_credentials is supported",
            invalid_scope="A scope is unknown, or not the client's",
        ),
        401: _describe_error(
            "The client did not prove itself", invalid_client="The client id or secret is missing or wrong"
        ),
        413: _describe_error("The form is too long", invalid_request="The form is too long"),
        415: _describe_error(
            "The body is no form", invalid_request="The content type must be application/x-www-form-urlencoded"
        ),
    },
    examples=[
        OpenApiExample(
            "Two scopes",
            value={"grant_type": "client_credentials", "scope": "requests:write tracking:read"},
            request_only=True,
            media_type="application/x-www-form-urlencoded",
        )
    ],
)


class TokenView(WindowView):
    """POST /oauth/token."""

    @_documented
    def post(self, request: HttpRequest) -> HttpResponse:
        """Give a token to a client that proves itself."""
        form = _read_form(request)
        if "grant_type" not in form:
            raise _refusal("invalid_request", "grant_type is missing")
        account = _authenticate(request, form)
        if form["grant_type"] != "client_credentials":
            raise _refusal("unsupported_grant_type", "Only client_credentials is supported")
        scopes = _choose_scopes(form.get("scope"), allowed=account.scopes)
        answer = {
            "access_token": tokens.issue(client_id=account.client_id, scopes=scopes),
            "token_type": "Bearer",
            "expires_in": settings.WAYBILL_TOKEN_SECONDS,
            "scope": " ".join(sorted(scopes)),
        }
        return rendering.respond(answer, headers=_NO_STORE)


def _refusal(code: str, text: str, *, status: int = 400) -> problems.Problem:
    headers = dict(_NO_STORE)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="waybill", charset="UTF-8"'
    return problems.Problem(status, text, code=code, headers=headers)


def _read_form(request: HttpRequest) -> dict[str, str]:
    """Parse the form: no parameter twice; one without a value counts as absent (RFC 6749 §3.2)."""
    raw = read_body(request)
    if raw and request.content_type != "application/x-www-form-urlencoded":
        raise _refusal("invalid_request", "The content type must be application/x-www-form-urlencoded", status=415)
    if len(raw) > _LONGEST_FORM:
        raise _refusal("invalid_request", "The form is too long", status=413)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as malformed:
        raise _refusal("invalid_request", "The form is malformed") from malformed
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _refusal("invalid_request", "A parameter is given more than once")
    return {name: value for name, value in form.items() if value}


def _authenticate(request: HttpRequest, form: dict[str, str]) -> accounts.Account:
    """Prove the client by Basic or by the form's fields: by one of them only."""
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        candidates = [(form.get("client_id", ""), form.get("client_secret", ""))]
    elif "client_secret" in form:
        raise _refusal("invalid_request", "Credentials are given both by Basic and in the form")
    else:
        candidates = _read_basic(header, form_id=form.get("client_id"))
    try:
        return auth.prove(*candidates)
    except auth.BadCredentials as refusal:
        raise _refusal("invalid_client", str(refusal), status=401) from refusal


def _read_basic(header: str, *, form_id: str | None) -> list[tuple[str, str]]:
    """Return the header's credentials as they are, then form-decoded as RFC 6749 §2.3.1 has them."""
    try:
        client_id, secret = auth.read_basic_header(header)
    except auth.BadCredentials as refusal:
        raise _refusal("invalid_client", str(refusal), status=401) from refusal
    plain, decoded = (client_id, secret), (unquote_plus(client_id), unquote_plus(secret))
    if form_id is not None and form_id not in {plain[0], decoded[0]}:
        raise _refusal("invalid_request", "The form names another client than the Authorization header")
    return [plain] if plain == decoded else [plain, decoded]


def _choose_scopes(wanted: str | None, *, allowed: frozenset[str]) -> frozenset[str]:
    if wanted is None:
        return allowed
    scopes = frozenset(wanted.split(" ")) - {""}
    if not scopes or not scopes <= allowed:
        raise _refusal("invalid_scope", "A scope is unknown, or not the client's")
    return scopes
