"""Describe the fields of reviews of final runs."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, TIME, UUID

MODELS = [
    "RunReviewBody",
    "RunVerdictBody",
    "SubmitVerdictBody",
    "RunReview",
    "RunReviewAnswer",
    "RunReviewRequestAnswer",
    "RunReviewList",
    "RunVerdictAnswer",
]

FIELDS: Table = {
    "review_id": ("The review.", UUID),
    "run_id": ("The run that is reviewed.", UUID),
    "task_id": ("The task of the run.", "task-5f1c0a9be3d24786"),
    "status": ("Where the review stands.", "in_review"),
    "policy": ("Which runs are meant: that succeeded, that did not, or all.", "always"),
    "review_round": ("Which round of reviews it is: 1, 2 or 3.", 1),
    "attempt": ("Which attempt of the round it is: 1 or 2.", 1),
    "reason": ("Why, in words: at most 4096 bytes.", "The order number is missing."),
    "deadline_at": ("Until when a verdict is awaited.", TIME),
    "parent_review_id": ("The review before, by which the run was queued.", UUID),
    "requested_at": ("When it was asked for.", TIME),
    "routed_at": ("When a reviewer was chosen.", TIME),
    "started_at": ("When it was bound to its reviewer.", TIME),
    "reviewed_at": ("When its outcome was recorded.", TIME),
    "created_at": ("When it was stored.", TIME),
    "updated_at": ("When it was last changed.", TIME),
    "outcome": ("What came of it.", "rejected"),
    "confidence": ("How sure the reviewer is, from 0 to 1.", 0.9),
    "delivery_id": ("The reviewer's own id of the verdict, by which it is sent again.", "v-17"),
    "missing_work": ("What is still to be done.", ["Name the order."]),
    "next_round_guidance": ("How to go on: at most 8192 bytes.", "Ask for the order number."),
    "review_text": ("The review as a whole: at most 64 KiB.", "The reply is polite, but …"),
    "reviewed_by": ("Who gave the verdict.", FROM_PARTS),
    "reviewer_agent_name": ("The agent of the reviewer.", "editor"),
    "reviewer_channel_id": ("The channel of the reviewer.", "ops"),
    "reviewer_peer_id": ("The address of the reviewer.", "editor.editor-7f3a"),
    "reviewer_session_id": ("The session that it is bound to, or was last.", "editor-7f3a"),
    "review": ("The review.", FROM_PARTS),
    "reviews": ("The reviews, the last changed first.", FROM_PARTS),
    "created": ("Whether the call has made it.", True),
    "verdict": ("What the reviewer says.", FROM_PARTS),
    "circuit_opened": ("Whether the verdict has opened the task's circuit.", False),
    "continuation_run": ("The run that a rejection has queued.", FROM_PARTS),
}

TABLE: Table = {f"{model}.{name}": entry for model in MODELS for name, entry in FIELDS.items()}
