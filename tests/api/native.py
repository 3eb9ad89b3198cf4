"""How tests of startup and poll call them, and how they end what they have started."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.test import Client as Browser

from orchestrator import outcomes
from orchestrator.accounts import Account
from orchestrator.handlers import Kind, MessageType
from orchestrator.models import Message
from orchestrator.outcomes import Ending
from tests import engine
from tests.api.calls import basic

NINO = "CS700100A"
ACCEPT = {"Accept": "application/vnd.hmrc.1.0+json"}
POLL = {"status": {"code": "poll"}}
NOT_FOUND = {"code": "NOTFOUND", "message": "Resource was not found"}

FEEDBACK = MessageType(name="feedback", kind=Kind.PLAIN, handler=print)
SUMMARY = MessageType(name="tax-summary", kind=Kind.PLAIN, handler=print, mandatory=True)
AUDIT = MessageType(name="audit", kind=Kind.PLAIN, handler=print)
TYPES = (FEEDBACK, SUMMARY, AUDIT)


def asking(*names: str) -> dict[str, Any]:
    """The first form of a startup's body."""
    return {"request": [{"serviceName": name} for name in names or ("feedback",)]}


def startup(
    account: Account | None,
    body: Any = None,
    *,
    nino: str = NINO,
    cookie: str | None = None,
    query: str = "",
    content_type: str = "application/json",
    headers: Mapping[str, str] = ACCEPT,
    secure: bool = False,
) -> Any:
    """POST a startup. Bytes go out as they are; without an account there are no credentials."""
    raw = body if isinstance(body, bytes) else json.dumps(asking() if body is None else body).encode()
    return browser(cookie).post(
        f"/native-app/{nino}/startup{query}",
        raw,
        content_type=content_type,
        headers=(basic(account.client_id) if account else {}) | dict(headers),
        secure=secure,
    )


def poll(
    cookie: str | None, *, nino: str = NINO, headers: Mapping[str, str] = ACCEPT, method: str = "get", query: str = ""
) -> Any:
    """Ask how far the cookie's task is."""
    return getattr(browser(cookie), method)(f"/native-app/{nino}/poll{query}", headers=headers)


def browser(cookie: str | None) -> Browser:
    """A client with this `mdtpapi`, and no other memory."""
    one = Browser(raise_request_exception=False)
    if cookie is not None:
        one.cookies["mdtpapi"] = cookie
    return one


def ticket(answer: Any) -> str:
    """The cookie that a startup has set."""
    value: str = answer.cookies["mdtpapi"].value
    return value


def begin(account: Account, *names: str) -> str:
    """Start a task; return its cookie."""
    answer = startup(account, asking(*names))
    assert (answer.status_code, answer.json()) == (200, POLL)
    return ticket(answer)


def end(ending: Ending = Ending.COMPLETE, *, of: str = "feedback", **fields: Any) -> None:
    """Let the engine end every waiting message of a type."""
    claimed = engine.claim(of).messages
    assert claimed
    outcomes.flush([engine.ended(message, ending, **fields) for message in claimed])


def types_of(request_id: str | uuid.UUID) -> list[str]:
    """The types of a request's messages, in their order."""
    return list(Message.objects.filter(request_id=request_id).order_by("number").values_list("type", flat=True))
