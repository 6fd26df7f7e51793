"""Match tasks to workers: eligibility, ranking, broadcasts, past offers, and their explanation."""

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.base import clock
from apps.matching import eligible_workers, fair_share, parked_requirements, task_queue
from apps.matching import services as matching
from apps.matching.changes import OFFER
from apps.matching.eligible_workers import SCAN_LIMIT
from apps.matching.models import Offer, OfferStatus
from apps.matching.services import match_queued
from apps.pools.models import Membership, Pool, Worker
from apps.pools.services import provision_pool
from apps.tasks import services as tasks
from apps.tasks.models import Run, Task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.errors import OfferClosed
from tests.api.expect import expect_unchanged, faults
from tests.factories import OUTPUT, Caller, House, tasks_submission, worker_in
from tests.integration.matching_steps import bob_is_offline, decline, offered_to, policy
from tests.probes import assert_loads_are_true

# --- the choice of workers ------------------------------------------------------------------------

FITTING: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    (
        {"skills": ["phone"], "skill_levels": {"phone": 3}},
        {"skills": ["phone"], "skill_levels": {"phone": 2}},
        {"skills": ["phone"], "skill_levels": {"phone": 4}},
    ),
    ({"languages": ["fr"]}, {"languages": ["de"]}, {"languages": ["fr-CA"]}),
    ({"languages": ["fr-CA"]}, {"languages": ["fr"]}, {"languages": ["fr-ca", "en"]}),
    ({"skills": ["phone"]}, {}, {"skills": ["phone", "typing"]}),
]


@pytest.mark.parametrize(("needs", "unfit", "fit"), FITTING)
def test_fit(
    house: House, needs: dict[str, Any], unfit: dict[str, Any], fit: dict[str, Any]
) -> None:
    bob_is_offline(house)
    worker_in(house.pool, **unfit)
    task = house.queued(requirements=needs)
    assert match_queued() == 0
    worker, _ = worker_in(house.pool, **fit)
    assert match_queued() == 1
    assert offered_to(task) == {worker.id}


def test_preferred_skills__decide_among_those_who_fit(house: House) -> None:
    needs = {"preferred_skills": ["french"]}
    worker, _ = worker_in(house.pool, skills=["french"])
    assert offered_to(house.offered(requirements=needs).task) == {worker.id}
    # Bob has none, but he has free capacity.
    assert offered_to(house.offered(requirements=needs).task) == {house.bobs_worker.id}


@pytest.mark.parametrize(("microseconds_before", "offered"), [(0, 0), (1, 1)])
def test_a_certificate__stops_counting_at_the_moment_it_expires(
    house: House, microseconds_before: int, offered: int
) -> None:
    bob_is_offline(house)
    ends = clock.now() + timedelta(minutes=1)
    worker_in(house.pool, certifications={"soc": ends})
    house.queued(requirements={"certifications": ["soc"]})
    assert match_queued(at=ends - timedelta(microseconds=microseconds_before)) == offered


def test_units__are_taken_by_the_type_of_the_task(house: House) -> None:
    bob_is_offline(house)
    Pool.objects.update(costs={"verification": 2})
    worker, caller = worker_in(house.pool, capacity=5)
    for _ in range(3):
        house.task()
    tasks.queue_created()
    assert match_queued() == 2
    worker.refresh_from_db()
    assert worker.load == 4
    offer = Offer.objects.filter(status="open").first()
    assert offer is not None
    run = matching.accept_offer(actor=caller.principal, offer_id=offer.id, at=clock.now())
    tasks.release_run(
        actor=caller.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
    )
    worker.refresh_from_db()
    assert worker.load == 2
    assert_loads_are_true()


def test_offers_per_window__are_no_more_than_the_pool_says(house: House) -> None:
    Pool.objects.update(offers_per_window=2)
    Worker.objects.update(capacity=10)
    for _ in range(4):
        house.task()
    tasks.queue_created()
    assert match_queued() == 2
    assert match_queued() == 0
    assert Offer.objects.filter(worker=house.bobs_worker).count() == 2


