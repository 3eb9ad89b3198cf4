"""`Echo`: the built-in message type that answers its own fields.

In: a message. Out: its own fields, as the text that came. Registered by the engine's app; made for trying things out,
and for measuring what the engine itself costs.
"""

from orchestrator import handlers


def answer(work: handlers.Work) -> handlers.JSONText:
    """Return the message's own fields, not encoded again."""
    return handlers.JSONText(work.payload)


def register() -> None:
    """Make `Echo` known."""
    handlers.register(handlers.MessageType(name="Echo", kind=handlers.Kind.PLAIN, handler=answer))
