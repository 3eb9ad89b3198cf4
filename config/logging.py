"""Structured logs: one JSON object a line, on standard error.

In: every logger of the process. Out: lines with time, level, logger and the fields bound to the context.
Called by the settings. Secrets and payloads are never logged.
"""

import logging.config

import structlog

from orchestrator import context, scrubbing

_SHARED: list[structlog.typing.Processor] = [
    context.add_fields,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    scrubbing.scrub_line,
]

_QUIETER = {
    "httpx2": {"level": "WARNING"},
    "httpcore2": {"level": "WARNING"},
    "kombu": {"level": "WARNING"},
    "amqp": {"level": "WARNING"},
    # A dead collector is told once, by `orchestrator.exporting`; these would say it again for each batch.
    "opentelemetry": {"level": "CRITICAL"},
    "urllib3": {"level": "CRITICAL"},
}


def configure(*, level: str) -> None:
    """Send the standard library's and structlog's loggers through one JSON formatter."""
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": _SHARED,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.JSONRenderer(),
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": _QUIETER,
        }
    )
