"""What reviewers do in figures, and second looks at what they approved."""

from collections.abc import Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.base.ids import new_id
from apps.events.models import Event
from apps.pools.models import Pool, Worker
from apps.pools.services import delete_worker, provision_pool
from apps.reviews import selectors, services
from apps.reviews.models import Review, SecondLook
from apps.reviews.selectors import ReviewerFigures
from apps.reviews.services import Ruling, draw, verify_submitted
from apps.reviews.services.sampling import SECOND_LOOK
from apps.tasks.models import Task
from apps.tasks.services.retention.purging import purge_tasks_now
from apps.timers.services import fire_due
from biolayer.errors import (
    BioLayerError,
    NotAReviewer,
    NotFound,
    OwnVerdict,
    OwnWork,
    RoleTooLow,
    ScopeMissing,
    SecondLookClosed,
)
from tests.api.expect import expect_unchanged
from tests.factories import Caller, House, member_of, worker_in
from tests.review_steps import decide, in_review, reviewer, set_policy


@pytest.fixture
def rita(house: House) -> Caller:
    set_policy(house.pool, second_look_share=1)
    return reviewer(house)


@pytest.fixture
def mona(house: House) -> Caller:
    return reviewer(house, "Mona")


# --- figures --------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
WEEK = {"since": NOON - timedelta(days=1), "until": NOON + timedelta(days=6)}


def figures(
    caller: Caller, *, after: str | None = None, count: int = 10, **period: Any
) -> Sequence[ReviewerFigures]:
    return selectors.reviewers(
        actor=caller.principal, after=after, count=count, **{**WEEK, **period}
    )


def claimed(house: House, caller: Caller, kind: str, at: datetime, seconds: float) -> Review:
    """Claim a new review at a time, and decide so many seconds later."""
    review = in_review(house, at=at)
    review = services.claim_review(actor=caller.principal, review_id=review.id, at=at)
    return decide(caller.principal, review, kind, at=at + timedelta(seconds=seconds))


def test_figures__of_each_reviewer(house: House, rita: Caller, mona: Caller) -> None:
    claimed(house, rita, "approve", NOON, 4.999)
    claimed(house, rita, "approve", NOON + timedelta(minutes=1), 5)
    claimed(house, rita, "approve", NOON + timedelta(hours=3), 60)
    decide(rita.principal, in_review(house, at=NOON), at=NOON + timedelta(hours=3))
    sent_back = claimed(house, rita, "rework", NOON, 1)
    house.alice.post(f"/v1/tasks/{sent_back.task_id}/cancel")
    claimed(house, mona, "reject", NOON, 1)
    shown = {row.decided_by: row for row in figures(mona)}
    assert shown.keys() == {rita.principal.text, mona.principal.text}
    ritas, monas = shown[rita.principal.text], shown[mona.principal.text]
    assert (ritas.decided, ritas.approvals, ritas.reworks, ritas.rejections) == (5, 4, 1, 0)
    assert (ritas.active_hours, ritas.claimed_approvals, ritas.fast_approvals) == (2, 3, 1)
    assert (monas.decided, monas.approvals, monas.rejections) == (1, 0, 1)
    assert (monas.active_hours, monas.claimed_approvals, monas.fast_approvals) == (1, 0, 0)


def test_figures__count_the_period_only_and_no_policy(house: House, rita: Caller) -> None:
    set_policy(house.pool, auto_approve_after_hours=1)
    before = WEEK["since"] - timedelta(microseconds=1)
    decide(rita.principal, in_review(house, at=before), at=before)
    decide(rita.principal, in_review(house, at=NOON), at=WEEK["until"])
    in_review(house, at=NOON)
    fire_due(at=NOON + timedelta(hours=2))
    assert Review.objects.filter(status="auto_approved").count() == 1
    assert figures(rita) == []
    decide(rita.principal, in_review(house, at=NOON), at=WEEK["since"])
    assert [row.decided for row in figures(rita)] == [1]


def test_figures__of_a_claim_that_another_reviewer_took_over(
    house: House, rita: Caller, mona: Caller
) -> None:
    """The time since one's own claim counts, and none without one."""
    review = in_review(house, at=NOON)
    services.claim_review(actor=rita.principal, review_id=review.id, at=NOON)
    later = NOON + timedelta(minutes=11)
    review.refresh_from_db()
    decide(mona.principal, review, at=later)
    review.refresh_from_db()
    assert review.claimed_at is None
    other = in_review(house, at=NOON)
    services.claim_review(actor=rita.principal, review_id=other.id, at=NOON)
    services.claim_review(actor=mona.principal, review_id=other.id, at=later)
    renewed = services.claim_review(
        actor=mona.principal, review_id=other.id, at=later + timedelta(minutes=5)
    )
    assert renewed.claimed_at == later
    decided = decide(mona.principal, renewed, at=later + timedelta(minutes=6))
    assert decided.claimed_at == later


