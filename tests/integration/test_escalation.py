"""Escalate tasks that no worker takes: the steps of a policy, and its end."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.base import clock, rows
from apps.base.ids import new_id
from apps.matching import services as matching
from apps.matching.changes import ESCALATION, next_step_timer
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.pools.models import Pool, Worker
from apps.pools.services import provision_pool
from apps.tasks import services as tasks
from apps.tasks.models import Requirement, Task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from tests.concurrency.together import together
from tests.factories import House, worker_in
from tests.integration.matching_steps import bob_is_offline, decline, offered_to, policy


def escalated(task: Task) -> Task:
    """Fire the timer of a task's next step, and return the task."""
    due_at = Timer.objects.get(subject_id=task.id, kind=ESCALATION).due_at
    fire_due(at=due_at)
    task.refresh_from_db()
    return task


def test_escalation__drops_what_a_step_drops_and_adds_up(house: House) -> None:
    now = clock.now()
    steps = (
        {"after_seconds": 60, "lower_min_rating_by": 0.5},
        {"after_seconds": 180, "lower_min_rating_by": 0.5, "boost_seconds": 600},
    )
    task = house.queued(at=now, requirements={"min_rating": 4.5, **policy(*steps)})
    assert Timer.objects.get(subject_id=task.id).due_at == now + timedelta(seconds=60)
    before = task.sort_at
    escalated(task)
    assert Requirement.objects.get(id=task.requirement_id).min_rating == 4.0
    assert Timer.objects.get(subject_id=task.id).due_at >= now + timedelta(seconds=180)
    escalated(task)
    assert Requirement.objects.get(id=task.requirement_id).min_rating == 3.5
    assert before is not None
    assert task.sort_at == before - timedelta(seconds=600)
    assert task.min_rating == 4.5
    assert not Timer.objects.exclude(kind="retention").filter(subject_id=task.id).exists()


def test_escalation__continues_where_it_was_after_an_offer(house: House) -> None:
    steps = ({"after_seconds": 60, "notify": True}, {"after_seconds": 120, "notify": True})
    task = house.queued(requirements=policy(*steps))
    match_queued()
    escalated(task)
    assert (task.status, task.escalation_step) == ("offered", 1)
    offer = Offer.objects.get(task=task)
    run = matching.accept_offer(actor=house.bob.principal, offer_id=offer.id, at=clock.now())
    escalated(task)
    assert (task.status, task.escalation_step) == ("accepted", 1)
    tasks.release_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
    )
    escalated(task)
    assert (task.status, task.escalation_step) == ("queued", 2)


def test_escalation__of_a_pool_never_drops_certifications_or_trust(house: House) -> None:
    step = {"after_seconds": 60, "drop_certifications": True, "lower_trust_level_by": 2}
    step |= {"lower_min_rating_by": 1.0}
    Pool.objects.filter(id=house.pool.id).update(**policy(step))
    needs = {"certifications": ["soc"], "trust_level": 3, "min_rating": 4}
    pool = {"worker_pool_id": str(house.pool.id)}
    task = escalated(house.queued(requirements={**needs, **pool}))
    asks = Requirement.objects.get(id=task.requirement_id)
    assert (asks.certifications, asks.trust_level, asks.min_rating) == (["soc"], 3, 3.0)
    # A contract's own policy may.
    task = escalated(house.queued(requirements={**needs, **pool, **policy(step)}))
    asks = Requirement.objects.get(id=task.requirement_id)
    assert (asks.certifications, asks.trust_level, asks.min_rating) == ([], 1, 3.0)


