"""Things that tests need, made with defaults. Each call makes a new one."""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import uuid_utils

from orchestrator import accounts
from orchestrator.lifecycle import FINAL, OPEN, ErrorPolicy, FailureKind, Status
from orchestrator.models import Client, Message, Request

SECRET = "the-secret-of-every-client-in-tests"


def make_client(
    *,
    client_id: str = "",
    secret: str = SECRET,
    name: str = "A client",
    scopes: Collection[str] | None = None,
    types: Collection[str] | None = None,
    max_in_flight: int | None = None,
) -> Client:
    """A client in the ledger, with one secret. Without scopes or types: all of them."""
    client = Client.objects.create(
        client_id=client_id or f"client-{uuid.uuid4().hex[:12]}",
        name=name,
        scopes=None if scopes is None else list(scopes),
        types=None if types is None else list(types),
        max_in_flight=max_in_flight,
    )
    accounts.create_secret(client=client, secret=secret)
    return client


def make_account(
    *,
    client_id: str = "",
    secret: str = SECRET,
    scopes: Collection[str] | None = None,
    types: Collection[str] | None = None,
    max_in_flight: int | None = None,
) -> accounts.Account:
    """The same, as the engine sees it."""
    client = make_client(client_id=client_id, secret=secret, scopes=scopes, types=types, max_in_flight=max_in_flight)
    account = accounts.find(client.client_id)
    assert account is not None
    return account


@dataclass(frozen=True)
class AMessage:
    """What a message of `make_request` is like. A failed one was rejected unless told otherwise."""

    type: str = "Echo"
    status: Status = Status.COMPLETE
    external_reference: str | None = None
    failure_kind: FailureKind = FailureKind.REJECTED
    errors: tuple[str, ...] = ()
    processed_at: datetime | None = None


def make_request(
    *,
    client_id: int,
    messages: Sequence[AMessage] = (AMessage(),),
    received_at: datetime | None = None,
    batch_reference: str | None = "a batch",
    door: str = "requests",
    ended: bool | None = None,
) -> Request:
    """A request of the client `client_id` (its key) in the ledger, with its messages in order: see `messages_of`.

    A single message shares its request's id. `ended`: whether it has a `completed_at`; by default, when none is open.
    """
    received = received_at or datetime.now(UTC)
    counts = Counter(message.status for message in messages)
    is_over = not any(counts[status] for status in OPEN) if ended is None else ended
    rows = [(_final_at(message, received), message) for message in messages]
    request = Request.objects.create(
        id=make_id(received),
        client_id=client_id,
        door=door,
        batch_reference=batch_reference,
        error_policy=ErrorPolicy.PROCEED,
        types=sorted({message.type for message in messages}),
        received_at=received,
        completed_at=max([at for at, _ in rows if at], default=received) if is_over else None,
        total=len(messages),
        open=sum(counts[status] for status in OPEN),
        complete=counts[Status.COMPLETE],
        failed=counts[Status.FAILED],
        invalid=counts[Status.INVALID],
        cancelled=counts[Status.CANCELLED],
    )
    ids = [request.id] if len(messages) == 1 else [make_id(received) for _ in messages]
    Message.objects.bulk_create(
        Message(
            id=message_id,
            request=request,
            client_id=client_id,
            number=number,
            type=message.type,
            lane=message.type,
            turn=number,
            external_reference=message.external_reference,
            payload="{}",
            status=message.status,
            failure_kind=message.failure_kind if message.status is Status.FAILED else None,
            errors=list(message.errors) or None,
            received_at=received,
            processed_at=processed_at,
        )
        for number, (message_id, (processed_at, message)) in enumerate(zip(ids, rows, strict=True))
    )
    return request


def messages_of(request: Request) -> list[Message]:
    """The request's messages in their order."""
    return list(request.message_set.order_by("number"))


def make_id(at: datetime) -> uuid.UUID:
    """A UUIDv7 with the millisecond of `at`."""
    return uuid.UUID(bytes=uuid_utils.uuid7(nanoseconds=int(at.timestamp() * 1_000_000) * 1000).bytes)


def _final_at(message: AMessage, received: datetime) -> datetime | None:
    if message.status not in FINAL:
        return None
    return message.processed_at or received + timedelta(seconds=1)
