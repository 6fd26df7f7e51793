"""Match tasks in order: by place, by the shares of organisations, and none is forgotten."""

import io
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.services import create_organisation, ensure_sandbox, issue_key
from apps.base import clock, rows
from apps.matching import fair_share
from apps.matching.models import FairShare, Offer, ParkedRequirement, RecheckRequest
from apps.matching.services import decline_offer, match_queued, set_weight, unpark_unused
from apps.pools.models import Membership, Pool, Presence, Worker
from apps.pools.services import provision_pool
from apps.tasks import services as tasks
from apps.tasks.models import Requirement, Task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.times import format_time
from tests.concurrency.together import together
from tests.factories import Caller, House, contract, worker_in
from tests.integration.matching_steps import bob_is_offline, decline, offered_to, policy

# --- a task's place -------------------------------------------------------------------------------


def test_urgent_work__overtakes_only_what_was_queued_within_the_gap(house: House) -> None:
    """`high` is moved ahead by 15 minutes: by 14 it overtakes, by 16 it does not."""
    now = clock.now()
    bob_is_offline(house)
    for gap, first in ((14, "high"), (16, "normal")):
        older = house.queued(at=now - timedelta(minutes=gap))
        newer = house.queued(at=now, sla={"urgency": "high"})
        worker_in(house.pool)
        assert match_queued() == 1
        expected = newer if first == "high" else older
        other = older if first == "high" else newer
        assert offered_to(expected)
        assert not offered_to(other)
        worker_in(house.pool)
        assert match_queued() == 1


DUE: list[tuple[dict[str, Any], float]] = [
    ({"urgency": "normal"}, 0),
    ({"urgency": "low"}, -15),
    ({"urgency": "normal", "due": 180}, 0),
    ({"urgency": "low", "due": 180}, -15),
    ({"urgency": "normal", "due": 20}, 40),
    ({"urgency": "high", "due": 50}, 15),
    ({"urgency": "high", "due": 20}, 40),
    ({"urgency": "low", "due": 70}, -10),
    ({"urgency": "critical", "due": 5}, 60),
    ({"urgency": "normal", "target_latency_seconds": 600}, 50),
    ({"urgency": "normal", "target_latency_seconds": 600, "due": 5}, 55),
    ({"urgency": "normal", "target_latency_seconds": 300, "due": 10}, 55),
]


@pytest.mark.parametrize(("sla", "minutes_ahead"), DUE)
def test_a_place__is_by_urgency_or_an_hour_before_it_is_due(
    house: House, sla: dict[str, Any], minutes_ahead: float
) -> None:
    at = clock.now()
    limits = {name: value for name, value in sla.items() if name != "due"}
    if "due" in sla:
        limits["deadline"] = format_time(at + timedelta(minutes=sla["due"]))
    task = house.queued(at=at, sla=limits)
    assert task.sort_at is not None
    ahead = (at - task.sort_at).total_seconds() / 60
    assert ahead == pytest.approx(minutes_ahead, abs=0.001)


def test_a_place__of_what_is_queued_too_late_is_no_more_than_an_hour_ahead(house: House) -> None:
    at = clock.now()
    task = house.task(at=at, sla={"deadline": format_time(at + timedelta(minutes=1))})
    late = at + timedelta(hours=5)
    tasks.queue_created(at=late)
    task.refresh_from_db()
    assert task.sort_at == late - timedelta(hours=1)


