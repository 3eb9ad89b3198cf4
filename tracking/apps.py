"""The families of doors and windows as a Django app."""

from django.apps import AppConfig


class TrackingConfig(AppConfig):
    """The families, each with its own error body."""

    name = "tracking"

    def ready(self) -> None:
        """Register the error bodies; the Gateway's is the default of every path that no other family claims."""
        from orchestrator.api import problems  # noqa: PLC0415 - models are ready only now
        from tracking.native import errors as native_errors  # noqa: PLC0415
        from tracking.states import errors as states_errors  # noqa: PLC0415
        from tracking.status import errors as status_errors  # noqa: PLC0415

        problems.register("/api/v2", status_errors.body, name=status_errors.NAME)
        problems.register("/api/v3", status_errors.body, name=status_errors.NAME)
        for prefix in ("/services", "/customers", "/genesys/1/cs"):
            problems.register(prefix, states_errors.body, name=states_errors.NAME)
        problems.register("/native-app", native_errors.body, name=native_errors.NAME)
