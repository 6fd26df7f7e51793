"""Describe the fields of teams and their tasks."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, UUID

TIME = "2026-11-19T10:05:00Z"
POLICY = {"required_role": "MANAGER", "auto_approve_after_hours": 24}
TEAMS = "Team TeamCreation TeamChange"
TASKS = "TeamTask TeamTaskCreation"
DECISIONS = "Approval Rejection"

TABLE: Table = {
    "Team.id": ("The ID of the team, and of its pool in `/v1`.", POOL),
    **for_models(TEAMS, "name", "The name.", "Inventory Ops"),
    **for_models(TEAMS, "description", "The purpose.", "Handles restock recommendations"),
    "Team.status": ("`active`, `paused` or `archived`.", "active"),
    "TeamChange.status": (
        "`paused`: no agent gets a task. `archived` is final, and closes the pool.",
        "paused",
    ),
    **for_models(TEAMS, "cadence_minutes", "The minutes between two windows; 0 is 30.", 60),
    "Team.approval_policy": ("Who approves what is proposed, as it was sent.", POLICY),
    **for_models(
        "TeamCreation TeamChange", "approval_policy", "Who approves what is proposed.", FROM_PARTS
    ),
    "ApprovalPolicy.required_role": ("The least role that may approve, in any case.", "MANAGER"),
    "ApprovalPolicy.notify_on_proposal": ("Whether approvers are told of a proposal.", True),
    "ApprovalPolicy.auto_approve_after_hours": (
        "Hours after which the policy approves, unless a person decided.",
        24,
    ),
    **for_models("Team TeamTask", "created_at", "When it was created.", TIME),
    **for_models("Team TeamTask", "updated_at", "When it was last changed.", TIME),
    "TeamTask.id": ("The ID of the task, in `/v1` too.", UUID),
    **for_models(TASKS, "team_id", "The team.", POOL),
    **for_models(TASKS, "title", "What is to be done.", "Draft restock PO for SKU-9982"),
    "TeamTask.status": ("The status.", "proposed"),
    **for_models(TASKS, "priority", "A `CRITICAL` task waits for no window.", "HIGH"),
    **for_models(TASKS, "input_context", "What the agent works with.", {"sku": "SKU-9982"}),
    "proposed_output": (
        "What the latest attempt proposed; `{}`: nothing.",
        {"po_quantity": 200, "supplier_id": "SUP-14"},
    ),
    "requires_approval": ("Whether it waits at `proposed` for a person's approval.", True),
    "TeamTask.due_at": ("When it is due; empty: never.", "2026-11-20T17:00:00Z"),
    "TeamTaskCreation.due_at": ("When it is due; null: never.", "2030-11-20T17:00:00Z"),
    "TeamTask.started_at": ("When the present attempt was begun; empty: it waits.", TIME),
    "TeamTask.completed_at": ("When it was completed; empty: it is not.", ""),
    **for_models(
        DECISIONS,
        "version",
        "That of the review in `/v1`, if it must be as you have read it; null: any.",
        1,
    ),
    "Rejection.reason": ("For the next attempt.", "The supplier is SUP-12."),
    "TeamTaskCancellation.reason": ("Why it is cancelled.", "Ordered by hand."),
    "teams": ("All teams that the credential may see, newest first.", FROM_PARTS),
    "tasks": ("The 100 newest tasks of these teams.", FROM_PARTS),
}
