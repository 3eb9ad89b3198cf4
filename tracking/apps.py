"""The families of doors and windows as a Django app."""

from django.apps import AppConfig


class TrackingConfig(AppConfig):
    """The Gateway and the request status families."""

    name = "tracking"
