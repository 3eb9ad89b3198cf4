"""Every setting, read once from the environment.

In: environment variables, and those of the running stack of `$WAYBILL_HOME` where the environment names no database.
Out: Django's settings. A missing or malformed variable ends the start with its name. `.env.example` lists them all.
"""

from datetime import timedelta
from functools import partial
from pathlib import Path

from celery.schedules import crontab
from environs import Env, validate
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import desk, readers
from config import logging as house_logging

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
for reader in (readers.days, readers.secret_keys, readers.payload_keys):
    env.add_parser(reader.__name__, reader)
count = partial(env.int, validate=readers.some)
number = partial(env.float, validate=readers.not_negative)

WAYBILL_HOME = env.path("WAYBILL_HOME", BASE_DIR / ".waybill")
if not env.str("DATABASE_URL", None):
    # What `make up` wrote for commands that join its stack; the process's own environment wins.
    env.read_env(str(WAYBILL_HOME / "stack.env"), recurse=False)

# ---------------------------------------------------------------- Django
SECRET_KEY = env.str("SECRET_KEY", validate=validate.Length(min=1))
DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["*"])
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = None
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
DATA_UPLOAD_MAX_MEMORY_SIZE = None  # the doors bound their bodies themselves: WAYBILL_MAX_BODY_BYTES

WAYBILL_APPS: list[str] = env.list("WAYBILL_APPS", [])
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "orchestrator",
    "tracking",
    "orders",
    *WAYBILL_APPS,
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.policies.ContentSecurity",
    # Django's own, for the admin's paths only. Static files never come this far: config/asgi.py serves them.
    "config.sessions.Sessions",
    "config.sessions.Csrf",
    "config.sessions.Users",
    "config.sessions.Messages",
    "config.sessions.Addresses",
    "config.sessions.Frames",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [  # of the desk's users
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
UNFOLD = desk.UNFOLD
WAYBILL_BEHIND_TLS = env.bool("WAYBILL_BEHIND_TLS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = WAYBILL_BEHIND_TLS
CSRF_FAILURE_VIEW = "orchestrator.admin.refusing.refuse_forged"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if WAYBILL_BEHIND_TLS else None
WAYBILL_PRIVATE_BACKENDS = env.bool("WAYBILL_PRIVATE_BACKENDS", True)
WAYBILL_MASKED_FIELDS: list[str] = env.list("WAYBILL_MASKED_FIELDS", [])
WAYBILL_TRUSTED_PROXIES: list[str] = env.list("WAYBILL_TRUSTED_PROXIES", [], subcast=readers.network)
SILENCED_SYSTEM_CHECKS = [
    *("security.W002", "security.W003"),  # only the admin needs these two, and has its own: config/sessions.py
    *("security.W004", "security.W008"),  # insisting on TLS is the business of the proxy that ends it
]
LOGGING_CONFIG = None
house_logging.configure(
    level=env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]))
)

# ---------------------------------------------------------------- parts
WAYBILL_ROLE = env.str("WAYBILL_ROLE", "command", validate=validate.OneOf(["web", "worker", "beat", "command"]))
WAYBILL_ALIVE_FILE = env.str("WAYBILL_ALIVE_FILE", "")
DATABASES = {"default": env.dj_db_url("DATABASE_URL")}
_database = DATABASES["default"]
_database["ENGINE"] = "django.db.backends.postgresql"
_options = _database.setdefault("OPTIONS", {})
_options["connect_timeout"] = 2
# Statement and idle-in-transaction bounds: a long transaction anywhere slows every claim down.
_options["options"] = "-c statement_timeout=60s -c idle_in_transaction_session_timeout=60s -c TimeZone=UTC"
if WAYBILL_ROLE == "web":
    # A failed connect is given up at once: the next call tries again, where the pool would wait up to minutes.
    _options["pool"] = {
        "min_size": 2,
        "max_size": count("WAYBILL_DATABASE_POOL", 20),
        "timeout": 2,
        "reconnect_timeout": 0,
    }
else:
    _database["CONN_MAX_AGE"] = None
    _database["CONN_HEALTH_CHECKS"] = True

