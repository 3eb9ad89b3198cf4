"""Services as a whole: begin, look at, end, delete, give a customer, list."""

import uuid
from typing import ClassVar

from django.http import HttpResponse

from orchestrator import changes, flows
from orchestrator.api import rendering as api_rendering
from orchestrator.api.window import Request
from orchestrator.idempotency import Answer
from orchestrator.models import Scope
from orchestrator.stages import SERVICE
from tracking.states import bodies, errors, parameters, queries, rendering, scalars, service_documentation, views


class StartServiceView(views.ServiceView):
    """POST /services/start."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @service_documentation.start
    def post(self, request: Request) -> HttpResponse:
        """Begin a service."""
        raw = self.body(request)
        account = request.caller.account
        collection = request.path.rstrip("/").removesuffix("/start")

        def answer(service_id: uuid.UUID) -> Answer:
            headers = {"Request-Id": str(service_id), "Location": f"{collection}/{service_id}"}
            body = api_rendering.dumps({"service_id": service_id})
            return Answer(status=201, headers=headers, body=body, request_id=service_id)

        with errors.refusals():
            owner, beginning = bodies.read_service(raw)
            key = views.read_key(request, raw)
            return views.deliver(
                flows.start_service(beginning, owner=owner, client_id=account.id, key=key, answer=answer)
            )


class OneServiceView(views.ServiceView):
    """GET and DELETE /services/{service_id}."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.SERVICES_READ, "DELETE": Scope.SERVICES_WRITE}

    @service_documentation.read
    def get(self, request: Request, service_id: str) -> HttpResponse:
        """Answer one service."""
        wanted = parameters.of_services(request.GET)
        found = views.find(request, service_id, views.reading(wanted))
        return api_rendering.respond(rendering.service(found, wanted))

    @service_documentation.delete
    def delete(self, request: Request, service_id: str) -> HttpResponse:
        """Delete a service; it is unknown everywhere then."""
        call = changes.Call(client_id=request.caller.account.id, service_id=views.read_id(service_id))
        with errors.refusals():
            return views.deliver(flows.delete(call, answer=views.DONE))


class EndServiceView(views.ServiceView):
    """POST /services/{service_id}/end."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @service_documentation.end
    def post(self, request: Request, service_id: str) -> HttpResponse:
        """End a service, with its open states and tasks."""
        return views.end(self, request, service_id, SERVICE)


class ServiceExtensionView(views.ServiceView):
    """PUT /services/{service_id}/extensions/{name}."""

    scopes: ClassVar[dict[str, Scope]] = {"PUT": Scope.SERVICES_WRITE}

    @service_documentation.put_extension
    def put(self, request: Request, service_id: str, name: str) -> HttpResponse:
        """Put an extension in place."""
        return views.put_extension(self, request, service_id, SERVICE, name=name)


class CustomerView(views.ServiceView):
    """POST /customers/{customer_id}/services/{service_id}."""

    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.SERVICES_WRITE}

    @service_documentation.give_customer
    def post(self, request: Request, customer_id: str, service_id: str) -> HttpResponse:
        """Give an anonymous service its customer."""
        raw = self.optional_body(request)
        with errors.refusals():
            update = bodies.read_update(raw)
            owner = scalars.from_path("customer_id", customer_id)
            call = views.read_call(request, service_id, raw)
            return views.deliver(flows.give_customer(call, customer_id=owner, update=update, answer=views.DONE))


class CustomersServicesView(views.ServiceView):
    """GET /customers/{customer_id}/services, all of them or those in a scope."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.SERVICES_READ}
    scope: ClassVar[parameters.Scope] = parameters.ALL

    @service_documentation.of_customer
    def get(self, request: Request, customer_id: str) -> HttpResponse:
        """Answer a customer's services."""
        return _answer_owned(request, self.scope, customer_id=customer_id)


class AnonymousServicesView(views.ServiceView):
    """GET /services/anonymous/{contact_key}, all of them or those in a scope."""

    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.SERVICES_READ}
    scope: ClassVar[parameters.Scope] = parameters.ALL

    @service_documentation.anonymous
    def get(self, request: Request, contact_key: str) -> HttpResponse:
        """Answer the services of a contact key that have no customer as yet."""
        return _answer_owned(request, self.scope, contact_key=contact_key)


def _answer_owned(
    request: Request, scope: parameters.Scope, *, customer_id: str | None = None, contact_key: str | None = None
) -> HttpResponse:
    wanted = parameters.of_services(request.GET)
    owned = queries.Owned(
        scope=scope,
        customer_id=customer_id,
        contact_key=contact_key,
        types=wanted.types,
        started_from=parameters.read_moment(request.GET, "started_from"),
        started_to=parameters.read_moment(request.GET, "started_to"),
    )
    found = queries.find_owned(client_id=request.caller.account.id, owned=owned, reading=views.reading(wanted))
    return api_rendering.respond(rendering.services(found, wanted))
