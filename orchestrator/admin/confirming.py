"""Ask before a deed at the desk is done, do it with its entry in the audit log, and say what came of it.

In: a question. Out: a page that asks; after "yes", the deed, and the way back. Called by the pages of lanes, workers
and whatever else is put right here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from orchestrator import audit
from orchestrator.audit import Deed


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is about to be done. `check` raises one of `refusals` when it can't be; `do` does it, and says what it did.

    `told`: what comes of it, a paragraph each. `permission` is a codename with its app.
    """

    deed: Deed
    permission: str
    title: str
    told: tuple[str, ...]
    button: str
    check: Callable[[], object]
    do: Callable[[], str]
    refusals: tuple[type[Exception], ...] = ()
    back: str = "admin:index"
    dangerous: bool = False


def addresses(model_name: str, views: Mapping[str, Callable[..., HttpResponse]]) -> list[URLPattern]:
    """Give each question its address beside a row's own page: the row's key, and the word for the deed."""
    return [
        path(f"<path:key>/{word}/", admin.site.admin_view(view), name=f"orchestrator_{model_name}_{word}")
        for word, view in views.items()
    ]


def confirm(request: HttpRequest, question: Question) -> HttpResponse:
    """Ask on GET, do on POST. What is refused is told on the page one comes back to, and recorded if it was tried."""
    if not request.user.has_perm(question.permission):
        if request.method == "POST":
            audit.refuse(audit.at_the_desk(request), question.deed, reason="not permitted")
        raise PermissionDenied
    try:
        if request.method != "POST":
            question.check()
            return _ask(request, question)
        with audit.attempt(audit.at_the_desk(request), question.deed, refusals=question.refusals) as told:
            done = told["did"] = question.do()
    except question.refusals as refused:
        messages.error(request, f"{refused}."[:1].upper() + f"{refused}."[1:])
    else:
        messages.success(request, done)
    return redirect(question.back)


def _ask(request: HttpRequest, question: Question) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": question.title, "question": question}
    return TemplateResponse(request, "desk/confirm.html", context)
