"""Show a task as the team workspace does: status, priority and requests in its terms."""

from collections.abc import Mapping
from typing import Any

from biolayer.lifecycle import HELD, OUTPUT_SHOWN, Status

URGENCY_OF: Mapping[str, str] = {
    "LOW": "low",
    "NORMAL": "normal",
    "HIGH": "high",
    "CRITICAL": "critical",
}
PRIORITY_OF: Mapping[str, str] = {urgency: name for name, urgency in URGENCY_OF.items()}

PRODUCT = "team-workspace"
TASK_TYPE = "team_task"
DOMAIN = "team"
RESERVED: Mapping[str, Any] = {"background": "", "constraints": [], "risk_notes": []}
"""The members of a context that every contract has, and their defaults."""

POINTERS: Mapping[str, str] = {
    "/instructions": "/title",
    "/context": "/input_context",
    "/sla/urgency": "/priority",
    "/sla/deadline": "/due_at",
    "/requirements/worker_pool_id": "/team_id",
    "/review": "/requires_approval",
}
"""Where a request has what a part of its contract is made from."""


def status_shown(status: str, *, is_in_review: bool) -> str:
    """Return the status of a task in this API."""
    match Status(status):
        case Status.COMPLETED | Status.FAILED | Status.CANCELLED:
            return status
        case Status.SUBMITTED if is_in_review:
            return "proposed"
        case known if known in HELD or known in OUTPUT_SHOWN or known is Status.SUBMITTED:
            return "in_progress"
        case _:
            return "pending"


def has_proposed(status: str, *, is_in_review: bool) -> bool:
    """Return whether the output of the latest run is shown: from the moment it is proposed.

    After a rejection a new run waits, which has none. One that no policy holds is not shown before
    it is verified, as in all APIs.
    """
    return is_in_review or status in (*OUTPUT_SHOWN, Status.FAILED)


def contract_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contract of a task for a request, valid or not. Faults are put by `POINTERS`."""
    contract: dict[str, Any] = {
        "origin": {"product": PRODUCT},
        "task_type": TASK_TYPE,
        "domain": DOMAIN,
        "title": request.get("title"),
        "instructions": request.get("title"),
        "context": request.get("input_context", {}),
        "sla": {"urgency": _urgency(request.get("priority", "NORMAL"))},
        "requirements": {"worker_pool_id": request.get("team_id")},
        "output": {"expected_format": "structured_json", "schema": {"type": "object"}},
    }
    if request.get("due_at") is not None:
        contract["sla"]["deadline"] = request["due_at"]
    if request.get("requires_approval") is True:
        contract["review"] = {"mode": "all"}
    return contract


def _urgency(priority: Any) -> str:
    return URGENCY_OF.get(priority, "normal") if isinstance(priority, str) else "normal"


def pointer_of(place: str) -> str:
    """Return where a request has what is wrong at a place of its contract."""
    for start, own in POINTERS.items():
        if place == start or place.startswith(f"{start}/"):
            return own + place.removeprefix(start)
    return place


def input_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context without what each contract has by default."""
    return {
        name: value
        for name, value in context.items()
        if name not in RESERVED or value != RESERVED[name]
    }
