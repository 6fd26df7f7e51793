"""PostgreSQL itself refuses what its constraints exclude, for every client."""

from typing import Any

import pytest
from django.db import Error, IntegrityError, connection, transaction

from apps.base.ids import new_id
from apps.events.models import Event
from apps.matching.models import Offer
from apps.tasks.models import Run, Task
from apps.timers.models import Timer
from tests.factories import House, worker_in


def refused(sql: str, *params: Any, by: str) -> None:
    """The statement fails, at the latest at its commit, for the reason named."""
    with pytest.raises(Error, match=by), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, params)


def test_an_event_is_never_changed_or_deleted(house: House) -> None:
    task = house.task()
    refused("UPDATE events_event SET type = 'task.completed'", by="append-only")
    refused("DELETE FROM events_event", by="append-only")
    assert Event.objects.get().type == "task.created"
    assert Event.objects.get().task_id == task.id


def test_a_status_cannot_change_without_its_event(house: House) -> None:
    house.queued()
    by_hand = "UPDATE tasks_task SET status = 'created', version = version"
    refused(by_hand, by="tasks_task_status_has_its_event")
    refused("UPDATE tasks_task SET version = 1", by="tasks_task_status_has_its_event")


@pytest.mark.parametrize(
    ("state", "assignment", "constraint"),
    [
        ("queued", "status = 'unheard'", "task_status_is_known"),
        ("queued", "closed_at = now()", "task_closed_at_iff_closed"),
        ("completed", "closed_at = NULL", "task_closed_at_iff_closed"),
        ("accepted", "worker_id = NULL", "task_accepted_has_a_worker"),
        ("queued", "output = '{}'", "task_output_only_when_verified"),
        ("queued", "queued_at = NULL", "task_queued_has_an_attempt"),
        ("queued", "waits_since = NULL", "task_waiting_has_its_clock"),
        ("submitted", "submitted_at = NULL", "task_submitted_has_its_time"),
        ("queued", "attempt = 4", "task_attempts_are_bounded"),
        ("queued", "max_attempts = 11", "task_max_attempts_1_to_10"),
    ],
)
def test_a_status_is_tied_to_its_columns(
    house: House, state: str, assignment: str, constraint: str
) -> None:
    getattr(house, state)()
    refused(f"UPDATE tasks_task SET {assignment}", by=constraint)


@pytest.mark.parametrize(
    ("state", "assignment", "constraint"),
    [
        ("accepted", "worker_id = NULL", "run_held_has_a_holder"),
        ("accepted", "ended_at = now()", "run_ended_at_iff_final"),
        ("submitted", "ended_at = NULL", "run_ended_at_iff_final"),
        ("queued", "lease_until = now()", "run_queued_has_no_holder"),
        ("queued", "status = 'resting'", "run_status_is_known"),
        ("submitted", "started_at = NULL", "run_completed_was_started"),
    ],
)
def test_a_run_is_tied_to_its_columns(
    house: House, state: str, assignment: str, constraint: str
) -> None:
    getattr(house, state)()
    refused(f"UPDATE tasks_run SET {assignment}", by=constraint)


def test_a_task_has_one_open_run(house: House) -> None:
    run = Run.objects.get(task=house.queued())
    with pytest.raises(IntegrityError, match="run_one_open_per_task"):
        Run.objects.create(
            organisation=house.organisation, task_id=run.task_id, attempt=2, queued_at=run.queued_at
        )


def test_a_task_has_one_open_offer(house: House) -> None:
    offer = house.offered()
    offer.pk = new_id()
    with pytest.raises(IntegrityError, match="offer_one_open_per_task"):
        offer.save(force_insert=True)
    assert Offer.objects.count() == 1


def test_a_load_is_never_negative(house: House) -> None:
    refused("UPDATE pools_worker SET load = -1", by="worker_load_is_never_negative")


def test_rows_stay_inside_their_organisation(house: House) -> None:
    task = house.queued()
    stranger, _ = worker_in(house.strangers_pool)
    refused(
        "UPDATE tasks_task SET pool_id = %s",
        house.strangers_pool.id,
        by="tasks_task_pool_id_in_organisation",
    )
    refused(
        "UPDATE pools_membership SET pool_id = %s WHERE pool_id = %s",
        house.strangers_pool.id,
        house.pool.id,
        by="pools_membership_pool_id_in_organisation",
    )
    refused(
        "UPDATE accounts_apikey SET worker_id = %s WHERE worker_id = %s",
        stranger.id,
        house.bobs_worker.id,
        by="accounts_apikey_worker_id_in_organisation",
    )
    refused(
        "UPDATE tasks_run SET organisation_id = %s",
        house.strangers_pool.organisation_id,
        by="tasks_run_task_id_in_organisation",
    )
    assert Task.objects.get().id == task.id


def test_a_subject_has_one_timer_of_a_kind(house: House) -> None:
    run = house.accepted()
    timer = Timer.objects.get(subject_id=run.id)
    timer.pk = new_id()
    with pytest.raises(IntegrityError, match="timer_once_per_subject"):
        timer.save(force_insert=True)
