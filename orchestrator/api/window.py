"""What every door and window has in common: who may call it, and that nothing but its own error body comes out.

In: Django's request, unwrapped: DRF's own negotiation, throttles and parsers cost more than the reads they surround.
Out: the view's answer, or a `Problem` in the family's error body.
Called by Django for each view; the checks go method → the family's own → credentials → scope → content type → body.
"""

from collections.abc import Callable
from typing import Any, ClassVar, cast

import structlog
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException
from rest_framework.views import APIView

from orchestrator import auth, context, ledger_pool, tokens
from orchestrator.api import problems, routes, throttling
from orchestrator.models import Scope

log = structlog.get_logger(__name__)


class Request(HttpRequest):
    """Django's request with the caller that `WindowView` puts on it (a name for the type checker, never built)."""

    caller: auth.Caller


class WindowView(APIView):
    """One operation of a door or window. `scopes`: by HTTP method; a method that is not in it asks no credentials."""

    scopes: ClassVar[dict[str, Scope]] = {}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Carry the call out, and turn whatever goes wrong into a `Problem`."""
        answer: HttpResponseBase
        try:
            answer = self._carry_out(request, *args, **kwargs)
        except Exception as failure:  # noqa: BLE001 - the one place where every failure gets its answer
            answer = problems.respond(request.path, understand(failure, request=request))
        return throttling.add_fields(request, answer)

    def _carry_out(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Check the call in the agreed order, and run the method."""
        if "id" in kwargs:
            context.note(request_id=kwargs["id"])
        handler = self._handler(request)
        if request.method != "OPTIONS":
            self.admit(request, **kwargs)
        scope = self.scopes.get("GET" if request.method == "HEAD" else str(request.method))
        if scope is not None:
            identify(request, scope=scope)
        return handler(request, *args, **kwargs)

    def admit(self, request: HttpRequest, **path: str) -> None:
        """Check what the family's contract puts before the credentials: nothing, unless a family says so."""

    def body(self, request: HttpRequest) -> bytes:
        """Return the raw body. 415 unless it is declared as JSON, 413 when it is too long."""
        check_content_type(request)
        return read_body(request)

    def options(self, *_args: Any, **_kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Tell the methods that the path has."""
        answer = HttpResponse(status=204, headers={"Allow": self._allow()})
        del answer["Content-Type"]
        return answer

    def _handler(self, request: HttpRequest) -> Callable[..., HttpResponseBase]:
        name = str(request.method).lower()
        handler = getattr(self, name, None) if name in self.http_method_names else None
        if handler is None:
            allow = self._allow()
            text = f"Method {request.method} is not allowed here, only {allow}"
            raise problems.Problem(405, text, headers={"Allow": allow})
        return cast("Callable[..., HttpResponseBase]", handler)

    def _allow(self) -> str:
        return ", ".join(self.allowed_methods)


def identify(request: HttpRequest, *, scope: Scope | None = None) -> auth.Caller:
    """Find out who calls, put it on the request as `caller`, ask for the scope; raise a `Problem` 401, 403 or 429."""
    try:
        caller = auth.authenticate(request.META.get("HTTP_AUTHORIZATION"))
    except auth.BadCredentials as refusal:
        raise problems.Problem(401, str(refusal)) from refusal
    cast("Request", request).caller = caller
    context.note(client=caller.account.client_id)
    if scope is not None and scope not in caller.scopes:
        raise problems.Problem(403, f"The scope {scope} is needed for this")
    throttling.count_call(request, caller.account)
    return caller


def check_content_type(request: HttpRequest) -> None:
    """Raise a `Problem` 415 unless the body is declared as JSON."""
    media_type = (request.content_type or "").lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise problems.Problem(415, "The content type must be application/json")


def read_body(request: HttpRequest) -> bytes:
    """Return the raw body, or raise a `Problem` 413."""
    limit = settings.WAYBILL_MAX_BODY_BYTES
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if (declared.isdigit() and int(declared) > limit) or len(request.body) > limit:
        raise problems.Problem(413, f"The body is longer than {limit} bytes")
    return request.body


_UNAVAILABLE = "The service is unavailable at present, please try again"
_KNOWN: tuple[tuple[type[Exception], int, str], ...] = (
    (OperationalError, 503, _UNAVAILABLE),
    (InterfaceError, 503, _UNAVAILABLE),
    (tokens.IssuerUnreachable, 503, "The token's issuer cannot be asked at present, please try again"),
    (Http404, 404, "Resource was not found"),
    (PermissionDenied, 403, "Forbidden"),
    (SuspiciousOperation, 400, "Bad request"),
    (BadRequest, 400, "Bad request"),
)
"""What the frameworks raise, and what the caller is told."""


def understand(failure: Exception, *, request: HttpRequest) -> problems.Problem:
    """Turn whatever went wrong into the `Problem` that the caller is told. Unanticipated ones are logged, once."""
    if isinstance(failure, problems.Problem):
        return failure
    if isinstance(failure, APIException):
        return problems.Problem(failure.status_code, str(failure.detail))
    for kind, status, text in _KNOWN:
        if isinstance(failure, kind):
            if status >= 500:
                ledger_pool.renew_after(failure)
                log.warning("a call could not be served", reason=str(failure), **_where(request))
            return problems.Problem(status, text)
    log.error("unanticipated failure", exc_info=failure, **_where(request))
    return problems.Problem(500, "Internal server error")


def _where(request: HttpRequest) -> dict[str, Any]:
    """Say which call it was, by its route: a path may name a person. The context knows its client and its request."""
    match = request.resolver_match
    return {"method": request.method, "route": routes.template(match.route) if match else None}