def ruled(house: House, caller: Caller, review: Review, decision: str) -> None:
    appeal = services.open_appeal(
        actor=house.bob.principal,
        review_id=review.id,
        reason="It is right.",
        at=review.decided_at or clock.now(),
    )
    ruling = Ruling(version=1, decision=decision, reason="I have read it.")
    services.decide_appeal(
        actor=caller.principal, appeal_id=appeal.id, ruling=ruling, at=clock.now()
    )


def test_figures__have_what_others_decided_later(house: House, rita: Caller, mona: Caller) -> None:
    approvals = [decide(rita.principal, in_review(house, at=NOON), at=NOON) for _ in range(4)]
    for review, verdict in zip(approvals, ("approve", "approve", "reject"), strict=False):
        look(mona, review, verdict)
    for decision in ("uphold", "overturn"):
        rejected = decide(rita.principal, in_review(house, at=NOON), "reject", at=NOON)
        ruled(house, mona, rejected, decision)
    undecided = decide(rita.principal, in_review(house, at=NOON), "reject", at=NOON)
    services.open_appeal(
        actor=house.bob.principal, review_id=undecided.id, reason="It is right.", at=NOON
    )
    (row,) = figures(mona)
    assert (row.decided, row.agreed, row.disagreed) == (7, 3, 2)


def decide_long_ago(review: Review | None, count: int) -> None:
    """Store reviews that were decided before the week, so that its index is worth its price."""
    assert review is not None
    decided_at = NOON - timedelta(days=400)
    copies = []
    for number in range(count):
        one = Review.objects.get(id=review.id) if not copies else copy(copies[0])
        one.id, one.round, one.decided_at = new_id(), 100 + number, decided_at
        copies.append(one)
    Review.objects.bulk_create(copies)


def test_figures__by_pages_in_one_statement_by_an_index(house: House, rita: Caller) -> None:
    callers = [reviewer(house, f"R{n}") for n in range(3)]
    for caller in callers:
        decide(caller.principal, in_review(house, at=NOON), at=NOON)
    names = sorted(caller.principal.text for caller in callers)
    principal = rita.principal
    with CaptureQueriesContext(connection) as queries:
        first = selectors.reviewers(actor=principal, after=None, count=2, **WEEK)
    assert [row.decided_by for row in first] == names[:2]
    assert [row.decided_by for row in figures(rita, after=names[1])] == names[2:]
    (query,) = [one["sql"] for one in queries.captured_queries]
    decide_long_ago(Review.objects.first(), 500)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE reviews_review")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {query}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "review_decided" in plan, plan


def test_figures__for_managers_of_what_they_may_see(house: House, rita: Caller) -> None:
    named = {"worker_pool_id": str(house.pool.id)}
    decide(rita.principal, in_review(house, at=NOON, requirements=named), at=NOON)
    with pytest.raises(RoleTooLow):
        figures(reviewer(house, "Ed", role=Role.EDITOR))
    with pytest.raises(ScopeMissing):
        figures(house.bob)
    elsewhere = provision_pool(organisation_id=house.organisation.id, name="Elsewhere")
    assert figures(manager_of(house, elsewhere)) == []
    assert [row.decided for row in figures(manager_of(house, house.pool))] == [1]


def manager_of(house: House, pool: Pool) -> Caller:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Theirs",
        role=Role.MANAGER,
        scopes=[Scope.TASKS_REVIEW],
        pool_ids=[pool.id],
    )
    return Caller(key)


# --- second looks ---------------------------------------------------------------------------------


def look_at(review: Review) -> SecondLook:
    return SecondLook.objects.get(review_id=review.id)


def look(caller: Caller, review: Review, verdict: str = "approve") -> SecondLook:
    return services.give_second_look(
        actor=caller.principal,
        look_id=look_at(review).id,
        verdict=verdict,
        reason="" if verdict == "approve" else "It is another owner.",
        at=clock.now(),
    )


def test_second_look__does_not_hold_the_task(house: House, rita: Caller, mona: Caller) -> None:
    review = decide(rita.principal, in_review(house))
    assert verify_submitted() == 1
    assert Task.objects.get(id=review.task_id).status == "completed"
    waiting = look_at(review)
    assert (waiting.status, waiting.verdict_by) == ("waiting", rita.principal.text)
    events = Event.objects.filter(task_id=review.task_id).count()
    given = look(mona, review, "reject")
    assert (given.status, given.decided_by, given.reason) == (
        "disagreed",
        mona.principal.text,
        "It is another owner.",
    )
    task = Task.objects.get(id=review.task_id)
    assert (task.status, Event.objects.filter(task_id=task.id).count()) == ("completed", events)
    review.refresh_from_db()
    assert review.status == "approved"


def test_second_look__only_at_approvals_of_people(house: House, rita: Caller) -> None:
    set_policy(house.pool, second_look_share=1, auto_approve_after_hours=1)
    for kind in ("rework", "reject"):
        review = decide(rita.principal, in_review(house), kind)
        house.alice.post(f"/v1/tasks/{review.task_id}/cancel")
    in_review(house)
    fire_due(at=clock.now() + timedelta(hours=2))
    assert Review.objects.filter(status="auto_approved").count() == 1
    assert not SecondLook.objects.exists()


