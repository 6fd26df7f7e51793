"""The order in which tasks get somebody: by place, by turns of organisations, and nobody is forgotten."""

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

from apps.accounts.services import create_organisation, issue_key
from apps.base import clock, rows
from apps.matching import turns
from apps.matching.models import Offer, Turn
from apps.matching.services import forget_in_vain, match_queued
from apps.pools.models import Membership, Pool, Presence, Worker
from apps.pools.services import provision_pool
from apps.tasks import services as tasks
from apps.tasks.models import Requirement, Task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.times import format_time
from tests.concurrency.together import together
from tests.factories import Caller, House, contract, worker_in
from tests.integration.asking import alone, asked, decline, policy

# --- a task's place -------------------------------------------------------------------------------


def test_urgent_work__overtakes_only_what_was_queued_within_the_gap(house: House) -> None:
    """`high` is moved ahead by 15 minutes: by 14 it overtakes, by 16 it does not."""
    now = clock.now()
    alone(house)
    for gap, first in ((14, "high"), (16, "normal")):
        older = house.queued(at=now - timedelta(minutes=gap))
        newer = house.queued(at=now, sla={"urgency": "high"})
        worker_in(house.pool)
        assert match_queued() == 1
        expected = newer if first == "high" else older
        other = older if first == "high" else newer
        assert asked(expected)
        assert not asked(other)
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
    given = {name: value for name, value in sla.items() if name != "due"}
    if "due" in sla:
        given["deadline"] = format_time(at + timedelta(minutes=sla["due"]))
    task = house.queued(at=at, sla=given)
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
    """Every ten minutes four units come free, while eight urgent tasks come, and some others. Whoever
    fits all gets the earliest places, always; and when the boost gap is over the others have their part.
    """
    alone(house)
    chance = random.Random(seed)
    worker, _ = worker_in(house.pool, capacity=4)
    start = clock.now() - timedelta(days=1)
    others, urgent, steps, per_step = ("normal", "low"), ("critical", "high"), 60, 4
    came: dict[UUID, tuple[datetime, str]] = {}
    served: list[str] = []
    for step in range(steps):
        at = start + timedelta(minutes=10 * step)
        mix = chance.choices(urgent, k=2 * per_step) + chance.choices(others, k=2)
        for task in _queued(house, mix, at=at):
            assert task.sort_at is not None
            came[task.id] = task.sort_at, task.urgency
        Worker.objects.filter(id=worker.id).update(load=0)
        assert match_queued(at=at) == per_step
        offered = Offer.objects.filter(offered_at=at).values_list("task_id", flat=True)
        first = sorted(came, key=lambda task_id: (came[task_id][0], task_id))[:per_step]
        assert set(offered) == set(first)
        served += [came.pop(task_id)[1] for task_id in first]
    # The gap between `critical` and `low` is 75 minutes: what came until then has been gone through.
    flow = Counter(served[per_step * steps // 3 :])
    share = sum(flow[urgency] for urgency in others) / flow.total()
    assert share == pytest.approx(2 / 10, abs=0.05)


def _queued(house: House, urgencies: Sequence[str], *, at: datetime) -> list[Task]:
    ids = []
    with rows.batched():
        for urgency in urgencies:
            body = contract(sla={"urgency": urgency})
            made = tasks.create_task(actor=house.alice.principal, document=body, at=at)
            ids.append(made.task.id)
    assert tasks.queue_created(at=at) == len(ids)
    return list(Task.objects.filter(id__in=ids))


# --- organisations --------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(1, 1), (1, 1, 1), (1, 1, 2), (3, 1, 2, 1), (1,) * 8])
def test_shares__follow_the_weights_of_organisations(
    database: None, weights: tuple[int, ...]
) -> None:
    """While there is too much for all, each has its part of 1,000 offers within 5 % of it."""
    dispatches = 1_000
    for weight in weights:
        organisation = create_organisation(name="Org")
        call_command("set_weight", str(organisation.id), str(weight), stdout=io.StringIO())
        worker_in(provision_pool(organisation_id=organisation.id, name="pool"), capacity=2_000)
        caller = Caller(issue_key(organisation_id=organisation.id, name="key"))
        count = dispatches * weight // sum(weights) + 100
        with rows.batched():
            for _ in range(count):
                tasks.create_task(actor=caller.principal, document=contract(), at=clock.now())
    tasks.queue_created()
    while Offer.objects.count() < dispatches:
        assert match_queued()
    offers = Offer.objects.order_by("id").values_list("organisation_id", flat=True)
    given = Counter(islice(offers, dispatches))
    for turn in Turn.objects.all():
        part = dispatches * turn.weight / sum(weights)
        assert given[turn.organisation_id] == pytest.approx(part, rel=0.05)


def test_organisations_for_which_nothing_changed__take_no_turn(house: House) -> None:
    """However many wait in vain: one statement finds that there is nothing to do."""
    for caller in (house.alice, house.charlie):
        body = contract(requirements={"skills": ["unheard-of"]})
        tasks.create_task(actor=caller.principal, document=body, at=clock.now())
    tasks.queue_created()
    assert match_queued() == 0
    assert _looks() == 0
    # A seat that opens is looked at once
    worker_in(house.pool)
    assert _looks() == 1
    assert _looks() == 0
    # And so is a new task
    house.queued()
    assert match_queued() == 1
    assert _looks() == 0


@pytest.mark.parametrize("waiting", [0, 1, 63, 64, 65, 130])
def test_a_new_task__is_found_among_many_signatures_in_vain(house: House, waiting: int) -> None:
    """Wherever it stands among them: signatures are gone through by their ids, which are hashes."""
    with rows.batched():
        for number in range(waiting):
            body = contract(requirements={"skills": [f"unheard-of-{number}"]})
            tasks.create_task(actor=house.alice.principal, document=body, at=clock.now())
    assert tasks.queue_created() == waiting
    assert match_queued() == 0
    Worker.objects.update(capacity=10)
    for preferred in ("welsh", "manx", "cornish", "breton"):
        task = house.queued(requirements={"preferred_skills": [preferred]})
        assert match_queued() == 1
        assert asked(task) == {house.bobs_worker.id}


def _looks() -> int:
    """Turns of a call that finds nobody."""
    with CaptureQueriesContext(connection) as captured:
        assert match_queued() == 0
    return sum("pg_try_advisory_xact_lock" in query["sql"] for query in captured)


@pytest.mark.parametrize("weight", [30, 100])
def test_shares__of_a_weight_that_outweighs_all(house: House, weight: int) -> None:
    """As if each turn led to as many offers as it may: exact to two of the shortest."""
    for caller in (house.alice, house.charlie):
        tasks.create_task(actor=caller.principal, document=contract(), at=clock.now())
    tasks.queue_created()
    turns.weigh(organisation_id=house.organisation.id, weight=weight)
    given = Counter[UUID]()
    while given.total() < 3_000:
        waiting = turns.in_turn(at=clock.now())
        first, length = waiting[0].organisation_id, turns.length(waiting[0], waiting)
        turns.count(organisation_id=first, offered=length)
        given[first] += length
    strangers = given[house.strangers_pool.organisation_id]
    assert strangers == pytest.approx(3_000 / (weight + 1), abs=2 * turns.FEWEST)


def test_weigh__refuses_what_is_no_organisation_or_no_weight(house: House) -> None:
    with pytest.raises(CommandError, match="does not exist"):
        call_command("set_weight", str(house.pool.id), "2")
    for weight in ("0", "101", "two"):
        with pytest.raises(CommandError, match="WEIGHT"):
            call_command("set_weight", str(house.organisation.id), weight)
    assert not Turn.objects.exists()


def test_tasks_that_cannot_be_handled__hold_up_neither_their_organisation_nor_another(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool's row was spoilt by hand: whoever asks for that pool fails whenever it is looked at. More
    such tasks stand first than a turn takes, and before them some that are in vain.
    """
    monkeypatch.setattr(turns, "BATCH", 2)
    spoilt = provision_pool(organisation_id=house.organisation.id, name="Spoilt")
    at = clock.now()
    for _ in range(3):
        house.queued(at=at - timedelta(hours=3), requirements={"skills": ["unheard-of"]})
    assert match_queued() == 0
    needs = {"worker_pool_id": str(spoilt.id)}
    bad = [house.queued(at=at - timedelta(hours=2), requirements=needs) for _ in range(3)]
    Pool.objects.filter(id=spoilt.id).update(costs={"verification": "many"})
    good = house.queued(at=at, requirements={"worker_pool_id": str(house.pool.id)})
    assert match_queued() == 1
    assert asked(good) == {house.bobs_worker.id}
    assert str(bad[0].id) in caplog.text
    Pool.objects.filter(id=spoilt.id).update(costs={})
    worker_in(spoilt, capacity=3)
    assert match_queued() == 3


# --- nobody is forgotten --------------------------------------------------------------------------


def test_signature__is_shared_by_tasks_that_ask_for_the_same(house: House) -> None:
    for _ in range(3):
        house.queued(requirements={"skills": ["phone", "french"]})
    house.queued(requirements={"skills": ["french", "phone"]})
    house.queued(requirements={"skills": ["french"]})
    assert Requirement.objects.count() == 2


def test_calls_that_are_cut_short__get_to_everybody(house: House) -> None:
    """Each has time for one turn. The stranger's leads to nothing, over and over."""
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
    assert asked(task) == {house.bobs_worker.id}


def test_a_task_with_no_workers__holds_up_nobody(house: House) -> None:
    house.queued(requirements={"skills": ["unheard-of"]})
    other = house.queued()
    assert match_queued() == 1
    assert asked(other) == {house.bobs_worker.id}


def test_in_vain__until_a_seat_that_fits_opens(house: House) -> None:
    task = house.queued(requirements={"skills": ["phone"]})
    assert match_queued() == 0
    since = Requirement.objects.get().nobody_at
    assert since is not None
    worker_in(house.pool, skills=["typing"])
    assert match_queued() == 0
    assert Requirement.objects.get().nobody_at == since
    caller, _ = worker_in(house.pool, skills=["phone"])
    assert match_queued() == 1
    assert asked(task) == {caller.id}


def test_in_vain__a_worker_of_two_pools_is_no_seat_less(house: House) -> None:
    """The first pool lets it be made one offer more, the other any number."""
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


def test_in_vain__ends_at_the_moment_a_window_of_offers_does(house: House) -> None:
    """A later task of another signature comes in that very second, and does not overtake."""
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
    assert Requirement.objects.get(id=hopeless.requirement_id).looks_again_at is None
    late = house.queued(at=ends, requirements={"preferred_skills": ["welsh"]})
    assert match_queued(at=ends) == 1
    assert (asked(early), asked(late)) == ({house.bobs_worker.id}, set())


def test_in_vain__who_rests_for_the_first_tasks_is_asked_for_those_behind_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "BATCH", 2)
    for _ in range(5):
        decline(house.offered(), house.bob)
    behind = house.queued()
    assert match_queued() == 1
    assert asked(behind) == {house.bobs_worker.id}


@pytest.mark.parametrize("resting", [127, 128, 129, 257])
def test_in_vain__signatures_that_rest_hide_none_behind_them(house: House, resting: int) -> None:
    """As many as a look takes, each with two tasks that the one who fits declined."""
    Worker.objects.filter(id=house.bobs_worker.id).update(capacity=2 * resting, skills=["phone"])
    at = clock.now() - timedelta(hours=1)
    with rows.batched():
        for number in [*range(resting), *range(resting)]:
            needs = {"skills": ["phone"], "preferred_skills": [f"dialect-{number}"]}
            body = contract(requirements=needs)
            tasks.create_task(actor=house.alice.principal, document=body, at=at)
    tasks.queue_created(at=at)
    assert match_queued() == 2 * resting
    for offer in Offer.objects.filter(status="open"):
        decline(offer, house.bob)
    other, _ = worker_in(house.pool, skills=["typing"])
    behind = house.queued(requirements={"skills": ["typing"]})
    assert match_queued() == 1
    assert asked(behind) == {other.id}
    # All the rest is noted, and need not be looked at again until somebody has rested.
    assert Requirement.objects.filter(nobody_at__isnull=False).count() == resting


def test_in_vain__a_task_that_escalates_to_a_signature_that_rests_is_looked_at(
    house: House,
) -> None:
    decline(house.offered(), house.bob)
    step = {"after_seconds": 60, "lower_min_rating_by": 5}
    task = house.queued(requirements={"min_rating": 5, **policy(step)})
    assert match_queued() == 0
    fire_due(at=Timer.objects.get(subject_id=task.id).due_at)
    assert match_queued() == 1
    assert asked(task) == {house.bobs_worker.id}


def test_in_vain__a_task_queued_while_its_signature_was_noted_waits_a_second(house: House) -> None:
    """Neither transaction saw the other."""
    decline(house.offered(), house.bob)
    task = house.task()
    with transaction.atomic():
        tasks.queue_created()
        assert together(match_queued) == [0]
    assert match_queued(at=clock.now() + timedelta(seconds=1)) == 1
    assert asked(task) == {house.bobs_worker.id}


def test_in_vain__is_not_what_lost_out_to_another(house: House) -> None:
    """Bob may be made one offer more by the first pool, which a task ahead gets, and any by the second. One
    task of the signature rests, the other does not.
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
    assert asked(task) == {house.bobs_worker.id}


def test_in_vain__is_looked_at_when_the_first_has_rested(house: House) -> None:
    """And not every second until then."""
    declined = house.offered()
    decline(declined, house.bob)
    assert match_queued() == 0
    task, now = declined.task, clock.now()
    declined.refresh_from_db()
    assert declined.closed_at is not None
    rested = declined.closed_at + (declined.expires_at - declined.offered_at)
    assert match_queued(at=now + timedelta(seconds=1)) == 0
    assert Requirement.objects.get(id=task.requirement_id).looks_again_at == rested
    assert match_queued(at=rested - timedelta(microseconds=1)) == 0
    assert match_queued(at=rested) == 1


def test_in_vain__is_forgotten_when_nobody_waits_any_more(house: House) -> None:
    gone, waiting = (house.queued(requirements={"skills": [skill]}) for skill in ("welsh", "manx"))
    assert match_queued() == 0
    tasks.cancel_task(actor=house.alice.principal, task_id=gone.id, reason="", at=clock.now())
    assert forget_in_vain() == 1
    in_vain = Requirement.objects.filter(nobody_at__isnull=False)
    assert [one.id for one in in_vain] == [waiting.requirement_id]


SKILLS = ("phone", "typing", "french")


@pytest.mark.parametrize("batch", [1, 2, 128])
@pytest.mark.parametrize("seed", range(3))
def test_in_vain__nobody_waits_while_somebody_who_fits_is_free(
    house: House, seed: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks come and go, workers decline, learn, fill up and free up; after each look of the matcher no
    queued task fits a seat that is open, but for whoever declined it last, as one finds who asks each of
    each.
    """
    monkeypatch.setattr(turns, "BATCH", batch)
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
        match_queued()
        open_to = Membership.objects.filter(free__gt=0)
        for task in Task.objects.filter(status="queued"):
            fitting = {one.worker_id for one in open_to if set(task.skills) <= set(one.abilities)}
            assert fitting <= {declined.get(task.id)}
    assert len(declined) > 2


def _one(rows: Any, chance: random.Random) -> list[Any]:
    found = list(rows.order_by("id"))
    return found and [chance.choice(found)]


def _some(chance: random.Random) -> list[str]:
    return chance.sample(SKILLS, chance.randint(1, 2))
