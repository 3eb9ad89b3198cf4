"""Bearer tokens: ours, and those of an outside issuer.

In: an account and scopes, or the text of a token. Out: the text, or what it says.
Called by the token endpoint and by `auth.py`.
"""

import hashlib
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from django.conf import settings

from orchestrator import issuer, keys
from orchestrator.issuer import IssuerUnreachable

__all__ = ["BadToken", "IssuerUnreachable", "Token", "issue", "read"]

_PURPOSE = "token"
_OURS = "HS256"
_REQUIRED = ["iss", "aud", "exp"]
_OUTSIDE_LEEWAY_SECONDS = 10
_REMEMBERED_SECONDS = 60.0
_MOST_REMEMBERED = 10_000


class BadToken(Exception):
    """The bearer token is not valid."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid token says. `scopes` None: the token names none, so the client's own count."""

    client_id: str
    scopes: frozenset[str] | None


def issue(*, client_id: str, scopes: Iterable[str]) -> str:
    """Sign a token for `WAYBILL_TOKEN_SECONDS`, with the current key."""
    now = int(time.time())
    claims = {
        "iss": settings.WAYBILL_TOKEN_ISSUER,
        "aud": settings.WAYBILL_TOKEN_AUDIENCE,
        "sub": client_id,
        "client_id": client_id,
        "scope": " ".join(sorted(scopes)),
        "iat": now,
        "exp": now + settings.WAYBILL_TOKEN_SECONDS,
        "jti": uuid.uuid4().hex,
    }
    key_id = keys.current()
    return jwt.encode(claims, keys.derive(key_id, purpose=_PURPOSE), algorithm=_OURS, headers={"kid": key_id})


def read(text: str) -> Token:
    """Verify a token and return what it says; raise `BadToken`, or `IssuerUnreachable`.

    Verifying costs a quarter of a small read, so what was found valid is believed for a minute, never past its end.
    """
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).digest()
    known = _verified.get(digest)
    if known is None or known.until <= time.time():
        if len(_verified) >= _MOST_REMEMBERED:
            _verified.clear()
        known = _verify(text)
        _verified[digest] = known
    return known.token


@dataclass(frozen=True, slots=True)
class _Verified:
    token: Token
    until: float


_verified: dict[bytes, _Verified] = {}


def _verify(text: str) -> _Verified:
    try:
        header = jwt.get_unverified_header(text)
        return _ours(text, header) if header.get("alg") == _OURS else _outside(text, header)
    except jwt.ExpiredSignatureError as expired:
        raise BadToken("The token has expired") from expired
    except (jwt.PyJWTError, keys.UnknownKey, ValueError, TypeError, OverflowError, RecursionError) as refusal:
        raise BadToken("The token is not valid") from refusal


def _ours(text: str, header: dict[str, Any]) -> _Verified:
    claims = jwt.decode(
        text,
        keys.derive(header.get("kid", ""), purpose=_PURPOSE),
        algorithms=[_OURS],
        issuer=settings.WAYBILL_TOKEN_ISSUER,
        audience=settings.WAYBILL_TOKEN_AUDIENCE,
        options={"require": _REQUIRED},
    )
    return _understand(claims)


def _outside(text: str, header: dict[str, Any]) -> _Verified:
    if not settings.WAYBILL_JWKS_URL:
        raise BadToken("The token is not valid")
    # Shared secrets are ours alone: an outside issuer's public key must never serve as one.
    allowed = [name for name in settings.WAYBILL_JWKS_ALGORITHMS if name != "none" and not name.startswith("HS")]
    if header.get("alg") not in allowed:
        raise BadToken("The token is signed with an algorithm that is not accepted")
    key = _issuer_keys().find(header.get("kid"))
    if key is None:
        raise BadToken("The token is signed with an unknown key")
    claims = jwt.decode(
        text,
        key,
        algorithms=allowed,
        issuer=settings.WAYBILL_JWKS_ISSUER,
        audience=settings.WAYBILL_JWKS_AUDIENCE,
        leeway=_OUTSIDE_LEEWAY_SECONDS,
        options={"require": _REQUIRED},
    )
    return _understand(claims)


_known_issuers: dict[str, issuer.Keys] = {}


def _issuer_keys() -> issuer.Keys:
    return _known_issuers.setdefault(settings.WAYBILL_JWKS_URL, issuer.Keys(settings.WAYBILL_JWKS_URL))


def _understand(claims: dict[str, Any]) -> _Verified:
    named = (claims.get(name) for name in ("client_id", "azp", "sub"))
    client_id = next((value for value in named if isinstance(value, str) and value), None)
    if client_id is None:
        raise BadToken("The token names no client")
    token = Token(client_id=client_id, scopes=_scopes(claims.get("scope", claims.get("scp"))))
    return _Verified(token, until=min(float(claims["exp"]), time.time() + _REMEMBERED_SECONDS))


def _scopes(claim: str | Sequence[Any] | None) -> frozenset[str] | None:
    """Read `scope` (RFC 8693: words) or `scp` (words or a list)."""
    if claim is None:
        return None
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(word for word in claim if isinstance(word, str))
    raise BadToken("The token's scope is not understood")