def test_offers_per_window__count_for_all_workers_of_a_broadcast(house: House) -> None:
    Pool.objects.update(offers_per_window=2, offer_mode="broadcast", broadcast_to=2)
    Worker.objects.update(capacity=10)
    worker_in(house.pool, capacity=10)
    for _ in range(4):
        house.task()
    tasks.queue_created()
    assert match_queued() >= 2
    made = Counter(Offer.objects.values_list("worker_id", flat=True))
    assert set(made.values()) == {2}


def test_waiting_since__is_reset_by_completed_work_alone(house: House) -> None:
    since = Worker.objects.get(id=house.bobs_worker.id).waiting_since
    offer = house.offered()
    house.bob.post(f"/v1/offers/{offer.id}/decline")
    run = house.accepted()
    tasks.release_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
    )
    assert Worker.objects.get(id=house.bobs_worker.id).waiting_since == since
    for task in Task.objects.filter(status="queued"):
        tasks.cancel_task(actor=house.alice.principal, task_id=task.id, reason="", at=clock.now())
    house.submitted()
    assert Worker.objects.get(id=house.bobs_worker.id).waiting_since > since


def test_missed_offers__send_the_worker_away(house: House) -> None:
    Pool.objects.update(misses_until_away=2)
    now = clock.now()
    for missed in range(2):
        offer = house.offered(at=now)
        matching.expire_offer(offer_id=offer.id, at=offer.expires_at)
        tasks.cancel_task(
            actor=house.alice.principal, task_id=offer.task_id, reason="", at=clock.now()
        )
        bob = Worker.objects.get(id=house.bobs_worker.id)
        assert (bob.missed_in_row, bob.presence) == (missed + 1, "away" if missed else "available")
    assert bob.presence_reason == "missed_offers"
    assert bob.load == 0


# --- broadcasts ------------------------------------------------------------------------------


@pytest.fixture
def crowd(house: House) -> list[tuple[Worker, Caller]]:
    """Add three workers to a pool that offers a task to three at once."""
    Pool.objects.update(offer_mode="broadcast", broadcast_to=3)
    bob_is_offline(house)
    return [worker_in(house.pool) for _ in range(3)]


def test_broadcast__goes_to_the_first_who_accepts(
    house: House, crowd: list[tuple[Worker, Caller]]
) -> None:
    task = house.queued()
    assert match_queued() == 1
    assert offered_to(task) == {worker.id for worker, _ in crowd}
    offers = {offer.worker_id: offer for offer in Offer.objects.filter(task=task)}
    (first, caller), (second, late), _ = crowd
    matching.accept_offer(actor=caller.principal, offer_id=offers[first.id].id, at=clock.now())
    with pytest.raises(OfferClosed, match="rescinded"):
        matching.accept_offer(actor=late.principal, offer_id=offers[second.id].id, at=clock.now())
    statuses = Counter(Offer.objects.filter(task=task).values_list("status", flat=True))
    assert statuses == {OfferStatus.ACCEPTED: 1, OfferStatus.RESCINDED: 2}
    assert sorted(Worker.objects.values_list("load", flat=True)) == [0, 0, 0, 1]
    assert Timer.objects.filter(kind=OFFER).count() == 0
    assert_loads_are_true()


def test_broadcast__is_queued_again_with_the_last_decline(
    house: House, crowd: list[tuple[Worker, Caller]]
) -> None:
    task = house.queued()
    match_queued()
    for number, (worker, caller) in enumerate(crowd):
        offer = Offer.objects.get(task=task, worker=worker)
        version = Task.objects.get(id=task.id).version
        matching.decline_offer(
            actor=caller.principal, offer_id=offer.id, reason="busy", at=clock.now()
        )
        task.refresh_from_db()
        is_last = number == len(crowd) - 1
        assert (task.status, task.version - version) == (
            ("queued", 1) if is_last else ("offered", 0)
        )
    assert_loads_are_true()


def test_broadcast__is_withdrawn_from_all(house: House, crowd: list[tuple[Worker, Caller]]) -> None:
    task = house.queued()
    match_queued()
    tasks.cancel_task(actor=house.alice.principal, task_id=task.id, reason="", at=clock.now())
    assert set(Offer.objects.values_list("status", flat=True)) == {"withdrawn"}
    assert_loads_are_true()


