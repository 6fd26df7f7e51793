"""Describe the fields of `/api` for the scheduler and for forced operations on runs."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, TIME, UUID

_FORCE = {
    "reason": ("Why, in words; the log keeps it.", "The session stands still."),
    "metadata": ("Any JSON of the caller's: at most 16 KiB; the log keeps it.", {"ticket": 48219}),
    "run_ids": ("The runs, at most 50; an ID that is there twice counts once.", [UUID]),
}
_COUNTS = {
    "paused": ("Whether no run is handed out.", True),
    "active_claim_count": (
        "How many runs are claimed, starting or running, without those of people.",
        3,
    ),
    "queued_run_count": ("How many runs are queued.", 17),
    "paused_task_count": ("How many tasks have a pause of their own.", 1),
    "starved_run_count": (
        "How many runs have been queued for two minutes whose tasks are not paused.",
        2,
    ),
    "needs_attention_run_count": ("How many runs need attention.", 0),
    "as_of": ("When this was counted.", TIME),
    "paused_at": ("Since when it is paused.", TIME),
    "paused_by": ("Who paused it.", "human:api_key:01890a5d-ac96-774b-bcce-b302099a8057"),
    "paused_reason": ("Why it is paused.", "Maintenance until noon."),
}

TABLE: Table = {
    **{
        f"{model}.{name}": entry
        for name, entry in _FORCE.items()
        for model in ("ForceBody", "BulkForceBody")
    },
    "RetryBody.metadata": ("Any JSON of the caller's, for the new run: at most 16 KiB.", {"n": 2}),
    "RepeatedRunAnswer.run": ("The new run.", FROM_PARTS),
    "RepeatedRunAnswer.previous_run": ("The run that it follows.", FROM_PARTS),
    "BulkForceResult.run_id": ("The run that was named.", UUID),
    "BulkForceResult.ok": ("Whether it was changed.", True),
    "BulkForceResult.run": ("The run as it is now.", FROM_PARTS),
    "BulkForceResult.error": ("Why it was not changed.", FROM_PARTS),
    "BulkForceAnswer.results": ("One for each run, in the order of the call.", FROM_PARTS),
    **{f"SchedulerShape.{name}": entry for name, entry in _COUNTS.items()},
    "SchedulerAnswer.scheduler": ("The state of the scheduler.", FROM_PARTS),
    "SchedulerBody.reason": ("Why, in words.", "Maintenance until noon."),
    "DrainBody.reason": ("Why, in words; by default `scheduler drain`.", "Deployment"),
    "DrainBody.timeout_seconds": (
        "How long to wait until no run is held, at most an hour; 0: look once.",
        60,
    ),
    "DrainAnswer.completed": ("Whether no run is held any more.", True),
    "DrainAnswer.timed_out": ("Whether runs are held still.", False),
    "DrainAnswer.remaining_claims": ("How many runs are held still.", 0),
    "DrainAnswer.started_at": ("When the drain began.", TIME),
    "DrainAnswer.completed_at": ("When it ended.", TIME),
    "DrainAnswer.scheduler": ("The state of the scheduler.", FROM_PARTS),
    "BacklogItem.run": ("The queued run.", FROM_PARTS),
    "BacklogItem.task": ("Its task.", FROM_PARTS),
    "BacklogShape.runs": ("The runs, those first that are handed out first.", FROM_PARTS),
    "BacklogShape.total": ("How many there are in all.", 17),
    "BacklogAnswer.backlog": ("The queued runs.", FROM_PARTS),
}
