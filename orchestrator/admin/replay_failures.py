"""Replay all failures of a type since a time, by as many requests as it takes, for a few seconds a click.

In: an operator's form. Out: how many there are, then new requests. Called by the requests' page.
"""

import time
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from orchestrator import amounts, audit, handlers, replaying, replays

_COUNTED = 100_000
_SECONDS = 8.0
"""After this long a click's work ends; the next one goes on, since what was replayed is not replayed again."""


class FailuresForm(forms.Form):
    """Which failures."""

    type = forms.CharField(label="Message type", max_length=300)
    since = forms.DateTimeField(label="Failed since")


def answer(request: HttpRequest) -> dict[str, Any] | HttpResponse:
    """Return the page's context; after a replay, go to what it made."""
    given = request.POST or request.GET
    form = FailuresForm(given or None, initial={"since": timezone.now() - timedelta(hours=1)})
    context: dict[str, Any] = {"title": "Replay failures", "form": form, "types": list(handlers.catalogue())}
    if not form.is_valid():
        return context
    asked = form.cleaned_data
    if request.method == "POST":
        return _replay(request, asked)
    count = replays.count_failures(asked["type"], since=asked["since"], again=False, limit=_COUNTED + 1)
    return context | {"counted": True, "count": min(count, _COUNTED), "more": count > _COUNTED}


def _replay(request: HttpRequest, asked: dict[str, Any]) -> HttpResponse:
    ends_at = time.monotonic() + _SECONDS
    requests = replayed = 0
    left = False
    actor = audit.at_the_desk(request)
    try:
        for one in replaying.replay_failures(asked["type"], since=asked["since"], actor=actor):
            requests, replayed = requests + 1, replayed + one.messages
            if time.monotonic() > ends_at:
                left = True
                break
    except replaying.Refused as refused:
        messages.error(request, f"Nothing more was replayed: {refused}")
    _tell(request, requests=requests, replayed=replayed, left=left)
    here = reverse("admin:orchestrator_request_replay_failures")
    query = {"type": asked["type"], "since": asked["since"].isoformat()}
    return HttpResponseRedirect(f"{here}?{urlencode(query)}")


def _tell(request: HttpRequest, *, requests: int, replayed: int, left: bool) -> None:
    done = f"Replayed {amounts.tell(replayed, 'message')} by {amounts.tell(requests, 'new request')}"
    if left:
        messages.warning(request, f"{done} so far. Go on for the rest.")
    elif replayed:
        messages.success(request, f"{done}.")
    else:
        messages.info(request, "There was nothing to replay.")
