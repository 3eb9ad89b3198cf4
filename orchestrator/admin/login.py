"""The desk's login: guessing is slowed down.

In: a name, a password, an address. Out: Django's own judgement, or a refusal before it is asked.
Named in `operators.py`; called by Django's admin.

Failures are counted by name and address together, so that nobody can lock another out from elsewhere, and tenfold by
address alone. They are counted in the cache by all web servers together, and without it by each for itself.
"""

from typing import Any

import limits
from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from orchestrator import audit, rates, remote
from orchestrator.models import AuditAction

_BY_ADDRESS_FACTOR = 10
_REFUSAL = "Too many failed logins. Please wait %(minutes)s minutes and try again."


class LoginForm(AuthenticationForm):
    """Asks who it is, a few times."""

    def clean(self) -> dict[str, Any]:
        """Judge the login unless too many have failed; count it if it fails."""
        counters = self._counters()
        standing = next((standing for standing in map(_look, counters) if standing.exceeded), None)
        if standing is not None:
            raise _refusal(standing)
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


def _refusal(standing: rates.Standing) -> ValidationError:
    return ValidationError(_REFUSAL, code="throttled", params={"minutes": -(-standing.reset // 60)})
