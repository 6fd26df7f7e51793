"""How log lines look: for people on one machine, as JSON where they are collected."""

import logging
from datetime import UTC, datetime
from typing import Any

import orjson

OF_EVERY_RECORD = frozenset(
    [*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "request"]
)
"""What is not a fact that the caller added by `extra`."""


# No line of ours tells of them, and each record would look for them.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class LineFormatter(logging.Formatter):
    """`22:10:05 WARNING apps.webhooks: …`, in UTC."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name}: {message}", style="{")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return f"{datetime.fromtimestamp(record.created, UTC):%H:%M:%S}"


class AccessFormatter(LineFormatter):
    """`22:10:05 POST /v1/tasks 201 4.1 ms req_…`: the level and the name say nothing there."""

    def __init__(self) -> None:
        logging.Formatter.__init__(self, "{asctime} {message}", style="{")


class JSONFormatter(logging.Formatter):
    """One object a line: `time`, `level`, `logger`, `message`, what `extra` adds, and `error`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        added = record.__dict__.keys() - OF_EVERY_RECORD
        line |= {name: getattr(record, name) for name in sorted(added)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def logging_settings(*, level: str, as_json: bool) -> dict[str, Any]:
    """Return Django's `LOGGING`."""
    line = "json" if as_json else "line"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": "config.logs.LineFormatter"},
            "access": {"()": "config.logs.AccessFormatter"},
            "json": {"()": "config.logs.JSONFormatter"},
        },
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": line},
            "access": {
                "class": "logging.StreamHandler",
                "formatter": "json" if as_json else "access",
            },
        },
        "root": {"handlers": ["console"], "level": "WARNING"},
        "loggers": {
            "apps": {"level": level},
            "config": {"level": level},
            "apps.access": {"handlers": ["access"], "level": level, "propagate": False},
            # Refused requests are the caller's affair; what fails is logged by apps.api, with its id.
            "django.request": {"level": "CRITICAL"},
            # A broker that is away is normal here, and said once by the ticker.
            "celery": {"level": "ERROR"},
            "celery.worker.consumer.consumer": {"level": "CRITICAL"},
            "kombu": {"level": "CRITICAL"},
        },
    }
