"""The tasks of a service: list, look at, begin and end external ones."""

from typing import ClassVar

from django.http import HttpResponse

from orchestrator import flows
from orchestrator.api import rendering as api_rendering
from orchestrator.api.window import Request
from orchestrator.models import Scope
from orchestrator.stages import Kind, Stage
from tracking.states import bodies, errors, parameters, queries, rendering, task_documentation, views


class TasksView(views.ServiceView):
    """GET /services/{service_id}/tasks, all of them or those in a scope."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.SERVICES_READ}
    scope: ClassVar[parameters.Scope] = parameters.ALL

    @task_documentation.query
    def get(self, request: Request, service_id: str) -> HttpResponse:
        """Answer a service's tasks."""
        wanted = parameters.of_tasks(request.GET)
        state = parameters.read_state_id(request.GET)
        reading = queries.Reading(tasks=self.scope, state=state, extensions=bool(wanted.extensions))
        found = views.find(request, service_id, reading)
        return api_rendering.respond(rendering.tasks(found, wanted))


class OneTaskView(views.ServiceView):
    """GET /services/{service_id}/tasks/{task_id}."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.SERVICES_READ}

    @task_documentation.read
    def get(self, request: Request, service_id: str, task_id: str) -> HttpResponse:
        """Answer one task."""
        wanted = parameters.of_tasks({**request.GET.dict(), "task_types": ""})
        reading = queries.Reading(
            tasks=parameters.ALL, task=views.read_number(task_id), extensions=bool(wanted.extensions)
        )
        listed = rendering.tasks(views.find(request, service_id, reading), wanted)
        if not listed:
            raise errors.unknown_stage()
        return api_rendering.respond(listed[0])


class StartTaskView(views.ServiceView):
    """POST /services/{service_id}/tasks/start."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @task_documentation.start
    def post(self, request: Request, service_id: str) -> HttpResponse:
        """Begin an external task."""
        raw = self.body(request)
        with errors.refusals():
            beginning, state = bodies.read_task(raw)
            call = views.read_call(request, service_id, raw)
            answer = views.created(request, "task_id")
            return views.deliver(flows.start_task(call, beginning, state=state, answer=answer))


class EndTaskView(views.ServiceView):
    """POST /services/{service_id}/tasks/{task_id}/end."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @task_documentation.end
    def post(self, request: Request, service_id: str, task_id: str) -> HttpResponse:
        """End an external task."""
        return views.end(self, request, service_id, Stage(Kind.TASK, views.read_number(task_id)))


class TaskExtensionView(views.ServiceView):
    """PUT /services/{service_id}/tasks/{task_id}/extensions/{name}."""

    scopes: ClassVar[dict[str, Scope]] = {"PUT": Scope.SERVICES_WRITE}

    @task_documentation.put_extension
    def put(self, request: Request, service_id: str, task_id: str, name: str) -> HttpResponse:
        """Put an extension in place."""
        stage = Stage(Kind.TASK, views.read_number(task_id))
        return views.put_extension(self, request, service_id, stage, name=name)
