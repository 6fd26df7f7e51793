"""Appeals: who may, who decides, and what follows for ratings and tasks."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.events.models import Event, EventNote
from apps.matching.models import Offer
from apps.pools.models import Worker
from apps.pools.services import delete_worker, rate_worker, take_rating_back
from apps.reviews import services
from apps.reviews.models import Appeal, Review
from apps.reviews.services import Ruling
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.services.retention.purging import purge_tasks_now
from biolayer.errors import (
    AlreadyAppealed,
    AppealChanged,
    AppealClosed,
    AppealTooLate,
    AttemptsExhausted,
    BioLayerError,
    NotAppealable,
    NotFound,
    OwnVerdict,
    OwnWork,
    RoleTooLow,
    ScopeMissing,
    TaskPurged,
)
from tests.api.expect import expect_unchanged
from tests.factories import Caller, House, member_of, worker_in
from tests.review_steps import decide, in_review, reviewer, set_policy

WORDS = "The ticket is in the notes."


@pytest.fixture
def rita(house: House) -> Caller:
    set_policy(house.pool)
    return reviewer(house)


@pytest.fixture
def mona(house: House) -> Caller:
    return reviewer(house, "Mona")


def refused(house: House, rita: Caller, kind: str = "reject", **more: Any) -> Review:
    """Return the review by which Bob's new output was sent back or rejected."""
    return decide(rita.principal, in_review(house), kind, **more)


def appealed(house: House, review: Review, *, at: datetime | None = None) -> Appeal:
    return services.open_appeal(
        actor=house.bob.principal, review_id=review.id, reason=WORDS, at=at or clock.now()
    )


def ruled(caller: Caller, appeal: Appeal, decision: str = "overturn", **more: Any) -> Appeal:
    ruling = Ruling(**{"version": 1, "decision": decision, "reason": "I have read it.", **more})
    return services.decide_appeal(
        actor=caller.principal, appeal_id=appeal.id, ruling=ruling, at=clock.now()
    )


def rating(house: House) -> tuple[float, int]:
    worker = Worker.objects.get(id=house.bobs_worker.id)
    return worker.rating_now, worker.rating_count


def last_event(task_id: UUID) -> Event:
    return Event.objects.filter(task_id=task_id).latest("sequence")


# --- opening --------------------------------------------------------------------------------------


def test_appeal__of_a_rejection_is_in_the_log_of_the_closed_task(
    house: House, rita: Caller
) -> None:
    review = refused(house, rita)
    before = Task.objects.get(id=review.task_id)
    appeal = appealed(house, review)
    task = Task.objects.get(id=review.task_id)
    assert (before.status, task.status, task.closed_at) == ("failed", "failed", before.closed_at)
    assert task.version == before.version + 1
    event = last_event(task.id)
    assert (event.type, event.status, event.previous_status) == (
        "appeal.opened",
        "failed",
        "failed",
    )
    facts = dict(event.data)
    assert facts.pop("reason_hash")
    assert facts == {
        "appeal_id": str(appeal.id),
        "review_id": str(review.id),
        "run_id": str(review.run_id),
        "worker_id": str(house.bobs_worker.id),
        "attempt": 1,
        "round": 1,
        "verdict": "rejected",
    }
    assert EventNote.objects.get(task_id=task.id, sequence=event.sequence).note == WORDS
    stored = Appeal.objects.get()
    assert (stored.status, stored.verdict_by, stored.worker_id) == (
        "open",
        rita.principal.text,
        house.bobs_worker.id,
    )


def test_appeal__of_a_rework_while_the_task_goes_on(house: House, rita: Caller) -> None:
    review = refused(house, rita, "rework")
    appealed(house, review)
    assert Task.objects.get(id=review.task_id).status == "queued"
    run = house.offered_again(review.task).run
    assert run.attempt == 2


def test_appeal__of_a_task_that_was_cancelled_since(house: House, rita: Caller) -> None:
    review = refused(house, rita, "rework")
    tasks.cancel_task(
        actor=house.alice.principal, task_id=review.task_id, reason="", at=clock.now()
    )
    appealed(house, review)
    assert last_event(review.task_id).status == "cancelled"


def refusal(house: House, review: Review, *, at: datetime | None = None) -> BioLayerError:
    with pytest.raises(BioLayerError) as caught, expect_unchanged():
        appealed(house, review, at=at)
    return caught.value


