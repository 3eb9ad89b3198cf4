"""The peer's settings: its own database on the same server, its own database on the same broker."""

import os

import dj_database_url

SECRET_KEY = "the peer keeps no secrets"
INSTALLED_APPS = ["rest_framework", "benchmarks.peer"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.peer.urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {"default": dj_database_url.parse(os.environ["PEER_DATABASE_URL"], conn_max_age=None)}
if os.environ.get("PEER_SERVES_HTTP"):  # granian's threads come and go: a pool keeps the connections
    DATABASES["default"] |= {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"min_size": 2, "max_size": 20}}}

REST_FRAMEWORK = {  # lean, and without credentials, which Waybill checks at each call
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
}

CELERY_BROKER_URL = os.environ["PEER_BROKER_URL"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 4
if os.environ.get("PEER_KEEPS_CONNECTIONS"):
    CELERY_DB_REUSE_MAX = 10**9  # hardly known: without it Celery closes the connection around each task
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
