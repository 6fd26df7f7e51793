"""Delete what callers of `/api` wrote about tasks that are purged."""

from collections.abc import Collection, Sequence
from uuid import UUID

from apps.operations.models import ExecutionProfile, LogEntry, RunDetails, TaskDetails, TriageState


def purge_details(task_ids: Sequence[UUID]) -> Collection[UUID]:
    """Delete texts and metadata. Return no task: no one locks the details of a closed task."""
    LogEntry.objects.filter(task_id__in=task_ids).delete()
    TriageState.objects.filter(task_id__in=task_ids).delete()
    ExecutionProfile.objects.filter(task_id__in=task_ids).delete()
    RunDetails.objects.filter(task_id__in=task_ids).update(metadata=None)
    TaskDetails.objects.filter(task_id__in=task_ids).update(
        identifier="", metadata=None, pause_reason=""
    )
    return []
