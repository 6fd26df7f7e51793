"""The calls of `/v1`, one row each: what the OpenAPI document says of them.

Whoever adds a route adds its row here; a test compares the two. What follows from a row's form is
not in it: the refusals, the parameters of the path, `Idempotency-Key` at every POST. After that run
`python3 manage.py document`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field

from apps.accounts.scopes import Scope
from apps.api.http.pagination import DEFAULT_LIMIT, MAX_LIMIT
from apps.api.streams import params
from apps.webhooks.selectors import OUTCOMES, STATUSES
from biolayer import contract, values
from biolayer.events import EVENT_TYPES
from biolayer.field_descriptions import POOL, TIME, UUID
from biolayer.lifecycle import Status
from biolayer.requests import pools, webhooks
from biolayer.requests.consumers import Acknowledgement, ConsumerSettings
from biolayer.responses import pools as shown
from biolayer.responses import webhooks as told
from biolayer.responses.matching import Match, PoolDryRun
from biolayer.responses.tasks import (
    DeclinedOffer,
    EventConsumer,
    EventConsumerPage,
    EventPage,
    Evidence,
    FeedPage,
    HeldRun,
    JwkSet,
    OfferPage,
    OpenApiDocument,
    RotatedWebhookKey,
    RunChanged,
    RunPage,
    RunWithTask,
    Task,
    TaskPage,
    WebhookKeyPage,
)

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query."""

    name: str
    schema: Mapping[str, Any]
    description: str
    example: Any
    # Whether it may come more than once; then any of its values will do.
    is_repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route."""

    name: str
    method: str
    # As in urls.py, below `/v1/`.
    route: str
    # None: it asks for no credential.
    scope: Scope | None
    summary: str
    # Status and shape of each good answer; None is an empty one.
    answers: Mapping[int, type[BaseModel] | None]
    body: type[BaseModel] | None = None
    query: tuple[Query, ...] = ()
    # Where body or answer are no JSON.
    body_type: str = JSON
    media_type: str = JSON
    # Refusals that its form does not show.
    refused: tuple[int, ...] = ()


class EvidenceForm(BaseModel):
    """A form of two parts: the run's epoch and one file."""

    epoch: Annotated[int, Field(ge=1)]
    file: Annotated[Any, Field(json_schema_extra={"contentMediaType": "application/octet-stream"})]


CURSOR = Query("cursor", {"type": "string"}, "`next_cursor` of the page before.", "eyJhIjoxfQ")
LIMIT = Query(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "How many at most.",
    DEFAULT_LIMIT,
)
PAGED = (CURSOR, LIMIT)


def _filter(name: str, description: str, example: str, **schema: Any) -> Query:
    return Query(name, {"type": "string", **schema}, description, example, is_repeatable=True)


TASK_FILTERS = (
    _filter("status", "Its status.", "queued", enum=[status.value for status in Status]),
    _filter("domain", "Its domain.", "security"),
    _filter("urgency", "Its urgency.", "high", enum=list(get_args(values.Urgency))),
    _filter("pool", "The pool that its contract names.", POOL, format="uuid"),
)
DELIVERY_FILTERS = (
    _filter("status", "Its status.", "exhausted", enum=list(STATUSES)),
    _filter("endpoint_id", "The endpoint that it goes to.", UUID, format="uuid"),
    _filter("task_id", "The task that it tells of.", UUID, format="uuid"),
    _filter("type", "The type of its event.", "task.completed", enum=list(EVENT_TYPES)),
    _filter("outcome", "The outcome of its last attempt.", "timeout", enum=list(OUTCOMES)),
    Query("since", {"type": "string", "format": "date-time"}, "Created then or later.", TIME),
    Query("until", {"type": "string", "format": "date-time"}, "Created before.", TIME),
)

WORKER_FILTERS = (
    _filter(
        "presence", "What it says of itself.", "available", enum=list(get_args(values.Presence))
    ),
    _filter("skill", "A skill that it has.", "phone_verification"),
    _filter("pool", "A pool that it is a member of.", POOL, format="uuid"),
)

