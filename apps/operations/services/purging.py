"""Delete what callers of `/api` wrote about tasks that are purged."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from apps.base import clock
from apps.base.erasure import Finding
from apps.base.transactions import atomic
from apps.operations.models import (
    BridgeCursor,
    BridgeSubscription,
    ExecutionProfile,
    LogEntry,
    RunDetails,
    RunReview,
    TaskDetails,
    TriageState,
)
from apps.operations.services.run_reviews import drop_run_reviews
from apps.reviews.models import Review
from apps.tasks.services import kept_reasons
from apps.webhooks import services as webhooks


def purge_details(task_ids: Sequence[UUID]) -> Collection[UUID]:
    """Delete texts and metadata, and what bridges were told. Return the tasks that are left.

    These are tasks of whose notifications a row was locked; no one locks the details of a closed
    task.
    """
    LogEntry.objects.filter(task_id__in=task_ids).delete()
    TriageState.objects.filter(task_id__in=task_ids).delete()
    ExecutionProfile.objects.filter(task_id__in=task_ids).delete()
    drop_run_reviews(task_ids=task_ids, at=clock.now())
    RunReview.objects.filter(review__task_id__in=task_ids).update(**NO_WORDS)
    RunDetails.objects.filter(task_id__in=task_ids).update(
        metadata=None, review_reason="", missing_work=None, guidance=""
    )
    TaskDetails.objects.filter(task_id__in=task_ids).update(
        identifier="", metadata=None, pause_reason="", circuit_reason=""
    )
    return _purge_bridges(task_ids)


NO_WORDS: Mapping[str, Any] = {
    "request_reason": "",
    "reason": "",
    "missing_work": [],
    "guidance": "",
    "text": "",
}


def erase_run_review_words(
    *, organisation_id: UUID, worker_id: UUID, apply: bool, at: datetime
) -> Iterator[Finding]:
    """Delete what a worker wrote in reviews of runs, with its copies. Yield what was found."""
    written = RunReview.objects.filter(
        review__reviewer_worker_id=worker_id, organisation_id=organisation_id
    ).exclude(reason="", missing_work=[], guidance="", text="")
    found = dict(written.values_list("review_id", "review__task_id"))
    kept = kept_reasons(task_ids=set(found.values()), at=at)
    reasons = Counter(kept.get(task_id, "") for task_id in found.values())
    for reason, count in sorted(reasons.items()):
        yield Finding("reviews of runs with the worker's words", count, reason)
    free = [review_id for review_id, task_id in found.items() if task_id not in kept]
    if apply and free:
        _erase_run_review_words(free)


@atomic()
def _erase_run_review_words(review_ids: Sequence[UUID]) -> None:
    """Delete the words of reviews, and what runs and circuits have copied of them."""
    words = {name: value for name, value in NO_WORDS.items() if name != "request_reason"}
    rows = RunReview.objects.filter(review_id__in=review_ids)
    continuations = rows.filter(continuation_run_id__isnull=False)
    RunDetails.objects.filter(run_id__in=continuations.values("continuation_run_id")).update(
        review_reason="", missing_work=None, guidance=""
    )
    # The circuit has the words of the review that opened it last.
    opening = Review.of_runs.filter(
        id__in=review_ids, task_id=OuterRef("task_id"), decided_at=OuterRef("circuit_opened_at")
    )
    tasks = Review.of_runs.filter(id__in=review_ids).values("task_id")
    TaskDetails.objects.filter(Exists(opening), task_id__in=tasks).update(circuit_reason="")
    rows.update(**words)


def _purge_bridges(task_ids: Sequence[UUID]) -> Collection[UUID]:
    """Delete subscriptions and cursors of tasks, with their messages. Return the tasks left."""
    cursors = BridgeCursor.objects.filter(task_id__in=task_ids)
    tasks = dict(cursors.values_list("subject_id", "task_id"))
    if not tasks:
        return []
    subscriptions = BridgeSubscription.objects.filter(task_id__in=task_ids)
    free = subscriptions.select_for_update(skip_locked=True).values_list("id", flat=True)
    BridgeSubscription.objects.filter(id__in=list(free)).delete()
    left = set(subscriptions.values_list("task_id", flat=True))
    # A notification that is under way still would be written by the one that has it locked.
    ended = [subject for subject, task_id in tasks.items() if task_id not in left]
    left |= {tasks[subject] for subject in webhooks.purge_subjects(ended)}
    cursors.exclude(task_id__in=left).delete()
    return left
