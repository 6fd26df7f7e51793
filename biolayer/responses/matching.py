"""Define the responses about matching: the explanation of a task, and a pool's dry run."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.tasks import OpenReview
from biolayer.values import Identifier, Timestamp


class MatchQueue(OpenModel):
    sort_at: Timestamp
    tasks_ahead: int = Field(
        description="Tasks of the organisation that come first. 10,000 means that or more."
    )


class MatchRequirements(OpenModel):
    pool_ids: list[Identifier] | None
    abilities: list[str] = Field(
        description="Required skills and languages. `phone:3`: level 3 or higher; `@en`:"
        " a language."
    )
    preferred: list[str]
    certifications: list[str]
    trust_level: int
    min_rating: float


class ExcludedWorkers(OpenModel):
    """Workers that are not eligible, each counted at the first rule that excludes it."""

    skills: int
    skill_levels: int
    languages: int
    certifications: int
    trust_level: int
    rating: int
    cannot_do: int
    presence: int
    working_hours: int
    snoozed: int
    capacity: int
    offer_limit: int
    asked_already: int


class MatchWorkers(OpenModel):
    in_pools: int = Field(
        description="Workers in the task's pools: the sum of `eligible` and all of `excluded`."
    )
    eligible: int
    excluded: ExcludedWorkers


class MatchOffer(OpenModel):
    offer_id: Identifier
    worker_id: Identifier
    pool_id: Identifier
    offered_at: Timestamp
    expires_at: Timestamp
    why: dict[str, Any]


class MatchEscalation(OpenModel):
    steps_taken: int
    steps: int
    at_end: str
    next_at: Timestamp | None


class Match(OpenModel):
    """How a task is matched: eligible workers, offers, and what happens next."""

    task_id: Identifier
    status: str
    queue: MatchQueue | None
    requirements: MatchRequirements
    workers: MatchWorkers
    offers: list[MatchOffer] = Field(description="Open offers, and how their workers were ranked.")
    taken: MatchOffer | None = Field(description="The offer that was accepted.")
    past_offers: dict[str, int] = Field(
        description="The number of earlier offers, by how they ended."
    )
    escalation: MatchEscalation | None
    review: OpenReview | None = Field(description="What its output waits for; null: no review.")
    next: str = Field(description="What has to happen for the task to progress.")
    next_at: Timestamp | None = Field(
        description="When the next timed change is due: the end of a pause, a snooze, a break of"
        " working hours, an offer window, an offer or a lease, an escalation step, or when a review"
        " is overdue. Null: none is known."
    )


class PoolOutlook(OpenModel):
    offered: int = Field(description="Tasks that would be offered immediately.")
    waits: int
    fails: int = Field(description="Tasks that the end of the escalation policy would fail.")
    workers_asked: int


class ChangedFate(OpenModel):
    task_id: Identifier
    before: Literal["offered", "waits", "fails"]
    after: Literal["offered", "waits", "fails"]


class PoolDryRun(OpenModel):
    """The effect that a change of a pool would have on the tasks that wait for it. Nothing is
    changed.
    """

    pool_id: Identifier
    tasks_waiting: int
    tasks_looked_at: int = Field(
        description="How many of them were evaluated: the first in the queue."
    )
    before: PoolOutlook
    after: PoolOutlook
    changed: list[ChangedFate] = Field(description="The first 50 tasks whose outcome would differ.")
