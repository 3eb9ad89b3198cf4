"""Waybill's own settings, database and server, without its middleware and windows."""

from config.settings import *  # noqa: F403

MIDDLEWARE: list[str] = []
ROOT_URLCONF = "benchmarks.bare.urls"
