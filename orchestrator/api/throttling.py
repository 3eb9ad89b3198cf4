"""What a client is told of its rate: the header fields of draft-ietf-httpapi-ratelimit-headers-10, and 429.

In: Django's request, with its caller. Out: header fields, or a `Problem` in the window's own error body.
Called by `window.py` for each call with credentials; without a rate it costs one look at the account.
"""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from orchestrator import amounts, rates
from orchestrator.api import waiting
from orchestrator.api.problems import Problem
from orchestrator.auth import Account

_POLICY = '"client"'
_KEPT = "_waybill_rate_fields"


def count_call(request: HttpRequest, account: Account) -> None:
    """Count the call, and raise a `Problem` 429 when it is one too many; after a wait it is the same call still."""
    text = settings.WAYBILL_CLIENT_RATE if account.rate_limit is None else account.rate_limit
    rate = rates.parse(text) if text else None
    if rate is None or waiting.has_waited(request):
        return
    standing = rates.count(rate, "client", account.client_id)
    if standing is None:
        return
    fields = _print_fields(standing)
    if standing.exceeded:
        headers = fields | {"Retry-After": str(standing.reset)}
        times, seconds = amounts.tell(standing.quota, "time"), amounts.tell(standing.window, "second")
        raise Problem(429, f"You may call {times} in {seconds}", headers=headers)
    setattr(request, _KEPT, fields)


def add_fields(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """Put onto an answer where its client stands, if that was counted."""
    for name, value in getattr(request, _KEPT, {}).items():
        answer.headers.setdefault(name, value)
    return answer


def _print_fields(standing: rates.Standing) -> dict[str, str]:
    """Print the quota policy and the service limit as structured fields (RFC 9651): q in w seconds, r left for t."""
    return {
        "RateLimit-Policy": f"{_POLICY};q={standing.quota};w={standing.window}",
        "RateLimit": f"{_POLICY};r={standing.remaining};t={standing.reset}",
    }
