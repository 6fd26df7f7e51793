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


KEYS = """
SELECT c.conname FROM pg_constraint c
JOIN pg_attribute source ON source.attrelid = c.conrelid AND source.attname = 'organisation_id'
JOIN pg_attribute target ON target.attrelid = c.confrelid AND target.attname = 'organisation_id'
WHERE c.contype = 'f' AND NOT source.attnum = ANY (c.conkey)
    -- The event's own key to the task contains it.
    AND c.conname <> 'tasks_task_status_has_its_event'
"""

# Columns that name a row of another table without a key, and why.
WITHOUT_KEY = {
    "accounts_auditevent.actor_id": "an actor may be deleted",
    "accounts_auditevent.subject_id": "a subject may be deleted",
    "accounts_oauthapplication.client_id": "its own name",
    "accounts_staffaccess.session_id": "a session ends before the access does",
    "agents_agentsession.session_id": "its own name",
    "events_event.actor_id": "an actor may be deleted",
    "events_eventconsumer.event_id": "a position",
    "events_eventnote.actor_id": "an actor may be deleted",
    "matching_parkedrequirement.organisation_id": "the requirement's",
    "matching_parkedrequirement.requirement_id": "a requirement is deleted before its parked row",
    "notices_notice.subject_id": "of several tables",
    "operations_bridgecursor.last_delivery_id": "a name, for receivers",
    "operations_bridgecursor.subject_id": "of messages, which are deleted before",
    "operations_bridgedue.organisation_id": "the subscription's; a key would lock its row",
    "operations_bridgedue.subscription_id": "a row of a queue, which may outlive it",
    "operations_bridgeinstance.wire_id": "its own name",
    "operations_bridgesubscription.delivery_id": "a delivery may be deleted before",
    "operations_bridgesubscription.group_id": "a name of the chat system",
    "operations_bridgesubscription.peer_id": "a name of the chat system",
    "operations_bridgesubscription.thread_id": "a name of the chat system",
    "operations_bridgesubscription.wire_id": "its own name",
    "operations_logentry.run_id": "kept when the run is gone",
    "operations_rundetails.session_id": "its own name, of an app above",
    "operations_runreview.delivery_id": "the reviewer's own name",
    "operations_runreview.reviewer_channel_id": "the name of a channel",
    "operations_runreview.reviewer_peer_id": "its own name, of an app above",
    "operations_runreview.reviewer_session_id": "its own name, of an app above",
    "operations_taskdetails.wire_id": "its own name",
    "operations_forcewindow.session_id": "the name of a session, as its agent chose it",
    "operations_listedcount.organisation_id": "a fold waits for no lock",
    "operations_listedcount.pool_id": "a fold waits for no lock",
    "operations_listedtask.organisation_id": "a fold waits for no lock",
    "operations_listedtask.pool_id": "a fold waits for no lock",
    "operations_listedtask.run_id": "a fold waits for no lock",
    "operations_listedtask.session_id": "the name of a session, as its agent chose it",
    "operations_listedtask.task_id": "a fold deletes it, with what it adds to the counts",
    "operations_touchedtask.organisation_id": "the task's; a key would lock its row",
    "operations_touchedtask.session_id": "the name of a session, as its agent chose it",
    "operations_touchedtask.task_id": "a task that was deleted is touched, too",
    "operations_taskchange.organisation_id": "the task's; a key would lock its row",
    "operations_taskcount.organisation_id": "a fold waits for no lock",
    "operations_tasktiming.organisation_id": "a fold waits for no lock",
    "reviews_appeal.decider_member_id": "a member may leave",
    "reviews_appeal.verdict_member_id": "a member may leave",
    "reviews_secondlook.decider_member_id": "a member may leave",
    "reviews_secondlook.verdict_member_id": "a member may leave",
    "reviews_review.reviewer_member_id": "a member may leave",
    "sandbox_step.subject_id": "of several tables",
    "tasks_message.member_id": "a member may leave",
    "tasks_purge.organisation_id": "the task's",
    "tasks_purge.task_id": "a row of a queue, which the task outlives",
    "tasks_requirement.organisation_id": "the task's",
    "tasks_retentionchange.after_id": "a position",
    "tasks_task.named_pool_id": "in a sandbox, a pool of its live organisation",
    "tasks_task.preferred_worker_id": "a worker that matching looks for in the organisation",
    "tasks_task.review_id": "a review of a higher app, whose own key names the task",
    "tasks_task.request_id": "the caller's own name",
    "tasks_task.requirement_id": "a requirement that was deleted is made again",
    "timers_timer.organisation_id": "the subject's",
    "timers_timer.subject_id": "of several tables",
    "webhooks_delivery.recovery_id": "a recovery is deleted before its deliveries",
    "webhooks_delivery.subject_id": "of several tables",
    "webhooks_message.organisation_id": "the subject's",
    "webhooks_message.subject_id": "of several tables",
}
COLUMNS = """
SELECT t.relname || '.' || a.attname FROM pg_attribute a
JOIN pg_class t ON t.oid = a.attrelid AND t.relkind = 'r'
JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = current_schema()
JOIN pg_attribute o ON o.attrelid = t.oid AND o.attname = 'organisation_id'
WHERE a.attname LIKE '%\\_id' AND a.attnum > 0 AND NOT EXISTS (
    SELECT FROM pg_constraint c
    WHERE c.conrelid = t.oid AND c.contype = 'f' AND a.attnum = ANY (c.conkey))
"""


def test_a_key_between_tables_of_an_organisation__contains_the_organisation(
    database: None,
) -> None:
    single = column(KEYS)
    assert not single, f"{single}: mend by apps.base.sql.same_organisation, db_constraint=False"
    without = set(column(COLUMNS))
    assert without == WITHOUT_KEY.keys(), (
        f"{without ^ WITHOUT_KEY.keys()}: mend by apps.base.sql.same_organisation, or give the"
        " reason in WITHOUT_KEY"
    )


def column(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()]


def test_a_subject_has_one_timer_of_a_kind(house: House) -> None:
    run = house.accepted()
    timer = Timer.objects.get(subject_id=run.id)
    timer.pk = new_id()
    with pytest.raises(IntegrityError, match="timer_once_per_subject"):
        timer.save(force_insert=True)
