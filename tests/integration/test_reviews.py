"""Reviews: which submissions wait for one, what a verdict does, and what the timers do."""

from copy import copy
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from django.db import IntegrityError, connection, transaction

from apps.accounts import principal
from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import principal_of_member
from apps.accounts.services import issue_key
from apps.base import clock, crypto
from apps.base.ids import new_id
from apps.base.reencryption import reencrypt
from apps.events.models import Event
from apps.matching.services import match_queued
from apps.pools.models import Worker
from apps.pools.services import provision_pool
from apps.reviews import selectors, services
from apps.reviews.models import Review, SamplingKey
from apps.reviews.selectors import Lane, ReviewFilter, sampling_key_place
from apps.tasks import services as tasks
from apps.tasks.models import Run, Task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.errors import (
    InvalidInput,
    NotAReviewer,
    OwnWork,
    ReviewChanged,
    ReviewClaimed,
    ReviewClosed,
    ReviewNotClaimed,
    RoleTooLow,
)
from biolayer.lifecycle import EventType, Status
from tests.api.expect import expect_problem, expect_unchanged
from tests.factories import OUTPUT, Caller, House, member_of, worker_in
from tests.integration.test_budgets import statements
from tests.probes import assert_loads_are_true, assert_log_gives_row, see
from tests.review_steps import decide, in_review, reviewer, set_policy


def log(task: Task) -> list[tuple[str, dict[str, Any]]]:
    rows = Event.objects.filter(task_id=task.id).order_by("sequence")
    return [(row.type, row.data) for row in rows]


def types(task: Task) -> list[str]:
    return [name for name, _ in log(task)]


def redo(house: House, task: Task) -> Run:
    """Have a worker do the next attempt of a queued task."""
    assert match_queued() == 1
    offer = task.offers.get(status="open")
    caller = next(one for one in CALLERS if one.principal.worker_id == offer.worker_id)
    answer = caller.post(f"/v1/offers/{offer.id}/accept").json()["run"]
    path = f"/v1/runs/{answer['run_id']}"
    assert caller.post(f"{path}/start", {"epoch": answer["epoch"]}).status_code == 200
    body = {"epoch": answer["epoch"], "output": OUTPUT}
    assert caller.post(f"{path}/submit", body).status_code == 200
    return Run.objects.get(id=answer["run_id"])


CALLERS: list[Caller] = []
DRAWN = (957, [49, 55, 73, 76, 93])
"""How many of the tasks 0 to 9,999 the key of the test draws for a share of 0.1, and the first."""


@pytest.fixture
def rita(house: House) -> Caller:
    CALLERS[:] = [house.bob]
    return reviewer(house)


# --- at the submission ----------------------------------------------------------------------------


def test_submission__waits_for_a_review(house: House) -> None:
    set_policy(house.pool, deadline_seconds=3600, auto_approve_after_hours=24)
    at = clock.now()
    review = in_review(house, at=at)
    task = review.task
    assert (task.status, task.review_id, task.review_due_at) == (
        Status.SUBMITTED,
        review.id,
        at + timedelta(hours=1),
    )
    assert (review.status, review.round, review.attempt, review.cause) == ("waiting", 1, 1, "all")
    assert (review.worker_id, review.pool_id) == (house.bobs_worker.id, house.pool.id)
    assert review.policy == {
        "mode": "all",
        "deadline_seconds": 3600,
        "auto_approve_after_hours": 24,
    }
    assert {(row.kind, row.due_at) for row in Timer.objects.filter(subject_id=review.id)} == {
        ("review_due", at + timedelta(hours=1)),
        ("review_auto", at + timedelta(hours=24)),
    }
    (submitted, facts), (requested, asked) = log(task)[-2:]
    assert (submitted, facts["review_id"]) == (EventType.SUBMITTED, str(review.id))
    assert (requested, asked["review_id"], asked["cause"]) == (
        EventType.REVIEW_REQUESTED,
        str(review.id),
        "all",
    )
    assert services.verify_submitted() == 0
    assert_log_gives_row(see(task.id))
    assert_loads_are_true()


