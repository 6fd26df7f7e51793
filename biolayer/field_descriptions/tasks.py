"""Describe the fields of contracts, tasks, runs and evidence."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import (
    ESCALATION,
    FROM_PARTS,
    HASH,
    POOL,
    TIME,
    UUID,
    WORKER,
)

OUTPUT = {"reached_user": True, "notes": "Owner ran a patch script."}
BACKGROUND = "EDR flagged odd activity."

IDENTIFIERS: Table = {
    "task_id": ("The ID of the task.", UUID),
    "run_id": ("The ID of the run: one attempt at the task by one worker.", UUID),
    "offer_id": ("The ID of the offer.", UUID),
    "worker_id": ("The ID of the worker.", WORKER),
    "Task.worker_id": (
        "The worker that holds or completed the task; null while it has none.",
        WORKER,
    ),
    "evidence_id": ("The ID of the file.", UUID),
    "org_id": ("The ID of the organisation.", UUID),
    "Origin.org_id": ("The ID of your organisation.", UUID),
    "request_id": (
        "Your ID for the request. The same product and request ID always mean the same task.",
        "IR-48219",
    ),
    "OriginFacts.request_id": ("The product's ID for the request.", "IR-48219"),
    "Problem.request_id": ("The ID of this call, as in the log.", "req_5c1f0b7a9d3e4f62"),
    "id": ("The ID of the actor.", UUID),
}

CONTRACT: Table = {
    "origin": ("Where the task comes from.", FROM_PARTS),
    "product": ("The product that posts the task.", "threatlabs"),
    "created_by": ("The person or component of the product that requested the task.", "system"),
    "task_type": ("The kind of work. You choose the value.", "verification"),
    "domain": ("The field of work. You choose the value.", "security"),
    "title": ("A one-line summary of the task.", "Verify endpoint owner activity"),
    "instructions": (
        "What the worker has to do.",
        "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
    ),
    "context": (
        "What the worker should know. `attachments`, a list of IDs, names files; see docs/api.md.",
        FROM_PARTS,
    ),
    **for_models(
        "Briefing Task", "context", "What the worker should know.", {"background": BACKGROUND}
    ),
    "background": ("The events that led to this task.", BACKGROUND),
    "constraints": ("What the worker must not do.", ["Do not disclose the case's number"]),
    "risk_notes": ("Known risks.", ["The host may be compromised"]),
    "sla": ("The urgency and the time limits of the task.", FROM_PARTS),
    "urgency": (
        "Urgent tasks move ahead of earlier, less urgent ones by a bounded time.",
        "high",
    ),
    "deadline": ("When the task must be completed; null: no deadline.", TIME),
    "target_latency_seconds": (
        "Target time from creation to completion, in seconds; null: no target.",
        600,
    ),
    "requirements": ("The workers that the task may be offered to.", FROM_PARTS),
    "skills": ("Required skills. The worker needs all of them.", ["phone_verification"]),
    "skill_levels": (
        "The minimum level, 1 to 5, of required skills.",
        {"phone_verification": 3},
    ),
    "preferred_skills": (
        "Among the eligible workers, those with these skills get offers first.",
        ["german_law"],
    ),
    "languages": (
        "Required languages, as BCP 47 tags. The worker needs all of them.",
        ["en", "pt-BR"],
    ),
    "certifications": (
        "Codes of required certifications. The worker needs all of them, and they must be valid.",
        ["soc-operator"],
    ),
    "trust_level": ("The minimum trust level, 0 to 5.", 4),
    "min_rating": ("The minimum rating, 0 to 5.", 4.5),
    "worker_pool_id": (
        "The pool whose workers get offers; null: any pool that your credential may use.",
        POOL,
    ),
    "output": ("The worker's result, as the contract's `output` defines it.", OUTPUT),
    "Task.output": ("The result; null until it is verified.", None),
    **for_models(
        "TaskContract Briefing", "output", "The result that the worker has to submit.", FROM_PARTS
    ),
    "output_contract": ("The result that the worker has to submit.", FROM_PARTS),
    "DependencyResult.output": ("The result of that task.", {"reached_user": True}),
    "expected_format": (
        "`structured_json` needs a `schema`; `file` needs evidence.",
        "structured_json",
    ),
    "schema": (
        "`{field: type}`, or a JSON Schema 2020-12 (docs/api.md).",
        {"reached_user": "boolean", "notes": "string"},
    ),
    "evidence_required": ("Whether the worker must upload at least one file.", False),
    "handoff": ("Where events of the task are sent.", FROM_PARTS),
    "callback_url": (
        "The URL that each event of the task is posted to; null: none.",
        "https://product.example/hooks/biolayer",
    ),
    "callback_auth": (
        "How callbacks authenticate, in addition to their signature.",
        FROM_PARTS,
    ),
    "retry_policy": (
        "How often and when a failed delivery is retried; null: the default schedule.",
        FROM_PARTS,
    ),
    "max_retries": ("Attempts after the first one.", 8),
    "backoff_seconds": (
        "Seconds before the second attempt. Each further pause is twice as long.",
        30,
    ),
    "audit": ("Retention requirements.", FROM_PARTS),
    "log_required": ("Whether the log must be kept.", True),
    "retain_days": (
        "Days to keep the task after it ends; null: the organisation's setting.",
        365,
    ),
    "depends_on": ("Tasks that must be completed first.", [UUID]),
    "waiting_for": ("Tasks that are not completed and hold this one at `created`.", [UUID]),
}

ESCALATION_POLICY: Table = {
    "escalation": (
        "Steps to take while no worker accepts the task; null: the pool's policy.",
        FROM_PARTS,
    ),
    "Pool.escalation": ("Steps to take while no worker accepts a task; null: none.", ESCALATION),
    **for_models(
        "PoolCreation PoolChange",
        "escalation",
        "Steps to take while no worker accepts a task; null: none.",
        FROM_PARTS,
    ),
    "EscalatedRequirements.escalation": ("The task's own policy, as posted.", ESCALATION),
    "steps": ("The steps, in order of time.", FROM_PARTS),
    "step": ("The step that was taken, counted from 1.", 1),
    "at_end": ("What happens after the last step: `wait`, `fail` or `notify`.", "wait"),
    "EscalatedFacts.at_end": (
        "`notify` at the end of the policy; omitted for its steps.",
        "notify",
    ),
    "after_seconds": ("Seconds since the task was first queued.", 300),
    "drop_preferred_skills": ("Whether preferred skills no longer count.", True),
    "drop_certifications": ("Whether certifications are no longer required.", False),
    "lower_trust_level_by": ("How much the minimum trust level is lowered.", 1),
    "lower_min_rating_by": ("How much the minimum rating is lowered.", 0.5),
    "widen_to_pools": ("Further pools whose workers get offers.", [POOL]),
    "mode": (
        "How offers are made from this step on: to one worker at a time, or to several at once.",
        "broadcast",
    ),
    "broadcast_to": ("How many workers get an offer at once in the mode `broadcast`.", 5),
    "boost_seconds": ("Seconds by which the task moves ahead in the queue.", 600),
    "notify": ("Whether to send `task.escalated`.", True),
}

STATE: Table = {
    "status": ("The status of the task (docs/lifecycle.md).", "queued"),
    **for_models("HeldRun Run EndedRun", "status", "The status of the run.", "running"),
    "DeclinedOffer.status": ("Always `declined`.", "declined"),
    "DependencyResult.status": ("Always `completed`.", "completed"),
    "previous_status": ("The status before the event.", "created"),
    "purged_at": ("When its content was deleted; null: it was not.", None),
    "created_at": ("When the object was created.", TIME),
    "Origin.created_at": ("When the product requested the task. Defaults to now.", TIME),
    "OriginFacts.created_at": ("When the product requested the task.", TIME),
    "updated_at": ("When the object last changed.", TIME),
    "closed_at": ("When the task ended; null while it is open.", None),
    "close_reason": ("Why the task ended without a result; null otherwise.", None),
    "attempt": ("The attempt at the task, counted from 1.", 1),
    "breaches": ("The SLA clocks that ran out.", FROM_PARTS),
    "breach": ("The clock: `deadline` or `target_latency`.", "target_latency"),
    "clock": ("The clock: `deadline` or `target_latency`.", "target_latency"),
    "due_at": ("When the clock ran out.", TIME),
    "AtRiskFacts.due_at": ("When the clock will run out.", TIME),
    "at_risk_at": ("When 80 % of the clock's time had passed.", TIME),
    "detected_at": ("When the service detected it.", TIME),
    "reason": ("The reason, as free text.", "The owner called back by themselves"),
    **for_models(
        "Decline Release DeclinedOffer QueuedFacts",
        "code",
        "Why the worker cannot do the task; null: it gave no code.",
        "missing_skill",
    ),
    "dependencies": ("The tasks that this one depends on, with their results.", FROM_PARTS),
    "task": ("The task as its worker sees it.", FROM_PARTS),
}

RUNS: Table = {
    "run": ("The run.", FROM_PARTS),
    "epoch": (
        "The fencing token of the run's lease. Required in each call on the run.",
        1,
    ),
    "lease_seconds": ("The lease's new length from now; null: the same as before.", 300),
    "lease_until": ("When the lease ends; null if no worker holds the run.", TIME),
    "started_at": ("When the work started; null if it has not.", TIME),
    "ended_at": ("When the run ended; null while it is open.", TIME),
    "evidence": ("IDs of the files that belong to the output.", [UUID]),
    "EndedRun.task": ("What it was about.", FROM_PARTS),
    "EndedRun.verdict": ("The verdict that sent it back or rejected it; null: none.", FROM_PARTS),
    "Statistics.completed": ("Runs that were submitted.", 42),
    "Statistics.returned": ("Runs that the worker released.", 1),
    "Statistics.since": ("From when it counts.", TIME),
    "missed_lease": ("Runs whose lease ended without a call.", 0),
    "on_time_share": ("The share of submitted runs that was in time; null without any.", 0.98),
    "median_seconds": ("The median time from start to submission; null without any.", 340),
    "file": ("The file, at most 10 MiB.", "(bytes)"),
    "filename": ("The file name at the upload.", "call-log.pdf"),
    "content_type": ("The media type, detected from the bytes.", "application/pdf"),
    "size": ("The size in bytes.", 48211),
    "sha256": ("The SHA-256 of the stored bytes, in hexadecimal.", HASH),
    "original_sha256": (
        "The SHA-256 of the bytes that were sent, which differ for images; null if unknown.",
        HASH,
    ),
    "content_url": (
        "A relative URL of the content that needs no credential; null once it is deleted.",
        f"/v1/evidence/{UUID}/content?access=b3BhcXVl",
    ),
    "content_url_expires_at": ("When `content_url` ends: in five minutes.", TIME),
    "submitted": ("Whether the submission of its run names the file.", True),
    "verified": ("Whether it belongs to the task's verified output.", True),
    "purged_at": ("When retention deleted the content; null while it exists.", None),
    **for_models("Message MessageFacts", "message_id", "The ID of the message.", UUID),
    "author_kind": ("Who wrote it: `requester` or `worker`.", "worker"),
    "author_name": (
        "The name of the worker, member or credential; empty for a person who has left.",
        "Mara Lindqvist",
    ),
    **for_models(
        "Message NewMessage", "text", "What was written.", "Which of the two owners is meant?"
    ),
    "revision": ("The revision of the draft: 1, 2, 3 …", 1),
    "DraftSave.revision": ("The revision that this one replaces; 0: none is stored.", 0),
    "form": (
        "The texts of a form's fields by name, in the form's order; null: not from a form.",
        {"output/notes": ["Owner ran"]},
    ),
    "saved_at": ("When it was saved.", TIME),
    "Draft.run_id": ("The run that it was last saved for.", UUID),
    "Draft.epoch": ("The epoch of the run by which it was last saved.", 1),
    **for_models("Draft DraftSave", "output", "The output so far; any JSON.", {"notes": "Owner"}),
    "attachment_id": ("The ID of the attachment.", UUID),
    "attachments": ("The files that `context.attachments` names.", FROM_PARTS),
    **for_models(
        "Attachment AttachmentInFull",
        "expires_at",
        "When it is deleted unless a task names it; null once one has.",
        TIME,
    ),
}

BATCHES: Table = {
    "TaskBatch.data": ("The results, in the order of the contracts.", FROM_PARTS),
    "TaskResult.status": ("The status that the contract would have alone.", 201),
    "TaskResult.task": ("The task; omitted if the contract was refused.", FROM_PARTS),
    "CancellationResult.problem": ("Why it was refused; omitted otherwise.", FROM_PARTS),
    "BulkCancellation.data": ("The results, in the order of the tasks.", FROM_PARTS),
    "BulkCancellation.cancelled": ("The number of cancelled tasks, also of those before.", 1),
    "BulkCancellation.refused": ("The number of tasks that were not cancelled.", 0),
    "Cancellations.task_ids": ("The tasks; one that is named twice counts once.", [UUID]),
    "CancellationResult.status": ("200: cancelled. Other: refused.", 200),
    "Boost.seconds": (
        "How far to move the task ahead in the queue, as if it had waited longer; negative: back.",
        3600,
    ),
    "UpdatedFacts.changes": (
        "The new value of each changed member of the contract, by JSON Pointer.",
        {"/requirements/min_rating": 3.0},
    ),
    "TaskChanges.sla": ("The members to change, each with its new value.", FROM_PARTS),
    "TaskChanges.requirements": (
        "The members to change, each with its new value; a list is replaced as a whole.",
        FROM_PARTS,
    ),
    "TaskResult.problem": ("Why the contract was refused; omitted otherwise.", FROM_PARTS),
    "created": ("The number of created tasks.", 1),
    "replayed": ("The number of tasks that existed before, by natural key.", 0),
    "refused": ("The number of refused contracts.", 0),
}

TABLE: Table = {**IDENTIFIERS, **CONTRACT, **ESCALATION_POLICY, **STATE, **RUNS, **BATCHES}
