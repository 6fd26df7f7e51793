"""Describe the fields of exports."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import TIME, WORKER

TASK = "ExportedTask"

TABLE: Table = {
    "ExportEnd.end": ("Always `true`: this is the last line.", True),
    "ExportEnd.rows": ("How many rows are before it.", 1234),
    "ExportEnd.is_complete": ("`false`: the export ended at its bound, and more rows match.", True),
    f"{TASK}.worker_id": ("The worker that holds or completed it; null: none.", WORKER),
    f"{TASK}.queued_at": ("When it was last queued; null: never.", TIME),
    f"{TASK}.accepted_at": ("When a worker last accepted it; null: never.", TIME),
    f"{TASK}.started_at": ("When work last started; null: never.", TIME),
    f"{TASK}.submitted_at": ("When an output was last submitted; null: never.", TIME),
    f"{TASK}.verified_at": ("When its output was verified; null: it was not.", TIME),
    f"{TASK}.close_reason": ("Why it ended without a result; else empty.", ""),
    f"{TASK}.deadline_at_risk_at": ("When the deadline was at risk; null: never.", TIME),
    f"{TASK}.latency_at_risk_at": ("When the target latency was at risk; null: never.", TIME),
    f"{TASK}.deadline_breached_at": ("When the deadline passed; null: it has not.", TIME),
    f"{TASK}.latency_breached_at": ("When the target latency passed; null: it has not.", TIME),
}