def test_escalation__widens_to_other_pools(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    bob_is_offline(house)
    worker, _ = worker_in(other)
    step = {"after_seconds": 60, "widen_to_pools": [str(other.id)]}
    needs = {"worker_pool_id": str(house.pool.id), **policy(step)}
    task = house.queued(requirements=needs)
    assert match_queued() == 0
    escalated(task)
    assert match_queued() == 1
    assert offered_to(task) == {worker.id}


def test_escalation__offers_to_several_workers(house: House) -> None:
    workers = [worker_in(house.pool)[0] for _ in range(2)]
    step = {"after_seconds": 60, "mode": "broadcast", "broadcast_to": 2}
    task = escalated(house.queued(requirements=policy(step)))
    assert match_queued() == 1
    assert len(offered_to(task)) == 2
    assert offered_to(task) <= {house.bobs_worker.id, *(worker.id for worker in workers)}


@pytest.mark.parametrize(("at_end", "status"), [("fail", "failed"), ("notify", "queued")])
def test_escalation__has_an_end(house: House, at_end: str, status: str) -> None:
    bob_is_offline(house)
    step = {"after_seconds": 60, "notify": True}
    task = house.queued(requirements=policy(step, at_end=at_end))
    escalated(task)
    escalated(task)
    assert task.status == status
    assert (task.close_reason == "nobody_found") is (at_end == "fail")
    assert not Timer.objects.exclude(kind="retention").filter(subject_id=task.id).exists()


def test_escalation__is_never_later_for_having_been_late(house: House) -> None:
    """Each step counts from when the task began to wait, not from when the last was taken."""
    bob_is_offline(house)
    now = clock.now()
    seconds = (60, 120, 180)
    steps = ({"after_seconds": one, "notify": True} for one in seconds)
    task = house.queued(at=now, requirements=policy(*steps))
    for late, following in ((59, 120), (1, 180)):
        timer = Timer.objects.get(subject_id=task.id)
        fire_due(at=timer.due_at + timedelta(seconds=late))
        timer.refresh_from_db()
        assert timer.due_at == now + timedelta(seconds=following)


STEPS: list[tuple[tuple[Any, Any], int, str]] = [
    # before and after, how many steps are taken at once, status then
    ((None, [60]), 1, "queued"),
    (([3600], [60]), 1, "queued"),
    (([60, 7200], [60, 300]), 2, "queued"),
    (([60, 300], [60, 7200]), 1, "queued"),
    (([60], None), 0, "queued"),
    ((None, [60, "fail"]), 1, "failed"),
    (([60, "wait"], [60, "fail"]), 1, "failed"),
]


@pytest.mark.parametrize("is_offered", [False, True])
@pytest.mark.parametrize(("change", "taken", "status"), STEPS)
def test_a_pools_new_policy__applies_to_waiting_tasks(
    house: House, change: tuple[Any, Any], taken: int, status: str, is_offered: bool
) -> None:
    """As if it had been there since the task was queued, ten minutes ago. The dry run agrees."""
    before, after = change
    since = clock.now() - timedelta(minutes=10)
    Pool.objects.update(offer_seconds={"normal": 3600})
    path = f"/v1/pools/{house.pool.id}"
    house.alice.patch(path, _policy(before))
    needs = {"min_rating": 5, "worker_pool_id": str(house.pool.id)}
    task = house.queued(at=since, requirements=needs)
    if is_offered:
        Worker.objects.update(rating=5, rating_count=10)
        assert match_queued(at=since) == 1
    own = house.queued(at=since, requirements={**needs, **_policy([3600])})
    result = house.alice.post(path + "/dry-run", _policy(after)).json()
    assert house.alice.patch(path, _policy(after)).status_code == 200
    for _ in range(4):
        fire_due()
    task.refresh_from_db()
    own.refresh_from_db()
    assert own.escalation_step == 0
    assert (task.escalation_step, task.status) == (
        taken,
        "offered" if is_offered and status == "queued" else status,
    )
    if not is_offered:
        match_queued()
        task.refresh_from_db()
        fate = {"offered": "offered", "queued": "waits", "failed": "fails"}[task.status]
        assert [one["after"] for one in result["changed"] if one["task_id"] == str(task.id)] in (
            [fate],
            [] if fate == "waits" else [fate],
        )


def test_a_pools_new_policy__reverts_no_step(house: House) -> None:
    """Not even when the next one is taken."""
    bob_is_offline(house)
    path = f"/v1/pools/{house.pool.id}"
    house.alice.patch(path, policy({"after_seconds": 60, "lower_min_rating_by": 1.0}))
    needs = {"min_rating": 4.5, "worker_pool_id": str(house.pool.id)}
    task = house.queued(at=clock.now() - timedelta(seconds=100), requirements=needs)
    fire_due()
    again = {"after_seconds": 60, "notify": True}, {"after_seconds": 90, "lower_min_rating_by": 0.5}
    house.alice.patch(path, policy(*again))
    fire_due()
    task.refresh_from_db()
    assert task.escalation_step == 2
    assert Requirement.objects.get(id=task.requirement_id).min_rating == 3.0


def test_escalation__pauses_while_a_worker_has_the_task(house: House) -> None:
    """Though its timer was set before, and however often that happens."""
    now = clock.now() - timedelta(hours=1)
    Pool.objects.update(offer_seconds={"normal": 10})
    step = {"after_seconds": 600, "notify": True}
    task = house.queued(at=now, requirements=policy(step, at_end="fail"))
    for seconds, held in ((100, 400), (100, 3000)):
        now += timedelta(seconds=seconds)
        assert match_queued(at=now) == 1
        offer = Offer.objects.get(task=task, status="open")
        by = house.bob.principal
        run = matching.accept_offer(actor=by, offer_id=offer.id, at=now)
        now += timedelta(seconds=held)
        tasks.release_run(actor=by, run_id=run.id, epoch=run.epoch, reason="", at=now)
    assert Timer.objects.get(subject_id=task.id).due_at == now + timedelta(seconds=400)


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        # Moments of the policies before and after, and after how long a wait the next step is due
        ([60, 120], [600, "fail"], 1200),
        ([60, 86400], [60, 180], 180),
        ([60, 120], [60, 120, "notify"], 120),
        ([60, 120], [90, 120], 120),
    ],
)
@pytest.mark.parametrize("is_held", [True, False])
def test_a_pools_new_policy__applies_to_tasks_that_are_queued_again(
    house: House, before: Any, after: Any, seconds: int, *, is_held: bool
) -> None:
    """One step was taken, then a worker had the task; the policy changes meanwhile or later."""
    path = f"/v1/pools/{house.pool.id}"
    house.alice.patch(path, _policy(before))
    Pool.objects.update(offer_seconds={"normal": 3600})
    Worker.objects.update(rating=5, rating_count=10)
    now = clock.now() - timedelta(hours=1)
    offer = house.offered(at=now, requirements={"worker_pool_id": str(house.pool.id)})
    matching.escalate(task_id=offer.task_id, at=now + timedelta(seconds=60))
    by = house.bob.principal
    taken_at, came_back = now + timedelta(seconds=70), now + timedelta(seconds=600)
    run = matching.accept_offer(actor=by, offer_id=offer.id, at=taken_at)
    if is_held:
        house.alice.patch(path, _policy(after))
    tasks.release_run(actor=by, run_id=run.id, epoch=run.epoch, reason="", at=came_back)
    house.alice.patch(path, _policy(after))
    fire_due(at=came_back)
    timer = Timer.objects.get(subject_id=run.task_id)
    assert timer.due_at == came_back + timedelta(seconds=seconds - 70)