# --- overload -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_overload__the_rest_flows_beside_twice_as_much_urgent_work(house: House, seed: int) -> None:
    """Every ten minutes four units become free, while eight urgent tasks and some others are
    queued. The worker always gets the earliest places; after the boost gap the other tasks have
    their share.
    """
    bob_is_offline(house)
    chance = random.Random(seed)
    worker, _ = worker_in(house.pool, capacity=4)
    start = clock.now() - timedelta(days=1)
    others, urgent, steps, per_step = ("normal", "low"), ("critical", "high"), 60, 4
    queued: dict[UUID, tuple[datetime, str]] = {}
    served: list[str] = []
    for step in range(steps):
        at = start + timedelta(minutes=10 * step)
        mix = chance.choices(urgent, k=2 * per_step) + chance.choices(others, k=2)
        for task in _queued(house, mix, at=at):
            assert task.sort_at is not None
            queued[task.id] = task.sort_at, task.urgency
        Worker.objects.filter(id=worker.id).update(load=0)
        assert match_queued(at=at) == per_step
        offered = Offer.objects.filter(offered_at=at).values_list("task_id", flat=True)
        first = sorted(queued, key=lambda task_id: (queued[task_id][0], task_id))[:per_step]
        assert set(offered) == set(first)
        served += [queued.pop(task_id)[1] for task_id in first]
    # The gap between `critical` and `low` is 75 minutes: tasks from before have been offered by
    # then.
    flow = Counter(served[per_step * steps // 3 :])
    share = sum(flow[urgency] for urgency in others) / flow.total()
    assert share == pytest.approx(2 / 10, abs=0.05)


def _queued(house: House, urgencies: Sequence[str], *, at: datetime) -> list[Task]:
    ids, alice = [], house.alice.principal
    with rows.batched():
        for urgency in urgencies:
            body = contract(sla={"urgency": urgency})
            made = tasks.create_task(actor=alice, document=body, at=at)
            ids.append(made.task.id)
    assert tasks.queue_created(at=at) == len(ids)
    return list(Task.objects.filter(id__in=ids))


# --- organisations --------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(1, 1), (1, 1, 1), (1, 1, 2), (3, 1, 2, 1), (1,) * 8])
def test_shares__follow_the_weights_of_organisations(
    database: None, weights: tuple[int, ...]
) -> None:
    """While more is queued than workers can take, each has its part of 1,000 offers within 5 %."""
    dispatches = 1_000
    for weight in weights:
        organisation = create_organisation(name="Org")
        call_command("set_weight", str(organisation.id), str(weight), stdout=io.StringIO())
        worker_in(provision_pool(organisation_id=organisation.id, name="pool"), capacity=2_000)
        _created(organisation.id, count=dispatches * weight // sum(weights) + 100)
    tasks.queue_created()
    while Offer.objects.count() < dispatches:
        assert match_queued()
    offers = Offer.objects.order_by("id").values_list("organisation_id", flat=True)
    made = Counter(islice(offers, dispatches))
    for share in FairShare.objects.all():
        part = dispatches * share.weight / sum(weights)
        assert made[share.organisation_id] == pytest.approx(part, rel=0.05)


def _created(organisation_id: UUID, *, count: int) -> None:
    """Create tasks of an organisation. The caller and the time are read once for all."""
    actor = Caller(issue_key(organisation_id=organisation_id, name="key")).principal
    at = clock.now()
    with rows.batched():
        for _ in range(count):
            tasks.create_task(actor=actor, document=contract(), at=at)


@pytest.mark.parametrize("sandboxes", [1, 6])
def test_shares__of_all_sandboxes_are_a_twelfth(database: None, sandboxes: int) -> None:
    """However many there are; two live organisations share the rest equally."""
    dispatches, lives = 960, 2
    organisations = [create_organisation(name="Org").id for _ in range(max(lives, sandboxes))]
    tested = [ensure_sandbox(organisation_id=one) for one in organisations[:sandboxes]]
    for organisation_id in organisations[:lives]:
        worker_in(provision_pool(organisation_id=organisation_id, name="pool"), capacity=2_000)
    Worker.objects.update(capacity=2_000)
    for organisation_id in [*organisations[:lives], *tested]:
        _created(organisation_id, count=dispatches // lives)
    tasks.queue_created()
    while Offer.objects.count() < dispatches:
        assert match_queued(budget_seconds=0)
    offers = Offer.objects.order_by("id").values_list("organisation_id", flat=True)
    made = Counter(islice(offers, dispatches))
    assert sum(made[one] for one in tested) == pytest.approx(
        dispatches / 12, abs=2 * fair_share.MIN_BATCH
    )
    assert {one for one in tested if made[one]} == set(tested)
    for organisation_id in organisations[:lives]:
        assert made[organisation_id] == pytest.approx(dispatches * 11 / 12 / lives, rel=0.05)
    # Without live tasks they have it all
    while match_queued():
        pass
    assert Task.objects.filter(status="queued").count() == 0


def test_organisations_for_which_nothing_changed__get_no_batch(house: House) -> None:
    """However many have parked tasks: one statement finds that there is nothing to do."""
    for caller in (house.alice, house.charlie):
        body = contract(requirements={"skills": ["unheard-of"]})
        tasks.create_task(actor=caller.principal, document=body, at=clock.now())
    tasks.queue_created()
    assert match_queued() == 0
    assert _batches() == 0
    # A membership that opens is compared once
    worker_in(house.pool)
    assert _batches() == 1
    assert _batches() == 0
    # And so is a new task
    house.queued()
    assert match_queued() == 1
    assert _batches() == 0


@pytest.mark.parametrize("waiting", [0, 1, 63, 64, 65, 130])
def test_a_new_task__is_matched_beside_many_parked_requirements(house: House, waiting: int) -> None:
    """Wherever it stands among them: requirements are read by their ids, which are hashes."""
    alice, at = house.alice.principal, clock.now()
    with rows.batched():
        for number in range(waiting):
            body = contract(requirements={"skills": [f"unheard-of-{number}"]})
            tasks.create_task(actor=alice, document=body, at=at)
    assert tasks.queue_created() == waiting
    assert match_queued() == 0
    Worker.objects.update(capacity=10)
    for preferred in ("welsh", "manx", "cornish", "breton"):
        task = house.queued(requirements={"preferred_skills": [preferred]})
        assert match_queued() == 1
        assert offered_to(task) == {house.bobs_worker.id}


def _batches() -> int:
    """Return the number of batches of a call that offers nothing."""
    with CaptureQueriesContext(connection) as captured:
        assert match_queued() == 0
    return sum("pg_try_advisory_xact_lock" in query["sql"] for query in captured)


@pytest.mark.parametrize("weight", [30, 100])
def test_shares__of_a_weight_that_outweighs_all(house: House, weight: int) -> None:
    """As if each batch led to as many offers as it may: exact to two of the smallest."""
    for caller in (house.alice, house.charlie):
        tasks.create_task(actor=caller.principal, document=contract(), at=clock.now())
    tasks.queue_created()
    set_weight(organisation_id=house.organisation.id, weight=weight)
    made = Counter[UUID]()
    while made.total() < 3_000:
        queued = fair_share.queued_organisations(at=clock.now())
        first = queued[0].organisation_id
        size = fair_share.batch_size(queued[0], queued, limit=fair_share.MAX_BATCH)
        fair_share.advance(organisation_id=first, offers=size)
        made[first] += size
    strangers = made[house.strangers_pool.organisation_id]
    assert strangers == pytest.approx(3_000 / (weight + 1), abs=2 * fair_share.MIN_BATCH)


def test_set_weight__refuses_an_unknown_organisation_and_a_bad_weight(house: House) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        call_command("set_weight", str(house.pool.id), "2")
    for weight in ("0", "101", "two"):
        with pytest.raises(CommandError, match="WEIGHT"):
            call_command("set_weight", str(house.organisation.id), weight)
    assert not FairShare.objects.exists()


def test_tasks_that_cannot_be_handled__hold_up_neither_their_organisation_nor_another(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """A pool's row was spoilt: a task for that pool fails whenever it is matched. More such tasks
    are first than a batch takes, and before them some whose requirement is parked.
    """
    spoilt = provision_pool(organisation_id=house.organisation.id, name="Spoilt")
    worker_in(spoilt, capacity=3)
    at = clock.now()
    for _ in range(3):
        house.queued(at=at - timedelta(hours=3), requirements={"skills": ["unheard-of"]})
    assert match_queued() == 0
    needs = {"worker_pool_id": str(spoilt.id)}
    bad = [house.queued(at=at - timedelta(hours=2), requirements=needs) for _ in range(3)]
    Pool.objects.filter(id=spoilt.id).update(costs={"verification": "many"})
    good = house.queued(at=at, requirements={"worker_pool_id": str(house.pool.id)})
    assert match_queued(max_batch=2) == 1
    assert offered_to(good) == {house.bobs_worker.id}
    assert str(bad[0].id) in caplog.text
    Pool.objects.filter(id=spoilt.id).update(costs={})
    assert match_queued() == 0
    assert match_queued(at=clock.now() + timedelta(seconds=5)) == 3


# --- parked requirements --------------------------------------------------------------------------


def test_requirement__is_shared_by_tasks_that_ask_for_the_same(house: House) -> None:
    for _ in range(3):
        house.queued(requirements={"skills": ["phone", "french"]})
    house.queued(requirements={"skills": ["french", "phone"]})
    house.queued(requirements={"skills": ["french"]})
    assert Requirement.objects.count() == 2


def test_calls_that_are_cut_short__get_to_every_organisation(house: House) -> None:
    """Each has time for one batch. The stranger's leads to nothing, again and again."""
    for number in range(70):
        body = contract(requirements={"skills": [f"unheard-of-{number}"]})
        tasks.create_task(actor=house.charlie.principal, document=body, at=clock.now())
    Worker.objects.update(capacity=10)
    house.task(), house.task()
    tasks.queue_created()
    assert sum(match_queued(budget_seconds=0) for _ in range(4)) == 2
    task = house.queued()
    worker_in(house.strangers_pool)
    assert sum(match_queued(budget_seconds=0) for _ in range(3)) == 1
    assert offered_to(task) == {house.bobs_worker.id}


def test_a_task_without_workers__holds_up_no_other(house: House) -> None:
    house.queued(requirements={"skills": ["unheard-of"]})
    other = house.queued()
    assert match_queued() == 1
    assert offered_to(other) == {house.bobs_worker.id}


def test_parked__until_a_membership_that_fits_opens(house: House) -> None:
    task = house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0
    since = ParkedRequirement.objects.get().parked_at
    worker_in(house.pool, skills=["typing"])
    assert match_queued() == 0
    assert ParkedRequirement.objects.get().parked_at == since
    worker, _ = worker_in(house.pool, skills=["phone"])
    assert match_queued() == 1
    assert offered_to(task) == {worker.id}
    assert not ParkedRequirement.objects.exists()


def test_parked__not_while_a_worker_is_eligible_by_another_pool(house: House) -> None:
    """The first pool allows the worker one more offer, the other any number."""
    Pool.objects.filter(id=house.pool.id).update(offers_per_window=1)
    other = provision_pool(organisation_id=house.organisation.id, name="Other")
    Membership.objects.create(
        organisation_id=house.organisation.id, pool=other, worker=house.bobs_worker
    )
    Worker.objects.filter(id=house.bobs_worker.id).update(capacity=5)
    for preferred in ("welsh", "manx"):
        house.task(requirements={"preferred_skills": [preferred]})
    tasks.queue_created()
    assert match_queued() == 2


def test_parked__until_a_window_of_offers_ends(house: House) -> None:
    """A later task of another requirement is queued at that moment, and does not overtake."""
    at = clock.now()
    Pool.objects.update(offers_per_window=1, offer_window_seconds=60)
    Worker.objects.update(capacity=5)
    house.queued(at=at)
    assert match_queued(at=at) == 1
    early = house.queued(at=at)
    hopeless = house.queued(at=at, requirements={"skills": ["unheard-of"]})
    ends = at + timedelta(seconds=60)
    for moment in (at, ends - timedelta(microseconds=1)):
        assert match_queued(at=moment) == 0
    assert ParkedRequirement.objects.get(requirement=hopeless.requirement_id).recheck_at is None
    late = house.queued(at=ends, requirements={"preferred_skills": ["welsh"]})
    assert match_queued(at=ends) == 1
    assert (offered_to(early), offered_to(late)) == ({house.bobs_worker.id}, set())


def test_cooldown__of_the_first_tasks_does_not_hold_up_those_behind_them(house: House) -> None:
    for _ in range(5):
        decline(house.offered(), house.bob)
    behind = house.queued()
    assert match_queued(max_batch=2) == 1
    assert offered_to(behind) == {house.bobs_worker.id}


@pytest.mark.parametrize("cooling", [127, 128, 129, 257])
def test_cooldown__of_many_requirements_does_not_hold_up_one_behind_them(
    house: House, cooling: int
) -> None:
    """As many as a batch reads, each with two tasks that the only worker who fits declined."""
    Worker.objects.filter(id=house.bobs_worker.id).update(capacity=2 * cooling, skills=["phone"])
    alice, bob, at = house.alice.principal, house.bob.principal, clock.now() - timedelta(hours=1)
    with rows.batched():
        for number in [*range(cooling), *range(cooling)]:
            needs = {"skills": ["phone"], "preferred_skills": [f"dialect-{number}"]}
            body = contract(requirements=needs)
            tasks.create_task(actor=alice, document=body, at=at)
    tasks.queue_created(at=at)
    assert match_queued() == 2 * cooling
    for offer in Offer.objects.filter(status="open"):
        decline_offer(actor=bob, offer_id=offer.id, reason="", at=clock.now())
    other, _ = worker_in(house.pool, skills=["typing"])
    behind = house.queued(requirements={"skills": ["typing"]})
    assert match_queued() == 1
    assert offered_to(behind) == {other.id}
    # All others are parked until a cooldown ends.
    assert ParkedRequirement.objects.count() == cooling


def test_parked__for_a_cooldown_until_a_task_escalates_to_the_requirement(
    house: House,
) -> None:
    decline(house.offered(), house.bob)
    step = {"after_seconds": 60, "lower_min_rating_by": 5}
    task = house.queued(requirements={"min_rating": 5, **policy(step)})
    assert match_queued() == 0
    fire_due(at=Timer.objects.get(subject_id=task.id).due_at)
    assert match_queued() == 1
    assert offered_to(task) == {house.bobs_worker.id}


def test_parked__while_a_task_is_queued_and_rechecked_after_a_second(house: House) -> None:
    """Neither transaction saw the other."""
    decline(house.offered(), house.bob)
    task = house.task()
    with transaction.atomic():
        tasks.queue_created()
        assert together(match_queued) == [0]
    assert match_queued(at=clock.now() + timedelta(seconds=1)) == 1
    assert offered_to(task) == {house.bobs_worker.id}


def test_parked__again_while_a_task_is_queued_does_not_hold_up_that_task(house: House) -> None:
    """The matcher parks the requirement for the second time, and has not committed yet."""
    decline(house.offered(), house.bob)
    task = house.task()
    assert match_queued() == 0
    later = clock.now() + timedelta(seconds=1)
    with transaction.atomic():
        assert match_queued(at=later) == 0
        assert together(tasks.queue_created) == [1]
    assert match_queued(at=later) == 1
    assert offered_to(task) == {house.bobs_worker.id}
    assert match_queued(at=later) == 0
    assert not RecheckRequest.objects.exists()


def test_parked__not_where_a_task_lost_its_worker_to_another(house: House) -> None:
    """The first pool allows Bob one more offer, which a task ahead gets, the second any number. One
    task of the requirement waits for a cooldown, the other does not.
    """
    now = clock.now()
    first, second = sorted(
        [house.pool, provision_pool(organisation_id=house.organisation.id, name="Other")],
        key=attrgetter("id"),
    )
    for pool in (first, second):
        Membership.objects.get_or_create(
            organisation_id=house.organisation.id, pool=pool, worker=house.bobs_worker
        )
    Worker.objects.update(capacity=10)
    decline(house.offered(at=now), house.bob)
    Pool.objects.filter(id=first.id).update(offers_per_window=2, offer_window_seconds=3600)
    before = now - timedelta(minutes=5)
    house.queued(at=before, requirements={"preferred_skills": ["welsh"]})
    task = house.queued(at=now)
    assert match_queued(at=now + timedelta(milliseconds=1)) == 2
    assert offered_to(task) == {house.bobs_worker.id}


def test_parked__until_the_first_cooldown_ends(house: House) -> None:
    """And not rechecked every second until then."""
    declined = house.offered()
    decline(declined, house.bob)
    assert match_queued() == 0
    task, now = declined.task, clock.now()
    declined.refresh_from_db()
    assert declined.closed_at is not None
    cooldown_ends = declined.closed_at + (declined.expires_at - declined.offered_at)
    assert match_queued(at=now + timedelta(seconds=1)) == 0
    assert (
        ParkedRequirement.objects.get(requirement=task.requirement_id).recheck_at == cooldown_ends
    )
    assert match_queued(at=cooldown_ends - timedelta(microseconds=1)) == 0
    assert match_queued(at=cooldown_ends) == 1


def test_parked__until_no_task_is_queued_for_the_requirement(house: House) -> None:
    gone, waiting = (house.queued(requirements={"skills": [skill]}) for skill in ("welsh", "manx"))
    assert match_queued() == 0
    tasks.cancel_task(actor=house.alice.principal, task_id=gone.id, reason="", at=clock.now())
    assert unpark_unused() == 1
    assert ParkedRequirement.objects.get().requirement_id == waiting.requirement_id


def test_parked__not_while_its_requirement_was_gone_and_came_back(house: House) -> None:
    """The row of an unused requirement is deleted before that of its parking."""
    needs = {"skills": ["welsh"]}
    now = clock.now()
    gone = house.queued(at=now, requirements=needs)
    for seconds in (0, 1):
        assert match_queued(at=now + timedelta(seconds=seconds)) == 0
    tasks.cancel_task(actor=house.alice.principal, task_id=gone.id, reason="", at=clock.now())
    assert tasks.delete_unused_requirements() == 1
    # A worker who would fit comes meanwhile, and is compared.
    worker, _ = worker_in(house.pool, skills=["welsh"])
    house.queued(requirements={"skills": ["manx"]})
    assert match_queued() == 0
    task = house.queued(requirements=needs)
    assert match_queued() == 1
    assert offered_to(task) == {worker.id}


SKILLS = ("phone", "typing", "french")


@pytest.mark.parametrize("batch", [1, 2, 128])
@pytest.mark.parametrize("seed", range(3))
def test_parked__no_task_waits_while_a_worker_who_fits_is_free(
    house: House, seed: int, batch: int
) -> None:
    """Tasks come and go, workers decline, learn skills and change their load; after each call of
    the matcher no queued task fits an open membership, except of the worker who declined it last,
    as a comparison of all with all finds.
    """
    chance = random.Random(seed)
    callers = dict(worker_in(house.pool, skills=_some(chance), capacity=2) for _ in range(5))
    workers = list(callers)
    declined: dict[UUID, UUID] = {}

    def come() -> None:
        house.task(requirements={"skills": _some(chance)})
        tasks.queue_created()

    def go() -> None:
        for task in _one(Task.objects.filter(status="queued"), chance):
            tasks.cancel_task(
                actor=house.alice.principal, task_id=task.id, reason="", at=clock.now()
            )

    def decline() -> None:
        for offer in _one(Offer.objects.filter(status="open", worker__in=workers), chance):
            if callers[offer.worker].post(f"/v1/offers/{offer.id}/decline").status_code == 200:
                declined[offer.task_id] = offer.worker_id

    def change(**traits: Any) -> None:
        Worker.objects.filter(id=chance.choice(workers).id).update(**traits)

    steps = [
        come,
        come,
        come,
        go,
        decline,
        decline,
        lambda: change(load=chance.randint(0, 2)),
        lambda: change(skills=_some(chance)),
        lambda: change(presence=chance.choice([Presence.AVAILABLE, Presence.AWAY])),
    ]
    for _ in range(60):
        chance.choice(steps)()
        match_queued(max_batch=batch)
        open_to = Membership.objects.filter(free__gt=0)
        for task in Task.objects.filter(status="queued"):
            fitting = {one.worker_id for one in open_to if set(task.skills) <= set(one.abilities)}
            assert fitting <= {declined.get(task.id)}
    assert len(declined) > 2


def _one(rows: Any, chance: random.Random) -> list[Any]:
    ordered = list(rows.order_by("id"))
    return ordered and [chance.choice(ordered)]


def _some(chance: random.Random) -> list[str]:
    return chance.sample(SKILLS, chance.randint(1, 2))
