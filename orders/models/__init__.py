"""The tables of the orders' business, one file a noun."""

from orders.models.access import Access, AccessService
from orders.models.feed import Feed, OrderEvent
from orders.models.order import Operation, Order, State

__all__ = ["Access", "AccessService", "Feed", "Operation", "Order", "OrderEvent", "State"]
