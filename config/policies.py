"""What a browser may do with our answers: a content security policy by kind of page.

In: a request's path. Out: the header. Named by the settings, in the middleware.

Nothing may come from elsewhere, nothing may be framed, and no inline script runs, in any page. Exceptions stand beside
the page that needs them, each with its reason.
"""

from typing import Any, cast

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config.sessions import ADMIN

_HEADER = "Content-Security-Policy"
_DOCS = ("/api/docs", "/api/redoc")
_FOR_DATA = "default-src 'none'; frame-ancestors 'none'"
"""For JSON and events: there is nothing in them to be loaded."""

_PAGE: dict[str, Any] = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}
_ADMIN_PAGE = _PAGE | {
    # unfold comes with Alpine.js, which makes functions of the expressions in its attributes. They are ours or its own:
    # what operators and clients write is escaped text, never an attribute of Alpine's.
    "script-src": [SELF, UNSAFE_EVAL],
    # unfold writes its colours into a style element, and widths into attributes.
    "style-src": [SELF, UNSAFE_INLINE],
}
_DOCS_PAGE = _PAGE | {
    # Swagger UI and Redoc write style elements as they draw.
    "style-src": [SELF, UNSAFE_INLINE],
    # Redoc searches in a worker that it makes of itself.
    "worker-src": [SELF, "blob:"],
}


class ContentSecurity(CSPMiddleware):
    """Says what may be done with each answer."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Spare REST calls the building of a policy that is always the same."""
        is_page = _page_policy(request) is not None
        answer = cast("HttpResponseBase", super().__call__(request) if is_page else self.get_response(request))
        if not is_page:
            answer.headers.setdefault(_HEADER, _FOR_DATA)
        return answer

    def get_policy_parts(
        self,
        request: HttpRequest,
        response: HttpResponseBase,  # noqa: ARG002 - the signature of django-csp
        report_only: bool = False,
    ) -> PolicyParts:
        """Choose the page's policy."""
        return PolicyParts(config=None if report_only else _page_policy(request))


def _page_policy(request: HttpRequest) -> dict[str, Any] | None:
    if request.path_info.startswith(ADMIN):
        return _ADMIN_PAGE
    return _DOCS_PAGE if request.path_info.startswith(_DOCS) else None
