"""How the rooms write their paths: each answers with and without the last slash, with no redirect."""

import functools
import re
from collections.abc import Callable

from django.http.response import HttpResponseBase
from django.urls import URLPattern, re_path

_PARAMETER = re.compile(r"<(\w+)>")


def route(path: str, view: Callable[..., HttpResponseBase], *, name: str | None = None) -> URLPattern:
    """Lead `path` to the view. `<name>` in it stands for one segment, handed to the view as text.

    >>> route("api/v1/requests/<request_id>", RequestView.as_view())  # doctest: +SKIP
    """
    literal = _PARAMETER.split(path.strip("/"))
    pieces = [_escape(piece) if number % 2 == 0 else f"(?P<{piece}>[^/]+)" for number, piece in enumerate(literal)]
    pattern: URLPattern = re_path(f"^{''.join(pieces)}/?$", view, name=name)
    return pattern


@functools.cache
def template(pattern: str) -> str:
    """Return a resolved pattern as people write it: `/api/v1/requests/{request_id}`, `/admin/{object_id}/`."""
    text = re.sub(r"\(\?P<(\w+)>[^()]*\)|<(?:\w+:)?(\w+)>", lambda found: f"{{{found[1] or found[2]}}}", pattern)
    return "/" + text.lstrip("^").removesuffix("$").removesuffix("/?").replace("\\", "").replace("^", "")


def _escape(text: str) -> str:
    """Escape what a regular expression would read otherwise: no hyphens, which OpenAPI would show escaped."""
    return re.escape(text).replace(r"\-", "-")