def test_a_pools_new_policy__counts_declines_as_waiting(house: House) -> None:
    began = clock.now() - timedelta(minutes=20)
    Pool.objects.update(offer_seconds={"normal": 3600})
    run = house.accepted(at=began, requirements={"worker_pool_id": str(house.pool.id)})
    tasks.release_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=began
    )
    _, other = worker_in(house.pool)
    assert match_queued(at=began) == 1
    decline(Offer.objects.get(status="open"), other)
    house.alice.patch(f"/v1/pools/{house.pool.id}", _policy([600]))
    assert Timer.objects.get().due_at == began + timedelta(seconds=600)


def test_a_task_queued_while_its_pool_gets_a_policy__goes_by_it(house: House) -> None:
    """Neither transaction sees the other; the sweep finds tasks without a timer."""
    bob_is_offline(house)
    path = f"/v1/pools/{house.pool.id}"
    needs = {"worker_pool_id": str(house.pool.id)}
    since = clock.now()
    task = house.task(at=since, requirements=needs)
    with transaction.atomic():
        tasks.queue_created(at=since)
        (answer,) = together(lambda: house.alice.patch(path, _policy([60])))
        assert answer.status_code == 200
    assert not Timer.objects.exists()
    matching.schedule_missed_steps()
    timer = Timer.objects.get(subject_id=task.id)
    assert timer.due_at == since + timedelta(seconds=60)
    # So is a timer by the policy before, and a chain that came to its end is left alone.
    Timer.objects.update(due_at=since + timedelta(days=1))
    ended = house.queued(requirements=needs)
    Timer.objects.filter(subject_id=ended.id).delete()
    Task.objects.filter(id=ended.id).update(escalation_step=1)
    matching.schedule_missed_steps()
    assert Timer.objects.get().due_at == since + timedelta(seconds=60)


