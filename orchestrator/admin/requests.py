"""Requests: found by whatever names them, followed while they are worked on, cancelled, replayed.

In: an operator's search, or a request. Out: pages, and a small JSON that the request's page asks for each second.
Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from orchestrator import amounts, audit, database_errors, handlers, ids, replaying, stopping
from orchestrator.admin import asking, finding, replay_failures, request_view
from orchestrator.admin.asking import Question
from orchestrator.admin.finding import Search, Standing
from orchestrator.admin.pages import LookedAt
from orchestrator.models import AuditAction, Request

_MOST_FOLLOWED = 200


class SearchForm(forms.Form):
    """What a search can say; everything may be left out."""

    q = forms.CharField(required=False, label="Find", max_length=300)
    client = forms.CharField(required=False, max_length=100)
    status = forms.ChoiceField(required=False, choices=[("", "any"), *((one.value, one.value) for one in Standing)])
    type = forms.CharField(required=False, max_length=300)
    since = forms.DateTimeField(required=False)
    until = forms.DateTimeField(required=False)

    def search(self, *, before: uuid.UUID | None) -> Search:
        """Return the search that was asked for."""
        asked = self.cleaned_data
        return Search(
            text=asked["q"],
            client=asked["client"],
            standing=Standing(asked["status"]) if asked["status"] else None,
            type=asked["type"],
            since=asked["since"],
            until=asked["until"],
            before=before,
        )


@admin.register(Request)
class RequestPage(LookedAt):
    """Requests, newest first: their ids ascend with time."""

    def get_urls(self) -> list[URLPattern]:
        """Put the request's own pages before Django's."""
        view = self.admin_site.admin_view
        own = [
            path("replay-failures/", view(self.replay_failures_view), name="orchestrator_request_replay_failures"),
            path("<uuid:request_id>/progress/", view(self.progress_view), name="orchestrator_request_progress"),
            path("<uuid:request_id>/cancel/", view(self.cancel_view), name="orchestrator_request_cancel"),
            path("<uuid:request_id>/replay/", view(self.replay_view), name="orchestrator_request_replay"),
        ]
        return [*own, *super().get_urls()]

    def list_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Search, and list a page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = SearchForm(request.GET)
        found, problem = finding.Found(), ""
        if form.is_valid():
            try:
                found = finding.find(form.search(before=ids.parse(request.GET.get("before", ""))))
            except finding.TooSlow as slow:
                problem = str(slow)
        context = {
            "title": "Requests",
            "form": form,
            "found": found,
            "problem": problem,
            "types": list(handlers.catalogue()),
            "next_page": _with_parameter(request, before=found.next) if found.next else "",
            "later": "before" in request.GET,
            "may_replay": request.user.has_perm("orchestrator.replay_request"),
        }
        return self.show(request, "desk/requests.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one request."""
        self.only_look(request, object_id)
        shown = request_view.describe(
            self._find(request, ids.parse(object_id)),
            first=_number(request.GET.get("from")),
            only_failed=request.GET.get("only") == "failed",
            masked=masked_for(request),
        )
        next_first = shown["next_first"]
        context = {
            **shown,
            "next_messages": _with_parameter(request, **{"from": next_first}) if next_first is not None else "",
            "later_messages": "from" in request.GET,
            "may_cancel": shown["can_be_cancelled"] and request.user.has_perm("orchestrator.cancel_request"),
            "may_replay": shown["can_be_replayed"] and request.user.has_perm("orchestrator.replay_request"),
        }
        return self.show(request, "desk/request.html", context)

    def progress_view(self, request: HttpRequest, request_id: uuid.UUID) -> JsonResponse:
        """Tell how far a request is, and the statuses of the messages that the page shows."""
        found = self._find(request, request_id)
        counts = request_view.count(found)
        asked = [_number(text) for text in request.GET.get("numbers", "").split(",")[:_MOST_FOLLOWED] if text]
        return JsonResponse(
            {
                "counts": counts,
                "over": request_view.is_over(found, counts),
                "messages": request_view.find_statuses(request_id, asked),
            },
            headers={"Cache-Control": "no-store"},
        )

    def cancel_view(self, request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
        """Cancel what has not begun, once it is confirmed."""
        found = self._find(request, request_id)
        self.demand(request, "orchestrator.cancel_request", AuditAction.CANCEL, request_id)
        if request.method != "POST":
            return self._ask(request, asking.whether_to_cancel(found))
        try:
            _cancel(audit.at_the_desk(request), found)
        except (stopping.UnknownRequest, stopping.AlreadyFinished) as refused:
            messages.error(request, str(refused) or str(type(refused).__doc__))
        else:
            messages.success(request, "Cancelled: what has not begun will not begin.")
        return _go_to(request_id)

    def replay_view(self, request: HttpRequest, request_id: uuid.UUID) -> HttpResponse:
        """Replay the failed messages by a new request, once it is confirmed."""
        found = self._find(request, request_id)
        self.demand(request, "orchestrator.replay_request", AuditAction.REPLAY, request_id)
        if request.method != "POST":
            return self._ask(request, asking.whether_to_replay_request(found))
        again = "again" in request.POST
        try:
            replayed = replaying.replay_request(request_id, actor=audit.at_the_desk(request), again=again)
        except replaying.Refused as refused:
            messages.error(request, f"Nothing was replayed: {refused}")
            return _go_to(request_id)
        messages.success(request, f"Replayed: {amounts.tell(replayed.messages, 'message')} by this new request.")
        return _go_to(replayed.request_id)

    def replay_failures_view(self, request: HttpRequest) -> HttpResponse:
        """Replay all failures of a type since a time."""
        self.demand(request, "orchestrator.replay_request", AuditAction.REPLAY, "")
        context = replay_failures.answer(request)
        if isinstance(context, HttpResponse):
            return context
        return self.show(request, "desk/replay_failures.html", context)

    def _find(self, request: HttpRequest, request_id: uuid.UUID | None) -> Request:
        """Return the request; answer 404 when there is none."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Request.objects.select_related("client").filter(pk=request_id).first() if request_id else None
        if found is None:
            raise Http404
        return found

    def _ask(self, request: HttpRequest, question: Question) -> TemplateResponse:
        return self.show(request, "desk/ask.html", {"title": question.title, "question": question})


def masked_for(request: HttpRequest) -> list[str]:
    """Return the names of the fields that this user must not see."""
    return [] if request.user.has_perm("orchestrator.unmask_message") else settings.WAYBILL_MASKED_FIELDS


def _go_to(request_id: uuid.UUID) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:orchestrator_request_change", args=[request_id]))


@database_errors.repeat_deadlocked
def _cancel(actor: audit.Actor, found: Request) -> None:
    deed = audit.Deed(AuditAction.CANCEL, "request", str(found.pk))
    with audit.attempt(actor, deed, refusals=(stopping.UnknownRequest, stopping.AlreadyFinished)):
        stopping.cancel(client_id=found.client_id, request_id=found.pk)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0


def _with_parameter(request: HttpRequest, **parameters: object) -> str:
    asked = request.GET.copy()
    for name, value in parameters.items():
        asked[name] = str(value)
    return f"?{asked.urlencode()}"