# --- past offers ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["released", "lapsed", "failed"])
def test_a_worker_who_gave_a_task_back__is_offered_it_again_after_all_others(
    house: House, way: str
) -> None:
    """Though it has waited longest all the time."""
    a_day_ago = clock.now() - timedelta(days=1)
    run = house.accepted()
    other, others_key = worker_in(house.pool)
    _give_back(run, house.bob, way)
    Worker.objects.filter(id=house.bobs_worker.id).update(waiting_since=a_day_ago)
    assert match_queued() == 1
    task = Task.objects.get()
    assert offered_to(task) == {other.id}
    decline(Offer.objects.get(status="open"), others_key)
    assert match_queued() == 1
    assert offered_to(task) == {house.bobs_worker.id}


def test_a_worker_who_gave_a_task_back__has_a_cooldown_as_long_as_an_offer_is_open(
    house: House,
) -> None:
    run = house.accepted()
    offer = Offer.objects.get()
    _give_back(run, house.bob, "released")
    task = Task.objects.get()
    cooldown_ends = task.changed_at + (offer.expires_at - offer.offered_at)
    assert match_queued() == 0
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    assert match["workers"]["excluded"]["asked_already"] == 1
    assert match_queued(at=cooldown_ends - timedelta(microseconds=1)) == 0
    assert match_queued(at=cooldown_ends) == 1


def test_a_worker_who_gave_a_run_back__goes_behind_others_after_another_completed_it(
    house: House,
) -> None:
    run = house.accepted()
    _give_back(run, house.bob, "released")
    other, others_key = worker_in(house.pool)
    assert match_queued() == 1
    by = others_key.principal
    run = matching.accept_offer(
        actor=by, offer_id=Offer.objects.get(status="open").id, at=clock.now()
    )
    tasks.start_run(actor=by, run_id=run.id, epoch=run.epoch, at=clock.now())
    submission = tasks_submission(run.epoch, OUTPUT)
    tasks.submit_run(actor=by, run_id=run.id, submission=submission, at=clock.now())
    third, _ = worker_in(house.pool)
    Worker.objects.filter(id=other.id).update(presence="offline")
    with transaction.atomic():
        task = Task.objects.locked().get()
        tasks.rework_task(task=task, actor=house.alice.principal, reason="", at=clock.now())
    assert match_queued() == 1
    assert offered_to(task) == {third.id}


def _give_back(run: Run, holder: Caller, way: str) -> None:
    call: dict[str, Any] = {"actor": holder.principal, "run_id": run.id, "epoch": run.epoch}
    now = clock.now()
    if way == "released":
        tasks.release_run(**call, reason="", at=now)
    elif way == "failed":
        tasks.start_run(**call, at=now)
        tasks.fail_run(**call, error="", at=now)
    else:
        Run.objects.filter(id=run.id).update(lease_until=now)
        tasks.lapse_run(run_id=run.id, at=now)


# --- explained ------------------------------------------------------------------------------------


def test_explain__counts_every_worker_once(house: House) -> None:
    """The first rule that keeps a worker out has it; the counts add up to the pool."""
    full, _ = worker_in(house.pool, skills=["phone"])
    worker_in(house.pool, skills=["phone"], presence="away")
    worker_in(house.pool, skills=["phone"], trust_level=0, certifications={"soc": None})
    worker_in(house.pool, skills=["phone"], capacity=3)
    Worker.objects.filter(id=full.id).update(load=1)
    task = house.queued(requirements={"skills": ["phone"]})
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    assert match["workers"] == {
        "in_pools": 5,
        "eligible": 2,
        "excluded": {
            **dict.fromkeys(match["workers"]["excluded"], 0),
            "skills": 1,
            "presence": 1,
            "capacity": 1,
        },
    }
    assert match["next"] == "It is offered after the tasks ahead of it."
    assert match["queue"]["tasks_ahead"] == 0
    assert match_queued() == 1
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    (offer,) = match["offers"]
    assert offer["why"]["capacity"] in {1, 3}
    assert match["status"] == "offered"


