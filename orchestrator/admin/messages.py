"""Messages: found by an id or an external reference, shown whole, replayed one by one.

In: an operator's search, or a message. Out: pages. Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

import uuid
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.db.models.functions import Left, Length
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from orchestrator import audit, ids, masking, replaying, replays
from orchestrator.admin import asking
from orchestrator.admin.pages import LookedAt
from orchestrator.admin.requests import masked_for
from orchestrator.admin.texts import show
from orchestrator.lifecycle import Status
from orchestrator.models import AuditAction, Client, Message
from orchestrator.payloads import Part


@admin.register(Message)
class MessagePage(LookedAt):
    """Messages, newest first."""

    list_display = ("id", "type", "status", "external_reference", "attempts", "received_at", "processed_at")
    ordering = ("-id",)
    search_fields = ("request_id",)
    search_help_text = "a message's or a request's id, or an external reference"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """Leave the long columns where they are."""
        found: QuerySet[Message] = super().get_queryset(request).defer("payload", "result")
        return found

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        """Find by key, by message_in_request, or by message_external_reference with one look a client."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        if (as_id := ids.parse(wanted)) is not None:
            return queryset.filter(Q(pk=as_id) | Q(request_id=as_id)), False
        clients = list(Client.objects.values_list("pk", flat=True))
        return queryset.filter(client_id__in=clients, external_reference=wanted), False

    def get_urls(self) -> list[URLPattern]:
        """Put the message's own pages before Django's."""
        view = self.admin_site.admin_view(self.replay_view)
        return [path("<uuid:message_id>/replay/", view, name="orchestrator_message_replay"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one message."""
        self.only_look(request, object_id)
        found = self._find(request, ids.parse(object_id))
        masked = masked_for(request)
        context = {
            "title": f"Message {found.pk}",
            "shown": found,
            "payload": _show(found, Part.PAYLOAD, masked=masked),
            "result": _show(found, Part.RESULT, masked=masked),
            "replays": replays.find_copies([found]).get(found.pk, []),
            "copy_of": replays.find_original(found.pk),
            "may_replay": found.status == Status.FAILED and request.user.has_perm("orchestrator.replay_request"),
        }
        return self.show(request, "desk/message.html", context)

    def replay_view(self, request: HttpRequest, message_id: uuid.UUID) -> HttpResponse:
        """Replay one failed message by a new request, once it is confirmed."""
        found = self._find(request, message_id)
        self.demand(request, "orchestrator.replay_request", AuditAction.REPLAY, message_id)
        if request.method != "POST":
            question = asking.whether_to_replay_message(found)
            return self.show(request, "desk/ask.html", {"title": question.title, "question": question})
        try:
            replayed = replaying.replay_message(
                message_id, actor=audit.at_the_desk(request), again="again" in request.POST
            )
        except replaying.Refused as refused:
            messages.error(request, f"Nothing was replayed: {refused}")
            return HttpResponseRedirect(reverse("admin:orchestrator_message_change", args=[message_id]))
        messages.success(request, "Replayed by this new request.")
        return HttpResponseRedirect(reverse("admin:orchestrator_request_change", args=[replayed.request_id]))

    def _find(self, request: HttpRequest, message_id: uuid.UUID | None) -> Message:
        if not self.has_view_permission(request):
            raise PermissionDenied
        kept = Message.objects.defer("payload", "result").select_related("client")
        found = kept.filter(pk=message_id).first() if message_id else None
        if found is None:
            raise Http404
        return found


def _show(message: Message, part: Part, *, masked: Sequence[str]) -> str:
    """Read no more than the beginning, and how long it is: a browser must open the page."""
    column = part.name.lower()
    kept = Message.objects.filter(pk=message.pk).values_list(Left(column, masking.LONGEST), Length(column))
    beginning, length = kept.get()
    return show(beginning, length=length, message_id=message.pk, part=part, masked=masked)
