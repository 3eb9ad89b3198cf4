"""`manage.py reseal`: bring payloads and results under the current key.

In: WAYBILL_PAYLOAD_KEYS and WAYBILL_PAYLOAD_KEY_ID. Out: how many messages were changed. Called by operators.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orchestrator import amounts, payloads, resealing
from orchestrator.management.errors import told_in_one_line


class Command(BaseCommand):
    """Calls `resealing`, and says when a retired key may go."""

    help = "Encrypt payloads and results of finished messages with the current key, or decrypt them if there is none."
    requires_system_checks = []

    def handle(self, **_options: Any) -> None:
        """Go through the ledger once."""
        try:
            with told_in_one_line():
                changed, still_open = sum(resealing.reseal()), resealing.count_open()
        except payloads.Unreadable as unreadable:
            raise CommandError(f"stopped before changing it: {unreadable}") from unreadable
        self.stdout.write(
            f"resealed: {amounts.tell(changed, 'message')}, with key {payloads.key_id() or 'none: they are plain now'}"
        )
        if still_open:
            self.stdout.write(f"{still_open} open messages are under another key: run this again when they are final")
