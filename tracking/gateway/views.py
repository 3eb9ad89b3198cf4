"""The Gateway's doors: hand in requests, look at one, cancel it. The tracking search is in `search_view.py`."""

import uuid
from typing import ClassVar

from django.http import HttpResponse

from orchestrator import ids, intake, stopping, traceparent
from orchestrator.api import doors
from orchestrator.api import rendering as api_rendering
from orchestrator.api.problems import Problem
from orchestrator.api.window import Request, WindowView
from orchestrator.idempotency import Answer
from orchestrator.models import Scope
from tracking.gateway import answers, bodies, documentation, queries, rendering


class RequestsView(WindowView):
    """POST /api/v1/requests."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @documentation.submit
    def post(self, request: Request) -> HttpResponse:
        """Take in messages of any types."""
        raw = self.body(request)
        with doors.refusals():
            return _submit(request, raw, bodies.read(raw), door="requests", status=202)


class MessagesView(WindowView):
    """POST /api/v1/messages/{messageType}."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @documentation.submit_of_type
    def post(self, request: Request, messageType: str) -> HttpResponse:  # noqa: N803 - the contract's name
        """Take in messages of one type."""
        raw = self.body(request)
        with doors.refusals():
            body = bodies.read(raw, message_type=messageType)
            return _submit(request, raw, body, door="messages", status=200)


class RequestView(WindowView):
    """GET /api/v1/requests/{id}."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.TRACKING_READ}

    @documentation.read
    def get(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - the contract's name
        """Answer a request as it is now."""
        return _answer_request(request, _read_id(id))


class CancelView(WindowView):
    """POST /api/v1/requests/{id}/cancel."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @documentation.cancel
    def post(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - the contract's name
        """Cancel what has not begun."""
        request_id = _read_id(id)
        try:
            stopping.cancel(client_id=request.caller.account.id, request_id=request_id)
        except stopping.UnknownRequest as refusal:
            raise _unknown() from refusal
        except stopping.AlreadyFinished as refusal:
            raise Problem(409, str(stopping.AlreadyFinished.__doc__)) from refusal
        return _answer_request(request, request_id)


def _submit(request: Request, raw: bytes, body: bodies.Body, *, door: str, status: int) -> HttpResponse:
    account = request.caller.account
    with_messages = doors.prefers(request, "return", "representation")

    def answer(receipt: intake.Receipt) -> Answer:
        return answers.accepted(
            receipt, batch_reference=body.batch_reference, status=status, with_messages=with_messages
        )

    submission = intake.Submission(
        account=account,
        door=door,
        messages=body.messages,
        batch_reference=body.batch_reference,
        error_policy=body.error_policy,
        duplicate_policy=body.duplicate_policy,
        deadline_seconds=body.deadline_seconds,
        priority=body.priority,
        traceparent=traceparent.read(request.headers.get("traceparent")),
    )
    key = doors.read_key(request, account=account, body=raw)
    return doors.deliver(intake.accept(submission, key=key, answer=answer))


def _answer_request(request: Request, request_id: uuid.UUID) -> HttpResponse:
    """Answer with the request as the tracking search shows it, with all its messages unless return=minimal."""
    account = request.caller.account
    minimal = doors.prefers(request, "return", "minimal")
    found = queries.find_request(client_id=account.id, request_id=request_id, payload=not minimal)
    if found is None:
        raise _unknown()
    data = rendering.request_body(*found, account=account, payload=not minimal)
    headers = {"Preference-Applied": "return=minimal"} if minimal else None
    return api_rendering.respond({"data": data, "errors": [], "success": True}, headers=headers)


def _read_id(text: str) -> uuid.UUID:
    request_id = ids.parse(text)
    if request_id is None:
        raise _unknown()
    return request_id


def _unknown() -> Problem:
    """The one answer for an id that is malformed, unknown or another client's."""
    return Problem(404, "You have no request of this id")
