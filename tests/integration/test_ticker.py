"""Test the ticker: which drains it wakes, and which it runs itself."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Task as CeleryTask
from celery import current_app
from django.db import connection, connections
from django.utils.module_loading import import_string

from apps.base import clock, wake
from apps.base.wake import Sent, send
from apps.events.selectors import horizon_holder
from apps.events.services import warn_of_horizon
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.sandbox.models import SimulatedStep
from apps.tasks.models import Task
from apps.tasks.services import queue_created
from config.drains import DRAINS, Drain, queues_of
from config.processes import service_commands
from config.ticker import Ticker, read_timer_age
from tests.factories import House
from tests.sandboxes import posted, sandboxed


@pytest.fixture(autouse=True)
def without_hints(database: None) -> Iterator[None]:
    _delete_hints()
    yield
    _delete_hints()


def _delete_hints() -> None:
    with current_app.connection_for_write() as link:
        channel: Any = link.default_channel
        channel.client.delete(*(drain.name for drain in DRAINS))


def hints(drain: str) -> int:
    with current_app.connection_for_write() as link:
        channel: Any = link.default_channel
        return int(channel.client.llen(drain))


def wait_for_threads(ticker: Ticker) -> None:
    """Wait for the drains that the ticker runs itself."""
    for thread in ticker._running.values():
        thread.join(20)


# --- hints ----------------------------------------------------------------------------------------


def test_send__hints_of_one_drain_do_not_block_another() -> None:
    for _ in range(2 * wake.ENOUGH_HINTS):
        send("matching")
    assert hints("matching") == wake.ENOUGH_HINTS
    assert send("timers") is Sent.TAKEN
    assert hints("timers") == 1


def test_send__reports_unread_hints() -> None:
    assert [send("matching"), send("matching")] == [Sent.TAKEN, Sent.WAITS]


@pytest.mark.parametrize("drain", DRAINS, ids=lambda drain: drain.name)
def test_drain__names_code_that_exists(drain: Drain) -> None:
    job = import_string(drain.job)
    assert isinstance(job, CeleryTask)
    assert job.name == drain.job
    assert callable(drain.load_run_once())
    assert drain.due_sql().lstrip().startswith(("SELECT ", "WITH "))


@pytest.mark.parametrize("drain", DRAINS, ids=lambda drain: drain.name)
def test_drain__has_a_worker_process(drain: Drain) -> None:
    commands = service_commands(host="127.0.0.1", port=1, stream_port=2).values()
    queues = [
        command[command.index("-Q") + 1].split(",") for command in commands if "-Q" in command
    ]
    assert any(drain.name in of_process for of_process in queues)


def test_drains__have_every_job_of_ours(database: None) -> None:
    current_app.loader.import_default_modules()
    ours = {name for name in current_app.tasks if not name.startswith("celery.")}
    assert ours == {drain.job for drain in DRAINS}, "Add a row to config/drains.py for each job."


def test_queues_of__several_groups() -> None:
    # Version 0.1 sent its hints to queues with the groups' names.
    expected = ["timers", "intake", "verification", "matching"]
    expected += ["recoveries", "notices", "sandbox", "retention", "rollups", "bridges"]
    expected += ["audit", "lifecycle", "bulk"]
    assert queues_of("lifecycle", "bulk") == expected


# --- drains that the ticker runs ------------------------------------------------------------------


def test_tick__takes_the_steps_of_simulated_workers_where_no_worker_does(house: House) -> None:
    task = posted(sandboxed(house))
    queue_created()
    match_queued()
    SimulatedStep.objects.update(due_at=clock.now() - timedelta(seconds=2))
    ticker = Ticker()
    ticker.tick()
    wait_for_threads(ticker)
    assert Task.objects.get(id=task["task_id"]).status == "submitted"


def test_tick__runs_matching_when_its_hints_are_unread(house: House) -> None:
    house.queued()
    ticker = Ticker()
    ticker.tick()
    assert Offer.objects.count() == 0, "a worker process may still read them"
    for _ in range(2):
        ticker._next_tick_at = 0.0
        ticker.tick()
        wait_for_threads(ticker)
    assert Offer.objects.count() == 1


def test_tick__fires_timers_that_are_a_second_late(house: House) -> None:
    at = clock.now() - timedelta(seconds=59)
    house.task(at=at, sla={"target_latency_seconds": 60})
    ticker = Ticker()
    ends = time.monotonic() + 10
    while Task.objects.get().latency_breached_at is None:
        assert time.monotonic() < ends
        time.sleep(ticker.tick())
        wait_for_threads(ticker)
    breached_at = Task.objects.get().latency_breached_at
    assert breached_at is not None
    late = breached_at - at - timedelta(seconds=60)
    assert late < timedelta(seconds=3)


def test_tick__wakes_timers_in_time_that_were_set_since(house: House) -> None:
    ticker = Ticker()
    ticker.tick()
    assert hints("timers") == 0
    house.task(at=clock.now() - timedelta(seconds=60), sla={"target_latency_seconds": 60})
    assert (age := read_timer_age()) is not None
    assert age > 0
    began = time.monotonic()
    while not hints("timers"):
        time.sleep(ticker.tick())
    assert time.monotonic() - began < 0.4


def test_read_timer_age__is_none_without_timers(database: None) -> None:
    assert read_timer_age() is None


# --- the feed's horizon ---------------------------------------------------------------------------


def test_horizon__is_held_back_by_writers_in_any_database(
    database: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg
    from psycopg.conninfo import make_conninfo

    assert horizon_holder() is None
    settings = connection.get_connection_params()
    elsewhere = make_conninfo(
        host=settings["host"], port=settings["port"], user=settings["user"], dbname="postgres"
    )
    with psycopg.connect(elsewhere) as other:
        other.execute("SELECT pg_current_xact_id()")
        held = horizon_holder()
        assert held is not None
        assert (held.database, held.seconds is not None) == ("postgres", True)
        assert f"process {other.info.backend_pid}" in held.holder
        warn_of_horizon()
        assert "stands still" not in caplog.text
        monkeypatch.setattr("apps.events.services.HORIZON_ALARM_SECONDS", 0.0)
        warn_of_horizon()
        assert "the event feed stands still" in caplog.text
        assert "postgres" in caplog.text
        other.rollback()
    assert horizon_holder() is None


def test_horizon__is_not_held_back_by_readers(house: House) -> None:
    is_open, may_end = threading.Event(), threading.Event()

    def read() -> None:
        from django.db import transaction

        with transaction.atomic():
            Task.objects.count()
            is_open.set()
            may_end.wait(10)
        connections.close_all()

    reader = threading.Thread(target=read)
    reader.start()
    assert is_open.wait(10)
    assert horizon_holder() is None
    may_end.set()
    reader.join(10)
