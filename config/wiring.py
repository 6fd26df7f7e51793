"""Connect the apps: reactions to transitions, wake-ups, timers.

An app does not import the apps above it; it calls what is registered here. Reactions run inside the
transition's transaction and only add rows to it (see apps/tasks/transitions.py). Wake-ups are sent
after its commit and may be lost without harm.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.signals import request_started

from apps.accounts import services as accounts
from apps.accounts.principal import Principal
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.selectors.audit_keys import audit_key_place
from apps.accounts.sessions import PLACE as SESSIONS
from apps.agents import services as agents
from apps.agents.selectors import LOST_SQL, SESSION_SQL, proposer_of
from apps.api.services import delete_old_keys, delete_responses_about, delete_responses_naming
from apps.api.streams.payload_extensions import PAYLOAD_EXTENSIONS
from apps.api.v1.representations.tasks import headline
from apps.base import reencryption, wake
from apps.base.connections import close_ended_connections
from apps.base.reencryption import SealedColumn, SealedDocument
from apps.base.rows import Change
from apps.events.models import Event
from apps.events.selectors import shown_data
from apps.matching import services as matching
from apps.matching.changes import (
    ESCALATION,
    OFFER,
    REJECTED,
    next_step_timer,
    offers_withdrawal,
    recheck_request,
    released_offer,
)
from apps.notices.changes import (
    due_soon_notice,
    message_notice,
    offer_notices,
    pool_note_notice,
    review_notices,
)
from apps.notices.selectors import device_place, push_key_place
from apps.operations import selectors as operations
from apps.operations import services as operator_tasks
from apps.operations.changes import AUTO_ENQUEUE, enqueue_timer, operator_log, task_change
from apps.pools import selectors as pool_selectors
from apps.pools import services as pool_services
from apps.pools.changes import AVAILABILITY, POOL_CLOSED
from apps.pools.models import PoolNote
from apps.reviews import services as reviews
from apps.reviews.changes import REVIEW_AUTO, REVIEW_DUE, expired_review
from apps.reviews.selectors import find_proposers_by, sampling_key_place
from apps.sandbox import services as sandbox
from apps.sandbox.changes import next_steps
from apps.tasks import services as tasks
from apps.tasks.changes import (
    DEPENDENCY,
    LEASE,
    RETENTION,
    dependents_timer,
    gate_closing,
    gate_opening,
    retention_timer,
)
from apps.tasks.services.sla import Clock, next_check
from apps.tasks.transitions import AppliedTransition, react, wake_on
from apps.teams import services as teams
from apps.teams.changes import TEAM_WINDOW
from apps.timers import services as timers
from apps.timers.changes import timer_deletion, timer_upsert
from apps.timers.models import Timer
from apps.ui.adapters import SECOND_FACTORS
from apps.webhooks import changes as webhook_changes
from apps.webhooks import services as webhooks
from apps.webhooks.credentials import credentials_place
from apps.webhooks.destination_urls import callback_faults
from apps.webhooks.outbound_event import OutboundEvent
from apps.webhooks.selectors import bodies, key_place
from biolayer.contract import TaskContract
from biolayer.events import SILENT
from biolayer.lifecycle import CLOSED, MATCHING, OUTPUT_SHOWN, EventType, Status
from config.drains import DRAINS

ANNOUNCED = [event for event in EventType if event is not EventType.DRAFTED]
# Those that may change a figure of operators: see apps/operations/changes.py.
COUNTED = [event for event in ANNOUNCED if event not in (EventType.MESSAGE, EventType.ESCALATED)]

# Every column of encrypted secrets; `manage.py reencrypt` encrypts them again.
SEALED = (
    SealedColumn("webhooks_signingkey", key_place),
    SealedColumn("webhooks_destination", credentials_place),
    # A key of the installation belongs to no organisation.
    SealedColumn("accounts_auditkey", audit_key_place, owner=f"'{UUID(int=0)}'::uuid"),
    SealedColumn("reviews_samplingkey", sampling_key_place, owner=f"'{UUID(int=0)}'::uuid"),
    SealedColumn("notices_device", device_place),
    SealedColumn("notices_pushkey", push_key_place, owner=f"'{UUID(int=0)}'::uuid"),
    SealedDocument("mfa_authenticator", "data", "id", "bigint", "jsonb", SECOND_FACTORS),
    SealedDocument(
        "accounts_browsersession", "session_data", "session_key", "text", "text", SESSIONS
    ),
)
ENDED = [EventType.CANCELLED, EventType.FAILED]
SLA_TIMER = "sla_{}"


def connect() -> None:
    """Register all reactions, wake-ups and timers. Called once, when Django is ready."""
    request_started.connect(close_ended_connections)
    for drain in DRAINS:
        wake.register(drain.name, job=drain.job)
        operations.register_drain(drain.name, due_since=drain.due_sql())
    operations.register_sessions(session_of_run=SESSION_SQL, is_lost=LOST_SQL)
    for column in SEALED:
        reencryption.register(column)
    tasks.add_check(callback_faults)
    tasks.add_shared_rows(callback_origin)
    webhooks.add_pool_check(may_use_pool)
    webhooks.listen_to_notifications(operator_tasks.note_attempts)
    react([EventType.CREATED, EventType.DRAFTED], open_callback)
    react([EventType.QUEUED, EventType.HELD], reopen_callback)
    react([EventType.CREATED, EventType.QUEUED, EventType.UPDATED], start_sla_clocks)
    react(ANNOUNCED, announce_event)
    react(COUNTED, count_task)
    react(ENDED, withdraw_offers)
    react([EventType.QUEUED], match_task)
    react([EventType.QUEUED], note_release)
    react([EventType.ESCALATED], match_again)
    react([EventType.UPDATED], match_changed)
    pool_services.react_to_policy_changes(matching.apply_pool_policy)
    react([EventType.COMPLETED, EventType.QUEUED, EventType.HELD], change_gates)
    react(ENDED, set_dependents_timer)
    react([EventType.COMPLETED], enqueue_dependents)
    react([EventType.HELD, EventType.SUBMITTED, *ENDED], log_for_operators)
    react([EventType.COMPLETED, *ENDED], stop_sla_clocks)
    accounts.react_to_joining(pool_services.make_invited_worker)
    accounts.equip_sandboxes(sandbox.equip_sandbox)
    react([EventType.OFFERED, EventType.ACCEPTED, EventType.STARTED], simulate_workers)
    # Without a wake-up: most of these events tell no worker, and the ticker finds a due notice
    # within half a second.
    react([EventType.OFFERED], tell_of_offers)
    react([EventType.SLA_AT_RISK], tell_of_deadline)
    react([EventType.MESSAGE], tell_of_message)
    pool_services.react_to_notes(tell_of_note)
    react([EventType.COMPLETED, *ENDED], start_retention)
    pool_services.drop_documents_by(tasks.drop_files)
    tasks.add_purger(matching.purge_offers)
    tasks.add_purger(agents.purge_claims)
    tasks.add_purger(operator_tasks.purge_details)
    tasks.add_purger(webhooks.purge_subjects)
    tasks.add_purger(delete_stored_responses)
    tasks.add_early_purger(delete_all_responses)
    tasks.before_purges(lambda at: delete_old_keys(at=at))
    PAYLOAD_EXTENSIONS["webhook"] = webhook_payloads
    _register_wakes()
    _register_timers()
    _register_reviews()
    _register_teams()


def _register_wakes() -> None:
    """Say which drain has work after which event."""
    wake_on(ANNOUNCED, "deliveries")
    # A new task may be queued at once, and a completed one may open the gates of its dependents.
    wake_on([EventType.CREATED, EventType.COMPLETED], "intake")
    # The dependents of a task that failed or was cancelled are failed by a timer that is due.
    wake_on(ENDED, "timers")
    wake_on([EventType.SUBMITTED], "verification")
    # A task was queued, or workers are free again: also those with another offer of an accepted
    # task.
    frees = [EventType.ACCEPTED, EventType.SUBMITTED, EventType.HELD, *ENDED]
    wake_on([EventType.QUEUED, EventType.ESCALATED, EventType.UPDATED, *frees], "matching")


def _register_timers() -> None:
    """Say what happens when a timer of each kind is due."""
    timers.register(LEASE, expire_lease)
    timers.register(OFFER, expire_offer)
    timers.register(ESCALATION, escalate)
    timers.register(AVAILABILITY, update_availability, update_availabilities)
    timers.register(DEPENDENCY, fail_dependents)
    timers.register(AUTO_ENQUEUE, enqueue_waiting)
    timers.register(RETENTION, end_retention, end_retentions)
    timers.register(POOL_CLOSED, fail_stranded)
    for clock in Clock:
        timers.register(SLA_TIMER.format(clock), sla_handler(clock), sla_batch_handler(clock))


def _register_reviews() -> None:
    """Register what holds submitted tasks for reviews."""
    tasks.decide_reviews_by(reviews.decide_on_review)
    find_proposers_by(proposer_of)
    tasks.add_purger(reviews.purge_reviews)
    reviews.react_to_reviews(review_notices)
    react([EventType.FAILED], expire_review)
    react([EventType.REVIEW_DECIDED], bar_rejected_worker)
    react([EventType.APPEAL_DECIDED], lift_bar)
    timers.register(REVIEW_DUE, report_overdue_review)
    timers.register(REVIEW_AUTO, auto_approve_review)


def _register_teams() -> None:
    """Register the windows of teams, and what closing a pool does to its team."""
    timers.register(TEAM_WINDOW, open_window)
    pool_services.react_to_closing(archive_team)


def may_use_pool(actor: Principal, pool_id: UUID) -> bool:
    return bool(pool_selectors.usable_pools(actor=actor, pool_ids=[pool_id]))


def callback_origin(organisation_id: UUID, contract: TaskContract) -> Iterable[Change]:
    """Return the row of a callback's origin, which all tasks with callbacks there share."""
    url = contract.handoff.callback_url
    return [webhook_changes.callback_origin(organisation_id, url)] if url else []


