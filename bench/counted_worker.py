"""Run the deliveries worker and count its SQL: `celery -A bench.counted_worker worker`.

At its end it writes the number of statements to the file that BENCH_STATEMENTS names.
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
    """Count statements, and BEGIN and COMMIT, which Django's wrappers do not see.

    Autocommit is off between the two.
    """
    if _counted in connection.execute_wrappers:
        return
    connection.execute_wrappers.append(_counted)
    set_autocommit = connection.set_autocommit

    def counted(*arguments: Any, **named: Any) -> None:
        if not arguments[0]:
            _sent["statements"] += 2
        set_autocommit(*arguments, **named)

    setattr(connection, "set_autocommit", counted)  # noqa: B010 - mypy refuses the assignment


@atexit.register
def _write_count() -> None:
    Path(os.environ["BENCH_STATEMENTS"]).write_text(str(_sent["statements"]))
