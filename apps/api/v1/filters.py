"""Describe and parse the filters of lists."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from rest_framework.request import Request

from apps.accounts.audit import AuditAction
from apps.accounts.selectors import AuditFilter
from apps.agents.selectors import SessionFilter
from apps.api.http.operations import Query, filter_by
from apps.api.http.parameters import first_fault_of_each, parameter_faults
from apps.base.exports import ExportFormat
from apps.pools.selectors import ClaimFilter, WorkerFilter
from apps.reviews.selectors import LONGEST_PERIOD, AppealFilter, Lane, ReviewFilter
from apps.tasks.selectors import SLA_STATES, TaskFilter
from apps.webhooks.selectors import OUTCOMES, STATUSES, DeliveryFilter
from biolayer.errors import Fault, InvalidInput
from biolayer.events import EVENT_TYPES
from biolayer.field_descriptions import POOL, TIME
from biolayer.field_descriptions import UUID as UUID_EXAMPLE
from biolayer.lifecycle import Status
from biolayer.responses.agents import SessionState
from biolayer.responses.appeals import AppealStatus
from biolayer.responses.certification_claims import ClaimStatus
from biolayer.responses.reviewers import SecondLookStatus
from biolayer.responses.reviews import ReviewStatus
from biolayer.values import Moment, Presence, Urgency

SLUG = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
PAGING = ("cursor", "limit")
MAX_TEXT = 255
MAX_SEARCH = 200
# Of a number that PostgreSQL stores in 64 bits.
MAX_DIGITS = 18
# Filters of which several values mean any of them.
OF_TASKS = ("status", "domain", "urgency", "pool", "worker_id", "product", "request_id", "sla")
ONE_OF_TASKS = ("q", "created_after", "created_before")
OF_WORKERS = ("presence", "skill", "pool")
OF_SESSIONS = ("state", "agent_name", "pool")
OF_CLAIMS = ("status", "worker_id")
OF_REVIEWS = ("status", "pool", "task_id")
OF_APPEALS = ("status", "review_id")
OF_DELIVERIES = ("status", "endpoint_id", "task_id", "type", "outcome")

TASK_FILTERS = (
    filter_by("status", "The status.", "queued", enum=[status.value for status in Status]),
    filter_by("domain", "The domain.", "security", pattern=f"^{SLUG.pattern}$"),
    filter_by("urgency", "The urgency.", "high", enum=list(get_args(Urgency))),
    filter_by("pool", "The pool that the contract names.", POOL, format="uuid"),
    filter_by("worker_id", "The worker that holds or completed it.", UUID_EXAMPLE, format="uuid"),
    filter_by("product", "The product of the origin.", "threatlabs", minLength=1, maxLength=100),
    filter_by("request_id", "The request of the origin.", "IR-48219", minLength=1, maxLength=200),
    filter_by(
        "sla",
        "`at_risk`: open, a clock is at risk, none was breached. `breached`: a clock was breached.",
        "at_risk",
        enum=list(SLA_STATES),
    ),
    Query(
        "q",
        {"type": "string", "minLength": 1, "maxLength": MAX_SEARCH},
        "A task's ID, a `request_id`, or words of the title; the last one may be the beginning of"
        " a word.",
        "endpoint own",
    ),
    Query(
        "created_after", {"type": "string", "format": "date-time"}, "Created then or later.", TIME
    ),
    Query("created_before", {"type": "string", "format": "date-time"}, "Created before.", TIME),
)
EXPORT_FORMAT = Query(
    "format",
    {"type": "string", "enum": list(ExportFormat), "default": ExportFormat.CSV.value},
    "CSV (RFC 4180), or a JSON document a line.",
    ExportFormat.NDJSON.value,
)
ATOMIC = Query(
    "atomic",
    {"type": "boolean", "default": False},
    "`true`: create all tasks of the batch, or none.",
    example=True,
)
# Notifications of bridges are no events.
DELIVERED_TYPES = [*EVENT_TYPES, "task.notification"]
DELIVERY_FILTERS = (
    filter_by("status", "The status.", "exhausted", enum=list(STATUSES)),
    filter_by("endpoint_id", "The endpoint.", UUID_EXAMPLE, format="uuid"),
    filter_by("task_id", "The task of the event.", UUID_EXAMPLE, format="uuid"),
    filter_by("type", "The type of the event.", "task.completed", enum=DELIVERED_TYPES),
    filter_by("outcome", "The outcome of the last attempt.", "timeout", enum=list(OUTCOMES)),
    Query("since", {"type": "string", "format": "date-time"}, "Created then or later.", TIME),
    Query("until", {"type": "string", "format": "date-time"}, "Created before.", TIME),
)
WORKER_FILTERS = (
    filter_by("presence", "The presence.", "available", enum=list(get_args(Presence))),
    filter_by("skill", "A skill of the worker.", "phone_verification", pattern=f"^{SLUG.pattern}$"),
    filter_by("pool", "A pool of the worker.", POOL, format="uuid"),
)
SESSION_STATES = list(get_args(SessionState))
SESSION_FILTERS = (
    filter_by("state", "The state.", "active", enum=SESSION_STATES),
    filter_by("agent_name", "The name of the agent.", "drafter", minLength=1, maxLength=128),
    filter_by("pool", "The pool whose tasks it claims.", POOL, format="uuid"),
)
REVIEW_STATUSES = list(get_args(ReviewStatus))
REVIEW_FILTERS = (
    Query(
        "lane",
        {"type": "string", "enum": [lane.value for lane in Lane]},
        "`mine`: claimed by this credential; `waiting`: without a reviewer; `overdue`: open and"
        " reported overdue; `done`: decided.",
        "waiting",
    ),
    filter_by("status", "The status.", "waiting", enum=REVIEW_STATUSES),
    filter_by("pool", "The pool by which the worker had the task.", POOL, format="uuid"),
    filter_by("task_id", "The task.", UUID_EXAMPLE, format="uuid"),
)
APPEAL_STATUSES = list(get_args(AppealStatus))
APPEAL_FILTERS = (
    filter_by("status", "The status.", "open", enum=APPEAL_STATUSES),
    filter_by("review_id", "The review.", UUID_EXAMPLE, format="uuid"),
)
SECOND_LOOK_STATUSES = list(get_args(SecondLookStatus))
SECOND_LOOK_FILTERS = (filter_by("status", "The status.", "waiting", enum=SECOND_LOOK_STATUSES),)
DEFAULT_PERIOD = timedelta(days=7)
CLAIM_STATUSES = list(get_args(ClaimStatus))
CLAIM_FILTERS = (
    filter_by("status", "The status.", "pending", enum=CLAIM_STATUSES),
    filter_by("worker_id", "The worker.", UUID_EXAMPLE, format="uuid"),
)

SINCE = Query("since", {"type": "string", "format": "date-time"}, "Then or later.", TIME)
PERIOD = (
    SINCE,
    Query("until", {"type": "string", "format": "date-time"}, "Before; by default now.", TIME),
)
AUDIT_FILTERS = (
    Query(
        "action",
        {"type": "string", "enum": list(AuditAction.values)},
        "The action.",
        AuditAction.POOL_CHANGED.value,
    ),
    Query(
        "actor",
        {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
        "The ID of the actor.",
        "k7Jd92LmQ0aB",
    ),
    Query(
        "subject",
        {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
        "The ID of what was acted on.",
        UUID_EXAMPLE,
    ),
    SINCE,
    Query("until", {"type": "string", "format": "date-time"}, "Before.", TIME),
)
AFTER_POSITION = Query(
    "after",
    {"type": "integer", "minimum": 0, "maximum": 10**MAX_DIGITS - 1, "default": 0},
    "Only entries with a higher position: the last one that you have.",
    1204,
)

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


def task_filters(request: Request) -> TaskFilter:
    """Return the filter of a list of tasks.

    Raise `InvalidInput` with every fault of the parameters, as all functions here do.
    """
    parameters = _FilterParameters(request, repeatable=OF_TASKS, single=ONE_OF_TASKS)
    result = _task_filter(parameters)
    parameters.raise_faults()
    return result


def task_export(request: Request) -> tuple[TaskFilter, ExportFormat]:
    """Return the filter and the format of an export of tasks."""
    single = (*ONE_OF_TASKS, "format")
    parameters = _FilterParameters(request, repeatable=OF_TASKS, single=single, paging=())
    result = _task_filter(parameters), parameters.export_format()
    parameters.raise_faults()
    return result


def _task_filter(parameters: "_FilterParameters") -> TaskFilter:
    columns: dict[str, list[Any]] = {
        "status": parameters.choices("status", [status.value for status in Status]),
        "domain": parameters.slugs("domain", "a domain such as security"),
        "urgency": parameters.choices("urgency", list(get_args(Urgency))),
        "pool_id": parameters.ids("pool", "a pool"),
        "worker_id": parameters.ids("worker_id", "a worker"),
        "product": parameters.texts("product", at_most=100),
        "request_id": parameters.texts("request_id", at_most=200),
    }
    return TaskFilter(
        columns={column: values for column, values in columns.items() if values},
        sla=parameters.choices("sla", list(SLA_STATES)),
        since=parameters.time("created_after"),
        until=parameters.time("created_before"),
        text=parameters.text("q", at_most=MAX_SEARCH) or "",
    )


def delivery_filter(request: Request) -> DeliveryFilter:
    """Return the filter of a list of deliveries."""
    parameters = _FilterParameters(request, repeatable=OF_DELIVERIES, single=("since", "until"))
    result = DeliveryFilter(
        statuses=parameters.choices("status", STATUSES),
        endpoint_ids=parameters.ids("endpoint_id", "an endpoint"),
        task_ids=parameters.ids("task_id", "a task"),
        event_types=parameters.choices("type", DELIVERED_TYPES),
        outcomes=parameters.choices("outcome", OUTCOMES),
        since=parameters.time("since"),
        until=parameters.time("until"),
    )
    parameters.raise_faults()
    return result


def worker_filters(request: Request) -> WorkerFilter:
    """Return the filter of a list of workers."""
    parameters = _FilterParameters(request, repeatable=OF_WORKERS)
    result = _worker_filter(parameters)
    parameters.raise_faults()
    return result


def worker_export(request: Request) -> tuple[WorkerFilter, ExportFormat]:
    """Return the filter and the format of an export of workers."""
    parameters = _FilterParameters(request, repeatable=OF_WORKERS, single=("format",), paging=())
    result = _worker_filter(parameters), parameters.export_format()
    parameters.raise_faults()
    return result


def _worker_filter(parameters: "_FilterParameters") -> WorkerFilter:
    return WorkerFilter(
        presences=parameters.choices("presence", list(get_args(Presence))),
        skills=parameters.slugs("skill", "a skill such as phone_verification"),
        pool_ids=parameters.ids("pool", "a pool"),
    )


def session_filter(request: Request) -> SessionFilter:
    """Return the filter of a list of sessions of agents."""
    parameters = _FilterParameters(request, repeatable=OF_SESSIONS)
    result = SessionFilter(
        states=parameters.choices("state", SESSION_STATES),
        agent_names=parameters.texts("agent_name", at_most=128),
        pool_ids=parameters.ids("pool", "a pool"),
    )
    parameters.raise_faults()
    return result


def claim_filter(request: Request) -> ClaimFilter:
    """Return the filter of a list of claimed certifications."""
    parameters = _FilterParameters(request, repeatable=OF_CLAIMS)
    result = ClaimFilter(
        statuses=parameters.choices("status", CLAIM_STATUSES),
        worker_ids=parameters.ids("worker_id", "a worker"),
    )
    parameters.raise_faults()
    return result


def review_filter(request: Request) -> ReviewFilter:
    """Return the filter of a list of reviews."""
    parameters = _FilterParameters(request, repeatable=OF_REVIEWS, single=("lane",))
    lanes = parameters.choices("lane", [lane.value for lane in Lane])
    statuses = parameters.choices("status", REVIEW_STATUSES)
    pool_ids, task_ids = parameters.ids("pool", "a pool"), parameters.ids("task_id", "a task")
    parameters.raise_faults()
    return ReviewFilter(
        lane=Lane(lanes[0]) if lanes else None,
        statuses=statuses,
        pool_ids=pool_ids,
        task_ids=task_ids,
    )


def appeal_filter(request: Request) -> AppealFilter:
    """Return the filter of a list of appeals."""
    parameters = _FilterParameters(request, repeatable=OF_APPEALS)
    result = AppealFilter(
        statuses=parameters.choices("status", APPEAL_STATUSES),
        review_ids=parameters.ids("review_id", "a review"),
    )
    parameters.raise_faults()
    return result


def second_look_statuses(request: Request) -> list[str]:
    """Return the statuses of a list of second looks; empty: all."""
    parameters = _FilterParameters(request, repeatable=("status",))
    statuses = parameters.choices("status", SECOND_LOOK_STATUSES)
    parameters.raise_faults()
    return statuses


def period(request: Request, *, at: datetime) -> tuple[datetime, datetime]:
    """Return the period of the reviewers' figures: by default the 7 days before its end, or now."""
    parameters = _FilterParameters(request, single=("since", "until"))
    until, since = parameters.time("until") or at, parameters.time("since")
    parameters.raise_faults()
    if since is None:
        try:
            since = until - DEFAULT_PERIOD
        except OverflowError:
            raise InvalidInput([Fault("/until", "out_of_range", "is too early")]) from None
    if not timedelta(0) < until - since <= LONGEST_PERIOD:
        text = f"must be before `until`, by at most {LONGEST_PERIOD.days} days"
        raise InvalidInput([Fault("/since", "out_of_range", text)])
    return since, until


