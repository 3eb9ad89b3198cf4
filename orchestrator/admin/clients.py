"""Clients and their secrets.

In: an operator's form. Out: `clients.save`; a secret's plain text is shown once, right after it was made.
Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from orchestrator import audit, clients
from orchestrator.admin.pages import Page
from orchestrator.models import AuditAction, Client, ClientSecret, Scope

_ALL = "all of them, now and later"


class ClientForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A client's settings; null in the ledger ("all") is a switch of its own here, so that no ticks means none."""

    all_scopes = forms.BooleanField(required=False, initial=True, help_text=_ALL, widget=UnfoldBooleanSwitchWidget)
    scopes = forms.MultipleChoiceField(
        required=False, choices=Scope.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    all_types = forms.BooleanField(required=False, initial=True, help_text=_ALL, widget=UnfoldBooleanSwitchWidget)
    types = forms.CharField(required=False, help_text="one message type a line", widget=UnfoldAdminTextareaWidget)
    new_secret = forms.BooleanField(
        required=False, help_text="make one more secret, shown once", widget=UnfoldBooleanSwitchWidget
    )
    rotate = forms.BooleanField(
        required=False,
        help_text="make a new secret, shown once, and let all others end after the hours below",
        widget=UnfoldBooleanSwitchWidget,
    )
    overlap_hours = forms.FloatField(
        required=False,
        initial=24,
        min_value=0,
        max_value=24 * 366,
        help_text="how long old and new secrets are valid together; 0: the old ones end at once",
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = Client
        fields = ("client_id", "name", "enabled", "max_in_flight", "rate_limit")
        widgets = {"client_id": forms.TextInput, "name": forms.TextInput, "rate_limit": forms.TextInput}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["all_scopes"] = self.instance.scopes is None
            self.initial["scopes"] = self.instance.scopes or []
            self.initial["all_types"] = self.instance.types is None
            self.initial["types"] = "\n".join(self.instance.types or ())

    def clean(self) -> dict[str, Any]:
        """Turn the switches into nulls, and check what `manage.py client` checks."""
        super().clean()  # without it Django does not look whether the name is taken
        cleaned = self.cleaned_data
        for column in ("scopes", "types"):
            if cleaned.get(f"all_{column}"):
                cleaned[column] = None
        if not self.errors:
            try:
                clients.check(self.client_id(), self.changes())
            except clients.Refused as refused:
                self.add_error(refused.field if refused.field in self.fields else None, str(refused))
        return cleaned

    def clean_types(self) -> list[str]:
        """Return the lines that say something."""
        return [line.strip() for line in self.cleaned_data["types"].splitlines() if line.strip()]

    def client_id(self) -> str:
        """Return the id: of the row, or as it was typed for a new one."""
        return str(self.instance.client_id or self.cleaned_data["client_id"])

    def changes(self) -> clients.Changes:
        """Return the settings as `clients.save` takes them."""
        cleaned = self.cleaned_data
        return clients.Changes(
            name=cleaned["name"],
            enabled=cleaned["enabled"],
            scopes=cleaned["scopes"],
            types=cleaned["types"],
            max_in_flight=cleaned["max_in_flight"],
            rate_limit=cleaned["rate_limit"] or None,
        )

    def overlap(self) -> timedelta | None:
        """Return how long old secrets stay valid when they are rotated; None: they are not."""
        hours = self.cleaned_data["overlap_hours"]
        return timedelta(hours=24 if hours is None else hours) if self.cleaned_data["rotate"] else None


class SecretInline(TabularInline):
    """A client's secrets: when they were made and end, never what they are."""

    model = ClientSecret
    fields = ("key_id", "created_at", "expires_at")
    readonly_fields = ("key_id", "created_at")
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Client | None = None) -> bool:
        """Refuse: secrets are made by the switch above."""
        return False


@admin.register(Client)
class ClientPage(Page):
    """Clients. One is disabled, never deleted: its requests stay."""

    form = ClientForm
    inlines: ClassVar[list[type[TabularInline]]] = [SecretInline]
    list_display = ("client_id", "name", "enabled", "max_in_flight", "created_at")
    readonly_fields = ("feed_id", "created_at")
    search_fields = ("client_id", "name")
    ordering = ("client_id",)
    fields = (
        *("client_id", "name", "enabled", "all_scopes", "scopes", "all_types", "types", "max_in_flight", "rate_limit"),
        *("new_secret", "rotate", "overlap_hours", "feed_id", "created_at"),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> tuple[str, ...]:
        """Keep the id of a client that exists: it is in its programs."""
        return (*self.readonly_fields, "client_id") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Client, form: ClientForm, change: bool) -> None:
        """Save, and show a new secret."""
        overlap = form.overlap() if change else None
        saved = clients.save(
            form.client_id(), form.changes(), new_secret=form.cleaned_data["new_secret"], overlap=overlap
        )
        obj.pk = saved.client.pk
        if saved.secret:
            action = AuditAction.MAKE_SECRET if overlap is None else AuditAction.ROTATE_SECRET
            told = {"others": clients.tell_others(overlap)}
            audit.record(audit.at_the_desk(request), self.deed(action, saved.client), detail=told)
            text = f"Secret of {saved.client.client_id}: {saved.secret} (keep it now: it is not shown again)"
            messages.warning(request, text)

    def has_delete_permission(self, request: HttpRequest, obj: Client | None = None) -> bool:
        """Refuse: the ledger's rows name their client."""
        return False
