"""`manage.py migrate` beside transactions of the service."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.commands.migrate import Command as Migrate
from django.db import connection, transaction

from config.management.commands import migrate
from tests.concurrency.together import PATIENCE_SECONDS, _run

LOCK_TABLE = "LOCK TABLE {} IN {} MODE"


def test_migrate__goes_on_after_a_deadlock(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that locks two tables meets a transaction that takes them in the other order."""
    # Wait until PostgreSQL detects the deadlock: usually `lock_timeout` ends the wait before.
    monkeypatch.setattr(migrate, "BOUNDS", "SELECT set_config('lock_timeout', '20s', false)")
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.0)
    worker_locked, task_locked = threading.Event(), threading.Event()
    attempts: list[str] = []

    def service() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            # The migration detects the deadlock, not this transaction.
            cursor.execute("SET LOCAL deadlock_timeout = '20s'")
            cursor.execute(LOCK_TABLE.format("pools_worker", "ROW EXCLUSIVE"))
            worker_locked.set()
            assert task_locked.wait(PATIENCE_SECONDS)
            cursor.execute(LOCK_TABLE.format("tasks_task", "ROW EXCLUSIVE"))

    def add_keys(self: Any, *args: Any, **options: Any) -> None:
        attempts.append("begun")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(LOCK_TABLE.format("tasks_task", "SHARE ROW EXCLUSIVE"))
            task_locked.set()
            cursor.execute(LOCK_TABLE.format("pools_worker", "SHARE ROW EXCLUSIVE"))
        attempts.append("done")

    monkeypatch.setattr(Migrate, "handle", add_keys)
    with ThreadPoolExecutor(1) as threads:
        served = threads.submit(_run, service)
        assert worker_locked.wait(PATIENCE_SECONDS)
        call_command("migrate", verbosity=0)
        served.result(PATIENCE_SECONDS)
    assert attempts == ["begun", "begun", "done"]
