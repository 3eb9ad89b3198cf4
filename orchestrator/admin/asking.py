"""Ask before a request is cancelled or messages are replayed; where nothing can be done, say so instead.

In: a request or a message. Out: a question; its page is `desk/ask.html`, whose button sends the same address by POST.
Called by the pages of requests and messages.
"""

import uuid
from dataclasses import dataclass

from django.urls import reverse

from orchestrator import amounts, replaying, replays, stopping
from orchestrator.admin import request_view
from orchestrator.models import Message, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`yes`: what the button says; without it nothing can be done, and the text says why.

    `replayed_by`: the requests that hold copies already; whether to replay those again is asked, too.
    """

    subject: uuid.UUID
    title: str
    text: str
    back: str
    yes: str = ""
    replayed_by: tuple[uuid.UUID, ...] = ()


def whether_to_cancel(request: Request) -> Question:
    """Ask whether to cancel what waits of a request."""
    back = reverse("admin:orchestrator_request_change", args=[request.pk])
    counts = request_view.count(request)
    if not request_view.can_be_cancelled(request, counts):
        why = str(stopping.AlreadyFinished.__doc__)
        return Question(subject=request.pk, title="There is nothing to cancel", text=why, back=back)
    waiting, begun = (amounts.tell(counts[name], "message") for name in ("queued", "processing"))
    return Question(
        subject=request.pk,
        title="Cancel this request?",
        text=f"What waits is cancelled ({waiting}). What has begun goes on ({begun}).",
        yes="Cancel the request",
        back=back,
    )


def whether_to_replay_request(request: Request) -> Question:
    """Ask whether to replay what failed of a request."""
    back = reverse("admin:orchestrator_request_change", args=[request.pk])
    try:
        replaying.check_request(request.pk)
    except replaying.Refused as refused:
        return _nothing_to_replay(request.pk, refused, back)
    failed = amounts.tell(request.failed, "message")
    return Question(
        subject=request.pk,
        title="Replay what failed?",
        text=f"A new request gets copies of what failed ({failed}). This request stays as it is.",
        yes="Replay",
        back=back,
        replayed_by=tuple(link.request_id for link in replays.find_replays(request.pk)),
    )


def whether_to_replay_message(message: Message) -> Question:
    """Ask whether to replay one message."""
    back = reverse("admin:orchestrator_message_change", args=[message.pk])
    try:
        replaying.check_message(message.pk)
    except replaying.Refused as refused:
        return _nothing_to_replay(message.pk, refused, back)
    return Question(
        subject=message.pk,
        title="Replay this message?",
        text="A new request gets a copy of it. This message stays as it is.",
        yes="Replay",
        back=back,
        replayed_by=tuple(replays.find_copies([message]).get(message.pk, ())),
    )


def _nothing_to_replay(subject: uuid.UUID, refused: replaying.Refused, back: str) -> Question:
    return Question(subject=subject, title="There is nothing to replay", text=f"Not replayed: {refused}.", back=back)