def test_appeal__once(house: House, rita: Caller) -> None:
    review = refused(house, rita)
    appeal = appealed(house, review)
    error = refusal(house, review)
    assert isinstance(error, AlreadyAppealed)
    assert error.facts == {"appeal_id": str(appeal.id), "appeal_status": "open"}
    with pytest.raises(IntegrityError), transaction.atomic():
        Appeal.objects.create(
            organisation=house.organisation,
            review=review,
            worker=house.bobs_worker,
            verdict_by="member:1",
            opened_at=clock.now(),
        )


def test_appeal__in_time(house: House, rita: Caller) -> None:
    set_policy(house.pool, appeal_hours=2)
    review = refused(house, rita)
    assert review.decided_at is not None
    end = review.decided_at + timedelta(hours=2)
    assert isinstance(refusal(house, review, at=end), AppealTooLate)
    appealed(house, review, at=end - timedelta(microseconds=1))


def test_appeal__for_72_hours_unless_the_policy_says_otherwise(house: House, rita: Caller) -> None:
    review = refused(house, rita)
    assert review.decided_at is not None
    late = review.decided_at + timedelta(hours=72)
    assert isinstance(refusal(house, review, at=late), AppealTooLate)


def test_appeal__never_by_a_policy_with_no_hours(house: House, rita: Caller) -> None:
    set_policy(house.pool, appeal_hours=0)
    assert isinstance(refusal(house, refused(house, rita)), NotAppealable)


def test_appeal__not_of_an_approval_nor_of_an_open_review(house: House, rita: Caller) -> None:
    review = in_review(house)
    assert isinstance(refusal(house, review), NotAppealable)
    decide(rita.principal, review)
    assert isinstance(refusal(house, review), NotAppealable)


def test_appeal__only_of_own_work(house: House, rita: Caller) -> None:
    review = refused(house, rita)
    _, other = worker_in(house.pool)
    _, elsewhere = worker_in(house.strangers_pool)
    for caller, error in ((other, NotFound), (rita, ScopeMissing), (elsewhere, NotFound)):
        with pytest.raises(error), expect_unchanged():
            services.open_appeal(
                actor=caller.principal, review_id=review.id, reason=WORDS, at=clock.now()
            )


# --- deciding -------------------------------------------------------------------------------------


def test_decision__that_upholds_changes_no_rating(house: House, rita: Caller, mona: Caller) -> None:
    appeal = appealed(house, refused(house, rita, rating=2))
    decided = ruled(mona, appeal, "uphold")
    assert (decided.status, decided.version) == ("upheld", 2)
    assert rating(house) == (2, 1)
    event = last_event(decided.review.task_id)
    assert (event.type, event.data["decision"], "rating" in event.data) == (
        "appeal.decided",
        "upheld",
        False,
    )
    assert event.actor_id == mona.principal.id


def test_decision__that_overturns_takes_the_rating_back(
    house: House, rita: Caller, mona: Caller
) -> None:
    for stars in (5, 4, 4):
        rate_worker(
            actor=rita.principal, worker_id=house.bobs_worker.id, stars=stars, at=clock.now()
        )
    before = rating(house)
    appeal = appealed(house, refused(house, rita, rating=1))
    assert rating(house) == (3.5, 4)
    assert ruled(mona, appeal).status == "overturned"
    assert rating(house) == before == (13 / 3, 3)


def test_decision__gives_a_new_rating_instead(house: House, rita: Caller, mona: Caller) -> None:
    appeal = appealed(house, refused(house, rita, rating=1))
    decided = ruled(mona, appeal, rating=5)
    assert rating(house) == (5, 1)
    assert last_event(decided.review.task_id).data["rating"] == 5


def test_decision__on_a_verdict_without_a_rating(house: House, rita: Caller, mona: Caller) -> None:
    ruled(mona, appealed(house, refused(house, rita)))
    assert rating(house) == (0, 0)
    ruled(mona, appealed(house, refused(house, rita)), rating=4)
    assert rating(house) == (4, 1)


def test_decision__once(house: House, rita: Caller, mona: Caller) -> None:
    appeal = appealed(house, refused(house, rita, rating=1))
    ruled(mona, appeal)
    with pytest.raises(AppealChanged), expect_unchanged():
        ruled(mona, appeal, "uphold")
    with pytest.raises(AppealClosed), expect_unchanged():
        ruled(mona, appeal, "uphold", version=2)


