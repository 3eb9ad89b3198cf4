"""Who is calling, and what the call may do.

In: the `Authorization` header. Out: a `Caller`: the account, and the scopes of this call.
Called by `api/window.py` for each call, and by the token endpoint.
"""

import base64
import binascii
from dataclasses import dataclass

import structlog
from django.core.cache import cache as shared_cache

from orchestrator import accounts, audit, tokens
from orchestrator.accounts import Account
from orchestrator.models import AuditAction

__all__ = ["Account", "BadCredentials", "Caller", "authenticate", "prove", "read_basic_header"]

log = structlog.get_logger(__name__)

_LONGEST_HEADER = 16_384
_NOTED_FOR_SECONDS = 3600


class BadCredentials(Exception):
    """The credentials are missing or not valid."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One call's client. `scopes`: those of the token, as far as the client has them now."""

    account: Account
    scopes: frozenset[str]


def authenticate(header: str | None) -> Caller:
    """Return who sent this `Authorization` header; raise `BadCredentials`, or `tokens.IssuerUnreachable`."""
    if not header:
        raise BadCredentials("Credentials are required: a bearer token, or HTTP Basic")
    scheme, credentials = _split(header)
    if scheme == "bearer":
        return _from_token(credentials)
    return _from_secret(*read_basic_header(header))


def read_basic_header(header: str) -> tuple[str, str]:
    """Split a header of HTTP Basic (RFC 7617, UTF-8) into id and secret; raise `BadCredentials`."""
    scheme, credentials = _split(header)
    if scheme != "basic":
        raise BadCredentials("The Authorization header's scheme is not accepted here")
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError) as malformed:
        raise BadCredentials("The Basic credentials are malformed") from malformed
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise BadCredentials("The Basic credentials are malformed")
    return client_id, secret


def _split(header: str) -> tuple[str, str]:
    if len(header) > _LONGEST_HEADER:
        raise BadCredentials("The Authorization header is too long")
    scheme, _, credentials = header.strip().partition(" ")
    return scheme.lower(), credentials.strip()


def prove(*candidates: tuple[str, str]) -> Account:
    """Return the client that the first fitting pair of id and secret proves; raise `BadCredentials`, which says why."""
    for client_id, secret in candidates:
        account = accounts.prove(client_id, secret)
        if account is not None:
            return account
    for client_id, secret in candidates:
        if accounts.has_ended(client_id, secret):
            _note_ended(client_id)
            raise BadCredentials("This secret has ended: it was rotated, and a newer one is valid")
    raise BadCredentials("The client id or secret is missing or wrong")


def _from_secret(client_id: str, secret: str) -> Caller:
    account = prove((client_id, secret))
    return Caller(account=account, scopes=account.scopes)


def _note_ended(client_id: str) -> None:
    """Record that a client still uses a secret that was rotated out: once an hour, however often it tries."""
    try:
        first = shared_cache.add(f"ended-secret:{client_id}", 1, timeout=_NOTED_FOR_SECONDS)
    except Exception as error:  # noqa: BLE001 - a cache fails in as many ways as there are
        log.debug("ended secret not noted", client=client_id, error=repr(error))
        return
    if first:
        deed = audit.Deed(AuditAction.LOG_IN, "client", client_id)
        audit.refuse(audit.Actor(f"client: {client_id}"), deed, reason="a secret that was rotated out")


def _from_token(text: str) -> Caller:
    try:
        token = tokens.read(text)
    except tokens.BadToken as refusal:
        raise BadCredentials(str(refusal)) from refusal
    account = accounts.find(token.client_id)
    if account is None:
        raise BadCredentials("The token's client is unknown or disabled")
    granted = account.scopes if token.scopes is None else account.scopes & token.scopes
    return Caller(account=account, scopes=granted)