def audit_filter(request: Request) -> AuditFilter:
    """Return the filter of a list of the audit log."""
    names = ("action", "actor", "subject", "since", "until")
    parameters = _FilterParameters(request, single=names)
    actions = parameters.choices("action", AuditAction.values)
    result = AuditFilter(
        action=actions[0] if actions else None,
        actor=parameters.text("actor"),
        subject=parameters.text("subject"),
        since=parameters.time("since"),
        until=parameters.time("until"),
    )
    parameters.raise_faults()
    return result


def since_parameter(request: Request) -> datetime | None:
    """Return the parameter `since` of a call that is no list; None without it."""
    parameters = _FilterParameters(request, single=("since",), paging=())
    since = parameters.time("since")
    parameters.raise_faults()
    return since


def position_after(request: Request) -> int:
    """Return the parameter `after` of an export: a position, 0 without it."""
    parameters = _FilterParameters(request, single=("after",), paging=())
    position = parameters.position("after")
    parameters.raise_faults()
    return position


def is_atomic(request: Request) -> bool:
    """Return the parameter `atomic` of a batch: whether to create all its tasks or none."""
    parameters = _FilterParameters(request, single=("atomic",), paging=())
    values = parameters.choices("atomic", ("true", "false"))
    parameters.raise_faults()
    return values == ["true"]


