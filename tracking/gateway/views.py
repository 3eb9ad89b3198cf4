"""The Gateway's doors: hand in requests, look at one, cancel it. The tracking search is in `search_view.py`."""

from typing import ClassVar

from django.http import HttpResponse

from orchestrator import intake, stopping
from orchestrator.api import doors
from orchestrator.api.problems import Problem
from orchestrator.api.window import Request, WindowView
from orchestrator.idempotency import Answer
from orchestrator.models import Scope
from tracking.gateway import answers, bodies, documentation, looking


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
        """Answer a request as it is now, or as soon as it is another one."""
        return looking.look(request, looking.read_id(id))


class CancelView(WindowView):
    """POST /api/v1/requests/{id}/cancel."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @documentation.cancel
    def post(self, request: Request, id: str) -> HttpResponse:  # noqa: A002 - the contract's name
        """Cancel what has not begun."""
        request_id = looking.read_id(id)
        try:
            stopping.cancel(client_id=request.caller.account.id, request_id=request_id)
        except stopping.UnknownRequest as refusal:
            raise looking.unknown() from refusal
        except stopping.AlreadyFinished as refusal:
            raise Problem(409, str(stopping.AlreadyFinished.__doc__)) from refusal
        return looking.show(request, request_id)


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
        traceparent=doors.read_traceparent(request),
    )
    key = doors.read_key(request, account=account, body=raw)
    return doors.deliver(intake.accept(submission, key=key, answer=answer))
