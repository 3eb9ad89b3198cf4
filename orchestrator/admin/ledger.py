"""Requests, messages, lanes and workers as they are.

In: the ledger's rows. Out: pages to look at; of a lane, its queue and whether it is paused can be changed.
Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

import uuid
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from orchestrator.admin.pages import LookedAt, Page, as_text
from orchestrator.models import Lane, Message, Request, Worker


def _by_id(queryset: QuerySet[Any], text: str, *, column: str) -> QuerySet[Any]:
    """Search by id alone: by key, never by scanning."""
    try:
        wanted = uuid.UUID(text.strip())
    except ValueError:
        return queryset.none()
    return queryset.filter(**{column: wanted})


@admin.register(Request)
class RequestPage(LookedAt):
    """Requests, newest first: their ids ascend with time."""

    list_display = ("id", "client", "door", "batch_reference", "total", "open", "failed", "received_at", "completed_at")
    list_select_related = ("client",)
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = "a Request-Id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Request], search_term: str
    ) -> tuple[QuerySet[Request], bool]:
        """Find a request by its id."""
        found = _by_id(queryset, search_term, column="id") if search_term else queryset
        return found, False


@admin.register(Message)
class MessagePage(LookedAt):
    """Messages, newest first."""

    list_display = ("id", "type", "status", "external_reference", "attempts", "received_at", "processed_at")
    ordering = ("-id",)
    search_fields = ("request_id",)
    search_help_text = "a Request-Id"
    exclude: ClassVar[tuple[str, ...]] = ("request", "client", "claim", "payload", "result")
    readonly_fields = ("request_id", "client_id", "claim_id", "own_fields", "answer")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        """Find the messages of a request (index message_in_request)."""
        found = _by_id(queryset, search_term, column="request_id") if search_term else queryset
        return found, False

    @admin.display(description="payload")
    def own_fields(self, message: Message) -> str:
        """Show the message's own fields."""
        return as_text(message.payload)

    @admin.display(description="result")
    def answer(self, message: Message) -> str:
        """Show what its handler answered."""
        return as_text(message.result)


@admin.register(Lane)
class LanePage(Page):
    """Lanes: they are made by the first message that waits in them."""

    list_display = ("name", "queue", "paused", "clock")
    readonly_fields = ("name", "clock")
    ordering = ("name",)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: a lane is made when it is needed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: its clock must never fall."""
        return False


@admin.register(Worker)
class WorkerPage(LookedAt):
    """The worker processes that are alive."""

    list_display = ("id", "host", "pid", "started_at", "heartbeat_at", "draining")
    ordering = ("host", "pid")
