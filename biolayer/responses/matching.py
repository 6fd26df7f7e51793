"""What `/v1` says of how a task finds somebody."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.values import Identifier, Timestamp


class MatchQueue(OpenModel):
    sort_at: Timestamp
    tasks_ahead: int = Field(description="Of the organisation's; 10,000 stands for more.")


class MatchRequirements(OpenModel):
    pool_ids: list[Identifier] | None
    abilities: list[str] = Field(description="Skills; `phone:3` from level 3 on; `@en` a language.")
    preferred: list[str]
    certifications: list[str]
    trust_level: int
    min_rating: float


class ExcludedWorkers(OpenModel):
    """Each worker under the first rule that keeps it out."""

    skills: int
    skill_levels: int
    languages: int
    certifications: int
    trust_level: int
    rating: int
    presence: int
    working_hours: int
    snoozed: int
    capacity: int
    offer_limit: int
    asked_already: int


class MatchWorkers(OpenModel):
    in_pools: int = Field(description="The sum of `eligible` and all that is excluded.")
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
    """How a task finds somebody: who could be asked, who is, and what happens next."""

    task_id: Identifier
    status: str
    queue: MatchQueue | None
    requirements: MatchRequirements
    workers: MatchWorkers
    offers: list[MatchOffer] = Field(description="Who is asked now, and why these.")
    taken: MatchOffer | None = Field(description="The offer of whoever holds the task or did it.")
    past_offers: dict[str, int] = Field(description="How many ended in each way.")
    escalation: MatchEscalation | None
    next: str = Field(description="What has to happen for the task to go on.")
    next_at: Timestamp | None = Field(
        description="When the first thing happens that the clock brings: a rest, a snooze, a shift's"
        " break or a window of offers ends, an offer or a lease does, a step is taken. Null: none of"
        " these is known."
    )


class PoolOutlook(OpenModel):
    offered: int = Field(description="Tasks that would be offered to somebody at once.")
    waits: int
    fails: int = Field(description="Tasks that the policy's end would fail.")
    workers_asked: int


class ChangedFate(OpenModel):
    task_id: Identifier
    before: Literal["offered", "waits", "fails"]
    after: Literal["offered", "waits", "fails"]


class PoolDryRun(OpenModel):
    """What a change of a pool would do to the tasks that wait for it now. Nothing was changed."""

    pool_id: Identifier
    tasks_waiting: int
    tasks_looked_at: int = Field(description="The first in line.")
    before: PoolOutlook
    after: PoolOutlook
    changed: list[ChangedFate] = Field(description="The first 50 that would fare differently.")
