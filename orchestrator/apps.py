"""The engine as a Django app."""

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Registers the built-in message type `Echo`."""

    name = "orchestrator"

    def ready(self) -> None:
        """Make the engine's own message types known."""
        from orchestrator import echo, worker  # noqa: PLC0415 - models and Celery are ready only now

        echo.register()
        worker.connect_signals()