@pytest.mark.parametrize("seed", range(8))
def test_explain__adds_up_and_agrees_with_the_matcher(house: House, seed: int) -> None:
    """Random workers and requirements: every worker is counted once, and as many are eligible as
    get an offer when the task is offered to all at once.
    """
    chance = random.Random(seed)
    skills = ["phone", "typing", "french"]
    for _ in range(25):
        some = chance.sample(skills, chance.randint(0, 3))
        worker, _ = worker_in(
            house.pool,
            skills=some,
            skill_levels={skill: chance.randint(1, 5) for skill in some},
            languages=chance.sample(["en", "fr-CA"], chance.randint(0, 2)),
            certifications=chance.choice([{}, {"soc": None}]),
            trust_level=chance.randint(0, 5),
            rating=chance.choice([3.0, 4.0, 5.0]),
            capacity=chance.randint(1, 3),
            presence=chance.choice(["available", "available", "away"]),
        )
        Worker.objects.filter(id=worker.id).update(load=chance.randint(0, 1))
    required = chance.sample(skills, chance.randint(0, 2))
    task = house.queued(
        requirements={
            "skills": required,
            "skill_levels": {skill: chance.randint(1, 3) for skill in required},
            "languages": chance.choice([[], ["fr"]]),
            "certifications": chance.choice([[], ["soc"]]),
            "trust_level": chance.randint(0, 2),
            "min_rating": chance.choice([0, 4]),
        }
    )
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()["workers"]
    assert match["in_pools"] == 26 == match["eligible"] + sum(match["excluded"].values())
    Pool.objects.update(offer_mode="broadcast", broadcast_to=50)
    match_queued()
    assert len(offered_to(task)) == match["eligible"]


def test_explain__a_worker_who_declined_is_eligible_when_no_other_is(house: House) -> None:
    """As for the matcher: workers without an offer come first, the last one after its cooldown."""
    _, carol = worker_in(house.pool)
    task = house.queued()
    callers = {house.bobs_worker.id: house.bob}
    counts = []
    for _ in range(2):
        assert match_queued() == 1
        offer = Offer.objects.get(task=task, status="open")
        callers.get(offer.worker_id, carol).post(f"/v1/offers/{offer.id}/decline")
        workers = house.alice.get(f"/v1/tasks/{task.id}/match").json()["workers"]
        counts.append((workers["eligible"], workers["excluded"]["asked_already"]))
    # One had no offer yet; then both had, and the first of them may get another.
    assert counts == [(1, 1), (1, 1)]
    assert match_queued() == 1
    again = Offer.objects.get(task=task, status="open")
    assert again.worker_id == Offer.objects.filter(task=task).earliest("offered_at").worker_id


BUT = "One worker meets the requirements, but cannot be offered the task now: "
NEXT: list[tuple[dict[str, Any], str]] = [
    ({"presence": "away"}, BUT + "1 not available."),
    ({"load": 1}, BUT + "1 without free capacity."),
    ({"trust_level": 0}, "No worker in the pools meets the requirements."),
    ({}, "It is offered after the tasks ahead of it."),
]


@pytest.mark.parametrize(("traits", "words"), NEXT)
def test_explain__says_what_has_to_happen(house: House, traits: dict[str, Any], words: str) -> None:
    Worker.objects.update(trust_level=2, capacity=1)
    Worker.objects.update(**traits)
    task = house.queued(requirements={"trust_level": 2})
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    assert (match["next"], match["next_at"]) == (words, None)
    Membership.objects.all().delete()
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    assert match["next"] == "No open pool that it may be offered to has a worker."


def test_explain__says_when_a_worker_who_fits_may_be_offered_the_task(house: House) -> None:
    """The end of a cooldown, of a snooze, of a window of offers, or the next step, if earlier."""
    now = clock.now()

    def next_at(task: Task) -> Any:
        match = house.alice.get(f"/v1/tasks/{task.id}/match").json()["next_at"]
        return match and datetime.fromisoformat(match)

    declined = house.offered()
    assert next_at(declined.task) == declined.expires_at
    decline(declined, house.bob)
    declined.refresh_from_db()
    length = declined.expires_at - declined.offered_at
    assert next_at(declined.task) == declined.closed_at + length
    other = house.queued()
    assert next_at(other) is None
    assert house.bob.patch("/v1/workers/me", {"snooze_seconds": 1800}).status_code == 200
    assert next_at(other) == Worker.objects.get().snoozed_until
    step = {"after_seconds": 60, "notify": True}
    urged = house.queued(at=now, requirements=policy(step))
    assert next_at(urged) == now + timedelta(seconds=60)
    assert house.bob.patch("/v1/workers/me", {"snooze_seconds": 0}).status_code == 200
    Pool.objects.update(offers_per_window=1, offer_window_seconds=120)
    assert next_at(other) == declined.offered_at + timedelta(seconds=120)


