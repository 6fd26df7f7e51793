"""Describe the fields of legal holds."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import TIME, UUID

TABLE: Table = {
    "hold_id": ("The ID of the hold.", UUID),
    "NewLegalHold.task_id": ("The task; null: all tasks of the organisation.", UUID),
    "LegalHold.task_id": ("The task.", UUID),
    "NewLegalHold.reason": ("The reason, for the record.", "Case 2026-118"),
    "LegalHold.reason": ("The reason.", "Case 2026-118"),
    "placed_by": ("The credential that placed it.", "api_key:k7Jd92LmQ0aB"),
    "placed_at": ("When it was placed.", TIME),
    "released_by": ("The credential that released it; null while it holds.", None),
    "released_at": ("When it was released; null while it holds.", None),
}
