"""Read the execution profiles of tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.operations.caller import Caller
from apps.operations.models import ExecutionProfile
from apps.operations.selectors.find import task_of

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "coordinator": {"mode": "inherit"},
    "worker": {"mode": "inherit"},
    "participants": {},
    "review": {},
    "runtime": {"mode": "default"},
    "sandbox": {"mode": "inherit"},
}
"""The profile of a task for which none is stored."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """Hold the profile of a task; one that is not stored has no times."""

    task_id: str
    document: Mapping[str, Any]
    created_at: datetime | None = None
    updated_at: datetime | None = None


def profile_view(task_id: str, row: ExecutionProfile) -> ProfileView:
    """Return a stored profile of the task with this id on the wire."""
    return ProfileView(task_id, DEFAULTS | row.document, row.created_at, row.updated_at)


def profile_of(caller: Caller, task_id: str) -> ProfileView:
    """Return the profile of a task that the caller may read, or the defaults.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    task = task_of(caller, task_id)
    row = ExecutionProfile.objects.filter(task_id=task.id).first()
    return ProfileView(task_id, DEFAULTS) if row is None else profile_view(task_id, row)
