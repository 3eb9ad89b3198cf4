"""The desk's login: guessing is slowed down.

In: a name, a password, an address. Out: Django's own judgement, or 429 and the same page before it is asked for one.
The form is named in `operators.py`, the view in `config/urls.py`.

Failures are counted by name and address together, so that nobody can lock another out from elsewhere, and tenfold by
address alone. They are counted in the cache by all web servers together, and without it by each for itself.
"""

from typing import Any

import limits
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.forms import AuthenticationForm

from orchestrator import amounts, audit, rates, remote
from orchestrator.models import AuditAction

_BY_ADDRESS_FACTOR = 10


def show(request: HttpRequest) -> HttpResponse:
    """Ask who it is, or judge it; whoever has to wait is told for how long in the header too."""
    answer = admin.site.login(request)
    form = answer.context_data["form"] if isinstance(answer, TemplateResponse) and answer.context_data else None
    if isinstance(form, LoginForm) and form.seconds_to_wait:
        answer.status_code = 429
        answer["Retry-After"] = str(form.seconds_to_wait)
    return answer


class LoginForm(AuthenticationForm):
    """Asks who it is, a few times. `seconds_to_wait`: until a login is judged again, 0 when this one was."""

    seconds_to_wait = 0

    def clean(self) -> dict[str, Any]:
        """Judge the login unless too many have failed; count it if it fails."""
        counters = self._counters()
        standing = next((standing for standing in map(_look, counters) if standing.exceeded), None)
        if standing is not None:
            self.seconds_to_wait = standing.reset
            minutes = amounts.tell(-(-standing.reset // 60), "minute")
            raise ValidationError(f"Too many failed logins. Please wait {minutes} and try again.", code="throttled")
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            self._note_failure(counters)
            raise
        return cleaned

    def _counters(self) -> list["_Counter"]:
        rate = rates.parse(settings.WAYBILL_LOGIN_RATE)
        if rate is None:
            return []
        address = remote.find_address(self.request.META) or "unknown"
        name = str(self.cleaned_data.get("username") or "").casefold()
        many = type(rate)(rate.amount * _BY_ADDRESS_FACTOR, rate.multiples)
        return [(rate, ("login", address, name)), (many, ("login", address))]

    def _note_failure(self, counters: list["_Counter"]) -> None:
        """Count it. Each stands in the audit log; of what comes after the last one allowed, it is noted here once."""
        last = [standing for standing in map(_count, counters) if not standing.remaining]
        if last:
            name = str(self.cleaned_data.get("username") or "")
            actor = audit.Actor(name, ip=remote.find_address(self.request.META))
            audit.refuse(actor, audit.Deed(AuditAction.LOG_IN, "user", name), reason="too many failed logins")


_Counter = tuple[limits.RateLimitItem, tuple[str, ...]]


def _look(counter: _Counter) -> rates.Standing:
    rate, whom = counter
    return rates.look(rate, *whom) or rates.look_here(rate, *whom)


def _count(counter: _Counter) -> rates.Standing:
    rate, whom = counter
    return rates.count(rate, *whom) or rates.count_here(rate, *whom)
