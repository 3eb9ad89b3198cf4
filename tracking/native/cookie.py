"""The cookie `mdtpapi`, by which a poll finds its task: encrypted and authenticated.

In: a ticket, or what a client sends back as one. Out: a cookie on an answer, or the ticket, or None.
Called by the family's views.
"""

import base64
import binascii
import struct
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from orchestrator import sealing
from tracking.native import nino as ninos

NAME = "mdtpapi"
_PURPOSE = "mdtpapi cookie"
_CONTENT = struct.Struct(">16sq9s")
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Ticket:
    """Which task, whose, and about whom. `nino` is without spaces."""

    request_id: uuid.UUID
    client_id: int
    nino: str

    def is_about(self, nino: str) -> bool:
        """Tell whether the task is about this person."""
        return ninos.is_same(self.nino, nino)


def read(request: HttpRequest) -> Ticket | None:
    """Return the ticket that came with a call; None without one, and for one that this server did not seal."""
    text = request.COOKIES.get(NAME)
    return unseal(text) if text else None


def attach(response: HttpResponse, ticket: Ticket, *, secure: bool) -> None:
    """Give the client its ticket. `secure`: the call came over TLS."""
    _set(response, seal(ticket), seconds=settings.WAYBILL_POLL_EXPIRY_SECONDS, secure=secure)


def clear(response: HttpResponse, *, secure: bool) -> None:
    """Take the client's ticket away."""
    _set(response, "", seconds=0, secure=secure)


def seal(ticket: Ticket) -> str:
    """Turn a ticket into the cookie's text."""
    content = _CONTENT.pack(ticket.request_id.bytes, ticket.client_id, ticket.nino.encode("ascii"))
    return _encode(sealing.seal(content, purpose=_PURPOSE))


def unseal(text: str) -> Ticket | None:
    """Return the ticket that was sealed under a key that still counts; None for anything else."""
    try:
        request_id, client_id, nino = _CONTENT.unpack(sealing.unseal(_decode(text), purpose=_PURPOSE))
    except (sealing.Unsealable, ValueError, struct.error):
        return None
    return Ticket(uuid.UUID(bytes=request_id), client_id, nino.decode("ascii"))


def _set(response: HttpResponse, text: str, *, seconds: int, secure: bool) -> None:
    response.set_cookie(NAME, text, max_age=seconds, secure=secure, httponly=True, samesite="Lax")


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Decode the one spelling of the bytes; raise ValueError for others.

    Base64 has several: its last letter holds bits that mean nothing, and Python skips letters that it does not know.
    """
    if len(text) > _LONGEST:
        raise ValueError
    sealed = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if _encode(sealed) != text:
        raise binascii.Error
    return sealed
