"""One plain, one asynchronous and one batch handler: what a company writes to put its own work on Waybill."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pydantic

from orchestrator import handlers


class Invoice(pydantic.BaseModel):
    """What an invoice must look like; anything else is Invalid, with its errors."""

    number: str
    amount: float = pydantic.Field(ge=0)


@handlers.plain("Invoice", timeout=10, schema=Invoice)
def book(work: handlers.Work) -> dict[str, Any]:
    """One message, in a thread: the usual Django code."""
    invoice = Invoice.model_validate(work.fields())
    if invoice.amount > 1_000_000:
        raise handlers.Rejected(f"Invoice {invoice.number} needs a second signature")
    return {"booked": invoice.number}


@handlers.asynchronous("Greeting", attempts=3, backoff=(0.1, 1.0), lane="Post")
async def greet(work: handlers.Work) -> dict[str, Any]:
    """One message, a coroutine, many at once: for work that waits on others."""
    await asyncio.sleep(0)
    return {"greeting": f"Hello, {work.fields()['name']}"}


@handlers.batch(
    "Reading", schema={"type": "object", "required": ["value"], "properties": {"value": {"type": "number"}}}
)
def store(readings: Sequence[handlers.Work]) -> list[Any]:
    """All messages that are there at once: one answer each, in order; an exception in its place is that message's."""
    values = [reading.fields()["value"] for reading in readings]
    return [{"stored": value} if value >= 0 else handlers.Rejected("A reading is never negative") for value in values]