def test_the_sweep__leaves_a_timer_that_is_being_fired(house: House) -> None:
    house.alice.patch(f"/v1/pools/{house.pool.id}", _policy([60]))
    house.queued(requirements={"worker_pool_id": str(house.pool.id)})
    held = {"due_at": clock.now() + timedelta(seconds=30), "claim_token": new_id()}
    Timer.objects.update(**held)
    matching.schedule_missed_steps()
    assert Timer.objects.values("due_at", "claim_token").get() == held


def test_a_removed_policy__takes_no_step(house: House) -> None:
    bob_is_offline(house)
    path = f"/v1/pools/{house.pool.id}"
    house.alice.patch(path, _policy([60]))
    task = house.queued(requirements={"worker_pool_id": str(house.pool.id)})
    explained = []
    for change in ([60], None):
        house.alice.patch(path, _policy(change))
        result = house.alice.get(f"/v1/tasks/{task.id}/match").json()
        explained.append((result["escalation"] is None, result["next_at"] is None))
    assert explained == [(False, False), (True, True)]
    # Its timer is still there, does nothing, and is gone.
    escalated(task)
    assert (task.escalation_step, Timer.objects.exclude(kind="retention").count()) == (0, 0)


def _policy(seconds: Any) -> dict[str, Any]:
    """Return steps that lower the required rating by 2.5 in all, and an end."""
    if seconds is None:
        return {"escalation": None}
    at_end = seconds[-1] if isinstance(seconds[-1], str) else "wait"
    steps = [one for one in seconds if isinstance(one, int)]
    lower = {"lower_min_rating_by": 2.5 / len(steps)}
    return policy(*({"after_seconds": one, **lower} for one in steps), at_end=at_end)


@pytest.mark.parametrize(
    ("seconds", "at_end", "moments"),
    [
        ([], "fail", [None, None, None]),
        ([60], "wait", [60, None, None]),
        ([60], "fail", [60, 120, 120]),
        ([60, 90], "notify", [60, 90, 120, None]),
        ([30, 600, 601], "fail", [30, 600, 601, 602, 602]),
    ],
)
def test_schedule_next_step__sets_the_timer_of_each_step(
    house: House, seconds: list[int], at_end: str, moments: list[int | None]
) -> None:
    """After the last step the timer fires at once, and is set to the end."""
    steps = policy(*({"after_seconds": one, "notify": True} for one in seconds), at_end=at_end)
    task = house.queued(requirements=steps)
    assert task.waits_since is not None
    for steps_taken, moment in enumerate(moments):
        Timer.objects.all().delete()
        Task.objects.filter(id=task.id).update(escalation_step=steps_taken)
        task.refresh_from_db()
        rows.write([next_step_timer(task)])
        fire_due(at=task.waits_since)
        timer = Timer.objects.filter(subject_id=task.id).first()
        expected = None if moment is None else task.waits_since + timedelta(seconds=moment)
        assert (timer and timer.due_at) == expected
