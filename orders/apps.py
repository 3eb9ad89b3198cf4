"""Orders: a business on the engine."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Accesses, their services, and the orders placed for them."""

    name = "orders"
