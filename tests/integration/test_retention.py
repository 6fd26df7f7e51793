"""Test the end of a task's retention: what is deleted, what stays, and what prevents it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.models import AuditEvent, Organisation
from apps.accounts.principal import Principal, system
from apps.accounts.services import chain_audit_events
from apps.base import clock
from apps.events.models import Event, EventNote
from apps.events.selectors import facts
from apps.tasks import services as tasks
from apps.tasks.models import LegalHold, Purge, RetentionChange, Task
from apps.timers import services as timers
from apps.timers.models import Timer
from apps.webhooks.models import Delivery, Destination, Message
from biolayer import chain
from biolayer.errors import TaskPurged
from tests.factories import House
from tests.retention_steps import CANARY, found, full_task, tables_with

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def after(task: Task, days: float) -> datetime:
    assert task.closed_at is not None
    return task.closed_at + days * DAY


def pass_time(at: datetime) -> None:
    """Fire the timers that are due, and purge until nothing is due."""
    while timers.fire_due(at=at):
        pass
    while tasks.purge_due(at=at):
        pass
    tasks.delete_due_files(at=at)


def purged(task: Task) -> bool:
    return Task.objects.get(id=task.id).purged_at is not None


def admin(house: House) -> Principal:
    return system("test", house.organisation.id)


def is_intact(task: Task) -> bool:
    events = [
        {**facts(event), "prev_hash": bytes(event.prev_hash).hex(), "hash": bytes(event.hash).hex()}
        for event in Event.objects.filter(task_id=task.id).order_by("sequence")
    ]
    return bool(events) and chain.first_broken(events) is None


# --- what is deleted ------------------------------------------------------------------------------


def test_purge__leaves_the_canary_nowhere(house: House) -> None:
    task = full_task(house)
    before = {line.split(":")[0] for line in tables_with(CANARY)}
    assert before >= {
        "tasks_task",
        "tasks_run",
        "tasks_draft",
        "tasks_message",
        "tasks_evidence",
        "matching_offer",
        "events_eventnote",
        "webhooks_message",
        "webhooks_destination",
        "api_idempotencykey",
    }
    pass_time(after(task, 29.9))
    assert not purged(task)
    pass_time(after(task, 30))
    assert purged(task)
    assert found() == []
    assert found("threatlabs") != []
    assert is_intact(task)
    assert (Purge.objects.count(), Timer.objects.filter(kind="retention").count()) == (0, 0)


def test_purge__the_tombstone_is_shown(house: House) -> None:
    task = full_task(house)
    path = f"/v1/tasks/{task.id}"
    before = house.alice.get(path).json()
    events = house.alice.get(f"{path}/events").json()["data"]
    assert [event["data"].get("reason") for event in events].count(CANARY) == 1
    pass_time(after(task, 30))
    shown = house.alice.get(path).json()
    changed = {name for name in shown if shown[name] != before[name]}
    assert changed == {
        "title",
        "instructions",
        "context",
        "origin",
        "output",
        "output_contract",
        "handoff",
        "purged_at",
    }
    assert (shown["title"], shown["context"], shown["output"]) == ("", {}, None)
    assert shown["origin"] == {**before["origin"], "created_by": ""}
    later = house.alice.get(f"{path}/events").json()["data"]
    assert [event["hash"] for event in later] == [event["hash"] for event in events]
    assert chain.first_broken(later) is None
    assert chain.first_broken(events) is None
    (listed,) = house.alice.get("/v1/tasks").json()["data"]
    assert listed == shown


def test_purge__a_reason_is_hashed_by_its_key_only(house: House) -> None:
    task = house.task()
    house.alice.post(f"/v1/tasks/{task.id}/cancel", {"reason": CANARY})
    (event,) = Event.objects.filter(type="task.cancelled")
    assert {*event.data} == {"reason_hash"}
    assert EventNote.objects.get().note == CANARY
    pass_time(after(Task.objects.get(id=task.id), 365))
    assert not EventNote.objects.exists()
    assert found() == []
    assert is_intact(task)


def test_purge__deletes_what_was_not_delivered(house: House) -> None:
    task = full_task(house)
    other = house.task(handoff={"callback_url": "https://other.example/hook"})
    pass_time(after(task, 30))
    assert {*Delivery.objects.values_list("subject_id", flat=True)} == {other.id}
    assert {*Message.objects.values_list("subject_id", flat=True)} == {other.id}
    assert {*Destination.objects.values_list("id", flat=True)} == {other.id}


def test_purge__a_repeated_request_returns_the_tombstone(house: House) -> None:
    from tests.retention_steps import full_contract

    origin = {"product": "threatlabs", "request_id": "IR-1", "created_by": CANARY}
    task = full_task(house, origin=origin)
    # A response that is stored shortly before the purge has the whole content.
    repeated = house.alice.post(
        "/v1/tasks", full_contract(origin=origin), **{"Idempotency-Key": "x"}
    )
    assert (repeated.status_code, repeated.json()["title"]) == (200, f"Call {CANARY}")
    pass_time(after(task, 30))
    assert found() == []
    repeated = house.alice.post("/v1/tasks", full_contract(origin=origin))
    assert (repeated.status_code, repeated.json()["title"]) == (200, "")


def test_purge__what_is_locked_elsewhere_is_purged_later(house: House) -> None:
    import threading

    task = full_task(house)
    locked, ended = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Delivery.objects.filter(subject_id=task.id).select_for_update()[:1])
            locked.set()
            ended.wait(20)
        connection.close()

    other = threading.Thread(target=hold)
    other.start()
    assert locked.wait(10)
    at = after(task, 30)
    pass_time(at)
    assert not purged(task)
    ended.set()
    other.join(10)
    pass_time(at + timedelta(seconds=10))
    assert purged(task)
    assert found() == []


# --- when -----------------------------------------------------------------------------------------


def test_retention__a_cancelled_task_by_the_organisations_default(house: House) -> None:
    Organisation.objects.filter(id=house.organisation.id).update(retain_days=10)
    task = house.task()
    house.alice.post(f"/v1/tasks/{task.id}/cancel")
    task.refresh_from_db()
    pass_time(after(task, 9.9))
    assert not purged(task)
    pass_time(after(task, 10))
    assert purged(task)


def test_retention__a_shorter_default_counts_at_once(house: House) -> None:
    own = house.completed(audit={"retain_days": 300})
    task = house.completed()
    old = house.completed(at=clock.now() - 20 * DAY)
    RetentionChange.objects.all().delete()
    Organisation.objects.filter(id=house.organisation.id).update(retain_days=10)
    assert RetentionChange.objects.count() == 1
    pass_time(clock.now())
    assert RetentionChange.objects.count() == 0
    assert (purged(old), purged(task), purged(own)) == (True, False, False)
    pass_time(after(task, 10))
    assert (purged(task), purged(own)) == (True, False)


def test_retention__a_longer_default_postpones(house: House) -> None:
    task = house.completed()
    RetentionChange.objects.all().delete()
    Organisation.objects.filter(id=house.organisation.id).update(retain_days=400)
    assert RetentionChange.objects.count() == 0
    pass_time(after(task, 399))
    assert not purged(task)
    pass_time(after(task, 400))
    assert purged(task)


def test_retention__a_reopened_task_is_kept(house: House) -> None:
    task = house.completed(audit={"retain_days": 30})
    at = after(task, 1)
    tasks.reopen_task(actor=admin(house), task_id=task.id, reason=CANARY, at=at)
    assert not Timer.objects.filter(kind="retention").exists()
    pass_time(after(task, 31))
    assert not purged(task)


def test_retention__a_task_reopened_while_queued_is_kept(house: House) -> None:
    task = house.completed(audit={"retain_days": 30})
    at = after(task, 30)
    timers.fire_due(at=at)
    assert Purge.objects.count() == 1
    tasks.reopen_task(actor=admin(house), task_id=task.id, reason="", at=at)
    pass_time(at)
    assert (purged(task), Purge.objects.count()) == (False, 0)


def test_retention__a_purged_task_cannot_be_reopened(house: House) -> None:
    task = house.completed(audit={"retain_days": 30})
    pass_time(after(task, 30))
    with pytest.raises(TaskPurged):
        tasks.reopen_task(actor=admin(house), task_id=task.id, reason="", at=after(task, 31))


# --- legal holds ----------------------------------------------------------------------------------


def hold(house: House, task: Task | None, at: datetime) -> LegalHold:
    task_id = None if task is None else task.id
    return tasks.place_hold(actor=admin(house), task_id=task_id, reason="Case 1", at=at)


@pytest.mark.parametrize("is_for_all", [False, True])
def test_hold__prevents_the_purge_until_released(house: House, is_for_all: bool) -> None:
    task = house.completed(audit={"retain_days": 30})
    held = hold(house, None if is_for_all else task, after(task, 1))
    pass_time(after(task, 30))
    pass_time(after(task, 31.5))
    assert (purged(task), Purge.objects.count()) == (False, 0)
    # Placed while it holds already.
    other = hold(house, task, after(task, 31))
    tasks.release_hold(actor=admin(house), hold_id=held.id, at=after(task, 32))
    pass_time(after(task, 32))
    assert not purged(task)
    tasks.release_hold(actor=admin(house), hold_id=other.id, at=after(task, 33))
    pass_time(after(task, 33))
    assert purged(task)
    assert [row.action for row in AuditEvent.objects.order_by("id")] == [
        "legal_hold.placed",
        "legal_hold.placed",
        "legal_hold.released",
        "legal_hold.released",
    ]
    assert chain_audit_events() == 1


def test_hold__of_another_organisation_does_not_count(house: House) -> None:
    task = house.completed(audit={"retain_days": 30})
    theirs: Any = system("test", house.charlie.principal.organisation_id)
    tasks.place_hold(actor=theirs, task_id=None, reason="Case 2", at=after(task, 1))
    pass_time(after(task, 30))
    assert purged(task)


def test_hold__on_a_purged_task_is_refused(house: House) -> None:
    task = house.completed(audit={"retain_days": 30})
    pass_time(after(task, 30))
    with pytest.raises(TaskPurged):
        hold(house, task, after(task, 31))
    assert LegalHold.objects.count() == 0
