"""Lost workers without processes: claims that nobody holds, and leases that lapse without waiting."""

import uuid
from datetime import timedelta

from django.db.models import F
from django.db.models.functions import Now

from orchestrator import queue, recovery
from orchestrator.models import Claim
from orchestrator.queue import Batch

_LONG_AGO = timedelta(hours=1)


def claim(lane: str, *, limit: int = 100, alone: bool = False, worker_id: uuid.UUID | None = None) -> Batch:
    """Claim as a worker process does that is lost at once: nobody will renew or report."""
    return queue.claim(worker_id=worker_id or uuid.uuid4(), lane=lane, limit=limit, alone=alone)


def let_leases_lapse() -> None:
    """As if nobody had renewed for an hour."""
    Claim.objects.update(leased_until=F("leased_until") - _LONG_AGO)


def let_a_heartbeat_pass() -> None:
    """As if recovery's first look had been an hour ago."""
    Claim.objects.filter(suspected_at__isnull=False).update(suspected_at=Now() - _LONG_AGO)


def recover() -> set[str]:
    """Both of recovery's looks, with a heartbeat between them; returns the lanes to be woken."""
    recovery.suspect_expired_claims()
    let_a_heartbeat_pass()
    return recovery.give_back_lost_claims()


def lose(lane: str, *, limit: int = 100, alone: bool = False) -> Batch:
    """Claim, and lose what was claimed."""
    lost = claim(lane, limit=limit, alone=alone)
    let_leases_lapse()
    recover()
    return lost
