"""Things that tests need, made with defaults. Each call makes a new one."""

import uuid
from collections.abc import Collection

from orchestrator import accounts
from orchestrator.models import Client

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
