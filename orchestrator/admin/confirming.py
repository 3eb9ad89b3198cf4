"""Ask before a deed at the desk is done, do it with its entry in the audit log, and say what came of it.

In: what can be done to the rows of a table. Out: an address for each deed: a page that asks; after "yes", the deed, and
the way back. Called by the pages of lanes and workers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from orchestrator import audit
from orchestrator.models import AuditAction

_BACK = "admin:index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something that can be done to a row. In its texts {} is the row's name.

    `word`: in its address. `permission`: a codename with its app. `told`: what comes of it, a paragraph each.
    `do` tells whether it changed anything: then `done` is said, else `already`.
    """

    word: str
    action: AuditAction
    permission: str
    title: str
    told: tuple[str, ...]
    button: str
    do: Callable[[str], bool]
    done: str
    already: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deeds:
    """What can be done to the rows of a table. `check` raises one of `refusals` when there is no such row."""

    table: str
    check: Callable[[str], object]
    refusals: tuple[type[Exception], ...]
    deeds: tuple[Deed, ...]


def addresses(deeds: Deeds) -> list[URLPattern]:
    """Give each deed its address beside a row's own page: the row's key, and the deed's word."""
    return [
        path(
            f"<path:key>/{deed.word}/",
            admin.site.admin_view(partial(_confirm, deeds=deeds, deed=deed)),
            name=f"orchestrator_{deeds.table}_{deed.word}",
        )
        for deed in deeds.deeds
    ]


def _confirm(request: HttpRequest, key: str, *, deeds: Deeds, deed: Deed) -> HttpResponse:
    """Ask on GET, do on POST. What is refused is told on the page one comes back to, and recorded if it was tried."""
    row = unquote(key)
    actor, entry = audit.at_the_desk(request), audit.Deed(deed.action, deeds.table, row)
    if not request.user.has_perm(deed.permission):
        if request.method == "POST":
            audit.refuse(actor, entry, reason="not permitted")
        raise PermissionDenied
    try:
        if request.method != "POST":
            deeds.check(row)
            return _ask(request, deed, row)
        with audit.attempt(actor, entry, refusals=deeds.refusals) as told:
            said = told["did"] = (deed.done if deed.do(row) else deed.already).format(row)
    except deeds.refusals as refused:
        messages.error(request, f"{refused}."[:1].upper() + f"{refused}."[1:])
    else:
        messages.success(request, said)
    return redirect(_BACK)


def _ask(request: HttpRequest, deed: Deed, row: str) -> HttpResponse:
    question = {
        "title": deed.title.format(row),
        "told": [text.format(row) for text in deed.told],
        "button": deed.button,
        "back": _BACK,
    }
    return TemplateResponse(request, "desk/confirm.html", {**admin.site.each_context(request), **question})
