"""The deliveries worker as it is, but that it counts its SQL: `celery -A bench.counted_worker worker`.

When it ends it writes how many statements it sent to the file that BENCH_STATEMENTS names.
"""

import atexit
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from config.celery import app

__all__ = ["app"]

_sent: Counter[str] = Counter()


def _counted(execute: Callable[..., Any], *arguments: Any) -> Any:
    _sent["statements"] += 1
    return execute(*arguments)


@receiver(connection_created)
def _count_statements(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Also BEGIN and COMMIT, which pass by Django's wrappers: autocommit is off between the two."""
    if _counted in connection.execute_wrappers:
        return
    connection.execute_wrappers.append(_counted)
    set_autocommit = connection.set_autocommit

    def counted(*arguments: Any, **named: Any) -> None:
        if not arguments[0]:
            _sent["statements"] += 2
        set_autocommit(*arguments, **named)

    setattr(connection, "set_autocommit", counted)  # noqa: B010 - mypy would not have it assigned


@atexit.register
def _tell() -> None:
    Path(os.environ["BENCH_STATEMENTS"]).write_text(str(_sent["statements"]))
