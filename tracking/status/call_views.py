"""This family's doors: a regular call, and a bulk of calls of one type."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from django.http import HttpResponse

from orchestrator import intake
from orchestrator.api import doors, rendering
from orchestrator.api import problems as api_problems
from orchestrator.api.problems import Problem
from orchestrator.api.window import Request, WindowView
from orchestrator.idempotency import Answer
from orchestrator.lifecycle import ErrorPolicy
from orchestrator.models import Scope
from tracking.status import answers, bodies, call_documentation


class CallView(WindowView):
    """POST /api/v3/call/{messageType}."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @call_documentation.call
    def post(self, request: Request, messageType: str) -> HttpResponse:  # noqa: N803 - the contract's name
        """Take in one message: the body is its fields."""
        raw = self.body(request)
        with doors.refusals():
            submission = _submission(request, messageType, [bodies.read_call(raw)], door="call", problems={})
            key = doors.read_key(request, account=submission.account, body=raw)
            try:
                return doors.deliver(intake.accept(submission, key=key, answer=answers.called))
            except intake.Unfit as refusal:
                raise Problem(400, "; ".join(refusal.problems[0])) from refusal


class BulkView(WindowView):
    """POST /api/v3/bulk/{messageType}."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.REQUESTS_WRITE}

    @call_documentation.bulk
    def post(self, request: Request, messageType: str) -> HttpResponse:  # noqa: N803 - the contract's name
        """Take in up to 200 messages of one type, all of them or none."""
        raw = self.body(request)
        with doors.refusals():
            bulk = bodies.read_bulk(raw)
            fields = [node.fields for node in bulk.nodes]
            submission = _submission(request, messageType, fields, door="bulk", problems=bulk.problems)
            key = doors.read_key(request, account=submission.account, body=raw)

            def answer(receipt: intake.Receipt) -> Answer:
                return answers.bulk_called(receipt, bulk.nodes)

            try:
                return doors.deliver(intake.accept(submission, key=key, answer=answer))
            except intake.Unfit as refusal:
                return _refuse(answers.bulk_refused(bulk.nodes, refusal.problems))


def _submission(
    request: Request,
    message_type: str,
    fields: list[str],
    *,
    door: str,
    problems: Mapping[int, Sequence[str]],
) -> intake.Submission:
    return intake.Submission(
        account=request.caller.account,
        door=door,
        messages=[intake.NewMessage(message_type, None, own) for own in fields],
        error_policy=ErrorPolicy.PROCEED,
        traceparent=doors.read_traceparent(request),
        all_or_nothing=True,
        problems=problems,
    )


def _refuse(body: object) -> HttpResponse:
    """Answer with a NAK that lists nodes: the family's error body has no room for them."""
    refusal = rendering.respond(body, status=400)
    api_problems.keep_quiet(refusal)
    return refusal
