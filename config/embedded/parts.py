"""The commands of Waybill's own processes: one truth for `make up`, docker-compose.yml and the tests.

In: nothing. Out: command lines without the interpreter (`python -m …`), and the role each tells the settings.
Called by the supervisor; `tests/repo` compares docker-compose.yml with it.
"""

WEB = (
    *("granian", "--interface", "asgi", "--workers", "1", "--no-ws", "--log-level", "warning"),
    # Of itself granian takes no more than 1,024 calls at once, and those who wait would keep all others out: more than
    # WAYBILL_MAX_FOLLOWERS. What is worked on at once is bounded by the bridge.
    *("--backpressure", "16384"),
    *("--workers-kill-timeout", "5", "config.asgi:application"),
)
WORKER = (
    *("celery", "-q", "-A", "config", "worker", "-P", "threads", "-c", "8", "--loglevel", "INFO"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
BEAT = ("celery", "-q", "-A", "config", "beat", "--loglevel", "INFO")
SANDBOX = (
    *("granian", "--interface", "asgi", "--workers", "1", "--no-ws", "--log-level", "warning"),
    "config.embedded.sandbox:application",
)
WORKERS = 2
DEMO_CLIENT, DEMO_SECRET = "demo", "demo-secret"  # made by `make up` only, in its own database
DEMO_ADMIN = "admin"  # of the desk, with the same secret
DEMO_ACCESSES = ("STTA0001", "STTA0002")
DEMO_SERVICES = ("BB-100-10:BB", "BB-100-100:BB", "TV-1:TV")
