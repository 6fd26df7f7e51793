"""What `/v1` answers of pools, workers and skills. Open, as all answers are."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.requests.pools import WorkerKind
from biolayer.responses.tasks import Page
from biolayer.values import Identifier, OfferMode, Presence, Timestamp


class PoolCounts(OpenModel):
    members: int
    available_members: int = Field(description="Those that could be offered something now.")
    queued_tasks: int = Field(description="Those that name the pool; 10,000 stands for more.")
    open_offers: int


class Pool(OpenModel):
    """A group of workers with its policies."""

    pool_id: Identifier
    name: str
    description: str
    status: Literal["active", "closed"]
    offer_seconds: dict[str, int] = Field(
        description="By urgency. One that is missing: 30 (critical), 60 (high), 120 (normal), 300 (low)."
    )
    work_seconds: int = Field(description="How long a person's lease lasts.")
    offer_mode: OfferMode
    broadcast_to: int
    offers_per_window: int | None = Field(description="To one worker; null: no limit.")
    offer_window_seconds: int
    misses_until_away: int | None = Field(description="Offers let lapse in a row; null: never.")
    costs: dict[str, int] = Field(description="Units of capacity by task type; 1 for others.")
    escalation: dict[str, Any] | None
    rating_mean: float | None = Field(description="Of its rated members, as of minutes ago.")
    counts: PoolCounts
    created_at: Timestamp
    updated_at: Timestamp


class Member(OpenModel):
    """A worker's seat in a pool."""

    worker_id: Identifier
    name: str
    kind: WorkerKind
    presence: Presence
    free: int = Field(description="Units that can be given to it now; 0 while it may not be asked.")
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
        description="`missed_offers`, `operator`; null: the worker said so itself."
    )
    is_on_shift: bool
    snoozed_until: Timestamp | None
    missed_in_row: int = Field(description="Offers let lapse since it last answered one.")
    skills: list[str]
    skill_levels: dict[str, int]
    languages: list[str]
    certifications: list[HeldCertification]
    trust_level: int
    rating: float
    rating_count: int
    capacity: int
    load: int
    hours: dict[str, list[list[str]]] = Field(description="Empty: always.")
    time_zone: str
    waiting_since: Timestamp = Field(description="When it last completed work, or joined.")
    pool_ids: list[Identifier] = Field(description="Of the pools that the credential is for.")
    created_at: Timestamp


class Skill(OpenModel):
    """A word by which workers and tasks are brought together."""

    skill: str
    workers: int
    available_workers: int = Field(description="Those that could be offered something now.")
    queued_tasks: int = Field(description="Those that demand it, at whatever level.")


class PoolPage(Page):
    data: list[Pool]


class MemberPage(Page):
    data: list[Member]


class WorkerPage(Page):
    data: list[Worker]


class SkillPage(Page):
    data: list[Skill]
