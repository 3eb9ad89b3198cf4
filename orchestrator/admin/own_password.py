"""A user's own password: Django's page, with its entry in the audit log.

In: an old password and a new one. Out: Django's own judgement, and an entry that tells neither.
Named in `config/urls.py`, before Django's own.
"""

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from orchestrator import audit
from orchestrator.models import AuditAction


@transaction.atomic
def show(request: HttpRequest) -> HttpResponse:
    """Ask for the passwords, or change the password; what was sent and can't be taken is recorded, too."""
    answer = admin.site.password_change(request)
    if request.method == "POST":
        _record(request, answer)
    return answer


def _record(request: HttpRequest, answer: HttpResponse) -> None:
    """Record what came of it: Django asks again, with the form, unless the password was changed."""
    actor = audit.at_the_desk(request)
    deed = audit.Deed(AuditAction.CHANGE, "user", actor.name)
    if isinstance(answer, TemplateResponse) and answer.context_data:
        wrong = ", ".join(sorted(answer.context_data["form"].errors))
        audit.refuse(actor, deed, reason=f"can't be so: {wrong}")
    else:
        audit.record(actor, deed, detail={"set": ["password"]})
