"""What a caller is told when something is refused or broken: one neutral `Problem`, each family's own words.

In: a `Problem`, raised by a view or made from an exception that nobody anticipated, and the path that was asked for.
Out: the JSON answer in the error body of the family that the path belongs to.
Called by `window.py` and by the handlers of `config/urls.py`; families register their error body by path prefix.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse

from orchestrator.api import rendering

RETRY_AFTER_SECONDS = 5
CHALLENGE = 'Bearer realm="waybill", Basic realm="waybill", charset="UTF-8"'
"""Both ways to prove who one is (RFC 6750, RFC 7617)."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing that is wrong: the text, and where in the body."""

    text: str
    field: str | None = None
    index: int | None = None


class Problem(Exception):
    """An anticipated refusal, in neutral words. `code` is for families whose error codes say more than the status."""

    def __init__(  # noqa: PLR0913 - keywords that few use
        self,
        status: int,
        text: str,
        *,
        field: str | None = None,
        index: int | None = None,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
        details: Sequence[Detail] = (),
    ) -> None:
        """Say what is wrong once, or list several things in `details`; `text` is then the sum of them."""
        super().__init__(text)
        self.status = status
        self.text = text
        self.field = field
        self.index = index
        self.headers = dict(headers or {})
        self.code = code
        self.details = tuple(details) or (Detail(text, field=field, index=index),)


Render = Callable[[Problem], Any]


def _gateway_body(problem: Problem) -> dict[str, Any]:
    return {"data": None, "errors": [_gateway_error(detail) for detail in problem.details], "success": False}


def _gateway_error(detail: Detail) -> dict[str, Any]:
    error: dict[str, Any] = {"errorMessage": detail.text}
    if detail.field is not None:
        error["field"] = detail.field
    if detail.index is not None:
        error["index"] = detail.index
    return error


@dataclass(frozen=True, slots=True)
class Family:
    """A group of paths with one error body. `name` is what OpenAPI calls that body."""

    name: str
    render: Render


_families: dict[str, Family] = {"/": Family("GatewayError", _gateway_body)}
"""By path prefix, with a slash at its end. Paths of no family get the Gateway's body."""


def register(prefix: str, render: Render, *, name: str | None = None) -> None:
    """Give all paths under `prefix` their own error body; the longest prefix wins. Call it from an app's `ready()`.

    `name` is the body's name in OpenAPI; families with several prefixes give the same one for each.
    """
    segments = [segment for segment in re.split(r"\W+", prefix) if segment]
    title = name or f"{''.join(segment.capitalize() for segment in segments)}Error"
    _families["/".join(["", *prefix.strip("/").split("/"), ""]).replace("//", "/")] = Family(title, render)


def family_of(path: str) -> Family:
    """Return the family that the path belongs to."""
    whole = f"{path}/"
    return _families[max((known for known in _families if whole.startswith(known)), key=len, default="/")]


def body(path: str, problem: Problem) -> Any:
    """Put the problem into the words of the family that the path belongs to."""
    return family_of(path).render(problem)


def respond(path: str, problem: Problem) -> HttpResponse:
    """Answer with the problem as JSON, with the headers that its status calls for."""
    response = HttpResponse(
        rendering.dumps(body(path, problem)), status=problem.status, content_type=rendering.CONTENT_TYPE
    )
    for name, value in (_headers_of(problem.status) | problem.headers).items():
        response[name] = value
    keep_quiet(response)
    return response


def keep_quiet(response: HttpResponse) -> None:
    """Spare the log Django's line for each refusal: what matters was logged where it happened, once."""
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001


def _headers_of(status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": CHALLENGE}
    if status == 503:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}
