"""What the desk's pages have in common: large tables are never counted, some are only looked at, deeds are recorded.

In: a table. Out: its list and its form. Called by the other files of this folder.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from orchestrator import audit
from orchestrator.models import AuditAction


class Recorded:
    """Each row that is added, changed or deleted here has its entry in the audit log, and so has each attempt.

    Entries hold names of fields, never their values: some are secrets.
    """

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Record a new row, and which of its fields were set."""
        audit.record(audit.at_the_desk(request), self.deed(AuditAction.ADD, obj), detail=_tell(message))
        return super().log_addition(request, obj, message)  # type: ignore[misc]  # a mixin before ModelAdmin

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Record which fields of a row were changed."""
        audit.record(audit.at_the_desk(request), self.deed(AuditAction.CHANGE, obj), detail=_tell(message))
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> Any:
        """Record each row that is about to be deleted."""
        for row in queryset:
            audit.record(audit.at_the_desk(request), self.deed(AuditAction.DELETE, row))
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Name the fields of a new row that were set, where Django names only those of a changed one."""
        message: list[dict[str, Any]] = super().construct_change_message(  # type: ignore[misc]
            request, form, formsets, add
        )
        if not add:
            return message
        row = {"name": str(form.instance._meta.verbose_name), "object": str(form.instance)}  # noqa: SLF001
        fields = [str(form.fields[name].label or name) for name in form.changed_data]
        return [{"added": {**row, "fields": fields}}, *message[1:]]

    def changeform_view(self, request: HttpRequest, object_id: str | None = None, *more: Any, **context: Any) -> Any:
        """Show or take a form; an attempt that isn't the user's to make is recorded."""
        try:
            answer = super().changeform_view(request, object_id, *more, **context)  # type: ignore[misc]
        except PermissionDenied:
            self.refuse(request, AuditAction.CHANGE if object_id else AuditAction.ADD, object_id, "not permitted")
            raise
        return answer

    def changelist_view(self, request: HttpRequest, *more: Any, **context: Any) -> Any:
        """Show the list, or delete what is ticked; an attempt that isn't the user's to make is recorded."""
        try:
            self._check_deletion(request)
            return self.list_view(request, *more, **context)
        except PermissionDenied:
            if _asks_to_delete(request):
                self._refuse_ticked(request)
            raise

    def list_view(self, request: HttpRequest, *more: Any, **context: Any) -> Any:
        """Answer with the list; Django's, unless a page has its own."""
        return super().changelist_view(request, *more, **context)  # type: ignore[misc]

    def delete_view(self, request: HttpRequest, object_id: str, *more: Any, **context: Any) -> Any:
        """Delete a row; an attempt that isn't the user's to make is recorded."""
        try:
            return super().delete_view(request, object_id, *more, **context)  # type: ignore[misc]
        except PermissionDenied:
            self.refuse(request, AuditAction.DELETE, object_id, "not permitted")
            raise

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *more: Any, obj: Model | None = None, **options: Any
    ) -> HttpResponse:
        """Show a form; one that was sent and can't be taken is recorded, by the names of its wrong fields."""
        if request.method == "POST" and context.get("errors"):
            action = AuditAction.CHANGE if obj else AuditAction.ADD
            reason = f"can't be so: {self.tell_wrong(context['adminform'].form)}"
            self.refuse(request, action, obj and obj.pk, reason)
        answer: HttpResponse = super().render_change_form(  # type: ignore[misc]
            request, context, *more, obj=obj, **options
        )
        return answer

    def tell_wrong(self, form: Any) -> str:
        """Name the fields that can't be so, without what was typed: it may be a secret."""
        return ", ".join(sorted(form.errors)) or "a row of a list"

    def refuse(self, request: HttpRequest, action: AuditAction, key: object, reason: str) -> None:
        """Record an attempt on the row of a key; looking is none."""
        if request.method == "POST":
            audit.refuse(audit.at_the_desk(request), self.deed(action, self._row_of(request, key)), reason=reason)

    def demand(self, request: HttpRequest, permission: str, action: AuditAction, key: object) -> None:
        """Raise PermissionDenied, and record the attempt, unless the user may do this."""
        if not request.user.has_perm(permission):
            self.refuse(request, action, key, "not permitted")
            raise PermissionDenied

    def deed(self, action: AuditAction, row: Model | str) -> audit.Deed:
        """Name what is done to which row of this table: a key that is a number tells nobody whose it is."""
        model_name: str = self.opts.model_name  # type: ignore[attr-defined]
        if isinstance(row, Model):
            row = str(row) if isinstance(row.pk, int) else str(row.pk)
        return audit.Deed(action, model_name, row)

    def _check_deletion(self, request: HttpRequest) -> None:
        """Raise PermissionDenied where Django would show the list as if nothing had been asked."""
        if _asks_to_delete(request) and not self.has_delete_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied

    def _refuse_ticked(self, request: HttpRequest) -> None:
        """Record each row that was to be deleted, as many as a page of the list has."""
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)[: self.list_per_page]  # type: ignore[attr-defined]
        for key in ticked or [""]:
            self.refuse(request, AuditAction.DELETE, quote(key), "not permitted")

    def _row_of(self, request: HttpRequest, key: object) -> Model | str:
        """Return the row of a key as it is in an address; the key, when it is no row's."""
        text = "" if key is None else unquote(str(key))
        if not text or "\x00" in text:  # no key of PostgreSQL's
            return text
        row: Model | None = self.get_object(request, text)  # type: ignore[attr-defined]
        return row or text


def _asks_to_delete(request: HttpRequest) -> bool:
    return "delete_selected" in request.POST.getlist("action")


def _tell(message: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Return what an entry tells of Django's message: which fields were set, and what became of the rows below."""
    told: dict[str, list[str]] = {}
    for verb, what in (item for part in message for item in part.items()):
        if "fields" in what and (verb == "added" or "name" not in what):
            told["set"] = what["fields"]
        else:
            told.setdefault("below", []).append(f"{verb} {what['name']} {what['object']}")
    return told


class Page(Recorded, ModelAdmin):
    """A list in key order, page by page, without a count and without sorts that no index serves."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    sortable_by: ClassVar[tuple[str, ...]] = ()
    show_facets = None

    def show(self, request: HttpRequest, template: str, context: dict[str, Any]) -> TemplateResponse:
        """Return a page of the desk that Django's admin doesn't have."""
        site = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**site, "opts": self.opts, **context})

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Let an address ask for no more than the page's own filters do.

        Django would take any column: `?payload__regex=` spells out what is masked, a letter a look, and reads the
        whole table for it.
        """
        return lookup in {one.parameter_name for one in self.list_filter}


class LookedAt(Page):
    """A page that changes nothing."""

    actions = None

    def only_look(self, request: HttpRequest, object_id: str) -> None:
        """Raise PermissionDenied for a form that was sent, and record the attempt."""
        if request.method == "POST":
            self.refuse(request, AuditAction.CHANGE, object_id, "not permitted")
            raise PermissionDenied

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: rows come from the engine."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: rows are the engine's to change."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: rows are the engine's to delete."""
        return False


def as_text(value: Any, *, longest: int = 10_000) -> str:
    """Bound a text that may have megabytes: a browser must open the page."""
    text = "" if value is None else str(value)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
