"""What the views of this room have in common: how a change is read, carried out and answered."""

import uuid
from collections.abc import Callable
from typing import ClassVar

from django.http import HttpResponse

from orchestrator import flows, ids
from orchestrator.api import doors, rendering
from orchestrator.api.window import Request, WindowView
from orchestrator.changes import Call
from orchestrator.idempotency import Answer, Key
from orchestrator.stages import Stage
from tracking.states import bodies, errors, parameters, queries

DONE = Answer(status=204, body=b"")
"""The answer to an end, and to whatever else has nothing to tell."""


class ServiceView(WindowView):
    """One operation of the room. `variant`: what OpenAPI adds to its name, where one view has several paths."""

    variant: ClassVar[str] = ""

    def optional_body(self, request: Request) -> bytes:
        """Return the body; where there is none, it needs no content type."""
        return b"" if request.META.get("CONTENT_LENGTH") in {None, "", "0"} else self.body(request)


def read_id(text: str) -> uuid.UUID:
    """Read a service's id; one that is malformed is answered as one that does not exist."""
    service_id = ids.parse(text)
    if service_id is None:
        raise errors.unknown_service()
    return service_id


def read_number(text: str) -> int:
    """Read the id of a state or a task out of the path."""
    number = parameters.read_number(text)
    if number is None:
        raise errors.unknown_stage()
    return number


def reading(wanted: parameters.Wanted) -> queries.Reading:
    """Say what must be read of services for what is wanted."""
    return queries.Reading(states=wanted.states, tasks=wanted.tasks, extensions=bool(wanted.extensions))


def find(request: Request, service_id: str, reading: queries.Reading) -> queries.Found:
    """Return the caller's service of that id."""
    found = queries.find_service(client_id=request.caller.account.id, service_id=read_id(service_id), reading=reading)
    if found is None:
        raise errors.unknown_service()
    return found


def end(view: ServiceView, request: Request, service_id: str, stage: Stage) -> HttpResponse:
    """End a service, a state or a task."""
    raw = view.optional_body(request)
    with errors.refusals():
        ending = bodies.read_end(raw, kind=stage.kind)
        return deliver(flows.end(read_call(request, service_id, raw), stage, ending, answer=DONE))


def put_extension(view: ServiceView, request: Request, service_id: str, stage: Stage, *, name: str) -> HttpResponse:
    """Put an extension of a service, a state or a task in place."""
    raw = view.body(request)
    with errors.refusals():
        given = bodies.read_extension(raw, kind=stage.kind, name=name)
        call = Call(client_id=request.caller.account.id, service_id=read_id(service_id))
        return deliver(flows.put_extensions(call, stage, given=given, answer=DONE))


def read_key(request: Request, raw: bytes) -> Key | None:
    """Return the call's idempotency key; the body was checked."""
    return doors.read_key(request, account=request.caller.account, body=raw)


def read_call(request: Request, service_id: str, raw: bytes = b"") -> Call:
    """Say which service the call is about to change."""
    return Call(client_id=request.caller.account.id, service_id=read_id(service_id), key=read_key(request, raw))


def created(request: Request, name: str) -> Callable[[int], Answer]:
    """Return the answer of a start, which names the new state or task and says where it is."""
    collection = request.path.rstrip("/").rpartition("/")[0]

    def answer(number: int) -> Answer:
        headers = {"Location": f"{collection}/{number}"}
        return Answer(status=201, headers=headers, body=rendering.dumps({name: number}))

    return answer


def deliver(answer: Answer) -> HttpResponse:
    """Send the answer of a change, the first or a repeated one."""
    response = doors.deliver(answer)
    if not answer.body:
        del response["Content-Type"]
    return response
