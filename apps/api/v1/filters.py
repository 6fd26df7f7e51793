"""The filters of the lists: what the query asks for, or every fault of it."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from rest_framework.request import Request

from apps.pools.selectors import Wanted as WantedWorkers
from apps.webhooks.selectors import OUTCOMES, STATUSES, Wanted
from biolayer.contract import Moment, Presence, Urgency
from biolayer.errors import Fault, InvalidInput
from biolayer.events import EVENT_TYPES
from biolayer.lifecycle import Status

SLUG = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
PAGING = ("cursor", "limit")
OF_TASKS = ("status", "domain", "urgency", "pool", *PAGING)
OF_WORKERS = ("presence", "skill", "pool", *PAGING)
OF_DELIVERIES = (
    "status",
    "endpoint_id",
    "task_id",
    "type",
    "outcome",
    "since",
    "until",
    *PAGING,
)
MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


def task_filters(request: Request) -> dict[str, Any]:
    """The list's filters as the query asks for them. Raises `InvalidInput` naming every bad one."""
    given = request.query_params
    faults = unknown_parameters(given, OF_TASKS)
    faults += _not_one_of("status", given.get("status"), [status.value for status in Status])
    faults += _not_one_of("urgency", given.get("urgency"), list(get_args(Urgency)))
    domain = given.get("domain")
    if domain is not None and not SLUG.fullmatch(domain):
        faults.append(Fault("/domain", "pattern", "must be a domain such as security"))
    faults += _no_uuid("pool", given.get("pool"), "a pool")
    if faults:
        raise InvalidInput(faults)
    columns = {"status": "status", "domain": "domain", "urgency": "urgency", "pool": "pool_id"}
    return {column: given[name] for name, column in columns.items() if name in given}


def delivery_filters(request: Request) -> Wanted:
    """The deliveries that the query asks for. Raises `InvalidInput` naming every bad parameter."""
    given = request.query_params
    faults = unknown_parameters(given, OF_DELIVERIES)
    for name, choices in ("status", STATUSES), ("type", EVENT_TYPES), ("outcome", OUTCOMES):
        faults += _not_one_of(name, given.get(name), choices)
    faults += _no_uuid("endpoint_id", given.get("endpoint_id"), "an endpoint")
    faults += _no_uuid("task_id", given.get("task_id"), "a task")
    times = {name: _time(name, given.get(name), faults) for name in ("since", "until")}
    if faults:
        raise InvalidInput(faults)
    return Wanted(
        status=given.get("status"),
        endpoint_id=_uuid(given.get("endpoint_id")),
        task_id=_uuid(given.get("task_id")),
        event_type=given.get("type"),
        outcome=given.get("outcome"),
        **times,
    )


def worker_filters(request: Request) -> WantedWorkers:
    """The workers that the query asks for. Raises `InvalidInput` naming every bad parameter."""
    given = request.query_params
    faults = unknown_parameters(given, OF_WORKERS)
    faults += _not_one_of("presence", given.get("presence"), list(get_args(Presence)))
    skill = given.get("skill")
    if skill is not None and not SLUG.fullmatch(skill):
        faults.append(Fault("/skill", "pattern", "must be a skill such as phone_verification"))
    faults += _no_uuid("pool", given.get("pool"), "a pool")
    if faults:
        raise InvalidInput(faults)
    pool_id = _uuid(given.get("pool"))
    return WantedWorkers(presence=given.get("presence"), skill=skill, pool_id=pool_id)


def no_filters(request: Request) -> None:
    """For a list that has none. Raises `InvalidInput` naming every parameter that it does not know."""
    faults = unknown_parameters(request.query_params, PAGING)
    if faults:
        raise InvalidInput(faults)


def unknown_parameters(given: Mapping[str, Any], known: Sequence[str]) -> list[Fault]:
    return [
        Fault(f"/{name}", "unknown_parameter", f"is none of {', '.join(known)}")
        for name in given
        if name not in known
    ]


def _not_one_of(name: str, value: str | None, choices: Sequence[str]) -> list[Fault]:
    if value is None or value in choices:
        return []
    return [Fault(f"/{name}", "not_one_of", f"must be one of {', '.join(choices)}")]


def _no_uuid(name: str, value: str | None, noun: str) -> list[Fault]:
    try:
        _uuid(value)
    except ValueError:
        return [Fault(f"/{name}", "wrong_type", f"must be the UUID of {noun}")]
    return []


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _time(name: str, text: str | None, faults: list[Fault]) -> datetime | None:
    """The time that the query names; where that is none, its fault is added."""
    try:
        return None if text is None else MOMENT.validate_python(text)
    except ValidationError as error:
        faults.append(Fault(f"/{name}", "wrong_type", error.errors()[0]["msg"]))
        return None
