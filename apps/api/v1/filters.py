"""The filters of the task list."""

import re
from typing import Any, get_args
from uuid import UUID

from rest_framework.request import Request

from biolayer.contract import Urgency
from biolayer.errors import Fault, InvalidInput
from biolayer.lifecycle import Status

SLUG = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
KNOWN = ("status", "domain", "urgency", "pool", "cursor", "limit")


def task_filters(request: Request) -> dict[str, Any]:
    """The list's filters as the query asks for them. Raises `InvalidInput` naming every bad one."""
    given = request.query_params
    faults = [
        Fault(f"/{name}", "unknown_parameter", f"is none of {', '.join(KNOWN)}")
        for name in given
        if name not in KNOWN
    ]
    faults += _not_one_of("status", given.get("status"), [status.value for status in Status])
    faults += _not_one_of("urgency", given.get("urgency"), list(get_args(Urgency)))
    domain, pool = given.get("domain"), given.get("pool")
    if domain is not None and not SLUG.fullmatch(domain):
        faults.append(Fault("/domain", "pattern", "must be a domain such as security"))
    if pool is not None and not _is_uuid(pool):
        faults.append(Fault("/pool", "wrong_type", "must be the UUID of a pool"))
    if faults:
        raise InvalidInput(faults)
    columns = {"status": "status", "domain": "domain", "urgency": "urgency", "pool": "pool_id"}
    return {column: given[name] for name, column in columns.items() if name in given}


def _not_one_of(name: str, value: str | None, choices: list[str]) -> list[Fault]:
    if value is None or value in choices:
        return []
    return [Fault(f"/{name}", "not_one_of", f"must be one of {', '.join(choices)}")]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