def test_submission__without_a_policy_is_verified_at_once(house: House) -> None:
    set_policy(house.pool, mode="none")
    task = house.completed()
    assert (task.status, Review.objects.count()) == (Status.COMPLETED, 0)
    assert EventType.REVIEW_REQUESTED not in types(task)


def test_submission__by_the_policy_of_its_contract(house: House) -> None:
    review = in_review(house, review={"mode": "all", "max_rework": 1})
    assert review.policy == {"mode": "all", "max_rework": 1}


def test_submission__costs_no_statement_without_a_policy_and_two_with(house: House) -> None:
    def submission() -> int:
        run = house.started()
        body = {"epoch": run.epoch, "output": OUTPUT}
        path = f"/v1/runs/{run.id}/submit"
        return len(statements(lambda: house.bob.post(path, body), answered=200))

    submission()
    without = submission()
    assert without <= 7
    set_policy(house.pool)
    assert submission() == without + 2


def test_policy__of_an_open_review_is_not_changed(house: House, rita: Caller) -> None:
    set_policy(house.pool, max_rework=0)
    review = in_review(house)
    set_policy(house.pool, max_rework=3)
    decide(rita.principal, review, "rework")
    assert Task.objects.get().close_reason == "reworks_exhausted"


def test_first_tasks__of_a_worker_in_a_pool(house: House) -> None:
    set_policy(house.pool, mode="none", first_tasks=2)
    causes = []
    for _ in range(3):
        run = house.submitted()
        causes.append(Review.objects.filter(run_id=run.id).values_list("cause", flat=True).first())
        Review.objects.filter(run_id=run.id).exists() or services.verify_submitted()
    assert causes == ["first_tasks", "first_tasks", None]


def test_below_rating(house: House) -> None:
    set_policy(house.pool, mode="none", below_rating=4.5)
    Worker.objects.filter(id=house.bobs_worker.id).update(rating=4.4, exact_rating=4.4)
    assert in_review(house).cause == "below_rating"
    Worker.objects.filter(id=house.bobs_worker.id).update(rating=4.5, exact_rating=4.5)
    house.submitted()
    assert Review.objects.count() == 1


def test_sample__is_a_tenth_and_the_same_after_a_rotation(database: None, settings: Any) -> None:
    sealed = crypto.seal("5a" * 32, sampling_key_place())
    SamplingKey.objects.create(sealed=sealed, created_at=clock.now())
    ids = [UUID(int=number) for number in range(10_000)]
    drawn = [one.int for one in ids if services.draw(one) < 0.1]
    assert (len(drawn), drawn[:5]) == DRAWN
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]
    assert reencrypt().count == 1
    assert bytes(SamplingKey.objects.get().sealed) != sealed
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    assert [one.int for one in ids[:500] if services.draw(one) < 0.1] == [
        number for number in drawn if number < 500
    ]


def test_sample__of_submissions(house: House) -> None:
    set_policy(house.pool, mode="sample", sample_share=0.5)
    for _ in range(8):
        run = house.submitted()
        is_drawn = services.draw(run.task_id) < 0.5
        causes = list(Review.objects.filter(run_id=run.id).values_list("cause", flat=True))
        assert causes == (["sample"] if is_drawn else [])
        assert services.verify_submitted() == (0 if is_drawn else 1)


# --- verdicts -------------------------------------------------------------------------------------


def test_approve__verifies_and_completes(house: House, rita: Caller) -> None:
    set_policy(house.pool, deadline_seconds=3600)
    review = in_review(house)
    decided = decide(rita.principal, review, rating=5)
    task = Task.objects.get()
    assert (task.status, task.output, task.review_id) == (Status.VERIFIED, OUTPUT, None)
    assert services.verify_submitted() == 1
    task.refresh_from_db()
    assert task.status == Status.COMPLETED
    assert (decided.status, decided.decided_by, decided.rating) == (
        "approved",
        rita.principal.text,
        5,
    )
    names = ["task.submitted", "review.requested", "review.decided", "task.verified"]
    assert types(task)[-5:-1] == names
    facts = dict(log(task))["review.decided"]
    assert (facts["verdict"], facts["next_status"], facts["rating"]) == ("approved", "verified", 5)
    assert not Timer.objects.filter(subject_id=review.id).exists()
    worker = Worker.objects.get(id=house.bobs_worker.id)
    assert (worker.rating_now, worker.rating_count) == (5, 1)
    assert_log_gives_row(see(task.id))


