"""Define the responses about pools, workers and skills."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.requests.pools import WorkerKind
from biolayer.responses.pages import Page
from biolayer.values import Identifier, OfferMode, Presence, Timestamp


class PoolCounts(OpenModel):
    members: int
    available_members: int = Field(description="Members that could get an offer now.")
    queued_tasks: int = Field(
        description="Queued tasks that name the pool. 10,000 means that or more."
    )
    open_offers: int


class Pool(OpenModel):
    """A group of workers with its policies."""

    pool_id: Identifier
    name: str
    description: str
    status: Literal["active", "closed"]
    offer_seconds: dict[str, int] = Field(
        description="By urgency. Defaults: 30 (critical), 60 (high), 120 (normal), 300 (low)."
    )
    work_seconds: int = Field(description="The length of a person's lease.")
    offer_mode: OfferMode
    broadcast_to: int
    offers_per_window: int | None = Field(
        description="The maximum of offers to one worker in a window; null: none."
    )
    offer_window_seconds: int
    misses_until_away: int | None = Field(
        description="Consecutive offers that may expire before a worker is set to `away`; null: no"
        " limit."
    )
    costs: dict[str, int] = Field(
        description="Capacity units by task type; 1 for types not listed."
    )
    escalation: dict[str, Any] | None
    review_policy: dict[str, Any] | None
    rating_mean: float | None = Field(
        description="The mean rating of the rated members, a few minutes old."
    )
    counts: PoolCounts
    created_at: Timestamp
    updated_at: Timestamp


class Member(OpenModel):
    """A worker's membership in a pool."""

    worker_id: Identifier
    name: str
    kind: WorkerKind
    presence: Presence
    free: int = Field(description="Free capacity units; 0 while the worker cannot get offers.")
    load: int
    capacity: int


class HeldCertification(OpenModel):
    code: str
    issuer: str
    expires_at: Timestamp | None
    document_url: str | None
    is_valid: bool


class Worker(OpenModel):
    """A person or an agent that does tasks."""

    worker_id: Identifier
    kind: WorkerKind
    name: str
    presence: Presence
    presence_reason: str | None = Field(
        description="`missed_offers` or `operator`; null: the worker set its presence."
    )
    is_on_shift: bool
    snoozed_until: Timestamp | None
    missed_in_row: int = Field(description="Consecutive offers that expired without a response.")
    skills: list[str]
    skill_levels: dict[str, int]
    languages: list[str]
    certifications: list[HeldCertification]
    trust_level: int
    rating: float
    rating_count: int
    capacity: int
    load: int
    hours: dict[str, list[list[str]]] = Field(description="By weekday; empty: always.")
    time_zone: str
    waiting_since: Timestamp = Field(description="When the worker last submitted work, or joined.")
    pool_ids: list[Identifier] = Field(
        description="The worker's pools that the credential may see."
    )
    created_at: Timestamp


class Skill(OpenModel):
    """A skill that workers have or tasks require."""

    skill: str
    workers: int
    available_workers: int = Field(description="Workers that could get an offer now.")
    queued_tasks: int = Field(description="Queued tasks that require it, at any level.")


class PoolPage(Page):
    data: list[Pool]


class MemberPage(Page):
    data: list[Member]


class PoolNote(OpenModel):
    """What the members of a pool are told."""

    note_id: Identifier
    pool_id: Identifier
    text: str
    created_by: str
    created_at: Timestamp
    expires_at: Timestamp | None


class PoolNotePage(Page):
    data: list[PoolNote]


class WorkerPage(Page):
    data: list[Worker]


class SkillPage(Page):
    data: list[Skill]
