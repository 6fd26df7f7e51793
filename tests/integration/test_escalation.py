"""What is done when nobody takes a task: steps of a policy, and its end."""

from datetime import timedelta

import pytest

from apps.base import clock, rows
from apps.matching import services as matching
from apps.matching.escalation import Policy
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.pools.models import Pool
from apps.pools.services import found_pool
from apps.tasks import services as tasks
from apps.tasks.models import Requirement, Task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from tests.factories import House, worker_in
from tests.integration.asking import alone, asked, policy


def escalated(task: Task) -> Task:
    """The task after its timer's next turn."""
    due_at = Timer.objects.get(subject_id=task.id, kind=matching.ESCALATION).due_at
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
    assert not Timer.objects.filter(subject_id=task.id).exists()


def test_escalation__goes_on_where_it_was_after_an_offer(house: House) -> None:
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
    # A contract may.
    task = escalated(house.queued(requirements={**needs, **pool, **policy(step)}))
    asks = Requirement.objects.get(id=task.requirement_id)
    assert (asks.certifications, asks.trust_level, asks.min_rating) == ([], 1, 3.0)


def test_escalation__widens_to_other_pools(house: House) -> None:
    other = found_pool(organisation_id=house.organisation.id, name="Back office")
    alone(house)
    worker, _ = worker_in(other)
    step = {"after_seconds": 60, "widen_to_pools": [str(other.id)]}
    needs = {"worker_pool_id": str(house.pool.id), **policy(step)}
    task = house.queued(requirements=needs)
    assert match_queued() == 0
    escalated(task)
    assert match_queued() == 1
    assert asked(task) == {worker.id}


def test_escalation__asks_several(house: House) -> None:
    workers = [worker_in(house.pool)[0] for _ in range(2)]
    step = {"after_seconds": 60, "mode": "broadcast", "broadcast_to": 2}
    task = escalated(house.queued(requirements=policy(step)))
    assert match_queued() == 1
    assert len(asked(task)) == 2
    assert asked(task) <= {house.bobs_worker.id, *(worker.id for worker in workers)}


@pytest.mark.parametrize(("at_end", "status"), [("fail", "failed"), ("notify", "queued")])
def test_escalation__has_an_end(house: House, at_end: str, status: str) -> None:
    alone(house)
    step = {"after_seconds": 60, "notify": True}
    task = house.queued(requirements=policy(step, at_end=at_end))
    escalated(task)
    escalated(task)
    assert task.status == status
    assert (task.close_reason == "nobody_found") is (at_end == "fail")
    assert not Timer.objects.filter(subject_id=task.id).exists()


@pytest.mark.parametrize("at_end", ["wait", "fail", "notify"])
@pytest.mark.parametrize("seconds", [[], [60], [60, 90], [30, 600, 601]])
def test_set_out__is_what_the_policy_says(house: House, seconds: list[int], at_end: str) -> None:
    """The SQL of the reaction and the rule in Python agree on when each step comes."""
    given = policy(*({"after_seconds": one, "notify": True} for one in seconds), at_end=at_end)
    task = house.queued(requirements=given)
    rule = Policy.of(task.escalation, None)
    for step in range(len(seconds) + 2):
        Timer.objects.all().delete()
        task.escalation_step = step
        now = clock.now()
        rows.write(matching.set_out(task, now))
        found = Timer.objects.filter(subject_id=task.id).first()
        wait = rule.seconds_until(step)
        assert (found and found.due_at) == (None if wait is None else now + timedelta(seconds=wait))