def open_callback(moved: AppliedTransition) -> Iterable[Change]:
    """Give a task with a callback a destination of its own, under the task's id."""
    contract = moved.contract
    if contract is None or not contract.handoff.callback_url:
        return []
    return webhook_changes.callback_destination(
        task_id=moved.task.id,
        organisation_id=moved.task.organisation_id,
        handoff=contract.handoff,
    )


def reopen_callback(moved: AppliedTransition) -> Iterable[Change]:
    """Restore the destination of a reopened task: it may have been deleted after the task ended."""
    task = moved.task
    if not task.callback_url or moved.event.previous_status not in CLOSED:
        return []
    return webhook_changes.restored_callback_destination(
        task_id=task.id,
        organisation_id=task.organisation_id,
        url=task.callback_url,
        max_retries=task.max_retries,
        backoff_seconds=task.backoff_seconds,
    )


def announce_event(moved: AppliedTransition) -> Iterable[Change]:
    """Send an event to the endpoints that subscribe to it and to the task's callback.

    Silent events do not go to the callback.
    """
    callback_url = "" if moved.event.type in SILENT else moved.task.callback_url
    return webhook_changes.event_fan_out(outbound_event(moved), callback_url=callback_url)


def count_task(moved: AppliedTransition) -> Iterable[Change]:
    return task_change(task=moved.task, event=moved.event, before=moved.before)


