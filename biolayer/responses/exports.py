"""Define the rows of exports. A CSV has the same members as its columns."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.events.tasks import StatusName
from biolayer.requests.pools import WorkerKind
from biolayer.values import Identifier, Presence, Timestamp, Urgency


class ExportEnd(OpenModel):
    """The last line of an export; without it the file is not whole.

    `is_complete` is false where the export ended at its bound.
    """

    end: Literal[True]
    rows: int
    is_complete: bool


class ExportedTask(OpenModel):
    """A task in an export. The last line is an `ExportEnd`."""

    created_at: Timestamp
    task_id: Identifier
    status: StatusName
    title: str
    task_type: str
    domain: str
    urgency: Urgency
    product: str
    request_id: str | None
    created_by: str
    pool_id: Identifier | None
    worker_id: Identifier | None
    skills: list[str]
    attempt: int
    deadline: Timestamp | None
    target_latency_seconds: int | None
    queued_at: Timestamp | None
    accepted_at: Timestamp | None
    started_at: Timestamp | None
    submitted_at: Timestamp | None
    verified_at: Timestamp | None
    closed_at: Timestamp | None
    close_reason: str
    deadline_at_risk_at: Timestamp | None
    latency_at_risk_at: Timestamp | None
    deadline_breached_at: Timestamp | None
    latency_breached_at: Timestamp | None


class ExportedWorker(OpenModel):
    """A worker in an export. The last line is an `ExportEnd`."""

    worker_id: Identifier
    name: str
    kind: WorkerKind
    presence: Presence
    skills: list[str]
    languages: list[str]
    trust_level: int
    rating: float
    rating_count: int
    capacity: int
    load: int
    time_zone: str
    created_at: Timestamp
