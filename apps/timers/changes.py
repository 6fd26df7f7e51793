"""Describe timer rows for a transition to write. No other app writes the table `timers_timer`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.base.ids import new_id
from apps.base.rows import BulkStatement, Statement

# `{rows}` selects (id, organisation_id, kind, subject_id, due_at).
UPSERT = """
INSERT INTO timers_timer (id, organisation_id, kind, subject_id, due_at)
{rows}
ON CONFLICT (subject_id, kind) DO UPDATE SET due_at = excluded.due_at, claim_token = NULL
"""

GIVEN = """
SELECT id, organisation_id, kind, subject_id, due_at FROM jsonb_to_recordset(%s) AS timer (
    id uuid, organisation_id uuid, kind text, subject_id uuid, due_at timestamptz)
"""

UPSERT_GIVEN = UPSERT.format(rows=GIVEN)

DELETE = """
DELETE FROM timers_timer t USING jsonb_to_recordset(%s) AS deleted (subject_id uuid, kept text[])
WHERE t.subject_id = deleted.subject_id AND t.kind <> ALL (deleted.kept)
"""


def timer_upsert(
    *, organisation_id: UUID, kind: str, subject_id: UUID, due_at: datetime
) -> BulkStatement:
    """Return a timer due once at `due_at`; it replaces the subject's timer of that kind."""
    row = {
        "id": new_id(),
        "organisation_id": organisation_id,
        "kind": kind,
        "subject_id": subject_id,
        "due_at": due_at,
    }
    return BulkStatement(UPSERT_GIVEN, row)


def timer_upsert_from(query: str, row: Mapping[str, Any]) -> BulkStatement:
    """Return the timers that `query` selects: (id, organisation_id, kind, subject_id, due_at).

    `query` reads rows like `row`, and their new `id`, from `jsonb_to_recordset(%s)`. For timers
    whose existence or time depends on other rows.
    """
    return BulkStatement(UPSERT.format(rows=query), {"id": new_id(), **row})


def timer_deletion(*, subject_id: UUID, kept: Sequence[str] = ()) -> BulkStatement:
    """Return the deletion of all timers of a subject but those of the kinds `kept`.

    No timer may be set by the same statement that deletes an earlier one of its kind.
    """
    return BulkStatement(DELETE, {"subject_id": subject_id, "kept": list(kept)})


def timer_deletion_from(query: str, params: tuple[Any, ...]) -> Statement:
    """Return the deletion of all timers of the subjects whose ids `query` selects."""
    return Statement(f"DELETE FROM timers_timer WHERE subject_id IN ({query})", params)


def timer_advance(*, subject_id: UUID, due_at: datetime) -> Statement:
    """Return the change that makes a subject's timers due at `due_at`, if they are later."""
    sql = "UPDATE timers_timer SET due_at = least(due_at, %s) WHERE subject_id = %s"
    return Statement(sql, (due_at, subject_id))