def outbound_event(moved: AppliedTransition) -> OutboundEvent:
    """Return the event in the form that webhooks send."""
    task, event = moved.task, moved.event
    data = {
        **shown_data(event),
        "task_id": str(task.id),
        "sequence": event.sequence,
        "status": event.status,
        "previous_status": event.previous_status or None,
        **headline(task),
    }
    data.pop("reason_hash", None)  # It is of the log, not of the event.
    if event.status in OUTPUT_SHOWN:
        data["output"] = task.output
    return OutboundEvent(
        organisation_id=task.organisation_id,
        subject_id=task.id,
        sequence=event.sequence,
        event_type=event.type,
        occurred_at=event.occurred_at,
        data=data,
        pool_ids=task.pool_ids,
        domain=task.domain,
    )


def webhook_payloads(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return for each event of the feed its webhook body (`payload=webhook`).

    None where the body has been deleted.
    """
    by_event = bodies([(event.task_id, event.sequence) for event in events])
    return [{"webhook": by_event.get((event.task_id, event.sequence))} for event in events]


def start_sla_clocks(moved: AppliedTransition) -> Iterable[Change]:
    """Set the SLA timers when a task is created, and again when it is reopened or changed."""
    if moved.event.type == EventType.QUEUED and moved.event.previous_status not in CLOSED:
        return
    for clock in Clock:
        due_at = next_check(moved.task, clock)
        if due_at is not None:
            yield timer_upsert(
                organisation_id=moved.task.organisation_id,
                kind=SLA_TIMER.format(clock),
                subject_id=moved.task.id,
                due_at=due_at,
            )


def stop_sla_clocks(moved: AppliedTransition) -> Iterable[Change]:
    assert moved.task.status in CLOSED
    yield timer_deletion(subject_id=moved.task.id, kept=[RETENTION, AUTO_ENQUEUE])


def start_retention(moved: AppliedTransition) -> Iterable[Change]:
    yield retention_timer(task=moved.task, closed_at=moved.event.occurred_at)


def delete_all_responses(task_ids: Sequence[UUID]) -> Collection[UUID]:
    delete_responses_naming(task_ids=task_ids)
    return []


def delete_stored_responses(task_ids: Sequence[UUID]) -> Collection[UUID]:
    delete_responses_about(task_ids=task_ids)
    return []


def withdraw_offers(moved: AppliedTransition) -> Iterable[Change]:
    return offers_withdrawal(task_id=moved.task.id, at=moved.event.occurred_at)


def match_task(moved: AppliedTransition) -> Iterable[Change]:
    """Have a queued task matched, and schedule the next step of its escalation policy."""
    yield from match_again(moved)
    yield next_step_timer(moved.task)


def note_release(moved: AppliedTransition) -> Iterable[Change]:
    """Have matching know why a worker released a run, if it said so by a code."""
    facts = moved.event.data
    if "code" in facts and "run_id" in facts:
        yield released_offer(
            task_id=moved.task.id,
            run_id=UUID(facts["run_id"]),
            worker_id=UUID(facts["worker_id"]),
            code=facts["code"],
        )


def bar_rejected_worker(moved: AppliedTransition) -> Iterable[Change]:
    """Have matching never offer the task again to a worker whose output was rejected."""
    facts = moved.event.data
    if facts["verdict"] == "rejected":
        yield released_offer(
            task_id=moved.task.id,
            run_id=UUID(facts["run_id"]),
            worker_id=UUID(facts["worker_id"]),
            code=REJECTED,
        )


def lift_bar(moved: AppliedTransition) -> Iterable[Change]:
    """Let a worker have the task again after the rejection of its output was overturned."""
    facts = moved.event.data
    if (facts["verdict"], facts["decision"]) == ("rejected", "overturned"):
        yield released_offer(
            task_id=moved.task.id,
            run_id=UUID(facts["run_id"]),
            worker_id=UUID(facts["worker_id"]),
            code="",
        )


def expire_review(moved: AppliedTransition) -> Iterable[Change]:
    """End the review of a task that failed without a verdict."""
    if moved.event.previous_status == Status.SUBMITTED:
        yield expired_review(task_id=moved.task.id, at=moved.event.occurred_at)


def match_again(moved: AppliedTransition) -> Iterable[Change]:
    yield recheck_request(moved.task)


def match_changed(moved: AppliedTransition) -> Iterable[Change]:
    """Have a task that waits matched again after its requirements changed."""
    if moved.task.status in MATCHING:
        yield recheck_request(moved.task)


def change_gates(moved: AppliedTransition) -> Iterable[Change]:
    """Open the gates of a completed task's dependents; close them again when it is reopened.

    A failed task that is reopened no longer fails its dependents.
    """
    if moved.event.type == EventType.COMPLETED:
        yield gate_opening(task_id=moved.task.id)
    elif moved.event.previous_status == Status.COMPLETED:
        yield gate_closing(task_id=moved.task.id)
        yield timer_deletion(subject_id=moved.task.id)  # Of its retention.
    elif moved.event.previous_status == Status.FAILED:
        yield timer_deletion(subject_id=moved.task.id)


def set_dependents_timer(moved: AppliedTransition) -> Iterable[Change]:
    yield dependents_timer(task=moved.task, at=moved.event.occurred_at)


def log_for_operators(moved: AppliedTransition) -> Iterable[Change]:
    """Log for `/api` what another API or a timer did to a task that only claims hand out."""
    return operator_log(task=moved.task, event=moved.event, also=moved.also)


def enqueue_dependents(moved: AppliedTransition) -> Iterable[Change]:
    yield enqueue_timer(task=moved.task, at=moved.event.occurred_at)


def simulate_workers(moved: AppliedTransition) -> Iterable[Change]:
    """Have simulated workers do what follows on an event in a sandbox."""
    if not is_of_sandbox(moved.task.organisation_id):
        return []
    wake.wake("sandbox")
    return next_steps(moved.task, moved.event)


def tell_of_offers(moved: AppliedTransition) -> Iterable[Change]:
    return offer_notices(moved.event)


def tell_of_deadline(moved: AppliedTransition) -> Iterable[Change]:
    yield due_soon_notice(task_id=moved.task.id, at=moved.event.occurred_at)


def tell_of_message(moved: AppliedTransition) -> Iterable[Change]:
    """Tell a task's worker of a message that is not its own."""
    if moved.event.data["author_kind"] != "worker":
        yield message_notice(task_id=moved.task.id, at=moved.event.occurred_at)


def tell_of_note(note: PoolNote) -> Iterable[Change]:
    yield pool_note_notice(pool_id=note.pool_id, note_id=note.id, at=note.created_at)


def expire_lease(timer: Timer, at: datetime) -> datetime | None:
    return tasks.lapse_run(run_id=timer.subject_id, at=at)


def update_availability(timer: Timer, at: datetime) -> datetime | None:
    return pool_services.refresh_availability(worker_id=timer.subject_id, at=at)


def update_availabilities(
    subject_ids: Sequence[UUID], at: datetime
) -> Mapping[UUID, datetime | None]:
    return pool_services.refresh_availabilities(worker_ids=subject_ids, at=at)


def expire_offer(timer: Timer, at: datetime) -> datetime | None:
    matching.expire_offer(offer_id=timer.subject_id, at=at)
    return None


def escalate(timer: Timer, at: datetime) -> datetime | None:
    return matching.escalate(task_id=timer.subject_id, at=at)


def fail_dependents(timer: Timer, at: datetime) -> datetime | None:
    return tasks.fail_dependents(task_id=timer.subject_id, at=at)


def enqueue_waiting(timer: Timer, at: datetime) -> datetime | None:
    return operator_tasks.enqueue_dependents(task_id=timer.subject_id, at=at)


def end_retention(timer: Timer, at: datetime) -> datetime | None:
    return tasks.queue_purges(task_ids=[timer.subject_id], at=at)[timer.subject_id]


def end_retentions(subject_ids: Sequence[UUID], at: datetime) -> Mapping[UUID, datetime | None]:
    return tasks.queue_purges(task_ids=subject_ids, at=at)


def report_overdue_review(timer: Timer, at: datetime) -> datetime | None:
    return reviews.report_overdue(review_id=timer.subject_id, at=at)


def auto_approve_review(timer: Timer, at: datetime) -> datetime | None:
    return reviews.auto_approve_review(review_id=timer.subject_id, at=at)


def open_window(timer: Timer, at: datetime) -> datetime | None:
    return teams.open_window(team_id=timer.subject_id, at=at)


def archive_team(pool_id: UUID, at: datetime) -> None:
    teams.archive_closed(pool_id=pool_id, at=at)


def fail_stranded(timer: Timer, at: datetime) -> datetime | None:
    return matching.fail_stranded_tasks(pool_id=timer.subject_id, at=at)


def sla_handler(clock: Clock) -> timers.Handler:
    def handle(timer: Timer, at: datetime) -> datetime | None:
        return tasks.watch_sla(task_id=timer.subject_id, clock=clock, at=at)

    return handle


def sla_batch_handler(clock: Clock) -> timers.BatchHandler:
    def handle_batch(subject_ids: Sequence[UUID], at: datetime) -> Mapping[UUID, datetime | None]:
        return tasks.watch_slas(task_ids=subject_ids, clock=clock, at=at)

    return handle_batch
