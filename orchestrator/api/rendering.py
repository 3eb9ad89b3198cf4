"""JSON on its way out.

In: Python values, with text that is JSON already among them. Out: bytes, or a whole answer.
Called by every view; DRF knows it as its only renderer.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.renderers import BaseRenderer

CONTENT_TYPE = "application/json"

RawJSON = orjson.Fragment
"""Wraps text (or bytes) that is JSON already, such as a stored result, so that it goes out as it is."""


def dumps(value: Any) -> bytes:
    """Encode a value as JSON in UTF-8. UUIDs become text; dates are the rooms' own business."""
    return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME)


def respond(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Answer with the value as JSON."""
    return HttpResponse(dumps(value), status=status, content_type=CONTENT_TYPE, headers=headers)


class JSONRenderer(BaseRenderer):
    """DRF's renderer, for the views that are not windows (the schema's)."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,  # noqa: ARG002 - DRF's signature
        renderer_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> bytes:
        """Encode what a view returned; nothing stays nothing."""
        return b"" if data is None else dumps(data)
