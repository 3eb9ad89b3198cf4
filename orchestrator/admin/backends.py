"""Back ends: the HTTP services that carry out message types.

In: an operator's form. Out: `backend_types.save`. Headers are secrets: they can be replaced, never read.
Called by Django's admin.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

import urllib.parse
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.forms.fields import InvalidJSONInput
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldBooleanSwitchWidget

from orchestrator import backend_types, handlers, json_text, sealing
from orchestrator.admin import backend_trial
from orchestrator.admin.pages import Page
from orchestrator.models import AuditAction, Backend

_SETTINGS = (
    *("url", "timeout_seconds", "attempts", "lane"),
    *("concurrency", "rate", "burst", "breaker", "mandatory", "schema"),
)


class SchemaField(forms.JSONField):
    """JSON that the ledger can keep, or an empty box where none is set."""

    def to_python(self, value: Any) -> Any:
        """Refuse what a door would: PostgreSQL has no NUL and no half of a surrogate pair."""
        parsed = super().to_python(value)
        if isinstance(value, str) and parsed is not None:
            try:
                json_text.check(value.encode())
            except json_text.BadJSON as broken:
                raise forms.ValidationError(str(broken)) from broken
        return parsed

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Show again what was typed, as it was typed: read and written anew it may be no text any more."""
        return data if data is None else InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        """Show nothing for nothing, where Django shows `null`."""
        return "" if value is None else super().prepare_value(value)


class BackendForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A back end's settings."""

    headers = forms.CharField(
        required=False,
        help_text="one 'Name: value' a line; they replace those that are set, which are never shown",
        widget=UnfoldAdminTextareaWidget,
    )
    no_headers = forms.BooleanField(
        required=False, help_text="send none of its own any more", widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = Backend
        fields = ("message_type", *_SETTINGS)
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {"schema": SchemaField}
        widgets = {"message_type": forms.TextInput, "url": forms.TextInput, "lane": forms.TextInput}

    def clean(self) -> dict[str, Any]:
        """Check what `manage.py backend` checks."""
        super().clean()  # without it Django does not look whether the name is taken
        cleaned = self.cleaned_data
        if not self.errors:
            try:
                backend_types.check(self.message_type(), self.changes())
            except backend_types.Refused as refused:
                self.add_error(refused.field if refused.field in self.fields else None, str(refused))
        return cleaned

    def message_type(self) -> str:
        """Return the type: of the row, or as it was typed for a new one."""
        return str(self.instance.message_type or self.cleaned_data["message_type"])

    def changes(self) -> backend_types.Changes:
        """Return the settings as `backend_types.save` takes them."""
        cleaned = self.cleaned_data
        changes = cast("backend_types.Changes", {name: cleaned[name] for name in _SETTINGS})
        if cleaned["headers"] or cleaned["no_headers"]:
            changes["headers"] = backend_types.parse_headers(cleaned["headers"].splitlines())
        return changes


@admin.register(Backend)
class BackendPage(Page):
    """Back ends, obeyed by running processes within 5 s."""

    form = BackendForm
    change_form_outer_after_template = "desk/backend_failures.html"
    list_display = ("message_type", "url", "timeout_seconds", "attempts", "mandatory", "updated_at")
    readonly_fields = ("header_names", "updated_at")
    search_fields = ("message_type", "url")
    ordering = ("message_type",)
    fields = ("message_type", *_SETTINGS, "header_names", "headers", "no_headers", "updated_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Backend | None = None) -> tuple[str, ...]:
        """Keep the type of a back end that exists: it is the row's key."""
        return (*self.readonly_fields, "message_type") if obj else self.readonly_fields

    @admin.display(description="headers that are set")
    def header_names(self, backend: Backend) -> str:
        """Name the headers, without their values."""
        try:
            return ", ".join(name for name, _ in backend_types.unseal_headers(backend.headers_sealed)) or "none"
        except sealing.Unsealable:
            return "sealed under a key that is gone: set them anew"

    def save_model(self, request: HttpRequest, obj: Backend, form: BackendForm, change: bool) -> None:
        """Save through the same door as the command."""
        backend_types.save(form.message_type(), form.changes())

    def get_urls(self) -> list[URLPattern]:
        """Put the test call's page before Django's."""
        view = self.admin_site.admin_view(self.trial_view)
        return [path("<path:object_id>/trial/", view, name="orchestrator_backend_trial"), *super().get_urls()]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the back end with its recent failures."""
        shown: dict[str, Any] = {"may_call": request.user.has_perm("orchestrator.call_backend")}
        if object_id:
            shown["failures"] = backend_trial.find_failures(unquote(object_id))
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def trial_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Call the back end, once it is confirmed."""
        message_type = unquote(object_id)
        if not self.has_view_permission(request) or not Backend.objects.filter(pk=message_type).exists():
            raise Http404
        self.demand(request, "orchestrator.call_backend", AuditAction.TEST_CALL, message_type)
        return self.show(request, "desk/backend_trial.html", backend_trial.answer(request, message_type))

    def tell_wrong(self, form: forms.ModelForm) -> str:  # type: ignore[type-arg]
        """Name the host that was refused: it is what somebody tried, and no secret."""
        try:
            host = urllib.parse.urlsplit(form.data.get("url", "")).hostname if "url" in form.errors else None
        except ValueError:
            host = None
        return super().tell_wrong(form) + (f" (host {host})" if host else "")

    def delete_model(self, request: HttpRequest, obj: Backend) -> None:
        """Delete, and let this process know at once."""
        super().delete_model(request, obj)
        handlers.registry.expire()
