"""The ledger's tables, one file each."""

from orchestrator.models.audit_entry import AuditAction, AuditEntry, AuditOutcome
from orchestrator.models.backend import Backend
from orchestrator.models.breaker import Breaker, Bucket
from orchestrator.models.client import Client, ClientSecret, Scope
from orchestrator.models.idempotency_record import IdempotencyRecord
from orchestrator.models.lane import ClientLane, Lane
from orchestrator.models.message import Message
from orchestrator.models.purge import Purge
from orchestrator.models.replayed_message import ReplayedMessage
from orchestrator.models.request import Request
from orchestrator.models.service import Service
from orchestrator.models.state import State
from orchestrator.models.tally import Tally
from orchestrator.models.task import Task
from orchestrator.models.worker import Claim, Worker

__all__ = [
    "AuditAction",
    "AuditEntry",
    "AuditOutcome",
    "Backend",
    "Breaker",
    "Bucket",
    "Claim",
    "Client",
    "ClientLane",
    "ClientSecret",
    "IdempotencyRecord",
    "Lane",
    "Message",
    "Purge",
    "ReplayedMessage",
    "Request",
    "Scope",
    "Service",
    "State",
    "Tally",
    "Task",
    "Worker",
]