def test_rework__asks_the_same_worker_first_with_reason_and_pointers(
    house: House, rita: Caller
) -> None:
    set_policy(house.pool)
    _, carol = worker_in(house.pool)
    CALLERS.append(carol)
    review = in_review(house)
    decided = decide(rita.principal, review, "rework", pointers=["/notes"])
    assert (decided.status, decided.pointers) == ("rework", ["/notes"])
    task = Task.objects.get()
    assert (task.status, task.attempt, task.preferred_worker_id) == (
        Status.QUEUED,
        2,
        review.worker_id,
    )
    run = redo(house, task)
    assert (run.worker_id, run.attempt) == (review.worker_id, 2)
    second = Review.objects.get(run_id=run.id)
    assert (second.round, second.status) == (2, "waiting")
    assert_log_gives_row(see(task.id))


@pytest.mark.parametrize(
    ("policy", "attempts", "reason"),
    [({}, 1, "attempts_exhausted"), ({"max_rework": 0}, 3, "reworks_exhausted")],
)
def test_rework__fails_the_task_once_nothing_is_left(
    house: House, rita: Caller, policy: dict[str, Any], attempts: int, reason: str
) -> None:
    set_policy(house.pool, **policy)
    review = in_review(house)
    Task.objects.update(max_attempts=attempts)
    decided = decide(rita.principal, review, "rework")
    task = Task.objects.get()
    assert (task.status, task.close_reason, decided.status) == (Status.FAILED, reason, "rework")
    assert dict(log(task))["review.decided"]["next_status"] == "failed"
    assert_log_gives_row(see(task.id))


def test_reject__fails_the_task(house: House, rita: Caller) -> None:
    set_policy(house.pool)
    decided = decide(rita.principal, in_review(house), "reject")
    task = Task.objects.get()
    assert (task.status, task.close_reason) == (Status.FAILED, "rejected")
    assert (decided.status, types(task)[-2:]) == ("rejected", ["review.decided", "task.failed"])


def test_reject__for_another_worker(house: House, rita: Caller) -> None:
    set_policy(house.pool, on_reject="new_worker")
    review = in_review(house)
    decide(rita.principal, review, "reject")
    task = Task.objects.get()
    assert (task.status, task.attempt, task.preferred_worker_id) == (Status.QUEUED, 2, None)
    assert match_queued(at=clock.now() + timedelta(days=1)) == 0
    other, carol = worker_in(house.pool)
    CALLERS.append(carol)
    assert redo(house, task).worker_id == other.id


def test_verdict__refused_for_another_version(house: House, rita: Caller) -> None:
    set_policy(house.pool)
    review = in_review(house)
    services.claim_review(actor=rita.principal, review_id=review.id, at=clock.now())
    with expect_unchanged(), pytest.raises(ReviewChanged) as refusal:
        decide(rita.principal, review)
    assert refusal.value.facts == {"version": 2, "review_status": "claimed"}


def test_verdict__refused_once_decided(house: House, rita: Caller) -> None:
    set_policy(house.pool)
    review = in_review(house)
    decided = decide(rita.principal, review)
    with expect_unchanged(), pytest.raises(ReviewChanged):
        decide(rita.principal, review)
    with expect_unchanged(), pytest.raises(ReviewClosed):
        decide(rita.principal, decided)


def test_verdict__refused_for_pointers_that_lead_nowhere(house: House, rita: Caller) -> None:
    set_policy(house.pool)
    review = in_review(house)
    with expect_unchanged(), pytest.raises(InvalidInput) as refusal:
        decide(rita.principal, review, "rework", pointers=["/notes", "/call", "/notes/0"])
    assert [fault.pointer for fault in refusal.value.faults] == ["/pointers/1", "/pointers/2"]