def check_no_filters(request: Request) -> None:
    """Accept the parameters of paging only."""
    _FilterParameters(request).raise_faults()


class _FilterParameters:
    """Parse parameters and collect their faults, so that all are reported at once."""

    def __init__(
        self,
        request: Request,
        *,
        repeatable: Sequence[str] = (),
        single: Sequence[str] = (),
        paging: Sequence[str] = PAGING,
    ) -> None:
        self._query = request.query_params
        known = (*repeatable, *single, *paging)
        self._faults = parameter_faults(self._query, known, repeatable=repeatable)

    def choices(self, name: str, choices: Sequence[str]) -> list[str]:
        values = self._values(name)
        if not {*values} <= {*choices}:
            self._fault(name, "not_one_of", f"must be one of {', '.join(choices)}")
        return values

    def slugs(self, name: str, noun: str) -> list[str]:
        values = self._values(name)
        if not all(map(SLUG.fullmatch, values)):
            self._fault(name, "pattern", f"must be {noun}")
        return values

    def ids(self, name: str, noun: str) -> list[UUID]:
        try:
            return [UUID(value) for value in self._values(name)]
        except ValueError:
            self._fault(name, "wrong_type", f"must be the UUID of {noun}")
            return []

    def text(self, name: str, *, at_most: int = MAX_TEXT) -> str | None:
        text = self._query.get(name)
        if text is not None:
            self._check(name, text, at_most)
        return text

    def texts(self, name: str, *, at_most: int) -> list[str]:
        values = self._values(name)
        for value in values:
            self._check(name, value, at_most)
        return values

    def _check(self, name: str, text: str, at_most: int) -> None:
        if "\0" in text:
            self._fault(name, "nul_character", "must not contain the character U+0000")
        elif not 1 <= len(text) <= at_most:
            self._fault(name, "out_of_range", f"must have 1 to {at_most} characters")

    def export_format(self) -> ExportFormat:
        values = self.choices("format", list(ExportFormat))
        known = [value for value in values if value in list(ExportFormat)]
        return ExportFormat(known[0]) if known else ExportFormat.CSV

    def position(self, name: str) -> int:
        text = self._query.get(name, "0")
        if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
            return int(text)
        self._fault(name, "wrong_type", "must be a position: 0, 1, 2 …")
        return 0

    def time(self, name: str) -> datetime | None:
        text = self._query.get(name)
        try:
            return None if text is None else MOMENT.validate_python(text)
        except ValidationError as error:
            self._fault(name, "wrong_type", error.errors()[0]["msg"])
            return None

    def raise_faults(self) -> None:
        if self._faults:
            raise InvalidInput(first_fault_of_each(self._faults))

    def _values(self, name: str) -> list[str]:
        return list(dict.fromkeys(self._query.getlist(name)))

    def _fault(self, name: str, code: str, text: str) -> None:
        self._faults.append(Fault(f"/{name}", code, text))
