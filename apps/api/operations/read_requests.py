"""Parse the queries of reads of tasks. Texts are trimmed, and unknown parameters are ignored."""

from typing import Any, get_args

from django.http import QueryDict

from apps.api.http.operations import Query
from apps.api.operations.projections import (
    URGENCY_OF,
    ApprovalState,
    OwnerKind,
    Priority,
    RunStatus,
)
from apps.api.operations.requests import limit_of
from apps.operations.projection import Scope, TaskStatus
from apps.operations.selectors import TaskFilters
from biolayer.errors import Fault, InvalidInput

MAX_SEQUENCE = 2**63 - 1
TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")


def _words(name: str, literal: Any, description: str, example: str) -> Query:
    return Query(name, {"type": "string", "enum": list(get_args(literal))}, description, example)


def _text(name: str, description: str, example: str) -> Query:
    return Query(name, {"type": "string"}, description, example)


LIMIT = Query("limit", {"type": "integer", "minimum": 0}, "The most items; 0: 500.", 50)
LIST_QUERY = (
    _words("scope", Scope, "Only tasks of this scope.", "workspace"),
    _text("workspace", "Only tasks of this workspace, by name or ID.", "Ops"),
    _words("status", TaskStatus, "Only tasks in this status.", "ready"),
    _words("priority", Priority, "Only tasks of this priority.", "high"),
    Query("include_drafts", {"type": "boolean"}, "Whether drafts are shown too.", example=True),
    _words("approval_state", ApprovalState, "Only tasks whose approval is so.", "pending"),
    _words("owner_kind", OwnerKind, "Only tasks whose owner is of this kind.", "pool"),
    _text("owner_ref", "Only tasks of this owner.", "drafter"),
    _text("parent_task_id", "Only tasks directly below this one.", "task-5f1c0a9be3d24786"),
    _text("network_channel", "Only tasks of this channel.", "ops"),
    _text("query", "Only tasks whose title or identifier has this text in it.", "reply"),
    LIMIT,
)
RUNS_QUERY = (
    _words("status", RunStatus, "Only runs in this status.", "failed"),
    _text("session_id", "Only runs of this session.", "drafter-7f3a"),
    LIMIT,
)
AFTER = Query(
    "after_sequence",
    {"type": "integer", "minimum": 0},
    "Only events after this sequence.",
    4711,
)


def task_filters(query: QueryDict) -> TaskFilters:
    """Return the filters of a list of tasks. Raise `InvalidInput`."""
    scope, workspace = word_of(query, "scope", Scope), text_of(query, "workspace")
    if scope == "workspace" and not workspace:
        raise InvalidInput([Fault("/workspace", "required", "is required for this scope")])
    if scope == "global" and workspace:
        raise InvalidInput([Fault("/workspace", "forbidden", "must be absent for this scope")])
    return TaskFilters(
        scope=scope,
        workspace=workspace,
        status=word_of(query, "status", TaskStatus),
        urgency=URGENCY_OF.get(word_of(query, "priority", Priority), ""),
        include_drafts=flag_of(query, "include_drafts"),
        approval_state=word_of(query, "approval_state", ApprovalState),
        owner_kind=word_of(query, "owner_kind", OwnerKind),
        owner_ref=text_of(query, "owner_ref"),
        parent_task_id=text_of(query, "parent_task_id"),
        network_channel=text_of(query, "network_channel"),
        query=text_of(query, "query"),
        limit=limit_of(query.get("limit", "")),
    )


def run_status_of(query: QueryDict) -> str:
    """Return the status that runs are filtered by; empty for any. Raise `InvalidInput`."""
    return word_of(query, "status", RunStatus)


def word_of(query: QueryDict, name: str, literal: Any) -> str:
    """Return a value of an enumeration; empty for none. Raise `InvalidInput`."""
    value, known = text_of(query, name).lower(), get_args(literal)
    if value and value not in known:
        raise InvalidInput([Fault(f"/{name}", "not_one_of", f"must be one of {', '.join(known)}")])
    return value


def text_of(query: QueryDict, name: str) -> str:
    """Return a text; empty for none. Raise `InvalidInput`."""
    value = query.get(name, "").strip()
    if "\x00" in value:
        raise InvalidInput([Fault(f"/{name}", "invalid", "must not have a NUL in it")])
    return value


def flag_of(query: QueryDict, name: str) -> bool:
    """Return a flag, which is off without a value. Raise `InvalidInput`."""
    value = text_of(query, name).lower()
    if value and value not in TRUE + FALSE:
        raise InvalidInput([Fault(f"/{name}", "invalid", "must be true or false")])
    return value in TRUE


def sequence_of(text: str, name: str = "after_sequence") -> int:
    """Return the number of an event, 0 for none. Raise `InvalidInput`."""
    value = text.strip() or "0"
    is_number = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_SEQUENCE))
    if not is_number or int(value) > MAX_SEQUENCE:
        raise InvalidInput([Fault(f"/{name}", "invalid", "must be a number, not negative")])
    return int(value)