def test_explain__has_the_offer_that_was_accepted(house: House) -> None:
    run = house.started()
    path = f"/v1/tasks/{run.task_id}/match"
    match = house.alice.get(path).json()
    assert (match["offers"], match["past_offers"]) == ([], {"accepted": 1})
    assert match["taken"]["worker_id"] == str(house.bobs_worker.id)
    assert match["taken"]["why"] == Offer.objects.get().why
    assert match["next"] == "Its worker has to submit before the lease ends."
    run.refresh_from_db()
    assert datetime.fromisoformat(match["next_at"]) == run.lease_until


def test_explain__of_another_organisation_is_not_found(house: House) -> None:
    task = house.queued()
    assert house.charlie.get(f"/v1/tasks/{task.id}/match").status_code == 404


def test_dry_run__says_what_a_change_would_do_and_changes_nothing(house: House) -> None:
    pool = {"worker_pool_id": str(house.pool.id)}
    long_ago = clock.now() - timedelta(hours=1)
    bob_is_offline(house)
    waiting = house.queued(at=long_ago, requirements={"min_rating": 4, **pool})
    worker_in(house.pool, rating=3.5)
    lower = {"after_seconds": 600, "lower_min_rating_by": 1}
    change = policy(lower) | {"offer_mode": "broadcast"}
    path = f"/v1/pools/{house.pool.id}/dry-run"
    with expect_unchanged():
        result = house.alice.post(path, change).json()
    assert (result["tasks_waiting"], result["tasks_looked_at"]) == (1, 1)
    assert result["before"] == {"offered": 0, "waits": 1, "fails": 0, "workers_asked": 0}
    assert result["after"] == {"offered": 1, "waits": 0, "fails": 0, "workers_asked": 1}
    assert result["changed"] == [
        {"task_id": str(waiting.id), "before": "waits", "after": "offered"}
    ]
    result = house.alice.post(
        path, policy({**lower, "lower_min_rating_by": 0.2}, at_end="fail")
    ).json()
    assert result["after"]["fails"] == 1
    with expect_unchanged():
        assert set(faults(house.alice.post(path, {"broadcast_to": 1}))) == {"/broadcast_to"}


def test_dry_run__moves_ahead_what_a_step_does(house: House) -> None:
    """So one task gets the worker that another would have had."""
    since = clock.now() - timedelta(minutes=5)
    earlier = house.queued(at=since)
    pool = {"worker_pool_id": str(house.pool.id)}
    later = house.queued(at=since + timedelta(minutes=1), requirements=pool)
    change = policy({"after_seconds": 60, "boost_seconds": 900})
    result = house.alice.post(f"/v1/pools/{house.pool.id}/dry-run", change).json()
    fates = {one["task_id"]: one["after"] for one in result["changed"]}
    assert fates == {str(earlier.id): "waits", str(later.id): "offered"}
    house.alice.patch(f"/v1/pools/{house.pool.id}", change)
    fire_due()
    assert match_queued() == 1
    assert offered_to(later) == {house.bobs_worker.id}


def test_dry_run__counts_the_steps_of_the_policy_in_question(house: House) -> None:
    """Not those of the policy before it."""
    bob_is_offline(house)
    steps = [{"after_seconds": 60 * number, "notify": True} for number in (1, 2, 3)]
    Pool.objects.filter(id=house.pool.id).update(**policy(*steps))
    pool = {"worker_pool_id": str(house.pool.id)}
    house.queued(at=clock.now() - timedelta(minutes=10), requirements=pool)
    later = {"after_seconds": 1200, "notify": True}
    path = f"/v1/pools/{house.pool.id}/dry-run"
    for change, fails in ((policy(later, at_end="fail"), 0), (policy(steps[0], at_end="fail"), 1)):
        result = house.alice.post(path, change).json()
        assert result["before"]["fails"] == 0
        assert result["after"]["fails"] == fails


