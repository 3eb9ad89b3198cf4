"""The engine as a Django app."""

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Registers the built-in message type `Echo`, and the back ends' types."""

    name = "orchestrator"

    def ready(self) -> None:
        """Make the engine's own message types known."""
        # Models and Celery are ready only now.
        from orchestrator import audit, backend_types, echo, roles, worker  # noqa: PLC0415

        echo.register()
        backend_types.register()
        worker.connect_signals()
        audit.watch_logins()
        roles.declare_engine()