def test_second_look__is_drawn_by_a_key_with_a_label(house: House, rita: Caller) -> None:
    set_policy(house.pool, second_look_share=0.5)
    approved = [decide(rita.principal, in_review(house)) for _ in range(12)]
    drawn = {one.task_id for one in approved if draw(one.task_id, SECOND_LOOK) < 0.5}
    assert {*SecondLook.objects.values_list("review__task_id", flat=True)} == drawn
    ids = [UUID(int=number) for number in range(10_000)]
    second = {one for one in ids if draw(one, SECOND_LOOK) < 0.1}
    first = {one for one in ids if draw(one) < 0.1}
    assert 900 <= len(second) <= 1100
    # Another drawing: of one in ten, one in ten is in the other, too.
    assert len(first & second) < 200
    set_policy(house.pool)
    decide(rita.principal, in_review(house))
    assert SecondLook.objects.count() == len(drawn)


def key_for(house: House, *, member_id: UUID | None = None, **more: Any) -> Caller:
    scopes = [Scope.TASKS_REVIEW, *more.pop("scopes", [])]
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Key",
        role=Role.ADMIN,
        scopes=scopes,
        **more,
    )
    caller = Caller(key)
    if member_id is not None:
        keys = ApiKey.objects.filter(id=caller.principal.key_id)
        keys.update(created_by=f"member:{member_id}")
    return caller


def test_second_look__never_by_the_first_reviewer_or_the_worker(
    house: House, rita: Caller, mona: Caller
) -> None:
    member = member_of(house.organisation, "rita@example.com", role=Role.ADMIN)
    first, other_key = (key_for(house, member_id=member.id) for _ in range(2))
    review = decide(first.principal, in_review(house))
    own = key_for(house, worker_id=house.bobs_worker.id, scopes=[Scope.WORK])
    refusals: Sequence[tuple[Caller, type[BioLayerError]]] = [
        (first, OwnVerdict),
        (other_key, OwnVerdict),
        (own, OwnWork),
        (house.bob, ScopeMissing),
        (house.charlie, NotFound),
    ]
    ApiKey.objects.filter(id=house.charlie.principal.key_id).update(scopes=["tasks:review"])
    for caller, error in refusals:
        with pytest.raises(error), expect_unchanged():
            look(caller, review)
    look(mona, review)
    with pytest.raises(SecondLookClosed), expect_unchanged():
        look(mona, review)


def test_second_look__by_who_may_review(house: House, rita: Caller, mona: Caller) -> None:
    """As the policy says: its role, and the workers of its pool."""
    desk = provision_pool(organisation_id=house.organisation.id, name="Reviewers")
    set_policy(
        house.pool,
        second_look_share=1,
        required_role="manager",
        reviewer_pool_id=str(desk.id),
        deadline_seconds=600,
    )
    one, two = (key_for(house, worker_id=worker_in(desk)[0].id) for _ in range(2))
    review = decide(one.principal, in_review(house))
    with pytest.raises(RoleTooLow), expect_unchanged():
        look(reviewer(house, "Ed", role=Role.EDITOR), review)
    with pytest.raises(NotAReviewer), expect_unchanged():
        look(mona, review)
    assert look(two, review).status == "agreed"
    with pytest.raises(BioLayerError) as caught:
        delete_worker(
            actor=house.alice.principal,
            worker_id=two.principal.worker_id or UUID(int=0),
            at=clock.now(),
        )
    assert caught.value.code == "worker_has_history"


@pytest.mark.parametrize(
    "values",
    [
        {"decided_by": "verdict"},
        {"decider_worker": "worker"},
        {"decider_worker": "verdict"},
        {"decider_member_id": "verdict"},
        {"decided_by": ""},
    ],
)
def test_postgresql__refuses_a_second_look_by_who_is_concerned(
    house: House, rita: Caller, values: dict[str, Any]
) -> None:
    review = decide(rita.principal, in_review(house))
    worker, _ = worker_in(house.pool)
    member = UUID(int=7)
    SecondLook.objects.update(verdict_worker_id=worker.id, verdict_member_id=member)
    known = {
        ("decided_by", "verdict"): rita.principal.text,
        ("decider_worker", "worker"): Worker.objects.get(id=review.worker_id),
        ("decider_worker", "verdict"): worker,
        ("decider_member_id", "verdict"): member,
    }
    given = {name: known.get((name, value), value) for name, value in values.items()}
    base = {"status": "agreed", "decided_by": "member:2", "decided_at": clock.now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        SecondLook.objects.update(**{**base, **given})
    SecondLook.objects.update(**base)


def test_purge__ends_second_looks_and_deletes_their_words(
    house: House, rita: Caller, mona: Caller
) -> None:
    waiting, given = (decide(rita.principal, in_review(house)) for _ in range(2))
    look(mona, given, "reject")
    verify_submitted()
    ids = [waiting.task_id, given.task_id]
    assert purge_tasks_now(task_ids=ids, at=clock.now()) == 2
    assert (look_at(waiting).status, look_at(given).status) == ("expired", "disagreed")
    assert not SecondLook.objects.exclude(reason="").exists()
    with pytest.raises(SecondLookClosed), expect_unchanged():
        look(mona, waiting)
