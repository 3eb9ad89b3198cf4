"""Startup, poll, and the preflight check that apps make first."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from orchestrator import intake
from orchestrator.api import doors, rendering
from orchestrator.api.problems import Problem
from orchestrator.api.window import Request, WindowView
from orchestrator.models import Scope
from tracking.native import answers, bodies, cookie, documentation, queries, startup, words
from tracking.native import nino as ninos
from tracking.native.cookie import Ticket
from tracking.native.words import Code


class NativeView(WindowView):
    """What the operations of this family check before all else: the NINO in the path, then Accept."""

    nino: str

    def admit(self, request: HttpRequest, **path: str) -> None:
        """Keep the NINO, without its spaces; 400 if it is none, 406 unless Accept is the family's media type."""
        if "nino" in path:
            self.nino = _read_nino(path["nino"])
        if request.META.get("HTTP_ACCEPT") != words.MEDIA_TYPE:
            raise Problem(406, f"Accept must be {words.MEDIA_TYPE}")


class StartupView(NativeView):
    """POST /native-app/{nino}/startup."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @documentation.startup
    def post(self, request: Request, nino: str) -> HttpResponse:  # noqa: ARG002 - read by `admit`
        """Start a task, and give its ticket."""
        raw, account = self.body(request), request.caller.account
        with _refusals():
            answer = startup.start(
                account=account,
                wanted=bodies.read(raw),
                running=_own_ticket(request, client_id=account.id, nino=self.nino),
                key=doors.read_key(request, account=account, body=raw),
                traceparent=doors.read_traceparent(request),
            )
        response = doors.deliver(answer)
        ticket = Ticket(uuid.UUID(answer.headers["Request-Id"]), account.id, self.nino)
        cookie.attach(response, ticket, secure=request.is_secure())
        return response


class PollView(NativeView):
    """GET /native-app/{nino}/poll. The cookie says who asks: other credentials are ignored."""

    @documentation.poll
    def get(self, request: HttpRequest, nino: str) -> HttpResponse:  # noqa: ARG002 - read by `admit`
        """Answer how far the cookie's task is, and in the end with what its services said."""
        ticket = cookie.read(request)
        if ticket is None:
            raise _unknown()
        if not ticket.is_about(self.nino):
            raise Problem(401, "The cookie belongs to another NINO")
        task = queries.find_task(ticket)
        if task is None:
            raise _unknown()
        code = answers.code_of(task)
        headers = {"Cache-Control": _cache_control(code), "Vary": "Cookie"}
        return HttpResponse(answers.body(task, code), content_type=rendering.CONTENT_TYPE, headers=headers)


class PreflightView(NativeView):
    """POST /native-app/preflight-check."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @documentation.preflight
    def post(self, request: Request) -> HttpResponse:
        """Answer that nothing stands in the way, and forget the last task."""
        with _refusals():
            journey = bodies.read_journey(self.body(request), query=request.GET.get("journeyId"))
        accounts = {"routeToIV": False, "routeToTwoFactor": False, "journeyId": journey}
        response = rendering.respond({"upgradeRequired": False, "accounts": accounts})
        cookie.clear(response, secure=request.is_secure())
        return response


def _read_nino(text: str) -> str:
    nino = ninos.read(text)
    if nino is None:
        raise Problem(400, "The path holds no NINO")
    return nino


def _own_ticket(request: HttpRequest, *, client_id: int, nino: str) -> Ticket | None:
    """Return the ticket that came, unless it is another client's or about another person: then it means nothing."""
    ticket = cookie.read(request)
    if ticket is None or ticket.client_id != client_id or not ticket.is_about(nino):
        return None
    return ticket


def _cache_control(code: Code) -> str:
    if code is not Code.COMPLETE:
        return "no-store"
    return f"private, max-age={settings.WAYBILL_POLL_EXPIRY_SECONDS}"


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn refusals into the family's: to name a service that is not there, or not the client's, is a bad body."""
    with doors.refusals():
        try:
            yield
        except intake.TypeRefused as refusal:
            raise Problem(400, f"Unknown services: {refusal}") from refusal


def _unknown() -> Problem:
    """The one answer for a cookie that is missing, unreadable or expired, or whose task is unknown."""
    return Problem(404, "There is no such task")
