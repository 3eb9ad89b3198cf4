"""The audit log, to be searched, never touched.

In: entries. Out: a list, newest first. Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from orchestrator.admin.pages import LookedAt, as_text
from orchestrator.models import AuditAction, AuditEntry, AuditOutcome


class ActionFilter(admin.SimpleListFilter):
    """By what was done (index audit_action); the choices are the code's, so nothing is looked up for them."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every action."""
        return [(action.value, action.value) for action in AuditAction]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Keep the chosen one."""
        return queryset.filter(action=self.value()) if self.value() else queryset


class OutcomeFilter(admin.SimpleListFilter):
    """By what came of it (index audit_refused)."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer both."""
        return [(outcome.value, outcome.value) for outcome in AuditOutcome]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Keep the chosen one."""
        return queryset.filter(outcome=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditPage(LookedAt):
    """Entries, newest first: their ids ascend with time."""

    list_display = ("when", "actor", "action", "object_type", "object_id", "outcome", "ip", "what")
    list_filter: ClassVar[tuple[type[admin.SimpleListFilter], ...]] = (ActionFilter, OutcomeFilter)
    ordering = ("-id",)
    search_fields = ("actor", "object_id")
    search_help_text = "an actor's whole name, or an object's whole name or id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Find whole names and ids (indexes audit_actor, audit_object)."""
        wanted = search_term.strip()
        if not wanted:
            return queryset, False
        return queryset.filter(Q(actor=wanted) | Q(object_id=wanted)), False

    @admin.display(description="at (UTC)")
    def when(self, entry: AuditEntry) -> str:
        """Show the time to the second."""
        return f"{entry.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="detail")
    def what(self, entry: AuditEntry) -> str:
        """Show the detail's beginning."""
        return as_text("; ".join(f"{name}: {_print(value)}" for name, value in entry.detail.items()), longest=200)


def _print(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
