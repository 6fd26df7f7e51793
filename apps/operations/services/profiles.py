"""Replace and delete execution profiles. A run that is queued is claimed by the new one at once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from apps.accounts.scopes import Scope
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.operations.caller import Caller, origin_of
from apps.operations.log import LogType, log_entry
from apps.operations.models import ExecutionProfile
from apps.operations.projection import task_status
from apps.operations.selectors.profiles import ProfileView, profile_view
from apps.operations.services.changing import claim_words
from apps.operations.services.locks import LockedTask, lock_task, open_run
from apps.tasks.models import RUN_HELD
from biolayer.errors import Fault, InvalidInput, NotFound, TransitionRefused


@dataclass(frozen=True, slots=True)
class ProfileFields:
    """Hold a profile as it is shown, and what claims use of it: see `ExecutionProfile`."""

    document: Mapping[str, Any]
    worker_agent: str
    worker_agents: Sequence[str]
    participant_agents: Sequence[str]
    required_capabilities: Sequence[str]
    preferred_capabilities: Sequence[str]


@atomic()
def set_profile(
    *, caller: Caller, task_id: str, fields: ProfileFields, at: datetime
) -> ProfileView:
    """Replace the profile of a task whose run is not held.

    Raise `InvalidInput` for what the settings forbid, `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`, `TransitionRefused`.
    """
    locked = _lock(caller, task_id)
    _require_permitted(fields.document)
    task = locked.task
    row, _ = ExecutionProfile.objects.update_or_create(
        task_id=task.id,
        defaults=asdict(fields) | {"updated_at": at},
        create_defaults=asdict(fields)
        | {"organisation_id": task.organisation_id, "created_at": at, "updated_at": at},
    )
    _log(caller, locked, LogType.EXECUTION_PROFILE_UPDATED, row, at)
    return profile_view(task_id, row)


@atomic()
def delete_profile(*, caller: Caller, task_id: str, at: datetime) -> None:
    """Delete the profile of a task whose run is not held. Raise as `set_profile` does."""
    locked = _lock(caller, task_id)
    row = ExecutionProfile.objects.filter(task_id=locked.task.id).first()
    if row is None:
        raise NotFound("execution profile")
    ExecutionProfile.objects.filter(task_id=locked.task.id).delete()
    _log(caller, locked, LogType.EXECUTION_PROFILE_DELETED, row, at)


def _require_permitted(document: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` for a model, a provider or no sandbox, where the settings forbid it."""
    faults = []
    if not settings.PROFILE_MAY_NAME_MODELS:
        faults = [
            Fault(f"/{part}/{name}", "forbidden", "is forbidden here")
            for part in ("coordinator", "worker", "review")
            for name in ("model", "provider")
            if document[part][name]
        ]
    if not settings.PROFILE_MAY_OMIT_SANDBOX and document["sandbox"]["mode"] == "none":
        faults.append(Fault("/sandbox/mode", "forbidden", "must not be none here"))
    if faults:
        raise InvalidInput(faults)


def _lock(caller: Caller, task_id: str) -> LockedTask:
    locked = lock_task(caller, task_id, scope=Scope.TASKS_CREATE)
    run = open_run(locked.task)
    if run is not None and run.status in RUN_HELD:
        raise TransitionRefused("A run of the task is claimed, starting or running.")
    return locked


def _log(
    caller: Caller, locked: LockedTask, kind: LogType, row: ExecutionProfile, at: datetime
) -> None:
    """Log that a profile was changed, and give a queued run's task what it requires now."""
    is_deleted = kind is LogType.EXECUTION_PROFILE_DELETED
    document = row.document
    entry = log_entry(
        locked.task,
        kind,
        caller=caller,
        origin=origin_of("delete_execution_profile" if is_deleted else "set_execution_profile"),
        at=at,
        task_status=task_status(locked.task),
        task_id=locked.details.wire_id,
        coordinator_mode=document["coordinator"]["mode"],
        worker_mode=document["worker"]["mode"],
        sandbox_mode=document["sandbox"]["mode"],
    )
    write([*claim_words(locked), entry])
