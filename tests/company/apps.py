"""The company's app: its handlers become known when Django is ready."""

from django.apps import AppConfig


class CompanyConfig(AppConfig):
    name = "tests.company"
    label = "company"

    def ready(self) -> None:
        from tests.company import handlers  # noqa: F401 - importing it registers them
