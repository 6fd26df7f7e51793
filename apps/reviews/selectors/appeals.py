"""Read appeals and second looks, and who may decide on what others have decided."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.reviews.models import (
    Appeal,
    AppealQuerySet,
    LookQuerySet,
    Review,
    SecondLook,
)
from apps.reviews.selectors.reviews import (
    APPEALABLE,
    Identity,
    identity_of,
    policy_of,
    require_not_proposer,
)
from apps.tasks.models import Run
from biolayer.errors import NotFound, OwnVerdict, OwnWork


def appeal_until(review: Review) -> datetime | None:
    """Return until when a verdict may be appealed, by its policy alone; None: it may not."""
    hours = policy_of(review).appeal_hours
    if review.status not in APPEALABLE or review.decided_at is None or not hours:
        return None
    return review.decided_at + timedelta(hours=hours)


def require_manager(actor: Principal) -> None:
    """Raise `ScopeMissing` or `RoleTooLow` unless the actor decides about verdicts of others."""
    actor.require(Scope.TASKS_REVIEW)
    actor.require_role(Role.MANAGER)


def require_other(actor: Principal, decided: Appeal | SecondLook) -> Identity:
    """Return who the actor is. Raise `OwnWork` for the worker, `OwnVerdict` for the reviewer.

    The reviewer is the credential that gave the verdict, its worker, and its member.
    """
    other = identity_of(actor)
    if other.is_worker(decided.worker_id):
        raise OwnWork
    require_not_proposer(actor, decided.review.run_id)
    is_worker = other.is_worker(decided.verdict_worker_id)
    is_member = other.is_member(decided.verdict_member_id)
    if is_worker or is_member or actor.text == decided.verdict_by:
        raise OwnVerdict
    return other


# --- appeals --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AppealFilter:
    """Say which appeals a list has; empty sequences restrict nothing."""

    statuses: Sequence[str] = field(default_factory=tuple)
    review_ids: Sequence[UUID] = field(default_factory=tuple)


def appeals(*, actor: Principal, filters: AppealFilter) -> AppealQuerySet:
    """Return the appeals that the actor may see, unordered, with their reviews and tasks.

    Raise `RoleTooLow`, `ScopeMissing`.
    """
    require_manager(actor)
    rows = Appeal.objects.visible_to(actor).select_related("review__task")
    if filters.statuses:
        rows = rows.filter(status__in=filters.statuses)
    if filters.review_ids:
        rows = rows.filter(review_id__in=filters.review_ids)
    return rows


def appeal(*, actor: Principal, appeal_id: UUID) -> Appeal:
    """Return an appeal. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    found = appeals(actor=actor, filters=AppealFilter()).filter(id=appeal_id).first()
    if found is None:
        raise NotFound("appeal")
    return found


def own_verdicts(*, actor: Principal, runs: Sequence[Run]) -> dict[UUID, Review]:
    """Return by the id of the run the review by which the actor's work was sent back or rejected.

    Each has its appeal, if there is one, as `appeal`. Raise `ScopeMissing`.
    """
    worker_id = actor.require_worker()
    rows = Review.objects.filter(
        # By the tasks, of which there is an index.
        task_id__in=[run.task_id for run in runs],
        run_id__in=[run.id for run in runs],
        worker_id=worker_id,
        status__in=APPEALABLE,
    )
    return {row.run_id: row for row in rows.select_related("appeal")}


# --- second looks ---------------------------------------------------------------------------------


def second_looks(*, actor: Principal, statuses: Sequence[str] = ()) -> LookQuerySet:
    """Return the second looks that the actor may see, unordered, with reviews, tasks and runs.

    A viewer sees those only whose policies let viewers decide. Raise `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_REVIEW)
    rows = SecondLook.objects.visible_to(actor).select_related("review__task", "review__run")
    if not actor.has_role(Role.EDITOR):
        rows = rows.filter(review__policy__contains={"required_role": Role.VIEWER.value})
    return rows.filter(status__in=statuses) if statuses else rows


def second_look(*, actor: Principal, look_id: UUID) -> SecondLook:
    """Return a second look. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    found = second_looks(actor=actor).filter(id=look_id).first()
    if found is None:
        raise NotFound("second look")
    return found
