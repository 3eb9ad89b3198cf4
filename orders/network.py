"""The network's back end: the message type by which orders are carried out.

In: nothing. Out: the type `Order`, open to the orders' door alone. Called by the app's `ready()`.
"""

from orchestrator import handlers, replaying

TYPE = "Order"
DOOR = "orders"


def register() -> None:
    """Make `Order` known. Who carries it out is a `Backend` row of that name; the type's door holds for it too.

    A failed order is never replayed: its provider was told of the failure by an event, and decides itself. A copy made
    behind its back would act on an access that may have moved on.
    """
    handlers.register(
        handlers.MessageType(name=TYPE, kind=handlers.Kind.ASYNC, handler=ask_nobody, doors=frozenset({DOOR}))
    )
    replaying.refuse_type(TYPE, because="an order is placed anew by its provider, who knows that it failed")


async def ask_nobody(_: handlers.Work) -> None:
    """Put an order off as long as no back end is configured: it may be, before the last try."""
    raise handlers.RetryLater(f"no back end carries orders out: set one with `manage.py backend {TYPE} --url …`")
