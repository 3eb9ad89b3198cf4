"""Ask before messages are replayed or a request is cancelled: what will be done, and to what.

In: a question. Out: the context of `desk/ask.html`, whose button sends the same page by POST. Called by the pages of
requests and messages.
"""

import uuid
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Question:
    """`again`: offer to replay also what `replayed_by` has replayed already."""

    title: str
    text: str
    yes: str
    back: str
    again: bool = False
    replayed_by: tuple[uuid.UUID, ...] = ()


def ask(question: Question, *, subject: object) -> dict[str, Any]:
    """Return the context of the page that asks."""
    return {"title": question.title, "question": question, "subject": subject}
