"""Define the bodies of calls on existing tasks. A task's contract is `biolayer.contract`."""

from typing import Annotated

from pydantic import Field

from biolayer.contract import MAX_TASKS_PER_BATCH, NO_ITEMS, Model
from biolayer.values import (
    INTEGRAL,
    Identifier,
    Language,
    Moment,
    Slug,
    Slugs,
    Text,
    Urgency,
    Words,
)

MAX_BOOST_SECONDS = 7 * 24 * 3600

Reason = Annotated[Text, Field(max_length=1000)]


class Cancellation(Model):
    reason: Reason = ""


class Cancellations(Model):
    task_ids: Annotated[list[Identifier], Field(min_length=1, max_length=MAX_TASKS_PER_BATCH)]
    reason: Reason = ""


class NewMessage(Model):
    text: Annotated[Words, Field(min_length=1, max_length=4000)]


class SlaChanges(Model):
    urgency: Urgency = "normal"
    deadline: Moment | None = None
    target_latency_seconds: Annotated[int, Field(ge=1, le=31_536_000), INTEGRAL] | None = None


class RequirementChanges(Model):
    skills: Slugs = NO_ITEMS
    skill_levels: dict[Slug, Annotated[int, Field(ge=1, le=5), INTEGRAL]] = {}
    preferred_skills: Slugs = NO_ITEMS
    languages: Annotated[list[Language], Field(max_length=8)] = NO_ITEMS
    certifications: Slugs = NO_ITEMS
    trust_level: Annotated[int, Field(ge=0, le=5), INTEGRAL] = 0
    min_rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0


class TaskChanges(Model):
    """What to change of an open task. A member that is left out stays as it is."""

    sla: SlaChanges = SlaChanges()
    requirements: RequirementChanges = RequirementChanges()
    reason: Reason = ""


class Boost(Model):
    seconds: Annotated[int, Field(ge=-MAX_BOOST_SECONDS, le=MAX_BOOST_SECONDS), INTEGRAL] = 3600
    reason: Reason = ""


class Requeue(Model):
    reason: Reason = ""


class Reassignment(Model):
    worker_id: Identifier
    reason: Reason = ""


class Reopening(Model):
    reason: Reason = ""
