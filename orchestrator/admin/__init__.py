"""The operator's desk: clients, back ends and lanes to change; the ledger to look at, never to touch."""

from orchestrator.admin import backends, clients, ledger, operators

__all__ = ["backends", "clients", "ledger", "operators"]
