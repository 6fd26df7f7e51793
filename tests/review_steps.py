"""What tests of reviews share: policies, reviewers, and outputs that wait."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.pools.models import Pool, Presence, Worker
from apps.reviews import services
from apps.reviews.models import Review
from apps.tasks import services as tasks
from apps.tasks.models import Run
from biolayer.requests.reviews import Verdict
from biolayer.reviews import ReviewPolicy
from tests.factories import OUTPUT, Caller, House, contract, tasks_submission, worker_in


def set_policy(pool: Pool, **policy: Any) -> None:
    """Have a pool's submissions reviewed; all of them, unless `policy` says otherwise."""
    stored = ReviewPolicy.model_validate({"mode": "all", **policy}).stored()
    Pool.objects.filter(id=pool.id).update(review_policy=stored)


def reviewer(house: House, name: str = "Rita", *, role: Role = Role.MANAGER) -> Caller:
    """Return a key that reviews, in the organisation of Alice."""
    key = issue_key(
        organisation_id=house.organisation.id,
        name=name,
        role=role,
        scopes=[Scope.TASKS_REVIEW, Scope.TASKS_READ],
    )
    return Caller(key)


def in_review(house: House, *, at: datetime | None = None, **changes: Any) -> Review:
    """Return the review that a new submission of Bob's waits for."""
    run: Run = house.submitted(at=at, **changes)
    return Review.objects.select_related("task", "run").get(run_id=run.id)


def verdict(review: Review, kind: str = "approve", **more: Any) -> Verdict:
    reason = "" if kind == "approve" else "Call again, and ask for the ticket."
    return Verdict.model_validate(
        {"version": review.version, "verdict": kind, "reason": reason, **more}
    )


def decide(
    actor: Principal,
    review: Review,
    kind: str = "approve",
    *,
    at: datetime | None = None,
    **more: Any,
) -> Review:
    """Give a verdict on the review as it was read."""
    return services.give_verdict(
        actor=actor,
        review_id=review.id,
        verdict=verdict(review, kind, **more),
        at=at or clock.now(),
    )


def many_in_review(house: House, count: int, **policy: Any) -> list[Caller]:
    """Have as many submissions as `count` wait for reviews. Return the keys of their workers."""
    set_policy(house.pool, **policy)
    callers = workforce(house)
    for caller, run in many_started(house, callers, count):
        tasks.submit_run(
            actor=caller.principal,
            run_id=run.id,
            submission=tasks_submission(run.epoch, OUTPUT),
            at=clock.now(),
        )
    assert Review.objects.count() == count
    return callers


WORKERS, CAPACITY = 4, 100


def workforce(house: House) -> list[Caller]:
    """Return the keys of new workers, who get all offers from now on."""
    Worker.objects.filter(id=house.bobs_worker.id).update(presence=Presence.AWAY)
    return [worker_in(house.pool, capacity=CAPACITY)[1] for _ in range(WORKERS)]


def many_started(
    house: House, callers: Sequence[Caller], count: int
) -> Iterator[tuple[Caller, Run]]:
    """Yield as many started runs as `count`, each with the key of its worker.

    The workers must have submitted those before when more are asked for.
    """
    by_worker = {caller.principal.worker_id: caller for caller in callers}
    while count:
        part = min(count, CAPACITY * WORKERS)
        for offer in _offers(house, part):
            caller = by_worker[offer.worker_id]
            actor, at = caller.principal, clock.now()
            run = matching.accept_offer(actor=actor, offer_id=offer.id, at=at)
            yield caller, tasks.start_run(actor=actor, run_id=run.id, epoch=run.epoch, at=at)
        count -= part


def _offers(house: House, count: int) -> list[Offer]:
    at, alice = clock.now(), house.alice.principal
    documents = [contract(sla={"urgency": "low"}) for _ in range(count)]
    drafts = tasks.draft_tasks(actor=alice, documents=documents, at=at)
    tasks.create_tasks(actor=alice, drafts=drafts, at=at)
    assert tasks.queue_created() == count
    offered = 0
    while offered < count:
        offered += matching.match_queued()
    return list(Offer.objects.filter(status="open"))
