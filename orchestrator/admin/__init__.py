"""The operator's desk: clients, back ends and lanes to change; the ledger to look at, never to touch."""

from orchestrator.admin import audit_log, backends, clients, dashboard, lanes, messages, operators, requests, workers

__all__ = ["audit_log", "backends", "clients", "dashboard", "lanes", "messages", "operators", "requests", "workers"]