def test_memberships__follow_their_workers(house: House) -> None:
    """The trigger's copy equals the worker's row after any change."""
    worker, _ = worker_in(house.pool, skills=["phone"], skill_levels={"phone": 3}, capacity=4)
    Worker.objects.filter(id=worker.id).update(load=1, trust_level=4, languages=["pt-BR"])
    membership = worker.memberships.get()
    assert (membership.free, membership.load_share, membership.trust_level) == (3, 0.25, 4)
    assert set(membership.abilities) == {"phone", "phone:2", "phone:3", "@pt", "@pt-br"}
    for unavailable in (
        {"presence": "busy"},
        {"is_on_shift": False},
        {"snoozed_until": clock.now()},
    ):
        Worker.objects.filter(id=worker.id).update(
            presence="available", is_on_shift=True, snoozed_until=None
        )
        Worker.objects.filter(id=worker.id).update(**unavailable)
        membership.refresh_from_db()
        assert membership.free == 0


@pytest.fixture
def many(house: House) -> list[Worker]:
    """Add more workers than a scan reads; the last three in ranking have a rare skill."""
    bob_is_offline(house)
    made = [
        Worker(
            organisation_id=house.organisation.id,
            name=f"Worker {number}",
            presence="available",
            skills=["french"] if number < SCAN_LIMIT else ["french", "welsh"],
            capacity=10,
            load=1 if number < SCAN_LIMIT else 2 + number - SCAN_LIMIT,
        )
        for number in range(SCAN_LIMIT + 3)
    ]
    Worker.objects.bulk_create(made, batch_size=1_000)
    memberships = (
        Membership(organisation_id=house.organisation.id, pool=house.pool, worker=worker)
        for worker in made
    )
    Membership.objects.bulk_create(memberships, batch_size=1_000)
    # Autovacuum may not have seen them yet, or only a part: then the plan is one for few rows.
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pools_worker, pools_membership")
    return made


def test_rare__skills_are_found_however_many_others_come_first(
    house: House, many: list[Worker]
) -> None:
    *_, first, second, third = many
    elsewhere = provision_pool(organisation_id=house.organisation.id, name="Elsewhere")
    worker_in(elsewhere, skills=["french", "welsh"])
    needs = {"skills": ["welsh", "french"], "worker_pool_id": str(house.pool.id)}
    assert offered_to(house.offered(requirements=needs).task) == {first.id}
    Worker.objects.filter(id=first.id).update(load=9)
    assert offered_to(house.offered(requirements=needs).task) == {second.id}
    Worker.objects.filter(id__in=[first.id, second.id]).update(presence="away")
    assert offered_to(house.offered(requirements=needs).task) == {third.id}


def test_rare__preferred_skills_go_before_all_others(house: House, many: list[Worker]) -> None:
    needs = {"skills": ["french"], "preferred_skills": ["welsh"]}
    assert offered_to(house.offered(requirements=needs).task) <= {worker.id for worker in many[-3:]}
    Worker.objects.filter(skills__contains=["welsh"]).update(trust_level=0, presence="busy")
    assert offered_to(house.offered(requirements=needs).task)


def test_the_matcher__scans_no_table(house: House) -> None:
    """Indexes serve all statements: PostgreSQL finds such plans when it may not scan."""
    now, some = clock.now(), [house.organisation.id]
    params = {
        "organisation_id": house.organisation.id,
        "at": now,
        "soon": now,
        "cut_off": None,
        "compared_in": None,
        "limit": 10,
        "limits": [9],
        "excluded": some,
        "preferred_worker_ids": some,
        "requirement_ids": some,
        "matched_ids": some,
        "opened_ids": some,
        "deferred_task_ids": some,
        "parked_at": [now],
        "recheck_at": [None],
        "cooldowns_end_at": [now],
    }
    statements = (
        fair_share.QUEUED_ORGANISATIONS,
        task_queue.QUEUED_REQUIREMENTS,
        task_queue.FIRST_TASKS,
        eligible_workers.ELIGIBLE_WORKERS,
        parked_requirements.UNPARK_OPENED,
        parked_requirements.PARK,
        parked_requirements.REPARK,
    )
    tables = ("tasks_task", "pools_membership", "pools_worker", "tasks_requirement")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for sql in statements:
            cursor.execute("EXPLAIN " + sql, params)
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Index" in plan
            for table in (*tables, "matching_parkedrequirement"):
                assert f"Seq Scan on {table}" not in plan
