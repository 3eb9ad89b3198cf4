"""Look at one request: now, if it is another one than the caller knows, or as soon as it is (a long poll).

In: Django's request and an id. Out: the request as the tracking search shows it, 304, or a `Later`.
Called by `views.py`.
"""

import hashlib
import re
import time
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpResponse
from django.utils.http import parse_etags

from orchestrator import following, ids
from orchestrator.api import doors, rendering, waiting
from orchestrator.api.problems import Problem
from orchestrator.api.window import Request
from orchestrator.auth import Account
from tracking.gateway import queries
from tracking.gateway import rendering as room_rendering

_SECONDS = re.compile(r"0*([0-9]+)", re.ASCII)
_MOST_DIGITS = 9
_SHAPE = b"1"
"""Goes up when the representation changes shape: clients may keep tags longer than a release."""
_ANY = "*"


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the caller asks for. `known`: entity tags it has; `wait`: seconds, bounded, None without the preference."""

    minimal: bool
    known: frozenset[str]
    wait: int | None

    @property
    def applied(self) -> dict[str, str]:
        """Return the header that tells what was granted (RFC 7240 §3)."""
        granted = [] if self.wait is None else [f"wait={self.wait}"]
        granted += ["return=minimal"] if self.minimal else []
        return {"Preference-Applied": ", ".join(granted)} if granted else {}

    def knows(self, tag: str) -> bool:
        """Compare weakly, as If-None-Match has it (RFC 9110 §13.1.2)."""
        return bool(self.known & {tag, f"W/{tag}", _ANY})


def look(request: Request, request_id: uuid.UUID) -> HttpResponse:
    """Answer a GET of one request. A caller that waits, or that knows a tag, is answered by its head if that is enough.

    It waits until the request is over or, when it knows tags, is another one than those.
    """
    wish = _read_wish(request)
    if wish.known or wish.wait is not None:
        head = queries.find_head(client_id=request.caller.account.id, request_id=request_id)
        if head is None:
            raise unknown()
        unchanged = wish.knows(_make_tag(head, account=request.caller.account, minimal=wish.minimal))
        if later := _wait(request, head, wish, unchanged=unchanged):
            return later
        if unchanged:
            return _not_modified(head, request.caller.account, wish)
    return show(request, request_id, wish=wish)


def show(request: Request, request_id: uuid.UUID, *, wish: _Wish | None = None) -> HttpResponse:
    """Answer with the request as it is now, with all its messages unless return=minimal. `wish`: of a GET."""
    account = request.caller.account
    minimal = wish.minimal if wish else doors.prefers(request, "return", "minimal")
    head, messages = _find(account, request_id, minimal=minimal)
    data = room_rendering.request_body(head.request, messages, account=account, payload=not minimal)
    headers = _headers(head, account, wish) if wish else _Wish(minimal=minimal, known=frozenset(), wait=None).applied
    return rendering.respond({"data": data, "errors": [], "success": True}, headers=headers)


def read_id(text: str) -> uuid.UUID:
    """Read a request's id; raise the `Problem` of an unknown one."""
    request_id = ids.parse(text)
    if request_id is None:
        raise unknown()
    return request_id


def unknown() -> Problem:
    """The one answer for an id that is malformed, unknown or another client's."""
    return Problem(404, "You have no request of this id")


def _read_wish(request: Request) -> _Wish:
    """Read the preferences; those that can't be understood are ignored (RFC 7240 §2)."""
    return _Wish(
        minimal=doors.prefers(request, "return", "minimal"),
        known=frozenset(parse_etags(request.headers.get("If-None-Match", ""))),
        wait=_read_seconds(doors.preference(request, "wait") or "") if waiting.can_wait(request) else None,
    )


def _read_seconds(text: str) -> int | None:
    """Return for how long the caller may wait: as long as it says, or as anybody may; None if it says no number."""
    found = _SECONDS.fullmatch(text)
    if found is None:
        return None
    most = settings.WAYBILL_MAX_WAIT_SECONDS
    return most if len(found[1]) > _MOST_DIGITS else min(int(found[1]), most)


def _find(account: Account, request_id: uuid.UUID, *, minimal: bool) -> tuple[queries.Head, list[queries.MessageRow]]:
    if minimal:
        head = queries.find_head(client_id=account.id, request_id=request_id)
        found = (head, list[queries.MessageRow]()) if head else None
    else:
        found = queries.find_request(client_id=account.id, request_id=request_id)
    if found is None:
        raise unknown()
    return found


def _wait(request: Request, head: queries.Head, wish: _Wish, *, unchanged: bool) -> waiting.Later | None:
    """Let the caller wait if there is something to wait for; None when it is to be answered.

    A busy server answers at once: a preference is no right.
    """
    if wish.wait is None or head.request.completed_at is not None or (wish.known and not unchanged):
        return None
    deadline = waiting.deadline(request, seconds=wish.wait)
    left = deadline - time.monotonic()
    is_full = following.WATCHER.followers >= settings.WAYBILL_MAX_FOLLOWERS
    if left <= 0 or is_full or following.WATCHER.is_closing:
        return None
    mark = head.mark if wish.known - {_ANY} else None
    followed = following.Followed(head.request.id, request.caller.account.id, mark)
    return waiting.Later(lambda: following.WATCHER.wait(followed, seconds=left), deadline=deadline)


def _not_modified(head: queries.Head, account: Account, wish: _Wish) -> HttpResponse:
    answer = HttpResponse(status=304, headers=_headers(head, account, wish))
    del answer["Content-Type"]
    return answer


def _headers(head: queries.Head, account: Account, wish: _Wish) -> dict[str, str]:
    """Return what goes with the representation, and with 304 too (RFC 9110 §15.4.5)."""
    return {
        "ETag": _make_tag(head, account=account, minimal=wish.minimal),
        "Cache-Control": "private, no-cache",
        "Vary": "Authorization, Prefer",
        **wish.applied,
    }


def _make_tag(head: queries.Head, *, account: Account, minimal: bool) -> str:
    """Make the strong entity tag: another one exactly when the representation is another one.

    It is that of the head, with its counters, and of which messages are in processing. A final message never changes,
    so equal counters mean that the same messages are final; what is neither final nor in processing is Queued.
    """
    shown = rendering.dumps(room_rendering.request_body(head.request, (), account=account, payload=False))
    which = b"minimal" if minimal else b"%d" % head.busy
    return f'"{hashlib.blake2b(shown + which + _SHAPE, digest_size=12).hexdigest()}"'
