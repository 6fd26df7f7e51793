"""Describe the fields of the audit log."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, HASH, TIME, UUID

SIGNATURE = (
    "m3Yp5uYV3y8b0dVqk0t0k1l0m1n2o3p4q5r6s7t8u9v0w1x2y3z4A5B6C7D8E9F0G1H2I3J4K5L6M7N8O9P0Qg=="
)

TABLE: Table = {
    "AuditEvent.organisation_id": ("The organisation.", UUID),
    "AuditHead.organisation_id": ("The organisation.", UUID),
    "audit_event_id": ("The ID of the entry.", 48_211),
    "action": ("The kind of the subject, a dot, a past participle.", "pool.changed"),
    "AuditEvent.actor": ("Who acted.", FROM_PARTS),
    "address": ("The actor's IP address; empty for the service itself.", "203.0.113.7"),
    "subject": ("What was acted on.", FROM_PARTS),
    "AuditSubject.kind": ("The kind of the subject.", "pool"),
    "AuditSubject.id": ("The ID of the subject.", UUID),
    "AuditEvent.data": ("Facts of the action: IDs, names of fields.", {"fields": ["costs"]}),
    "occurred_at": ("When it happened.", TIME),
    "AuditEvent.position": ("The position in the chain.", 1204),
    "AuditEvent.prev_hash": (
        "The hash of the previous entry; 64 zeros for the first, null outside the chain.",
        "0" * 64,
    ),
    "AuditEvent.hash": (
        "SHA-256 of the previous hash and this entry (docs/audit.md); null outside the chain.",
        HASH,
    ),
    "day": ("The day in UTC.", "2026-02-04"),
    "AuditHead.position": ("The number of entries that the chain had.", 1204),
    "AuditHead.hash": ("The hash of the last of them.", HASH),
    "signed_at": ("When the head was signed: the day after, or later if nothing ran.", TIME),
    "AuditHead.key_id": ("The key in `GET /v1/audit-jwks.json`.", UUID),
    "signature": ("The Ed25519 signature in base64 (docs/audit.md).", SIGNATURE),
}
