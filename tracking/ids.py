"""The ids that clients send; the engine reads them, for every room alike."""

from orchestrator.ids import parse

__all__ = ["parse"]