def test_decision__leaves_the_task_where_it_is(house: House, rita: Caller, mona: Caller) -> None:
    decided = ruled(mona, appealed(house, refused(house, rita)))
    task = Task.objects.get(id=decided.review.task_id)
    assert (task.status, task.close_reason, task.output) == ("failed", "rejected", None)


def admin(house: House) -> Caller:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Ada",
        role=Role.ADMIN,
        scopes=[Scope.TASKS_REVIEW, Scope.TASKS_MANAGE],
    )
    return Caller(key)


def test_decision__reopens_the_task_and_its_worker_may_have_it_again(
    house: House, rita: Caller
) -> None:
    appeal = appealed(house, refused(house, rita))
    assert Offer.objects.get().code == "rejected"
    decided = ruled(admin(house), appeal, is_reopening=True)
    assert decided.review.task.status == "queued"
    assert Offer.objects.get().code == ""
    offer = house.offered_again(decided.review.task)
    assert (offer.worker_id, offer.run.attempt) == (house.bobs_worker.id, 2)


def test_decision__is_refused_with_the_reopening(house: House, rita: Caller, mona: Caller) -> None:
    appeal = appealed(house, refused(house, rita, rating=1))
    with pytest.raises(ScopeMissing), expect_unchanged():
        ruled(mona, appeal, is_reopening=True)
    Task.objects.filter(id=appeal.review.task_id).update(max_attempts=1)
    with pytest.raises(AttemptsExhausted), expect_unchanged():
        ruled(admin(house), appeal, is_reopening=True)
    assert rating(house) == (1, 1)


def key_of(house: House, member_id: UUID | None, **more: Any) -> Caller:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Key",
        role=Role.ADMIN,
        scopes=[Scope.TASKS_REVIEW, *more.pop("scopes", [])],
        **more,
    )
    caller = Caller(key)
    if member_id is not None:
        keys = ApiKey.objects.filter(id=caller.principal.key_id)
        keys.update(created_by=f"member:{member_id}")
    return caller


def test_decision__not_by_the_worker(house: House, rita: Caller) -> None:
    appeal = appealed(house, refused(house, rita))
    own_key = key_of(house, None, worker_id=house.bobs_worker.id, scopes=[Scope.WORK])
    member = member_of(house.organisation, "bob@example.com", role=Role.ADMIN)
    Worker.objects.filter(id=house.bobs_worker.id).update(user=member.user)
    for caller in (own_key, key_of(house, member.id)):
        with pytest.raises(OwnWork), expect_unchanged():
            ruled(caller, appeal)


def test_decision__not_by_the_reviewer(house: House, rita: Caller, mona: Caller) -> None:
    """The same credential, another key of the same member, and the member's worker."""
    member = member_of(house.organisation, "rita@example.com", role=Role.ADMIN)
    first, second = (key_of(house, member.id) for _ in range(2))
    appeal = appealed(house, refused(house, first))
    for caller in (first, second):
        with pytest.raises(OwnVerdict), expect_unchanged():
            ruled(caller, appeal)
    as_worker, _ = worker_in(house.pool)
    by_worker = key_of(house, None, worker_id=as_worker.id)
    again = appealed(house, refused(house, by_worker))
    other_key = key_of(house, None, worker_id=as_worker.id)
    with pytest.raises(OwnVerdict), expect_unchanged():
        ruled(other_key, again)
    ruled(mona, again)


def test_decision__by_a_manager_only(house: House, rita: Caller) -> None:
    appeal = appealed(house, refused(house, rita))
    callers: Sequence[tuple[Caller, type[BioLayerError]]] = [
        (reviewer(house, "Ed", role=Role.EDITOR), RoleTooLow),
        (house.bob, ScopeMissing),
        (stranger(house), NotFound),
    ]
    for caller, error in callers:
        with pytest.raises(error), expect_unchanged():
            ruled(caller, appeal)


def stranger(house: House) -> Caller:
    key = issue_key(
        organisation_id=house.strangers_pool.organisation_id,
        name="Stranger",
        role=Role.ADMIN,
        scopes=[Scope.TASKS_REVIEW],
    )
    return Caller(key)