AFTER = Query("after", {"type": "string"}, "`beginning`, `latest`, or a cursor.", "latest")
TYPES = Query(
    "types",
    {"type": "string"},
    "Event types or patterns such as `task.*`, parted by commas.",
    "task.*",
)
WAITING = (
    Query(
        "limit",
        {
            "type": "integer",
            "minimum": 1,
            "maximum": params.MAX_LIMIT,
            "default": params.DEFAULT_LIMIT,
        },
        "How many at most.",
        params.DEFAULT_LIMIT,
    ),
    Query(
        "wait",
        {"type": "integer", "minimum": 0, "maximum": params.MAX_WAIT_SECONDS, "default": 0},
        "Seconds to wait for the first event.",
        30,
    ),
)
PAYLOAD = Query(
    "payload",
    {"type": "string", "enum": ["webhook"]},
    "`webhook`: each item says what webhooks tell of it, too.",
    "webhook",
)

READ, CREATE, CANCEL, WORK = (
    Scope.TASKS_READ,
    Scope.TASKS_CREATE,
    Scope.TASKS_CANCEL,
    Scope.WORK,
)
POOLS_READ, POOLS_MANAGE = Scope.POOLS_READ, Scope.POOLS_MANAGE

OPERATIONS = (
    # For product backends.
    Operation("create_task", "post", "tasks", CREATE, "Post a task (200: this product sent the same request before)", {201: Task, 200: Task}, contract.TaskContract),
    Operation("list_tasks", "get", "tasks", READ, "Your tasks, newest first", {200: TaskPage}, query=(*TASK_FILTERS, *PAGED)),
    Operation("get_task", "get", "tasks/<str:task_id>", READ, "A task, with its output once that is verified", {200: Task}),
    Operation("cancel_task", "post", "tasks/<str:task_id>/cancel", CANCEL, "Call a task off; refused once an output was submitted", {200: Task}, contract.Cancellation),
    Operation("explain_match", "get", "tasks/<str:task_id>/match", READ, "Who could be asked, who is, whom each rule excludes, and what happens next", {200: Match}),
    Operation("list_task_events", "get", "tasks/<str:task_id>/events", READ, "A task's log from its first event on", {200: EventPage}, query=PAGED),
    Operation("read_events", "get", "events", READ, "The organisation's events, in order and without a gap", {200: FeedPage}, query=(AFTER, TYPES, *WAITING, PAYLOAD)),
    Operation("stream_events", "get", "events/stream", READ, "The same as they happen, as Server-Sent Events (by the stream process)", {200: None}, query=(AFTER, TYPES, PAYLOAD), media_type="text/event-stream"),
    Operation("list_consumers", "get", "event-consumers", READ, "The readers whose places are remembered, by name", {200: EventConsumerPage}, query=PAGED),
    Operation("get_consumer", "get", "event-consumers/<str:name>", READ, "Where a consumer is and how far behind", {200: EventConsumer}),
    Operation("save_consumer", "put", "event-consumers/<str:name>", READ, "Make a consumer, or change what it reads", {201: EventConsumer, 200: EventConsumer}, ConsumerSettings),
    Operation("delete_consumer", "delete", "event-consumers/<str:name>", READ, "Forget a consumer and its place", {204: None}),
    Operation("read_consumer_events", "get", "event-consumers/<str:name>/events", READ, "What comes after a consumer's place, which stays", {200: FeedPage}, query=(*WAITING, PAYLOAD)),
    Operation("acknowledge_events", "post", "event-consumers/<str:name>/ack", READ, "Move a consumer's place forward", {200: EventConsumer}, Acknowledgement),
    # For workers.
    Operation("list_offers", "get", "offers", WORK, "The offers before you, oldest first", {200: OfferPage}, query=PAGED),
    Operation("accept_offer", "post", "offers/<str:offer_id>/accept", WORK, "Take the task; its run and lease are yours", {200: RunWithTask}),
    Operation("decline_offer", "post", "offers/<str:offer_id>/decline", WORK, "Say no; somebody else is asked", {200: DeclinedOffer}, contract.Decline),
    Operation("list_runs", "get", "runs", WORK, "The runs you hold, with their tasks", {200: RunPage}, query=PAGED),
    Operation("get_run", "get", "runs/<str:run_id>", WORK, "A run of yours", {200: HeldRun}),
    Operation("start_run", "post", "runs/<str:run_id>/start", WORK, "Begin", {200: RunWithTask}, contract.RunCall),
    Operation("heartbeat_run", "post", "runs/<str:run_id>/heartbeat", WORK, "A sign of life: the lease lasts from now on again", {200: RunChanged}, contract.Heartbeat),
    Operation("submit_run", "post", "runs/<str:run_id>/submit", WORK, "Hand in the output", {200: RunWithTask}, contract.Submission),
    Operation("release_run", "post", "runs/<str:run_id>/release", WORK, "Give the run back; no attempt is used", {200: RunChanged}, contract.Release),
    Operation("add_evidence", "post", "runs/<str:run_id>/evidence", WORK, "Upload a file that belongs to the output, at most 10 MiB", {201: Evidence}, EvidenceForm, body_type="multipart/form-data"),
    Operation("get_me", "get", "workers/me", WORK, "Yourself as a worker", {200: shown.Worker}),
    Operation("update_me", "patch", "workers/me", WORK, "Say whether you are there, or not to be asked for a while", {200: shown.Worker}, pools.WorkerUpdate),
    # For those who run pools.
    Operation("create_pool", "post", "pools", POOLS_MANAGE, "Found a pool", {201: shown.Pool}, pools.PoolCreation),
    Operation("list_pools", "get", "pools", POOLS_READ, "Your pools and what waits for them, newest first", {200: shown.PoolPage}, query=PAGED),
    Operation("get_pool", "get", "pools/<str:pool_id>", POOLS_READ, "A pool and what waits for it", {200: shown.Pool}),
    Operation("update_pool", "patch", "pools/<str:pool_id>", POOLS_MANAGE, "Change what is given", {200: shown.Pool}, pools.PoolChange, refused=(409,)),
    Operation("dry_run_pool", "post", "pools/<str:pool_id>/dry-run", POOLS_MANAGE, "What a change would do to the tasks that wait now; nothing is changed", {200: PoolDryRun}, pools.PoolChange, refused=(409,)),
    Operation("close_pool", "delete", "pools/<str:pool_id>", POOLS_MANAGE, "Close a pool: it stays to be read, and offers nothing more", {204: None}),
    Operation("add_member", "post", "pools/<str:pool_id>/members", POOLS_MANAGE, "Take a worker in (200: it was there)", {201: shown.Member, 200: shown.Member}, pools.NewMember),
    Operation("list_members", "get", "pools/<str:pool_id>/members", POOLS_READ, "The pool's workers and what can be given to each, the longest enrolled first", {200: shown.MemberPage}, query=PAGED),
    Operation("remove_member", "delete", "pools/<str:pool_id>/members/<str:worker_id>", POOLS_MANAGE, "Take a worker out; what it has, it may finish", {204: None}),
    Operation("create_worker", "post", "workers", POOLS_MANAGE, "Enrol a worker", {201: shown.Worker}, pools.WorkerCreation),
    Operation("list_workers", "get", "workers", POOLS_READ, "Your workers, newest first", {200: shown.WorkerPage}, query=(*WORKER_FILTERS, *PAGED)),
    Operation("get_worker", "get", "workers/<str:worker_id>", POOLS_READ, "A worker", {200: shown.Worker}),
    Operation("update_worker", "patch", "workers/<str:worker_id>", POOLS_MANAGE, "Change what is given", {200: shown.Worker}, pools.WorkerChange),
    Operation("delete_worker", "delete", "workers/<str:worker_id>", POOLS_MANAGE, "Delete a worker that was never offered anything, and its keys", {204: None}, refused=(409,)),
    Operation("list_skills", "get", "skills", POOLS_READ, "The skills that workers have or queued tasks demand, by name", {200: shown.SkillPage}, query=PAGED),
    # Webhooks.
    Operation("create_webhook_endpoint", "post", "webhook-endpoints", Scope.WEBHOOKS_MANAGE, "Have events sent to a URL", {201: told.WebhookEndpoint}, webhooks.EndpointCreation),
    Operation("list_webhook_endpoints", "get", "webhook-endpoints", Scope.WEBHOOKS_READ, "Your endpoints and how they fare, newest first", {200: told.WebhookEndpointPage}, query=PAGED),
    Operation("get_webhook_endpoint", "get", "webhook-endpoints/<str:endpoint_id>", Scope.WEBHOOKS_READ, "An endpoint and how it fares", {200: told.WebhookEndpoint}),
    Operation("update_webhook_endpoint", "patch", "webhook-endpoints/<str:endpoint_id>", Scope.WEBHOOKS_MANAGE, "Change what is given; `enabled` pauses it, or sends what was held", {200: told.WebhookEndpoint}, webhooks.EndpointChange),
    Operation("delete_webhook_endpoint", "delete", "webhook-endpoints/<str:endpoint_id>", Scope.WEBHOOKS_MANAGE, "Delete an endpoint with its deliveries", {204: None}),
    Operation("test_webhook_endpoint", "post", "webhook-endpoints/<str:endpoint_id>/test", Scope.WEBHOOKS_MANAGE, "Send an example of an event type, as a real delivery", {202: told.Delivery}, webhooks.TestEvent),
    Operation("list_deliveries", "get", "deliveries", Scope.WEBHOOKS_READ, "Deliveries, newest first", {200: told.DeliveryPage}, query=(*DELIVERY_FILTERS, *PAGED)),
    Operation("get_delivery", "get", "deliveries/<str:delivery_id>", Scope.WEBHOOKS_READ, "A delivery with its body, its last attempts, and what it waits for", {200: told.DeliveryInFull}),
    Operation("list_delivery_attempts", "get", "deliveries/<str:delivery_id>/attempts", Scope.WEBHOOKS_READ, "All attempts of a delivery, the first first", {200: told.AttemptPage}, query=PAGED),
    Operation("resend_delivery", "post", "deliveries/<str:delivery_id>/resend", Scope.WEBHOOKS_MANAGE, "Send a delivery again, with its whole retry budget", {202: told.Delivery}),
    Operation("start_recovery", "post", "recoveries", Scope.WEBHOOKS_MANAGE, "Send again all that failed, or tell an endpoint of all that it missed", {202: told.Recovery}, webhooks.RecoveryRequest),
    Operation("list_recoveries", "get", "recoveries", Scope.WEBHOOKS_READ, "Recoveries and how far they came, newest first", {200: told.RecoveryPage}, query=PAGED),
    Operation("get_recovery", "get", "recoveries/<str:recovery_id>", Scope.WEBHOOKS_READ, "A recovery and how far it came", {200: told.Recovery}),
    Operation("list_webhook_keys", "get", "webhook-keys", Scope.WEBHOOKS_READ, "What deliveries are signed with, and were until 30 days ago; newest first", {200: WebhookKeyPage}, query=PAGED),
    Operation("rotate_webhook_key", "post", "webhook-keys/rotate", Scope.WEBHOOKS_MANAGE, "A new signing key; the one before signs along for a while", {201: RotatedWebhookKey}, contract.KeyRotation),
    Operation("expire_webhook_key", "delete", "webhook-keys/<str:key_id>", Scope.WEBHOOKS_MANAGE, "Let an earlier key sign nothing from now on", {204: None}),
    Operation("get_webhook_jwks", "get", "organisations/<str:organisation_id>/webhook-jwks.json", None, "An organisation's public signing keys, as a JWK Set (RFC 7517)", {200: JwkSet}),
    # For everybody.
    Operation("get_document", "get", "openapi.json", None, "This document", {200: OpenApiDocument}),
)  # fmt: skip
