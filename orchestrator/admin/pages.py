"""What the desk's pages have in common: large tables are never counted, and some are only looked at.

In: a table. Out: its list and its form. Called by the other files of this folder.
"""
# ruff: noqa: ARG002 - Django calls with these arguments

from typing import Any, ClassVar

from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator


class Page(ModelAdmin):
    """A list in key order, page by page, without a count and without sorts that no index serves."""

    paginator = InfinitePaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    sortable_by: ClassVar[tuple[str, ...]] = ()
    show_facets = None


class LookedAt(Page):
    """A page that changes nothing."""

    actions = None

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
