"""The states of a service: list, look at, begin, end, pass from one to another."""

from typing import ClassVar

from django.http import HttpResponse

from orchestrator import flows
from orchestrator.api import rendering as api_rendering
from orchestrator.api.window import Request
from orchestrator.models import Scope
from orchestrator.stages import Kind, Stage
from tracking.states import bodies, errors, parameters, queries, rendering, state_documentation, views


class StatesView(views.ServiceView):
    """GET /services/{service_id}/states, all of them or those in a scope."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.SERVICES_READ}
    scope: ClassVar[parameters.Scope] = parameters.ALL

    @state_documentation.query
    def get(self, request: Request, service_id: str) -> HttpResponse:
        """Answer a service's states."""
        wanted = parameters.of_states(request.GET)
        reading = queries.Reading(states=self.scope, tasks=wanted.tasks, extensions=bool(wanted.extensions))
        found = views.find(request, service_id, reading)
        return api_rendering.respond(rendering.states(found, wanted))


class OneStateView(views.ServiceView):
    """GET /services/{service_id}/states/{state_id}."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.SERVICES_READ}

    @state_documentation.read
    def get(self, request: Request, service_id: str, state_id: str) -> HttpResponse:
        """Answer one state."""
        wanted = parameters.of_states({**request.GET.dict(), "state_types": ""})
        reading = queries.Reading(
            states=parameters.ALL,
            tasks=wanted.tasks,
            state=views.read_number(state_id),
            extensions=bool(wanted.extensions),
        )
        listed = rendering.states(views.find(request, service_id, reading), wanted)
        if not listed:
            raise errors.unknown_stage()
        return api_rendering.respond(listed[0])


class StartStateView(views.ServiceView):
    """POST /services/{service_id}/states/start."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @state_documentation.start
    def post(self, request: Request, service_id: str) -> HttpResponse:
        """Begin a state."""
        raw = self.body(request)
        with errors.refusals():
            beginning, previous = bodies.read_state(raw)
            call = views.read_call(request, service_id, raw)
            answer = views.created(request, "state_id")
            return views.deliver(flows.start_state(call, beginning, previous=previous, answer=answer))


class TransitionView(views.ServiceView):
    """POST /services/{service_id}/states/transition."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @state_documentation.transition
    def post(self, request: Request, service_id: str) -> HttpResponse:
        """End a state and begin another: both or neither."""
        raw = self.body(request)
        with errors.refusals():
            told = bodies.read_transition(raw)
            call = views.read_call(request, service_id, raw)
            answer = views.created(request, "state_id")
            return views.deliver(flows.transition(call, told.ending, told.beginning, source=told.source, answer=answer))


class EndStateView(views.ServiceView):
    """POST /services/{service_id}/states/{state_id}/end."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @state_documentation.end
    def post(self, request: Request, service_id: str, state_id: str) -> HttpResponse:
        """End a state, with its open tasks."""
        return views.end(self, request, service_id, Stage(Kind.STATE, views.read_number(state_id)))


class StateExtensionView(views.ServiceView):
    """PUT /services/{service_id}/states/{state_id}/extensions/{name}."""

    scopes: ClassVar[dict[str, Scope]] = {"PUT": Scope.SERVICES_WRITE}

    @state_documentation.put_extension
    def put(self, request: Request, service_id: str, state_id: str, name: str) -> HttpResponse:
        """Put an extension in place."""
        stage = Stage(Kind.STATE, views.read_number(state_id))
        return views.put_extension(self, request, service_id, stage, name=name)
