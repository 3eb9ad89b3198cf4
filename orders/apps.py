"""Orders: a business on the engine."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """Accesses, their services, and the orders placed for them."""

    name = "orders"

    def ready(self) -> None:
        """Hang the business on the engine: a message type, its effect, and this family's error body."""
        from orchestrator import roles  # noqa: PLC0415 - models are ready only now
        from orchestrator.api import problems  # noqa: PLC0415
        from orders import effects, network  # noqa: PLC0415
        from orders.api import errors  # noqa: PLC0415

        network.register()
        effects.register()
        roles.declare(
            self.label,
            {
                roles.Role.VIEWER: ("view_access", "view_accessservice", "view_order", "view_orderevent"),
                roles.Role.ADMINISTRATOR: tuple(
                    f"{verb}_{noun}" for verb in ("add", "change", "delete") for noun in ("access", "accessservice")
                ),
            },
        )
        problems.register(errors.PREFIX, errors.body, name=errors.NAME)
