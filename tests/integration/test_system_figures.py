"""How the installation does, for its operators: no figure of another organisation among them."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from apps.base import clock
from apps.operations import heartbeat
from apps.operations.models import Process
from apps.operations.selectors import DeliveryFigures, SystemFigures, system
from apps.operations.services import delete_dead_processes, recount
from apps.webhooks.models import Origin
from biolayer import VERSION
from biolayer.errors import ScopeMissing
from config.drains import DRAINS
from tests.concurrency.together import together
from tests.factories import House
from tests.faults.installation import free_port
from tests.integration.test_deliveries import callback
from tests.rollup_steps import operator


def read(house: House) -> SystemFigures:
    return system(actor=operator(house.organisation.id))


def test_deliveries__are_the_organisations_own(house: House) -> None:
    assert read(house).deliveries == DeliveryFigures(0, None, 0)
    house.task(at=clock.now() - timedelta(seconds=90), **callback("http://127.0.0.1:9/hook"))
    Origin.objects.update(open_until=clock.now(), probe_seconds=30)
    own = read(house).deliveries
    assert own is not None
    assert (own.due, own.failing_origins) == (1, 1)
    assert own.oldest_seconds == pytest.approx(90, abs=10)
    stranger = operator(house.strangers_pool.organisation_id)
    assert system(actor=stranger).deliveries == DeliveryFigures(0, None, 0)
    restricted = replace(operator(house.organisation.id), pool_ids=frozenset([house.pool.id]))
    assert system(actor=restricted).deliveries is None


def test_drains__show_for_how_long_rows_have_been_due(house: House) -> None:
    assert read(house).drains == dict.fromkeys((drain.name for drain in DRAINS), None)
    house.task(at=clock.now() - timedelta(seconds=40))
    ages = read(house).drains
    assert ages["intake"] == pytest.approx(40, abs=10)
    assert ages["rollups"] == pytest.approx(39, abs=10)
    assert ages["timers"] is None


def test_the_horizon__shows_a_transaction_that_stands_still(house: House) -> None:
    from django.db import transaction

    assert read(house).feed_horizon_age == 0
    with transaction.atomic():
        house.task()
        ages: list[float] = []
        time.sleep(0.3)
        together(lambda: ages.append(read(house).feed_horizon_age))
    assert 0.3 <= ages[0] < 20


def test_redis__is_asked_for_a_bounded_time(house: House) -> None:
    assert read(house).is_redis_ok
    with override_settings(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"):
        began = time.monotonic()
        assert not read(house).is_redis_ok
        assert time.monotonic() - began < 2


def test_recount__is_shown(house: House) -> None:
    assert read(house).recount is None
    recount()
    shown = read(house).recount
    assert shown is not None
    assert shown.drift == 0
    assert read(house).database_bytes > 1_000_000


def test_system__refused_without_its_scope(house: House) -> None:
    with pytest.raises(ScopeMissing):
        system(actor=replace(operator(house.organisation.id), scopes=frozenset()))


# --- processes ------------------------------------------------------------------------------------


def process(**changes: Any) -> Process:
    at = clock.now()
    values = {"name": "web", "host": "here", "pid": 1, "version": "0", "started_at": at}
    return Process.objects.create(**{**values, "seen_at": at, **changes})


def test_a_process__is_dead_when_it_was_not_seen_for_8_s(house: House) -> None:
    at = clock.now()
    process(name="a", seen_at=at - timedelta(seconds=2))
    process(name="b", seen_at=at - timedelta(seconds=9))
    process(name="c", seen_at=at - timedelta(minutes=11))
    assert [(row.name, row.is_alive) for row in read(house).processes] == [
        ("a", True), ("b", False), ("c", False),
    ]  # fmt: skip
    delete_dead_processes()
    assert [row.name for row in read(house).processes] == ["a", "b"]


def test_a_heartbeat__writes_and_deletes_its_row(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    drains = heartbeat.DrainLog()
    monkeypatch.setattr(heartbeat, "drain_log", drains)
    heartbeat.start("web")
    heartbeat.start("web")
    try:
        first = _wait(Process.objects.first)
        assert (first.name, first.version, first.last_drain) == ("web", VERSION, "")
        assert first.last_drain_at is None
        drains.began("timers")
        second = _wait(lambda: Process.objects.filter(last_drain="timers").first())
        assert second.id == first.id
        assert second.seen_at > first.seen_at
        assert abs(second.started_at - first.started_at) < timedelta(seconds=1)
        assert second.last_drain_at == pytest.approx(second.seen_at, abs=timedelta(seconds=0.01))
        drains.ended("timers")
        time.sleep(0.3)
        third = _wait(Process.objects.first)
        assert third.seen_at - third.last_drain_at > timedelta(seconds=0.1)
        assert Process.objects.count() == 1
        end_of_idle_connections = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'process AS'"
        with connection.cursor() as cursor:
            cursor.execute(end_of_idle_connections + " AND state = 'idle'")
            assert cursor.fetchone()[0] == 0, "no connection is kept between two beats"
    finally:
        heartbeat.stop()
    assert Process.objects.count() == 0


def test_a_heartbeat__goes_on_after_an_error(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE operations_process RENAME TO operations_elsewhere")
    heartbeat.start("web")
    try:
        time.sleep(0.3)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE operations_elsewhere RENAME TO operations_process")
        assert _wait(Process.objects.first).name == "web"
    finally:
        heartbeat.stop()


def _wait(look: Any) -> Any:
    ends = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found
