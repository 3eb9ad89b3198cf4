"""What OpenAPI says of services as a whole."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from orchestrator.api import headers
from orchestrator.stages import Kind
from tracking.states import documentation as shared
from tracking.states import scalars

_CUSTOMER = OpenApiParameter(
    "customer_id",
    {"type": "string", "minLength": 1, "maxLength": scalars.LONGEST},
    OpenApiParameter.PATH,
    description="The customer that it gets.",
)
_OF_CUSTOMER = OpenApiParameter(
    "customer_id", OpenApiTypes.STR, OpenApiParameter.PATH, description='Compared as text: 51 and "51" are the same.'
)
_CONTACT_KEY = OpenApiParameter("contact_key", OpenApiTypes.STR, OpenApiParameter.PATH, description="Compared as text.")
_SENT_BACK = headers.of_creation(
    201, Request_Id="The service's id: every service is a request.", Location="Where the service can be looked at."
)
_WITH = [
    shared.flag("active_states", "states that are active"),
    shared.flag("completed_states", "states that are over"),
    *shared.TASK_FLAGS,
    shared.EXTENSION_NAMES,
]
_OF_MANY = [
    shared.types("service_types"),
    OpenApiParameter("started_from", OpenApiTypes.DATETIME, description="Begun then or later."),
    OpenApiParameter("started_to", OpenApiTypes.DATETIME, description="Begun before then."),
    *_WITH,
]
_EXAMPLE = {
    "service_id": shared.EXAMPLE_ID,
    "service_type": 100,
    "customer_id": "51X",
    "est_duration": 3600,
    "started": shared.EXAMPLE_EVENT,
}
_LIST = {"type": "array", "items": shared.SERVICE}
_START = shared.beginning(Kind.SERVICE, customer_id=shared.SCALAR, contact_key=shared.SCALAR) | {
    "anyOf": [{"required": ["customer_id"]}, {"required": ["contact_key"]}]
}
_STARTED = {"type": "object", "required": ["service_id"], "properties": {"service_id": shared.UUID}}
_UPDATE = shared.beginning(Kind.SERVICE) | {"required": []}

start = shared.operation(
    "service_start",
    "Begin a service",
    parameters=[headers.IDEMPOTENCY_KEY, *_SENT_BACK],
    sent=(_START, {"customer_id": "51X", "service_type": 100, "est_duration": 3600, "interaction_id": "51"}),
    answers={201: (_STARTED, {"service_id": shared.EXAMPLE_ID})},
    refusals=(400, 409, 422),
)
read = shared.operation(
    "service",
    "A service; every request is one",
    parameters=[shared.SERVICE_ID, *_WITH],
    answers={200: (shared.SERVICE, _EXAMPLE)},
    refusals=shared.READING,
)
delete = shared.operation(
    "service_delete",
    "Delete a service with its states and tasks",
    parameters=[shared.SERVICE_ID],
    answers=shared.NOTHING,
    refusals=(404, 409),
)
end = shared.operation(
    "service_end",
    "End a service, with its open states and tasks",
    parameters=[shared.SERVICE_ID, headers.IDEMPOTENCY_KEY],
    sent=shared.end_body(Kind.SERVICE),
    answers=shared.NOTHING,
    refusals=shared.CHANGING_WITH_KEY,
)
put_extension = shared.operation(
    "service_extension",
    "Put an extension of a service in place",
    parameters=[shared.SERVICE_ID, shared.NAME],
    sent=shared.EXTENSION_BODY,
    answers=shared.NOTHING,
    refusals=shared.CHANGING,
)
give_customer = shared.operation(
    "service_customer",
    "Give a service its customer",
    parameters=[_CUSTOMER, shared.SERVICE_ID, headers.IDEMPOTENCY_KEY],
    sent=(_UPDATE, {"interaction_id": "52"}),
    answers=shared.NOTHING,
    refusals=shared.CHANGING_WITH_KEY,
)
of_customer = shared.operation(
    "services_of_customer",
    "A customer's services",
    parameters=[_OF_CUSTOMER, *_OF_MANY],
    answers={200: (_LIST, [_EXAMPLE])},
    refusals=(400,),
)
anonymous = shared.operation(
    "services_anonymous",
    "Services of a contact key that have no customer",
    parameters=[_CONTACT_KEY, *_OF_MANY],
    answers={200: (_LIST, [_EXAMPLE | {"contact_key": "408-832-7799"}])},
    refusals=(400,),
)
