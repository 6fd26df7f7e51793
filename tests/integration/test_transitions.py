"""Each service makes exactly the transition of the table, with its rows; refused, it makes none."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.accounts import principal
from apps.accounts.scopes import Role
from apps.base import clock
from apps.base.transactions import atomic
from apps.events.models import Event
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.pools.models import Worker
from apps.reviews import services as reviews
from apps.tasks import services as tasks
from apps.tasks.models import Run, RunStatus, Task
from apps.tasks.selectors import open_run
from apps.tasks.services.locks import lock_task
from apps.tasks.services.queueing import queue_task
from apps.tasks.services.sla import Clock
from apps.timers.models import Timer
from biolayer.errors import AttemptsExhausted, IllegalTransition, LeaseLost, RoleTooLow, TaskGated
from biolayer.lifecycle import EventType, Status
from tests.factories import OUTPUT, House, soon, tasks_submission
from tests.probes import assert_loads_are_true, see, verify_nothing_changed, verify_transition

CALLBACK = {"handoff": {"callback_url": "http://127.0.0.1:9/hook"}}


def system(house: House) -> principal.Principal:
    return principal.system("test", house.organisation.id)


def test_queue_created__queues_with_a_first_run(house: House) -> None:
    task = house.task(**CALLBACK)
    verify_transition(task.id, tasks.queue_created, event=EventType.QUEUED, to=Status.QUEUED)
    run = Run.objects.get(task=task)
    assert (run.attempt, run.status) == (1, RunStatus.QUEUED)


def test_queue_created__passes_over_a_gated_task(house: House) -> None:
    task = house.task()
    Task.objects.filter(id=task.id).update(gate_count=1)
    assert verify_nothing_changed(task.id, tasks.queue_created) == 0


def test_queue_task__refused_while_gated(house: House) -> None:
    task = house.task()
    task.gate_count = 1
    with pytest.raises(TaskGated):
        verify_nothing_changed(
            task.id,
            lambda: queue_task(task=task, actor=system(house), at=clock.now()),
        )


def test_accept_offer__gives_the_lease(house: House) -> None:
    offer = house.offered(**CALLBACK)
    at = clock.now()
    run = verify_transition(
        offer.task_id,
        lambda: matching.accept_offer(actor=house.bob.principal, offer_id=offer.id, at=at),
        event=EventType.ACCEPTED,
        to=Status.ACCEPTED,
    )
    assert (run.epoch, run.lease_until) == (1, at + timedelta(seconds=3600))
    assert Timer.objects.get(subject_id=run.id).due_at == run.lease_until
    assert not Timer.objects.filter(subject_id=offer.id).exists()


def test_decline_offer__sends_the_task_back(house: House) -> None:
    offer = house.offered(**CALLBACK)
    verify_transition(
        offer.task_id,
        lambda: matching.decline_offer(
            actor=house.bob.principal, offer_id=offer.id, reason="on a call", at=clock.now()
        ),
        event=EventType.QUEUED,
        to=Status.QUEUED,
    )
    assert Offer.objects.get(id=offer.id).status == "declined"


def test_match_queued__does_not_ask_the_same_worker_twice_in_a_row(house: House) -> None:
    offer = house.offered()
    at = clock.now()
    matching.decline_offer(actor=house.bob.principal, offer_id=offer.id, reason="", at=at)
    assert matching.match_queued(at=at + timedelta(seconds=1)) == 0
    assert matching.match_queued(at=at + timedelta(minutes=10)) == 1


def test_expire_offer__sends_the_task_back_once(house: House) -> None:
    offer = house.offered(**CALLBACK)
    verify_transition(
        offer.task_id,
        lambda: matching.expire_offer(offer_id=offer.id, at=offer.expires_at),
        event=EventType.QUEUED,
        to=Status.QUEUED,
    )
    verify_nothing_changed(
        offer.task_id, lambda: matching.expire_offer(offer_id=offer.id, at=offer.expires_at)
    )


def test_start_run__and_a_stale_epoch_changes_nothing(house: House) -> None:
    run = house.accepted(**CALLBACK)
    with pytest.raises(LeaseLost):
        verify_nothing_changed(
            run.task_id,
            lambda: tasks.start_run(
                actor=house.bob.principal, run_id=run.id, epoch=run.epoch + 1, at=clock.now()
            ),
        )
    verify_transition(
        run.task_id,
        lambda: tasks.start_run(
            actor=house.bob.principal, run_id=run.id, epoch=run.epoch, at=clock.now()
        ),
        event=EventType.STARTED,
        to=Status.STARTED,
    )


def test_heartbeat_run__extends_the_lease_and_makes_no_event(house: House) -> None:
    run = house.started()
    before = len(see(run.task_id).events)
    at = clock.now() + timedelta(minutes=5)
    renewed = tasks.heartbeat_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, lease_seconds=60, at=at
    )
    assert renewed.lease_until == at + timedelta(seconds=60)
    assert len(see(run.task_id).events) == before
    assert Timer.objects.get(subject_id=run.id).due_at == renewed.lease_until


def test_submit_run__ends_the_run_and_frees_the_worker(house: House) -> None:
    run = house.started(**CALLBACK)
    verify_transition(
        run.task_id,
        lambda: tasks.submit_run(
            actor=house.bob.principal,
            run_id=run.id,
            submission=tasks_submission(run.epoch, OUTPUT),
            at=clock.now(),
        ),
        event=EventType.SUBMITTED,
        to=Status.SUBMITTED,
    )
    house.bobs_worker.refresh_from_db()
    assert house.bobs_worker.load == 0
    assert not Timer.objects.filter(subject_id=run.id).exists()


def test_verify_submitted__verifies_and_hands_off(house: House) -> None:
    run = house.submitted(**CALLBACK)
    assert reviews.verify_submitted() == 1
    seen = see(run.task_id)
    assert [event["status"] for event in seen.events[-2:]] == ["verified", "completed"]
    assert seen.row is not None
    assert seen.row["output"] == OUTPUT
    assert len(seen.deliveries) == 9


@pytest.mark.parametrize("state", ["accepted", "started"])
def test_release_run__queues_the_same_run(house: House, state: str) -> None:
    run = getattr(house, state)(**CALLBACK)
    verify_transition(
        run.task_id,
        lambda: tasks.release_run(
            actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
        ),
        event=EventType.QUEUED,
        to=Status.QUEUED,
    )
    again = Run.objects.get(task_id=run.task_id)
    assert (again.id, again.status, again.attempt, again.epoch) == (run.id, "queued", 1, 1)


def test_a_run_taken_again_has_a_new_epoch_and_a_new_timer(house: House) -> None:
    run = house.started()
    at = clock.now()
    bob = house.bob.principal
    tasks.release_run(actor=bob, run_id=run.id, epoch=1, reason="", at=at)
    # Bob is the only worker, and gets an offer again after his rest.
    at += timedelta(hours=1)
    assert matching.match_queued(at=at) == 1
    offer = Offer.objects.get(task_id=run.task_id, status="open")
    again = matching.accept_offer(actor=bob, offer_id=offer.id, at=at)
    assert (again.id, again.epoch) == (run.id, 2)
    with pytest.raises(LeaseLost):
        tasks.start_run(actor=bob, run_id=run.id, epoch=1, at=at)


def test_lapse_run__waits_for_an_extended_lease_then_queues(house: House) -> None:
    run = house.started(**CALLBACK)
    assert run.lease_until is not None
    early = run.lease_until - timedelta(seconds=1)
    assert verify_nothing_changed(
        run.task_id, lambda: tasks.lapse_run(run_id=run.id, at=early)
    ) == (run.lease_until)
    until = run.lease_until
    verify_transition(
        run.task_id,
        lambda: tasks.lapse_run(run_id=run.id, at=until),
        event=EventType.QUEUED,
        to=Status.QUEUED,
    )


@pytest.mark.parametrize("state", ["task", "queued", "offered", "accepted", "started"])
def test_cancel_task__leaves_nothing_open(house: House, state: str) -> None:
    made = getattr(house, state)(**CALLBACK, sla={"target_latency_seconds": 600})
    task_id = getattr(made, "task_id", made.id)
    verify_transition(
        task_id,
        lambda: tasks.cancel_task(
            actor=house.alice.principal, task_id=task_id, reason="resolved", at=clock.now()
        ),
        event=EventType.CANCELLED,
        to=Status.CANCELLED,
    )
    assert not Offer.objects.filter(task_id=task_id, status="open").exists()
    assert not Run.objects.filter(task_id=task_id, ended_at=None).exists()
    assert Timer.objects.exclude(kind="retention").count() == 0
    verify_nothing_changed(
        task_id,
        lambda: tasks.cancel_task(
            actor=house.alice.principal, task_id=task_id, reason="again", at=clock.now()
        ),
    )


@pytest.mark.parametrize("state", ["submitted", "completed"])
def test_cancel_task__refused_once_submitted(house: House, state: str) -> None:
    made = getattr(house, state)()
    task_id = getattr(made, "task_id", made.id)
    with pytest.raises(IllegalTransition) as refusal:
        verify_nothing_changed(
            task_id,
            lambda: tasks.cancel_task(
                actor=house.alice.principal, task_id=task_id, reason="", at=clock.now()
            ),
        )
    assert "cancel" not in refusal.value.allowed


@pytest.mark.parametrize("state", ["task", "queued", "offered", "accepted", "started", "submitted"])
def test_fail_task__leaves_nothing_open(house: House, state: str) -> None:
    made = getattr(house, state)(**CALLBACK)
    task_id = getattr(made, "task_id", made.id)

    @atomic()
    def fail() -> None:
        task = lock_task(actor=house.alice.principal, task_id=task_id)
        tasks.fail_task(task=task, actor=system(house), reason="nobody_found", at=clock.now())

    verify_transition(task_id, fail, event=EventType.FAILED, to=Status.FAILED)
    assert not Offer.objects.filter(task_id=task_id, status="open").exists()
    assert Timer.objects.exclude(kind="retention").count() == 0


def test_fail_run__queues_the_next_attempt_until_none_is_left(house: House) -> None:
    run = house.started(**CALLBACK)
    Task.objects.filter(id=run.task_id).update(max_attempts=1)

    def fail() -> Run:
        return tasks.fail_run(
            actor=house.bob.principal,
            run_id=run.id,
            epoch=run.epoch,
            error="no answer",
            at=clock.now(),
        )

    Task.objects.filter(id=run.task_id).update(max_attempts=2)
    verify_transition(run.task_id, fail, event=EventType.QUEUED, to=Status.QUEUED)
    task = Task.objects.get(id=run.task_id)
    assert (task.attempt, open_run(task=task).attempt) == (2, 2)


def test_fail_run__fails_the_task_with_the_last_attempt(house: House) -> None:
    run = house.started(**CALLBACK)
    Task.objects.filter(id=run.task_id).update(max_attempts=1)
    verify_transition(
        run.task_id,
        lambda: tasks.fail_run(
            actor=house.bob.principal, run_id=run.id, epoch=run.epoch, error="x", at=clock.now()
        ),
        event=EventType.FAILED,
        to=Status.FAILED,
    )


def test_rework_task__asks_the_same_worker_first(house: House) -> None:
    run = house.submitted(**CALLBACK)

    @atomic()
    def rework() -> None:
        task = lock_task(actor=house.alice.principal, task_id=run.task_id)
        tasks.rework_task(task=task, actor=system(house), reason="call again", at=clock.now())

    verify_transition(run.task_id, rework, event=EventType.QUEUED, to=Status.QUEUED)
    task = Task.objects.get(id=run.task_id)
    assert (task.preferred_worker_id, task.attempt) == (house.bobs_worker.id, 2)
    assert matching.match_queued() == 1


def test_claim_task__takes_queued_work_without_an_offer(house: House) -> None:
    task_id = house.queued(**CALLBACK).id

    @atomic()
    def claim() -> None:
        task = lock_task(actor=house.alice.principal, task_id=task_id)
        tasks.claim_task(
            task=task,
            run=open_run(task=task),
            worker_id=house.bobs_worker.id,
            lease_seconds=300,
            actor=house.bob.principal,
            at=clock.now(),
        )

    verify_transition(task_id, claim, event=EventType.ACCEPTED, to=Status.ACCEPTED)


def test_claim_task__takes_as_many_units_as_it_gives_back(house: House) -> None:
    """Also where an earlier holder's offer had taken another number of them."""
    Worker.objects.update(capacity=5)
    task = house.queued()
    Run.objects.filter(task=task).update(units=3)

    @atomic()
    def claim() -> Run:
        locked = lock_task(actor=house.alice.principal, task_id=task.id)
        run = open_run(task=locked)
        tasks.claim_task(
            task=locked,
            run=run,
            worker_id=house.bobs_worker.id,
            lease_seconds=300,
            units=2,
            actor=house.bob.principal,
            at=clock.now(),
        )
        return run

    run = claim()
    assert_loads_are_true()
    assert Worker.objects.get().load == 2
    tasks.release_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
    )
    assert_loads_are_true()
    assert Worker.objects.get().load == 0


