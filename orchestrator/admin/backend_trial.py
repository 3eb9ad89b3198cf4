"""The test call of a back end, and its recent failures.

In: an operator's payload, or a type. Out: what the back end said; rows. Called by the back ends' page.
"""

from typing import Any

import msgspec
from django import forms
from django.http import HttpRequest
from django.urls import reverse

from orchestrator import audit, json_text, trial
from orchestrator.lifecycle import Status
from orchestrator.models import AuditAction, AuditOutcome, Message

_SHOWN = 20
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class TrialForm(forms.Form):
    """What is sent."""

    payload = forms.CharField(max_length=100_000, initial="{}", widget=forms.Textarea(attrs={"rows": 6}))

    def clean_payload(self) -> str:
        """Take what a message could hold, as the doors do: a JSON object that can be kept as it is."""
        text = str(self.cleaned_data["payload"])
        try:
            json_text.check(text.encode())
            _OBJECT.decode(text)
        except json_text.BadJSON as broken:
            raise forms.ValidationError(str(broken)) from broken
        except msgspec.ValidationError as other:
            raise forms.ValidationError("A payload must be a JSON object.") from other
        return text


def answer(request: HttpRequest, message_type: str) -> dict[str, Any]:
    """Return the context of the test call's page; on POST, after the call."""
    form = TrialForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {
        "title": f"Test call of {message_type}",
        "form": form,
        "back": reverse("admin:orchestrator_backend_change", args=[message_type]),
    }
    if form.is_valid():
        context |= _call(request, message_type, form.cleaned_data["payload"])
    return context


def find_failures(message_type: str) -> list[Message]:
    """Return a type's last failures (message_failures, read backwards)."""
    failed = Message.objects.filter(type=message_type, status=Status.FAILED).defer("payload", "result")
    return list(failed.order_by("-processed_at", "-id")[:_SHOWN])


def _call(request: HttpRequest, message_type: str, payload: str) -> dict[str, Any]:
    actor, deed = audit.at_the_desk(request), audit.Deed(AuditAction.TEST_CALL, "backend", message_type)
    try:
        made = trial.call(message_type, payload)
    except trial.Unusable as refused:
        audit.refuse(actor, deed, reason=str(refused))
        return {"problem": str(refused)}
    told = {"status": made.status, "seconds": round(made.seconds, 3)}
    audit.record(actor, deed, detail=told, outcome=AuditOutcome.DONE)
    return {"trial": made, "milliseconds": round(made.seconds * 1000)}
