"""How drf-spectacular sees the windows: their credentials, and every error body in the family's own words.

In: the views. Out: what OpenAPI says of them beyond their own `extend_schema`.
Called by drf-spectacular, through the settings: `manage.py spectacular`, `/api/schema`.
"""

from collections.abc import Callable, Iterable
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

_ERRORS = {
    400: ("What was sent is malformed or breaks a rule", "What is wrong, in words"),
    401: ("The credentials are missing or not valid", "Credentials are required: a bearer token, or HTTP Basic"),
    403: ("The credentials do not allow this", "The scope {scope} is needed for this"),
    413: ("The body is too long", "The body is longer than 33554432 bytes"),
    415: ("The body is not declared as JSON", "The content type must be application/json"),
    429: ("The client has called as often as it may", "You may call 600 times in 60 seconds"),
    500: ("Something broke that is not the caller's fault", "Internal server error"),
    503: ("Try again later", "The service is unavailable at present, please try again"),
}
"""Status → what it means (pinned here: Python's phrases change), and an example of the text."""
_HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "The ways to prove who one is."}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    503: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
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

    def _get_request_body(self, direction: Any = "request") -> dict[str, Any] | None:
        body: dict[str, Any] | None = super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        return body | {"required": True} if body else body

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Tell apart the paths of one view: its `variant` goes to the end of the operation's name."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation:
            operation["operationId"] += getattr(self.view, "variant", "")
        return operation

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
            statuses += [401, 403, 429]
        if self.method in {"POST", "PUT"}:
            statuses += [400, 413, 415]
        return statuses

    def _error_answer(self, status: int) -> dict[str, Any]:
        """Describe one error answer, with the body that the family's own code renders for it."""
        family = problems.family_of(self.path)
        description, text = _ERRORS[status]
        body = family.render(problems.Problem(status, text.format(scope=self._scope())))
        with_place = family.render(problems.Problem(status, text, field="payload", index=0))
        component = self._register(family.name, describe(with_place, least=body), kind=ResolvedComponent.SCHEMA)
        answer = {
            "description": description,
            "content": {"application/json": {"schema": component.ref, "examples": {family.name: {"value": body}}}},
        }
        return answer | ({"headers": _HEADERS[status]} if status in _HEADERS else {})

    def _register(self, name: str, definition: dict[str, Any], *, kind: Any) -> ResolvedComponent:
        component = ResolvedComponent(name=name, type=kind, object=name, schema=definition)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return component


def describe(value: Any, *, least: Any) -> dict[str, Any]:
    """Derive a JSON Schema from two examples: all keys there may be, and those that are always there."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {name: describe(part, least=least.get(name, part)) for name, part in value.items()},
            "required": list(least),
        }
    if isinstance(value, list):
        return {"type": "array", "items": describe(value[0], least=least[0]) if value else {}}
    if value is None:
        return {"type": "null"}
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": kinds[type(value)]}
