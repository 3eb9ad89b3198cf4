"""Wiring only: settings, Celery, URLs, the server's entry, and the embedded stack of `make up`."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
