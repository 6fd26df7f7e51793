"""Describe the fields of sessions of agents, and those of `/api`: claims, leases and errors."""

from biolayer.field_descriptions.entries import Table
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, TIME, UUID, WORKER

MODELS = [
    "ClaimNextBody",
    "HeartbeatBody",
    "CompleteBody",
    "FailBody",
    "ReleaseBody",
    "RunActor",
    "TaskOwner",
    "RunOrigin",
    "CoordinationChannel",
    "RunLease",
    "TaskRun",
    "TaskReference",
    "RunClaim",
    "ClaimAnswer",
    "LeaseAnswer",
    "Diagnostic",
    "ErrorBody",
]

CHANNEL = f"coord-{UUID}"
HASH = "sha256:" + "9f86d081884c7d659a2feaa0c55ad015" * 2
OUTPUT = {"reached_user": True, "notes": "Owner ran a patch script."}

FIELDS: Table = {
    # -- What an agent sends.
    "workspace_id": ("The pool that the session or task is of; without one it is global.", POOL),
    "required_capabilities": ("Skills that the caller offers, beside its session's.", ["search"]),
    "priority_min": ("The least priority: low is 10, medium 20, high 30, urgent 40.", 20),
    "lease_seconds": ("Seconds until the lease ends without a heartbeat; 0 is 300.", 300),
    "wait": ("Whether to wait up to 30 s for a run.", False),
    "idempotency_key": ("Repeated while the claim is live, it gets the same claim.", "claim-17"),
    "result": ("What was made of the task: at most 64 KiB of JSON.", OUTPUT),
    "error": ("Why it did not succeed, in words.", "The portal does not answer."),
    "metadata": ("In a claim: the work to do. In a failure: facts for its log.", {"tries": 3}),
    "reason": ("Why the run is given back.", "The process ends."),
    "channel": ("A coordination channel; a session claims in its own one only.", "ops"),
    # -- What it gets.
    "id": ("Its ID.", UUID),
    "task_id": ("The task.", UUID),
    "run_id": ("The run: one attempt at the task.", UUID),
    "session_id": ("The session that has the run, or finished it.", "drafter-7f3a"),
    "status": ("The status, in the words of this API.", "claimed"),
    "kind": ("What kind of party it is.", "agent_session"),
    "ref": ("Which one.", "drafter-7f3a"),
    "display_name": ("What people see.", "Draft the reply"),
    "allowed_message_kinds": ("The kinds of messages in it.", ["status"]),
    "purpose": ("What the channel is for.", "coordination"),
    "last_activity_at": ("When it was last used.", TIME),
    "workflow_id": ("Not used.", "w-1"),
    "attempt": ("The number of the attempt, from 1.", 1),
    "origin": ("By which call the run was queued.", FROM_PARTS),
    "queued_at": ("When the run was first queued: its place in the queue.", TIME),
    "claimed_at": ("When it was claimed.", TIME),
    "claimed_by": ("Who claimed it.", FROM_PARTS),
    "claim_token_hash": ("The hash of a secret that is not kept: it fences late writes.", HASH),
    "coordination_channel": ("The room that is bound to a run in a workspace.", FROM_PARTS),
    "coordination_channel_id": ("The ID of that room.", CHANNEL),
    "heartbeat_at": ("When the lease was last renewed.", TIME),
    "lease_until": ("When the lease ends.", TIME),
    "started_at": ("When the work was started.", TIME),
    "ended_at": ("When it ended.", TIME),
    "failure_kind": ("How it was failed, if not by its session.", "operator_forced"),
    "network_channel": ("The channel that was asked for.", "ops"),
    "previous_run_id": ("The run that it repeats.", UUID),
    "title": ("The title.", "Draft the reply"),
    "scope": ("Whether it belongs to a workspace.", "workspace"),
    "latest_event_seq": ("The number of the task's latest event.", 3),
    "identifier": ("The caller's own name for the task.", "IR-48219"),
    "owner": ("Who is to do it.", FROM_PARTS),
    "paused": ("Whether it is paused itself.", False),
    "effective_paused": ("Whether it is paused, or a task above it.", False),
    "paused_by_task_id": ("The task that pauses it.", UUID),
    "priority": ("How soon it is handed out.", "medium"),
    "claim": ("What was claimed.", FROM_PARTS),
    "task": ("The task of the run.", FROM_PARTS),
    "run": ("The run.", FROM_PARTS),
    "lease": ("The session's right to work on the run.", FROM_PARTS),
    "created_at": ("When it was registered.", TIME),
    # -- Errors.
    "diagnostic": ("What a program needs; only where the error has a code.", FROM_PARTS),
    "code": ("The code.", "autonomy_lease_expired"),
    "category": ("What it concerns.", "task"),
    "severity": ("How bad it is.", "error"),
    "data_freshness": ("As of when it is.", "live"),
    "message": ("The same in words.", "The lease ended, or the run is finished."),
    "evidence": ("IDs and limits.", {"request_id": "req_5c1f0b7a9d3e4f62"}),
    "doc_url": ("Where it is documented.", "https://docs.example.com/agents"),
    "suggested_command": ("What may help.", "claim-next"),
}

SESSIONS: Table = {
    "session_id": ("The session's ID, which its agent chooses; never used again.", "drafter-7f3a"),
    "agent_name": ("The name of the agent: its sessions are one worker.", "drafter"),
    "pool_id": ("The pool whose tasks it claims; null: tasks that name no pool.", POOL),
    "channel": ("The coordination channel in which alone it claims; null: any.", None),
    "capabilities": ("Skills of the agent, beside those of its worker.", ["search", "french"]),
    "state": ("Only an active session may act.", "active"),
    "worker_id": ("The worker that the session acts as.", WORKER),
    "run_id": ("The run that it holds; null: none.", UUID),
    "registered_by": ("The credential that registered it.", "api_key:Zk3TnQ8wLx0a"),
    "created_at": ("When it was registered.", TIME),
    "last_seen_at": ("When it last called; a minute old at most.", TIME),
    "ended_at": ("When it ended; null while it is active.", None),
}

TABLE: Table = {
    **{f"{model}.{name}": entry for name, entry in FIELDS.items() for model in MODELS},
    **{f"AgentSession.{name}": entry for name, entry in SESSIONS.items()},
    **{f"AgentSessionCreation.{name}": entry for name, entry in SESSIONS.items()},
}
