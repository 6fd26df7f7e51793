"""Lock reviews before a service checks and changes them.

A review stands after its task and its run in the lock order, and before workers (docs/adr/0005). A
verdict locks the task first. A claim locks the review alone, and nothing after it.
"""

from uuid import UUID

from apps.accounts.principal import Principal
from apps.reviews.models import Appeal, Review, SecondLook
from biolayer.errors import NotFound


def lock_review(*, actor: Principal, review_id: UUID) -> Review:
    """Lock and return a review that the actor may see, without its task. Raise `NotFound`."""
    return _found(Review.objects.visible_to(actor).locked().filter(id=review_id).first())


def lock_with_task(*, actor: Principal, review_id: UUID) -> Review:
    """Lock and return a review that the actor may see, after its task. Raise `NotFound`."""
    rows = Review.objects.visible_to(actor).locked_with_task()
    return _found(rows.filter(id=review_id).first())


def lock_open(*, actor: Principal, task_id: UUID) -> Review | None:
    """Lock and return the open review of a task that the actor may see, after the task."""
    rows = Review.objects.visible_to(actor).open().locked_with_task()
    return rows.filter(task_id=task_id).first()


def lock_nowait(*, review_id: UUID) -> Review | None:
    """Lock and return a review after its task. Raise `OperationalError` where one is locked."""
    return Review.objects.locked_with_task(nowait=True).filter(id=review_id).first()


def lock_own_review(*, actor: Principal, worker_id: UUID, review_id: UUID) -> Review:
    """Lock and return a review of the worker's own work, after its task. Raise `NotFound`."""
    rows = Review.objects.filter(organisation_id=actor.organisation_id, worker_id=worker_id)
    return _found(rows.locked_with_task().filter(id=review_id).first())


def lock_appeal(*, actor: Principal, appeal_id: UUID) -> Appeal:
    """Lock and return an appeal that the actor may see, after its task. Raise `NotFound`."""
    appeal = Appeal.objects.visible_to(actor).locked().filter(id=appeal_id).first()
    if appeal is None:
        raise NotFound("appeal")
    return appeal


def lock_second_look(*, actor: Principal, look_id: UUID) -> SecondLook:
    """Lock and return a second look that the actor may see, after its task. Raise `NotFound`."""
    look = SecondLook.objects.visible_to(actor).locked().filter(id=look_id).first()
    if look is None:
        raise NotFound("second look")
    return look


def _found(review: Review | None) -> Review:
    if review is None:
        raise NotFound("review")
    return review
