"""The filters of the lists: what the query asks for, or every fault of it."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from rest_framework.request import Request

from apps.api.http.operations import Query, filter_by
from apps.api.http.parameters import first_of_each, parameter_faults
from apps.pools.selectors import WorkerFilter
from apps.webhooks.selectors import OUTCOMES, STATUSES, DeliveryFilter
from biolayer.errors import Fault, InvalidInput
from biolayer.events import EVENT_TYPES
from biolayer.field_descriptions import POOL, TIME
from biolayer.field_descriptions import UUID as UUID_EXAMPLE
from biolayer.lifecycle import Status
from biolayer.values import Moment, Presence, Urgency

SLUG = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
PAGING = ("cursor", "limit")
OF_TASKS = ("status", "domain", "urgency", "pool")
OF_WORKERS = ("presence", "skill", "pool")
OF_DELIVERIES = ("status", "endpoint_id", "task_id", "type", "outcome")
"""Filters of which several values mean any of them."""

TASK_FILTERS = (
    filter_by("status", "The status.", "queued", enum=[status.value for status in Status]),
    filter_by("domain", "The domain.", "security"),
    filter_by("urgency", "The urgency.", "high", enum=list(get_args(Urgency))),
    filter_by("pool", "The pool that the contract names.", POOL, format="uuid"),
)
ATOMIC = Query(
    "atomic",
    {"type": "boolean", "default": False},
    "`true`: create all tasks of the batch, or none.",
    example=True,
)
DELIVERY_FILTERS = (
    filter_by("status", "The status.", "exhausted", enum=list(STATUSES)),
    filter_by("endpoint_id", "The endpoint.", UUID_EXAMPLE, format="uuid"),
    filter_by("task_id", "The task of the event.", UUID_EXAMPLE, format="uuid"),
    filter_by("type", "The type of the event.", "task.completed", enum=list(EVENT_TYPES)),
    filter_by("outcome", "The outcome of the last attempt.", "timeout", enum=list(OUTCOMES)),
    Query("since", {"type": "string", "format": "date-time"}, "Created then or later.", TIME),
    Query("until", {"type": "string", "format": "date-time"}, "Created before.", TIME),
)
WORKER_FILTERS = (
    filter_by("presence", "The presence.", "available", enum=list(get_args(Presence))),
    filter_by("skill", "A skill of the worker.", "phone_verification"),
    filter_by("pool", "A pool of the worker.", POOL, format="uuid"),
)

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


def task_filters(request: Request) -> dict[str, list[Any]]:
    """Return the values that each column of a listed task may have.

    Raise `InvalidInput` naming every bad parameter; so do the other functions here.
    """
    given = _Given(request, several=OF_TASKS)
    columns: dict[str, list[Any]] = {
        "status": given.choices("status", [status.value for status in Status]),
        "domain": given.slugs("domain", "a domain such as security"),
        "urgency": given.choices("urgency", list(get_args(Urgency))),
        "pool_id": given.ids("pool", "a pool"),
    }
    given.refuse_faults()
    return {column: values for column, values in columns.items() if values}


def delivery_filter(request: Request) -> DeliveryFilter:
    """Return which deliveries the query asks for."""
    given = _Given(request, several=OF_DELIVERIES, single=("since", "until"))
    wanted = DeliveryFilter(
        statuses=given.choices("status", STATUSES),
        endpoint_ids=given.ids("endpoint_id", "an endpoint"),
        task_ids=given.ids("task_id", "a task"),
        event_types=given.choices("type", EVENT_TYPES),
        outcomes=given.choices("outcome", OUTCOMES),
        since=given.time("since"),
        until=given.time("until"),
    )
    given.refuse_faults()
    return wanted


def worker_filters(request: Request) -> WorkerFilter:
    """Return which workers the query asks for."""
    given = _Given(request, several=OF_WORKERS)
    wanted = WorkerFilter(
        presences=given.choices("presence", list(get_args(Presence))),
        skills=given.slugs("skill", "a skill such as phone_verification"),
        pool_ids=given.ids("pool", "a pool"),
    )
    given.refuse_faults()
    return wanted


def is_atomic(request: Request) -> bool:
    """Return the parameter `atomic` of a batch."""
    given = _Given(request, single=("atomic",), paging=())
    values = given.choices("atomic", ("true", "false"))
    given.refuse_faults()
    return values == ["true"]


def no_filters(request: Request) -> None:
    """Refuse all parameters but those of paging."""
    _Given(request).refuse_faults()


class _Given:
    """Read parameters of the query, and collect their faults, so that all are reported at once."""

    def __init__(
        self,
        request: Request,
        *,
        several: Sequence[str] = (),
        single: Sequence[str] = (),
        paging: Sequence[str] = PAGING,
    ) -> None:
        self._query = request.query_params
        known = (*several, *single, *paging)
        self._faults = parameter_faults(self._query, known, several=several)

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

    def time(self, name: str) -> datetime | None:
        text = self._query.get(name)
        try:
            return None if text is None else MOMENT.validate_python(text)
        except ValidationError as error:
            self._fault(name, "wrong_type", error.errors()[0]["msg"])
            return None

    def refuse_faults(self) -> None:
        if self._faults:
            raise InvalidInput(first_of_each(self._faults))

    def _values(self, name: str) -> list[str]:
        return list(dict.fromkeys(self._query.getlist(name)))

    def _fault(self, name: str, code: str, text: str) -> None:
        self._faults.append(Fault(f"/{name}", code, text))