BROKER_URL = env.str("BROKER_URL")
_broker_is_redis = BROKER_URL.startswith(("redis", "valkey"))
WAYBILL_WAKE_PATIENCE = number("WAYBILL_WAKE_PATIENCE", 0.1)
# Beside RabbitMQ a cache is optional: without one each wake-up is published, and limits hold per process.
CACHE_URL = env.str("CACHE_URL", BROKER_URL if _broker_is_redis else "")
_redis_cache = {
    "BACKEND": "django.core.cache.backends.redis.RedisCache",
    "LOCATION": CACHE_URL,
    # A dead cache may cost a POST a tenth of a second, once a second: no retries beneath us.
    "OPTIONS": {
        "socket_connect_timeout": WAYBILL_WAKE_PATIENCE,
        "socket_timeout": WAYBILL_WAKE_PATIENCE,
        "retry": Retry(NoBackoff(), 0),
    },
    "KEY_PREFIX": "waybill",
}
CACHES = {"default": _redis_cache if CACHE_URL else {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

# ---------------------------------------------------------------- where `manage.py submit` hands in, and as whom
PORT = count("PORT", 8000)
WAYBILL_URL = env.str("WAYBILL_URL", f"http://127.0.0.1:{PORT}")
WAYBILL_CLIENT = env.str("WAYBILL_CLIENT", "demo")
WAYBILL_SECRET = env.str("WAYBILL_SECRET", "demo-secret")

# ---------------------------------------------------------------- REST
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["orchestrator.api.rendering.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "orchestrator.api.schema.WindowSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Waybill",
    "DESCRIPTION": "Hand in work, have an answer at once, follow it in the contract you already speak.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "PREPROCESSING_HOOKS": ["orchestrator.api.schema.tidy_paths"],
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "orchestrator.api.links.add_links"],
}

# ---------------------------------------------------------------- credentials
# Key id → key; the last one signs and hashes.
WAYBILL_SECRET_KEYS: dict[str, str] = env.secret_keys("WAYBILL_SECRET_KEYS", "") or {"1": SECRET_KEY}
WAYBILL_TOKEN_SECONDS = count("WAYBILL_TOKEN_SECONDS", 3600)
WAYBILL_TOKEN_ISSUER = env.str("WAYBILL_TOKEN_ISSUER", "waybill")
WAYBILL_TOKEN_AUDIENCE = env.str("WAYBILL_TOKEN_AUDIENCE", "waybill")
WAYBILL_JWKS_URL = env.str("WAYBILL_JWKS_URL", "")
WAYBILL_JWKS_ISSUER = env.str("WAYBILL_JWKS_ISSUER") if WAYBILL_JWKS_URL else ""
WAYBILL_JWKS_AUDIENCE = env.str("WAYBILL_JWKS_AUDIENCE", WAYBILL_TOKEN_AUDIENCE)
WAYBILL_JWKS_ALGORITHMS = env.list("WAYBILL_JWKS_ALGORITHMS", ["RS256", "ES256"])
WAYBILL_CLIENT_CACHE_SECONDS = number("WAYBILL_CLIENT_CACHE_SECONDS", 3.0)
WAYBILL_TYPES_CACHE_SECONDS = number("WAYBILL_TYPES_CACHE_SECONDS", 2.0)

# ---------------------------------------------------------------- figures
WAYBILL_METRICS_TOKEN = env.str("WAYBILL_METRICS_TOKEN", "")
OTEL_EXPORTER_OTLP_ENDPOINT = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", "")  # traces; the SDK reads its other variables

# Keys that payloads and results are encrypted with at rest: id → 32 bytes in base64. The last one seals, unless told.
WAYBILL_PAYLOAD_KEYS: dict[str, bytes] = env.payload_keys("WAYBILL_PAYLOAD_KEYS", "")
WAYBILL_PAYLOAD_KEY_ID = env.str(
    "WAYBILL_PAYLOAD_KEY_ID",
    next(reversed(WAYBILL_PAYLOAD_KEYS), ""),
    validate=validate.OneOf(["", *WAYBILL_PAYLOAD_KEYS]),
)

# ---------------------------------------------------------------- doors
WAYBILL_MAX_BODY_BYTES = count("WAYBILL_MAX_BODY_BYTES", 32 * 1024 * 1024)
WAYBILL_MAX_MESSAGES = count("WAYBILL_MAX_MESSAGES", 10_000)
WAYBILL_IDEMPOTENCY_HOURS = number("WAYBILL_IDEMPOTENCY_HOURS", 24.0)
WAYBILL_IDEMPOTENCY_WAIT_SECONDS = number("WAYBILL_IDEMPOTENCY_WAIT_SECONDS", 10.0)
WAYBILL_CLEAR_AFTER_DAYS: dict[str, float] = env.days("WAYBILL_CLEAR_AFTER_DAYS", "")
WAYBILL_DELETE_AFTER_DAYS: dict[str, float] = env.days("WAYBILL_DELETE_AFTER_DAYS", "")
WAYBILL_POLL_TIMEOUT_SECONDS = number("WAYBILL_POLL_TIMEOUT_SECONDS", 115.0)
WAYBILL_POLL_EXPIRY_SECONDS = count("WAYBILL_POLL_EXPIRY_SECONDS", 14_400)
WAYBILL_WEB_THREADS = count("WAYBILL_WEB_THREADS", 16)
WAYBILL_WEB_QUEUE = env.int("WAYBILL_WEB_QUEUE", 64, validate=readers.not_negative)
WAYBILL_ANSWER_SECONDS = number("WAYBILL_ANSWER_SECONDS", 25.0)
WAYBILL_WEB_BODIES = count("WAYBILL_WEB_BODIES", 4)  # bodies of the full size that a web process holds at once

WAYBILL_CLIENT_RATE = env.str("WAYBILL_CLIENT_RATE", "", validate=readers.rate)
WAYBILL_LOGIN_RATE = env.str("WAYBILL_LOGIN_RATE", "5/5minutes", validate=readers.rate)

# ---------------------------------------------------------------- following along
WAYBILL_FOLLOW_SECONDS = number("WAYBILL_FOLLOW_SECONDS", 0.2)
WAYBILL_MAX_WAIT_SECONDS = count("WAYBILL_MAX_WAIT_SECONDS", 60)
WAYBILL_MAX_FOLLOWERS = count("WAYBILL_MAX_FOLLOWERS", 10_000)
WAYBILL_STREAM_HEARTBEAT = number("WAYBILL_STREAM_HEARTBEAT", 15.0)
WAYBILL_STREAM_SECONDS = number("WAYBILL_STREAM_SECONDS", 3600.0)

# ---------------------------------------------------------------- engine (seconds unless named otherwise)
WAYBILL_LEASE = number("WAYBILL_LEASE", 15.0)
WAYBILL_HEARTBEAT = number("WAYBILL_HEARTBEAT", 5.0)
WAYBILL_LEASE_MARGIN = number("WAYBILL_LEASE_MARGIN", 3.0)
WAYBILL_SLICE = number("WAYBILL_SLICE", 2.0)
WAYBILL_FLUSH_SIZE = count("WAYBILL_FLUSH_SIZE", 500)
WAYBILL_FLUSH_AFTER = number("WAYBILL_FLUSH_AFTER", 0.2)
WAYBILL_WAKE_FLAG = count("WAYBILL_WAKE_FLAG", 5)
WAYBILL_PUBLISH_PAUSE = number("WAYBILL_PUBLISH_PAUSE", 1.0)
WAYBILL_FLUSH_PAUSE = number("WAYBILL_FLUSH_PAUSE", 0.025)
WAYBILL_BREATH = number("WAYBILL_BREATH", 0.02)
WAYBILL_WINDOW_PLAIN = count("WAYBILL_WINDOW_PLAIN", 500)
WAYBILL_WINDOW_CALLS = count("WAYBILL_WINDOW_CALLS", 100)
WAYBILL_STOPS_AGE = number("WAYBILL_STOPS_AGE", 0.1)
WAYBILL_SWEEP = number("WAYBILL_SWEEP", 0.5)
WAYBILL_STALE_WAKE = number("WAYBILL_STALE_WAKE", 2.0)
WAYBILL_DEAF_AFTER = number("WAYBILL_DEAF_AFTER", 30.0)
WAYBILL_GRACE = number("WAYBILL_GRACE", 10.0)
WAYBILL_HANDLER_GRACE = number("WAYBILL_HANDLER_GRACE", 5.0)
WAYBILL_LOSSES_ALONE = count("WAYBILL_LOSSES_ALONE", 3)
WAYBILL_RETRY_ATTEMPTS = count("WAYBILL_RETRY_ATTEMPTS", 5)
WAYBILL_RETRY_FIRST = number("WAYBILL_RETRY_FIRST", 1.0)
WAYBILL_RETRY_CEILING = number("WAYBILL_RETRY_CEILING", 300.0)
WAYBILL_RETRY_AFTER_CEILING = number("WAYBILL_RETRY_AFTER_CEILING", 3600.0)
WAYBILL_MAX_ANSWER_BYTES = count("WAYBILL_MAX_ANSWER_BYTES", 1024 * 1024)
WAYBILL_BREAKER_FAILURES = env.int(
    "WAYBILL_BREAKER_FAILURES", 20, validate=readers.not_negative
)  # in a row; 0: no breaker opens
WAYBILL_PROBE_FIRST = number("WAYBILL_PROBE_FIRST", 1.0)
WAYBILL_PROBE_CEILING = number("WAYBILL_PROBE_CEILING", 30.0)
WAYBILL_HOLD_CEILING = number("WAYBILL_HOLD_CEILING", 5.0)

# ---------------------------------------------------------------- Celery: it carries wake-ups, and nothing else
CELERY_BROKER_URL = BROKER_URL
CELERY_TASK_DEFAULT_QUEUE = "waybill"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_POOL_LIMIT = 10
CELERY_DB_REUSE_MAX = 10**9  # each shell begins with close_old_connections() instead
CELERY_TIMEZONE = "UTC"
if _broker_is_redis:
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    # By the clock: an hour after a start would never come where beat is started anew more often.
    "purge": {"task": "orchestrator.purge", "schedule": crontab(minute=41)},
    "purge-idempotency-records": {
        "task": "orchestrator.purge_idempotency_records",
        "schedule": timedelta(minutes=10),
    },
    "fold-tallies": {"task": "orchestrator.fold_tallies", "schedule": timedelta(minutes=5)},
}
