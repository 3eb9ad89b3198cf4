"""The paths of this family, as they are and under the original's address."""

from django.urls import URLPattern

from orchestrator.api.routes import route
from tracking.states import service_views, state_views, task_views
from tracking.states.parameters import ACTIVE, ALL, COMPLETED
from tracking.states.views import ServiceView

ALIAS = "genesys/1/cs/"

_SCOPES = {"": ALL, "/active": ACTIVE, "/completed": COMPLETED}
_LISTS: dict[str, type[ServiceView]] = {
    "services/anonymous/<contact_key>": service_views.AnonymousServicesView,
    "customers/<customer_id>/services": service_views.CustomersServicesView,
    "services/<service_id>/states": state_views.StatesView,
    "services/<service_id>/tasks": task_views.TasksView,
}
# In this order: the words of a path come before the ids that could stand in their place.
_PATHS: dict[str, type[ServiceView]] = {
    "services/start": service_views.StartServiceView,
    "services/<service_id>": service_views.OneServiceView,
    "services/<service_id>/end": service_views.EndServiceView,
    "services/<service_id>/extensions/<name>": service_views.ServiceExtensionView,
    "services/<service_id>/states/start": state_views.StartStateView,
    "services/<service_id>/states/transition": state_views.TransitionView,
    "services/<service_id>/states/<state_id>": state_views.OneStateView,
    "services/<service_id>/states/<state_id>/end": state_views.EndStateView,
    "services/<service_id>/states/<state_id>/extensions/<name>": state_views.StateExtensionView,
    "services/<service_id>/tasks/start": task_views.StartTaskView,
    "services/<service_id>/tasks/<task_id>": task_views.OneTaskView,
    "services/<service_id>/tasks/<task_id>/end": task_views.EndTaskView,
    "services/<service_id>/tasks/<task_id>/extensions/<name>": task_views.TaskExtensionView,
    "customers/<customer_id>/services/<service_id>": service_views.CustomerView,
}


def _routes(prefix: str, *, variant: str) -> list[URLPattern]:
    lists = [
        route(prefix + path + suffix, view.as_view(scope=scope, variant=variant + suffix.replace("/", "_")))
        for path, view in _LISTS.items()
        for suffix, scope in _SCOPES.items()
    ]
    return lists + [route(prefix + path, view.as_view(variant=variant)) for path, view in _PATHS.items()]


urlpatterns: list[URLPattern] = _routes("", variant="") + _routes(ALIAS, variant="_genesys")
