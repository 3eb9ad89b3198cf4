"""The troublesome app: its handlers become known when Django is ready."""

from django.apps import AppConfig


class TroubleConfig(AppConfig):
    name = "tests.trouble"
    label = "trouble"

    def ready(self) -> None:
        from tests.trouble import handlers  # noqa: F401 - importing it registers them
