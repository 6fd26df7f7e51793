"""Define which submissions a person reviews, and how a pool's policy and a task's are combined.

A pool's policy is the floor: a task's contract can only be stricter. A field that a contract does
not state is the pool's.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from biolayer.values import INTEGRAL, Identifier

MODES = ("none", "sample", "all")
ROLES = ("viewer", "editor", "manager", "admin")
ON_REJECT = ("new_worker", "fail")
NEVER = float("inf")


class ReviewCause(StrEnum):
    """Name why a submission is reviewed."""

    ALL = "all"  # the policy's mode
    FIRST_TASKS = "first_tasks"  # the worker is new in the pool
    BELOW_RATING = "below_rating"  # the worker's rating is too low
    SAMPLE = "sample"  # the task was drawn


class ReviewPolicy(BaseModel):
    """Which submissions a person reviews before they count, who may, and what happens in time."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    mode: Literal["none", "sample", "all"] = "none"
    # Of all tasks, the share that is drawn for a review.
    sample_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    required_role: Literal["viewer", "editor", "manager", "admin"] = "editor"
    # Only members who are workers of this pool review, until a review is overdue.
    reviewer_pool_id: Identifier | None = None
    notify: bool = False
    # None: a person decides, however long it takes.
    auto_approve_after_hours: Annotated[int, Field(ge=1, le=8760), INTEGRAL] | None = None
    # After the submission, when the review is overdue. None: never.
    deadline_seconds: Annotated[int, Field(ge=60, le=31_536_000), INTEGRAL] | None = None
    # How often a task is sent back. None: while attempts are left.
    max_rework: Annotated[int, Field(ge=0, le=10), INTEGRAL] | None = None
    # A worker's first tasks in a pool are always reviewed: so many.
    first_tasks: Annotated[int, Field(ge=0, le=1000), INTEGRAL] = 0
    # The tasks of a worker with a lower rating are always reviewed.
    below_rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    on_reject: Literal["fail", "new_worker"] = "fail"
    # Of the approvals by people, the share that is drawn for a second look by another reviewer.
    second_look_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    # How long a worker may appeal a verdict by which its work was sent back or rejected. 0: never.
    appeal_hours: Annotated[int, Field(ge=0, le=8760), INTEGRAL] = 72

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.mode == "sample" and "sample_share" not in self.model_fields_set:
            raise PydanticCustomError("required", "the mode sample needs a sample_share")
        if self.reviewer_pool_id is not None and self.deadline_seconds is None:
            text = "a reviewer_pool_id needs deadline_seconds, after which others may review"
            raise PydanticCustomError("required", text)
        return self

    @property
    def is_needed(self) -> bool:
        """Return whether any submission may be reviewed by it."""
        return self.mode != "none" or self.first_tasks > 0 or self.below_rating > 0

    def cause(self, *, draw: float, tasks_before: int, rating: float) -> ReviewCause | None:
        """Return why a submission is reviewed, None if it is not.

        `draw` is the task's number of the drawing, from 0 up to 1; `tasks_before` counts what the
        worker has submitted in the pool before.
        """
        if self.mode == "all":
            return ReviewCause.ALL
        if tasks_before < self.first_tasks:
            return ReviewCause.FIRST_TASKS
        if rating < self.below_rating:
            return ReviewCause.BELOW_RATING
        if self.mode == "sample" and draw < self.sample_share:
            return ReviewCause.SAMPLE
        return None

    def stored(self) -> dict[str, Any]:
        """Return the policy as JSON, with the stated fields only."""
        return self.model_dump(mode="json", exclude_unset=True)


# How strict a value is: more is stricter. A pool of reviewers has no order, see `_is_laxer`.
STRICTNESS: Mapping[str, Callable[[Any], float]] = {
    "mode": MODES.index,
    "sample_share": float,
    "required_role": ROLES.index,
    "reviewer_pool_id": lambda pool_id: 0 if pool_id is None else 1,
    "notify": int,
    "auto_approve_after_hours": lambda hours: NEVER if hours is None else hours,
    "deadline_seconds": lambda seconds: -NEVER if seconds is None else -seconds,
    "max_rework": lambda count: -NEVER if count is None else -count,
    "first_tasks": int,
    "below_rating": float,
    "on_reject": ON_REJECT.index,
    "second_look_share": float,
    # A contract must not take from a worker what the pool grants.
    "appeal_hours": int,
}
assert STRICTNESS.keys() == ReviewPolicy.model_fields.keys()


def laxer_fields(*, pool: ReviewPolicy, task: ReviewPolicy) -> Iterator[str]:
    """Yield the fields that a task's policy states and that are laxer than the pool's."""
    for name in ReviewPolicy.model_fields:
        if name in task.model_fields_set and _is_floor(pool, name) and _is_laxer(name, pool, task):
            yield name


def _is_floor(pool: ReviewPolicy, name: str) -> bool:
    """Return whether a field of a pool's policy counts: all do once the pool has reviews."""
    return pool.is_needed or name in pool.model_fields_set


def _is_laxer(name: str, pool: ReviewPolicy, task: ReviewPolicy) -> bool:
    floor, stated = getattr(pool, name), getattr(task, name)
    if name == "sample_share" and task.mode == "all":
        return False
    if name == "reviewer_pool_id" and floor is not None:
        return bool(stated != floor)
    return STRICTNESS[name](stated) < STRICTNESS[name](floor)


def combined(*, pool: ReviewPolicy | None, task: ReviewPolicy | None) -> ReviewPolicy | None:
    """Return what applies to a task: of each field the stricter value; None without a policy."""
    if pool is None or task is None:
        return pool or task
    values = pool.model_dump(include=pool.model_fields_set)
    for name in task.model_fields_set:
        if not (_is_floor(pool, name) and _is_laxer(name, pool, task)):
            values[name] = getattr(task, name)
    return ReviewPolicy.model_construct(_fields_set=set(values), **values)


# --- approval policies ----------------------------------------------------------------------------

# What enforces each key of a team's approval policy. All other keys mean nothing to us.
ENFORCED_BY: Mapping[str, str] = {
    "required_role": "required_role",
    "notify_on_proposal": "notify",
    "auto_approve_after_hours": "auto_approve_after_hours",
}


def enforced_fields(approval: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a review policy that enforce an approval policy."""
    fields = {
        field: approval[key] for key, field in ENFORCED_BY.items() if approval.get(key) is not None
    }
    if "required_role" in fields:
        fields["required_role"] = fields["required_role"].lower()
    return fields


def with_approval(
    stored: Mapping[str, Any] | None,
    *,
    approval: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Return a pool's review policy as it enforces an approval policy; None: there is nothing.

    What enforced the approval policy `before` goes; all other fields stay.
    """
    fields, gone, added = (
        dict(stored or {}),
        enforced_fields(before or {}),
        enforced_fields(approval),
    )
    if not gone and not added:
        return None if stored is None else fields
    kept = [name for name, value in fields.items() if name not in gone or gone[name] != value]
    fields = {"mode": "none", **{name: fields[name] for name in kept}, **added}
    return None if fields == {"mode": "none"} else fields
