"""Rig this process as its environment says: CHAOS_DIRECTORY (traps, the witness's log), CHAOS_CLOCK_SHIFT (seconds)."""

import os
from pathlib import Path

import structlog
from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

from chaos.inside import clock, traps
from orchestrator import failpoints

log = structlog.get_logger(__name__)


class Inside(AppConfig):
    name = "chaos.inside"
    label = "chaos_inside"

    def ready(self) -> None:
        if "CHAOS_DIRECTORY" not in os.environ:
            raise ImproperlyConfigured("chaos.inside is in WAYBILL_APPS, but there is no CHAOS_DIRECTORY")
        from chaos.inside import witness  # registers its type

        directory = Path(os.environ["CHAOS_DIRECTORY"])
        log.critical("THIS PROCESS IS RIGGED: it can be made to die at any moment", directory=str(directory))
        witness.directory = directory
        failpoints.rig(traps.Traps(directory / "traps").strike)
        if shift := float(os.environ.get("CHAOS_CLOCK_SHIFT", "0")):
            clock.shift(shift)
            log.critical("the clock of this process is shifted", seconds=shift)