def test_fail_run__of_a_late_task_says_so_before_it_fails(house: House) -> None:
    at = clock.now()
    run = house.started(at=at, sla={"target_latency_seconds": 60})
    Task.objects.filter(id=run.task_id).update(max_attempts=1)
    late = at + timedelta(seconds=61)
    tasks.fail_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, error="No answer", at=late
    )
    types = list(Event.objects.order_by("sequence").values_list("type", flat=True))
    assert types[-2:] == ["task.sla_breached", "task.failed"]
    assert_loads_are_true()


def test_reopen_task__by_an_administrator_while_attempts_are_left(house: House) -> None:
    task = house.completed(**CALLBACK)
    admin = system(house)
    assert admin.role == Role.ADMIN
    manager = replace(admin, role=Role.MANAGER)
    with pytest.raises(RoleTooLow):
        tasks.reopen_task(actor=manager, task_id=task.id, reason="", at=clock.now())
    verify_transition(
        task.id,
        lambda: tasks.reopen_task(actor=admin, task_id=task.id, reason="wrong", at=clock.now()),
        event=EventType.QUEUED,
        to=Status.QUEUED,
    )


def test_reopen_task__refused_when_no_attempt_is_left(house: House) -> None:
    task = house.completed()
    Task.objects.filter(id=task.id).update(max_attempts=1)
    with pytest.raises(AttemptsExhausted):
        verify_nothing_changed(
            task.id,
            lambda: tasks.reopen_task(
                actor=system(house), task_id=task.id, reason="", at=clock.now()
            ),
        )


