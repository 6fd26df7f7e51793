"""Describe the fields of operators' calls on runs."""

from biolayer.field_descriptions.entries import Table, for_models

TABLE: Table = {
    **for_models(
        "ClaimRunBody StartRunBody",
        "idempotency_key",
        "A key of the call, which agents must send; it is not kept.",
        "claim-17",
    ),
    "AttachSessionBody.session_id": ("An active session of the task's workspace.", "drafter-7f3a"),
    "CompleteRunBody.result": (
        "What was made of the task: at most 64 KiB of JSON.",
        {"reached_user": True},
    ),
    "FailRunBody.error": ("Why it did not succeed.", "The portal does not answer."),
    "FailRunBody.metadata": ("Facts for the log: at most 64 KiB of JSON.", {"tries": 3}),
}
