"""How drf-spectacular sees the windows: their credentials, and every error body in the family's own words.

In: the views. Out: what OpenAPI says of them beyond their own `extend_schema`.
Called by drf-spectacular, through the settings: `manage.py spectacular`, `/api/schema`.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from orchestrator.api import problems

Endpoint = tuple[str, str, str, Callable[..., Any]]

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token from `POST /oauth/token`, or of the outside issuer that the server is told to trust.",
    },
    "basic": {"type": "http", "scheme": "basic", "description": "Client id and secret."},
}

_TEXTS = {
    400: "What is wrong with the call",
    401: "Credentials are required: a bearer token, or HTTP Basic",
    403: "The scope … is needed for this",
    404: "Resource was not found",
    413: "The body is longer than 33554432 bytes",
    415: "The content type must be application/json",
    500: "Internal server error",
    503: "The service is unavailable at present, please try again",
}
_EVERYWHERE = (500, 503)


def tidy_paths(endpoints: Iterable[Endpoint], **_: Any) -> list[Endpoint]:
    """Show each path once, without the last slash: both forms answer."""
    return [(path.rstrip("/") or "/", regex, method, callback) for path, regex, method, callback in endpoints]


class WindowSchema(AutoSchema):
    """Adds to each operation its credentials and the error answers that `WindowView` may give for it."""

    def get_auth(self) -> list[dict[str, Any]]:
        """Name both credentials where the method has a scope; an empty list where none are asked."""
        if self._scope() is None:
            return []
        for name, definition in SECURITY_SCHEMES.items():
            self._register(name, definition, kind=ResolvedComponent.SECURITY_SCHEMA)
        return [{"bearer": [str(self._scope())]}, {"basic": []}]

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        documented: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._error_statuses():
            documented.setdefault(str(status), self._error_answer(status))
        return dict(sorted(documented.items()))

    def _scope(self) -> Any:
        return getattr(self.view, "scopes", {}).get(self.method)

    def _error_statuses(self) -> list[int]:
        statuses = list(_EVERYWHERE)
        if self._scope() is not None:
            statuses += [401, 403]
        if self.method in {"POST", "PUT"}:
            statuses += [400, 413, 415]
        return statuses

    def _error_answer(self, status: int) -> dict[str, Any]:
        """Describe one error answer, with the body that the family's own code renders for it."""
        family = problems.family_of(self.path)
        body = family.render(problems.Problem(status, _TEXTS[status]))
        schema = self._register(family.name, describe(body), kind=ResolvedComponent.SCHEMA).ref
        examples = {family.name: {"value": body}}
        return {
            "description": HTTPStatus(status).phrase,
            "content": {"application/json": {"schema": schema, "examples": examples}},
        }

    def _register(self, name: str, definition: dict[str, Any], *, kind: Any) -> ResolvedComponent:
        component = ResolvedComponent(name=name, type=kind, object=name, schema=definition)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return component


def describe(value: Any) -> dict[str, Any]:
    """Derive a JSON Schema from an example: its keys and the kinds of its values."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {name: describe(part) for name, part in value.items()},
            "required": list(value),
        }
    if isinstance(value, list):
        return {"type": "array", "items": describe(value[0]) if value else {}}
    if value is None:
        return {"type": "null"}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(value)]}