@pytest.mark.parametrize("clock_name", list(Clock))
@pytest.mark.parametrize("state", ["task", "queued", "offered", "accepted", "started", "submitted"])
def test_watch_sla__flags_a_late_task_once_and_work_goes_on(
    house: House, state: str, clock_name: Clock
) -> None:
    sla = {"deadline": soon(hours=1).isoformat(), "target_latency_seconds": 3600}
    made = getattr(house, state)(**CALLBACK, sla=sla)
    task_id = getattr(made, "task_id", made.id)
    status = Status(Task.objects.get(id=task_id).status)

    late = clock.now() + timedelta(hours=1)

    def breach() -> None:
        tasks.watch_sla(task_id=task_id, clock=clock_name, at=late)

    verify_transition(task_id, breach, event=EventType.SLA_BREACHED, to=status)
    assert see(task_id).events[-1]["data"]["breach"] == clock_name.value
    verify_nothing_changed(task_id, breach)


def test_watch_sla__never_for_a_task_that_ended(house: House) -> None:
    task = house.completed(sla={"deadline": soon(hours=1).isoformat()})
    verify_nothing_changed(
        task.id,
        lambda: tasks.watch_sla(task_id=task.id, clock=Clock.DEADLINE, at=soon(hours=2)),
    )
    assert_loads_are_true()