@pytest.mark.parametrize(
    "values",
    [
        {"decided_by": "verdict"},
        {"decider_worker": "worker"},
        {"decider_worker": "verdict"},
        {"decider_member_id": "verdict"},
        {"decided_by": ""},
        {"rating": 6},
        {"rating": 4, "status": "upheld"},
    ],
)
def test_postgresql__refuses_a_decision_by_who_is_concerned(
    house: House, rita: Caller, values: dict[str, Any]
) -> None:
    appeal = appealed(house, refused(house, rita))
    worker, _ = worker_in(house.pool)
    member = UUID(int=7)
    Appeal.objects.update(verdict_worker_id=worker.id, verdict_member_id=member)
    known = {
        ("decided_by", "verdict"): appeal.verdict_by,
        ("decider_worker", "worker"): house.bobs_worker,
        ("decider_worker", "verdict"): worker,
        ("decider_member_id", "verdict"): member,
    }
    given = {name: known.get((name, value), value) for name, value in values.items()}
    base = {"status": "overturned", "decided_by": "member:2", "decided_at": clock.now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Appeal.objects.update(**{**base, **given})
    Appeal.objects.update(**base)


# --- ratings --------------------------------------------------------------------------------------


def test_ratings__are_exact_after_any_sequence(house: House) -> None:
    worker_id, actor = house.bobs_worker.id, house.alice.principal
    given: list[int] = []
    chance = random.Random(16)
    for _ in range(300):
        if given and chance.random() < 0.45:
            stars = given.pop(chance.randrange(len(given)))
            take_rating_back(actor=actor, worker_id=worker_id, stars=stars, at=clock.now())
        else:
            given.append(chance.randint(1, 5))
            rate_worker(actor=actor, worker_id=worker_id, stars=given[-1], at=clock.now())
        worker = Worker.objects.get(id=worker_id)
        assert worker.rating_count == len(given)
        assert worker.exact_rating is not None
        mean = Fraction(sum(given), len(given) or 1)
        assert abs(Fraction(worker.exact_rating) - mean) < Fraction(1, 10**29)


@pytest.mark.parametrize(
    ("mean", "count", "taken", "expected"),
    [
        (4.796, 10, 5, (42.96 / 9, 9)),
        (0.5, 2, 5, (0, 1)),  # an operator's own figures, which did not contain it
        (4.2, 0, 5, (4.2, 0)),  # reset by an operator
        (3, 1, 3, (0, 0)),
    ],
)
def test_ratings__that_an_operator_set(
    house: House, mean: float, count: int, taken: int, expected: tuple[float, int]
) -> None:
    Worker.objects.filter(id=house.bobs_worker.id).update(
        rating=mean, exact_rating=mean, rating_count=count
    )
    take_rating_back(
        actor=house.alice.principal, worker_id=house.bobs_worker.id, stars=taken, at=clock.now()
    )
    assert rating(house) == pytest.approx(expected, abs=1e-14)


# --- retention ------------------------------------------------------------------------------------


def test_purge__closes_open_appeals_and_deletes_the_words(
    house: House, rita: Caller, mona: Caller
) -> None:
    still_open = appealed(house, refused(house, rita, rating=2))
    done = ruled(mona, appealed(house, refused(house, rita)))
    ids = [still_open.review.task_id, done.review.task_id]
    assert purge_tasks_now(task_ids=ids, at=clock.now()) == 2
    still_open.refresh_from_db()
    done.refresh_from_db()
    assert (still_open.status, still_open.version, still_open.decided_by) == (
        "expired",
        2,
        "system:retention",
    )
    assert (done.status, done.version) == ("overturned", 2)
    for appeal in (still_open, done):
        assert (appeal.reason, appeal.decision_reason) == ("", "")
    with pytest.raises(AppealClosed), expect_unchanged():
        ruled(mona, still_open, version=2)
    assert rating(house) == (2, 1)


def test_appeal__not_of_a_purged_task(house: House, rita: Caller) -> None:
    review = refused(house, rita)
    purge_tasks_now(task_ids=[review.task_id], at=clock.now())
    assert isinstance(refusal(house, review), TaskPurged)


def test_a_worker_who_decided_an_appeal__is_not_deleted(house: House, rita: Caller) -> None:
    lena, _ = worker_in(house.pool)
    ruled(key_of(house, None, worker_id=lena.id), appealed(house, refused(house, rita)))
    with pytest.raises(BioLayerError) as caught, expect_unchanged():
        delete_worker(actor=house.alice.principal, worker_id=lena.id, at=clock.now())
    assert caught.value.code == "worker_has_history"