# --- who may --------------------------------------------------------------------------------------


def test_own_work__is_refused_by_service_and_constraint(house: House) -> None:
    set_policy(house.pool)
    review = in_review(house)
    bob = member_of(house.organisation, "bob@northwind.example", role=Role.ADMIN)
    Worker.objects.filter(id=house.bobs_worker.id).update(user_id=bob.user_id)

    as_member = principal_of_member(bob)
    as_worker = principal_of_member(bob, worker_id=house.bobs_worker.id)
    key = reviewer(house, "Bob's own key")
    ApiKey.objects.filter(id=key.principal.key_id).update(created_by=f"member:{bob.id}")
    keys_key = reviewer(house, "A key that Bob's key created")
    created_by = f"api_key:{key.principal.key_id}"
    ApiKey.objects.filter(id=keys_key.principal.key_id).update(created_by=created_by)
    ann, _ = worker_in(house.pool, name="Ann")
    anns_key = Caller(
        issue_key(
            organisation_id=house.organisation.id,
            name="Ann's key that Bob created",
            role=Role.MANAGER,
            scopes=[Scope.TASKS_REVIEW],
            worker_id=ann.id,
        )
    )
    created_by = f"oauth_member:{bob.id}:client"
    ApiKey.objects.filter(id=anns_key.principal.key_id).update(created_by=created_by)
    for actor in (as_member, as_worker, *(one.principal for one in (key, keys_key, anns_key))):
        with expect_unchanged(), pytest.raises(OwnWork):
            decide(actor, review)
        with expect_unchanged(), pytest.raises(OwnWork):
            services.claim_review(actor=actor, review_id=review.id, at=clock.now())
    with (
        pytest.raises(IntegrityError, match="review_is_not_of_own_work"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE reviews_review SET reviewer_worker_id = worker_id")


def test_required_role(house: House) -> None:
    set_policy(house.pool, required_role="manager")
    review = in_review(house)
    editor = reviewer(house, "Ed", role=Role.EDITOR)
    with expect_unchanged(), pytest.raises(RoleTooLow):
        decide(editor.principal, review)
    assert decide(reviewer(house).principal, review).status == "approved"


def test_reviewer_pool__until_the_review_is_overdue(house: House) -> None:

    desk = provision_pool(organisation_id=house.organisation.id, name="Reviewers")
    worker, _ = worker_in(desk, name="Rita")
    rita = member_of(house.organisation, "rita@northwind.example", role=Role.EDITOR)
    Worker.objects.filter(id=worker.id).update(user_id=rita.user_id)
    set_policy(house.pool, reviewer_pool_id=str(desk.id), deadline_seconds=600)
    at = clock.now()
    here = {"requirements": {"worker_pool_id": str(house.pool.id)}}
    first, second = in_review(house, at=at, **here), in_review(house, at=at, **here)
    other = reviewer(house)
    with expect_unchanged(), pytest.raises(NotAReviewer):
        decide(other.principal, first)
    assert decide(principal_of_member(rita), first).reviewer_worker_id == worker.id
    assert fire_due(at=at + timedelta(seconds=601)) >= 1
    assert decide(other.principal, second).status == "approved"


def test_a_worker_who_has_reviewed__is_not_deleted(house: House) -> None:
    set_policy(house.pool)
    desk = provision_pool(organisation_id=house.organisation.id, name="Reviewers")
    worker, _ = worker_in(desk, name="Rita")
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Rita",
        scopes=[Scope.WORK, Scope.TASKS_REVIEW],
        worker_id=worker.id,
    )
    here = {"requirements": {"worker_pool_id": str(house.pool.id)}}
    decide(Caller(key).principal, in_review(house, **here))
    with expect_unchanged():
        answer = house.alice.delete(f"/v1/workers/{worker.id}")
        expect_problem(answer, 409, "worker_has_history")


# --- claims ---------------------------------------------------------------------------------------


def test_claim__is_not_renewed_for_ever(house: House, rita: Caller) -> None:
    set_policy(house.pool)
    review, at = in_review(house), clock.now()
    for minutes in range(0, 120, 9):
        renewed_at = at + timedelta(minutes=minutes)
        review = services.claim_review(actor=rita.principal, review_id=review.id, at=renewed_at)
    assert (review.version, review.lease_until) == (2, at + timedelta(hours=2))


def test_claim__keeps_others_away_until_its_lease_ends(house: House, rita: Caller) -> None:
    set_policy(house.pool)
    review = in_review(house)
    at = clock.now()
    sam = reviewer(house, "Sam")

    def claim(caller: Caller, minutes: float) -> Review:
        return services.claim_review(
            actor=caller.principal, review_id=review.id, at=at + timedelta(minutes=minutes)
        )

    assert (claim(rita, 0).version, claim(rita, 5).version) == (2, 2)
    with expect_unchanged(), pytest.raises(ReviewClaimed):
        claim(sam, 14.9)
    review.refresh_from_db()
    with expect_unchanged(), pytest.raises(ReviewClaimed):
        decide(sam.principal, review, at=at + timedelta(minutes=14.9))
    assert claim(sam, 15).version == 3
    with expect_unchanged(), pytest.raises(ReviewNotClaimed):
        services.release_review(actor=rita.principal, review_id=review.id, at=at)
    later = at + timedelta(minutes=16)
    freed = services.release_review(actor=sam.principal, review_id=review.id, at=later)
    assert (freed.status, freed.claimed_by, freed.version) == ("waiting", "", 4)
    freed.refresh_from_db()
    assert decide(rita.principal, freed).status == "approved"


# --- timers ---------------------------------------------------------------------------------------


def test_overdue__is_reported_once(house: House) -> None:
    set_policy(house.pool, deadline_seconds=600)
    at = clock.now()
    review = in_review(house, at=at)
    assert fire_due(at=at + timedelta(seconds=599)) == 0
    late = at + timedelta(seconds=600)
    assert fire_due(at=late) == 1
    assert services.report_overdue(review_id=review.id, at=late) is None
    review.refresh_from_db()
    assert (review.status, review.escalated_at) == ("waiting", late)
    assert types(review.task).count("review.overdue") == 1
    assert_log_gives_row(see(review.task_id))


def test_auto_approval__by_the_policy_once(house: House) -> None:
    set_policy(house.pool, auto_approve_after_hours=24)
    at = clock.now()
    review = in_review(house, at=at)
    assert fire_due(at=at + timedelta(hours=23, minutes=59)) == 0
    late = at + timedelta(hours=24)
    assert fire_due(at=late) == 1
    assert services.auto_approve_review(review_id=review.id, at=late) is None
    review.refresh_from_db()
    assert (review.status, review.decided_by, review.task.status) == (
        "auto_approved",
        "system:policy",
        Status.VERIFIED,
    )
    assert types(review.task).count("review.decided") == 1
    event = Event.objects.get(type="review.decided")
    assert (event.actor_kind, event.actor_id) == ("system", "policy")


def test_auto_approval__waits_for_the_reviewer_who_has_it(house: House, rita: Caller) -> None:
    set_policy(house.pool, auto_approve_after_hours=1)
    at = clock.now()
    review = in_review(house, at=at)
    begun = at + timedelta(minutes=55)
    services.claim_review(actor=rita.principal, review_id=review.id, at=begun)
    fire_due(at=at + timedelta(minutes=60))
    review.refresh_from_db()
    assert review.status == "claimed"
    fire_due(at=at + timedelta(minutes=65))
    review.refresh_from_db()
    assert review.status == "auto_approved"


def test_auto_approval__not_after_a_verdict(house: House, rita: Caller) -> None:
    set_policy(house.pool, auto_approve_after_hours=24)
    at = clock.now()
    review = in_review(house, at=at)
    decide(rita.principal, review, "reject")
    with expect_unchanged():
        assert fire_due(at=at + timedelta(hours=25)) == 0
        services.auto_approve_review(review_id=review.id, at=at + timedelta(hours=25))


# --- beside it ------------------------------------------------------------------------------------


def test_the_version_before__cannot_verify_a_task_in_review(house: House) -> None:
    """It verifies each submitted task, and knows no column `review_id`."""
    set_policy(house.pool)
    task = in_review(house).task
    with (
        pytest.raises(IntegrityError, match="task_in_review_is_submitted"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "UPDATE tasks_task SET status = 'verified', version = version + 1, output = '{}',"
            " verified_at = now() WHERE id = %s",
            [task.id],
        )


def test_a_task_that_fails_otherwise__has_no_open_review(house: House) -> None:
    set_policy(house.pool)
    review = in_review(house)

    with transaction.atomic():
        task = Task.objects.locked().get()
        actor = principal.system("test", task.organisation_id)
        tasks.fail_task(task=task, actor=actor, reason="rejected", at=clock.now())
    review.refresh_from_db()
    assert (review.status, Task.objects.get().review_id) == ("expired", None)


def test_sla_clocks__go_on_during_a_review(house: House) -> None:
    set_policy(house.pool)
    at = clock.now()
    review = in_review(house, at=at, sla={"target_latency_seconds": 60})
    fire_due(at=at + timedelta(seconds=61))
    assert types(review.task)[-1] == "task.sla_breached"


def test_purge__deletes_the_words_of_reviewers(house: House, rita: Caller) -> None:
    set_policy(house.pool)
    review = in_review(house)
    decide(rita.principal, review, "reject", pointers=["/notes"])
    tasks.purge_tasks_now(task_ids=[review.task_id], at=clock.now())
    review.refresh_from_db()
    assert (review.reason, review.pointers, review.status) == ("", [], "rejected")


def test_purge__deletes_the_pointers_of_an_approval_without_a_reason(
    house: House, rita: Caller
) -> None:
    set_policy(house.pool)
    review = in_review(house)
    decide(rita.principal, review, pointers=["/notes"])
    services.verify_submitted()
    tasks.purge_tasks_now(task_ids=[review.task_id], at=clock.now())
    review.refresh_from_db()
    assert (review.pointers, review.status) == ([], "approved")


def test_erasure__finds_the_pointers_of_an_approval_without_a_reason(
    house: House, rita: Caller
) -> None:
    set_policy(house.pool)
    review = in_review(house)
    decide(rita.principal, review, pointers=["/notes"])
    services.verify_submitted()
    worker, _ = worker_in(house.pool)
    Review.objects.filter(id=review.id).update(reviewer_worker_id=worker.id)
    at = clock.now()
    found = services.erase_review_words(
        organisation_id=house.organisation.id, worker_id=worker.id, apply=True, at=at
    )
    assert [(one.count, one.kept_because) for one in found] == [(1, "")]
    review.refresh_from_db()
    assert review.pointers == []


def test_lists__of_viewers_and_of_what_is_done_have_an_index(house: House) -> None:
    """However many reviews of other policies, or open ones, are newer."""
    set_policy(house.pool, required_role="viewer")
    seen = in_review(house)
    decide(reviewer(house).principal, seen)
    copies = []
    for number in range(600):
        one = copy(seen)
        one.id, one.round, one.run_id = new_id(), 100 + number, new_id()
        one.policy = {"mode": "all"}
        copies.append(one)
    with transaction.atomic(), connection.cursor() as cursor:
        # Of runs that do not exist: the keys are checked at the commit, which does not come.
        Review.objects.bulk_create(copies)
        cursor.execute("ANALYZE reviews_review")
        viewer = reviewer(house, "Vic", role=Role.VIEWER).principal
        listed = selectors.reviews(actor=viewer, filters=ReviewFilter(), at=clock.now())
        assert "review_for_viewers" in listed.order_by("-id")[:50].explain()
        done = ReviewFilter(lane=Lane.DONE)
        listed = selectors.reviews(actor=reviewer(house).principal, filters=done, at=clock.now())
        assert "review_done" in listed.order_by("-id")[:50].explain()
        transaction.set_rollback(True)
