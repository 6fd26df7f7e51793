"""Describe the fields of claims of certifications."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import TIME, UUID, WORKER

MODEL = "CertificationClaim"

TABLE: Table = {
    "claim_id": ("The ID of the claim.", UUID),
    f"{MODEL}.worker_id": ("The worker.", WORKER),
    f"{MODEL}.status": ("Only a confirmed claim counts for matching.", "pending"),
    f"{MODEL}.reason": ("Why it was rejected; null: it was not.", "The name is not readable."),
    "ClaimRejection.reason": ("The reason, for the worker.", "The name is not readable."),
    f"{MODEL}.expires_at": ("When the certification expires; null: never.", TIME),
    f"{MODEL}.document": ("The document that the worker sent.", None),
    f"{MODEL}.created_at": ("When the worker claimed it.", TIME),
    "decided_at": ("When it was confirmed or rejected; null: it waits.", TIME),
    "decided_by": ("The credential that decided; null: it waits.", "api_key:k7Jd92LmQ0aB"),
}
