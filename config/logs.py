"""Format log lines: as text on one machine, as JSON where they are collected."""

import logging
from datetime import UTC, datetime
from typing import Any

import orjson

# The attributes that are not added by the caller through `extra`.
STANDARD_ATTRIBUTES = frozenset(
    [*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "request"]
)

# Our lines do not show these, and looking them up costs time for each record.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


class LineFormatter(logging.Formatter):
    """Format a line as `22:10:05 WARNING apps.webhooks: …`, in UTC."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name}: {message}", style="{")

    def formatTime(  # noqa: N802
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        return f"{datetime.fromtimestamp(record.created, UTC):%H:%M:%S}"


class AccessFormatter(LineFormatter):
    """Format a request as `22:10:05 POST /v1/tasks 201 4.1 ms req_…`, without level and name."""

    def __init__(self) -> None:
        logging.Formatter.__init__(self, "{asctime} {message}", style="{")


class JSONFormatter(logging.Formatter):
    """Format a JSON object per line: `time`, `level`, `logger`, `message`, `extra`, `error`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = record.__dict__.keys() - STANDARD_ATTRIBUTES
        line |= {name: getattr(record, name) for name in sorted(extra)}
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
            # Refused requests are the caller's concern; apps.api logs failures with their request
            # id.
            "django.request": {"level": "CRITICAL"},
            # It logs the path, which for an invitation or a reset of a password is a secret. The
            # access log has the refusal, with its route.
            "django.security.csrf": {"level": "CRITICAL"},
            # A missing broker is a normal condition, and the ticker logs it once.
            "celery": {"level": "ERROR"},
            "celery.worker.consumer.consumer": {"level": "CRITICAL"},
            "kombu": {"level": "CRITICAL"},
        },
    }
