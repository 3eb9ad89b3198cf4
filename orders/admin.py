"""The operator's desk for orders: accesses to change; orders and events to look at, never to touch.

In: the business's tables. Out: pages. Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet, TextField
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from orchestrator import ids
from orchestrator.admin.pages import LookedAt, Page
from orders.models import Access, AccessService, Order, OrderEvent

_ONE_LINE: dict[Any, Any] = {TextField: {"widget": UnfoldAdminTextInputWidget}}


class ServiceForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A service on an access. Its holder is set by orders; the desk puts it right when the network knows better."""

    class Meta:
        model = AccessService
        fields = ("service", "service_type", "holder")


class ServiceInline(TabularInline):
    """An access's services."""

    model = AccessService
    form = ServiceForm
    formfield_overrides = _ONE_LINE
    extra = 0


@admin.register(Access)
class AccessPage(Page):
    """Accesses, and the services that can be ordered on them."""

    inlines: ClassVar[list[type[TabularInline]]] = [ServiceInline]
    formfield_overrides = _ONE_LINE
    list_display = ("id",)
    ordering = ("id",)
    search_fields = ("id__startswith",)
    search_help_text = "the beginning of an accessId"

    def get_readonly_fields(self, request: HttpRequest, obj: Access | None = None) -> tuple[str, ...]:
        """Keep the id of an access that exists: it is in orders and in clients' programs."""
        return ("id",) if obj else ()


class _ById(LookedAt):
    """A page that is searched by key, never by scanning."""

    ordering = ("-id",)
    search_fields = ("id",)
    list_select_related = ("client",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the one row of that id."""
        if not search_term:
            return queryset, False
        wanted = ids.parse(search_term.strip())
        return (queryset.filter(pk=wanted) if wanted else queryset.none()), False


@admin.register(Order)
class OrderPage(_ById):
    """Orders, newest first: their ids ascend with time."""

    list_display = ("id", "client", "access_id", "service", "operation", "state", "received_at", "finished_at")
    search_help_text = "an order's id, which is its Request-Id"


@admin.register(OrderEvent)
class OrderEventPage(_ById):
    """Order events, newest first."""

    list_display = ("id", "client", "position", "access_id", "service", "operation", "state", "happened_at")
    search_help_text = "an event's id"
