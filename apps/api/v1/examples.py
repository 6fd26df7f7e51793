"""Give an example of each body that a caller may send. A test validates each by its model."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from biolayer import contract
from biolayer.field_descriptions import POOL, UUID, WORKER
from biolayer.requests import (
    agents,
    api_keys,
    appeals,
    bridges,
    oauth,
    offers,
    organisations,
    pools,
    reviews,
    runs,
    second_looks,
    tasks,
    webhook_keys,
    webhooks,
)
from biolayer.requests.consumers import Acknowledgement, ConsumerSettings
from biolayer.requests.legal_holds import NewLegalHold

TASK_ID = "0198f1d2-0b7c-7c44-8f5a-3d2e1b0c9a01"
WORKER_ID = "0198f1d2-0b7c-7c44-8f5a-3d2e1b0c9a02"

STEP = {"after_seconds": 300, "mode": "broadcast", "broadcast_to": 5, "notify": True}

CONTRACT = {
    "origin": {"product": "threatlabs", "request_id": "IR-48219"},
    "task_type": "verification",
    "domain": "security",
    "title": "Verify endpoint owner activity",
    "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
    "sla": {"urgency": "high", "target_latency_seconds": 600},
    "requirements": {"skills": ["phone_verification"]},
    "output": {"schema": {"reached_user": "boolean", "notes": "string"}},
    "handoff": {
        "callback_url": "https://product.example/hooks/biolayer",
        "callback_auth": {"type": "bearer", "token": "s3cret-token"},
    },
}

VERDICT = {
    "version": 1,
    "verdict": "rework",
    "reason": "Ask for the ticket's number, too.",
    "pointers": ["/notes"],
    "rating": 3,
}

BODIES: Mapping[type[BaseModel], Any] = {
    contract.TaskContract: CONTRACT,
    contract.TaskContracts: [CONTRACT],
    tasks.Cancellation: {"reason": "The owner called back by themselves"},
    tasks.Cancellations: {
        "task_ids": [TASK_ID],
        "reason": "The alert was a false positive.",
    },
    tasks.TaskChanges: {
        "sla": {"deadline": "2030-02-04T19:36:00Z"},
        "requirements": {"min_rating": 3.0},
        "reason": "No worker with this rating is on duty tonight.",
    },
    tasks.Requeue: {"reason": "The worker went home ill."},
    tasks.Reassignment: {
        "worker_id": WORKER_ID,
        "reason": "She has talked to this owner before.",
    },
    tasks.Boost: {"seconds": 3600, "reason": "The customer called."},
    tasks.Reopening: {"reason": "The phone number was wrong."},
    tasks.NewMessage: {"text": "Which of the two owners is meant?"},
    offers.Decline: {"reason": "Not now", "code": "no_time"},
    runs.RunCall: {"epoch": 1},
    runs.Heartbeat: {"epoch": 1, "lease_seconds": 300},
    runs.Submission: {
        "epoch": 1,
        "output": {"reached_user": True, "notes": "Owner ran a patch script."},
        "evidence": [],
    },
    runs.Release: {"epoch": 1, "reason": "The line is dead", "code": "no_access"},
    runs.DraftSave: {
        "epoch": 1,
        "revision": 0,
        "output": {"notes": "Owner ran"},
        "form": {"output/notes": ["Owner ran"]},
    },
    reviews.Verdict: VERDICT,
    reviews.Verdicts: {"verdicts": [{"review_id": UUID, **VERDICT}]},
    appeals.NewAppeal: {"reason": "The ticket's number is in the notes, at the end."},
    appeals.AppealDecision: {
        "version": 1,
        "decision": "overturn",
        "reason": "The number is there. The rating was changed.",
        "rating": 4,
    },
    second_looks.SecondVerdict: {"verdict": "reject", "reason": "It is another owner."},
    NewLegalHold: {"task_id": "019abf3c-7d2e-7a10-9c55-2f6a1b0c8d41", "reason": "Case 2026-118"},
    webhook_keys.KeyRotation: {"kind": "v1", "overlap_seconds": 86400},
    api_keys.KeyCreation: {
        "name": "Incident backend",
        "scopes": ["tasks:read", "tasks:create"],
        "pool_ids": [POOL],
        "allowed_networks": ["192.0.2.0/24", "2001:db8::/32"],
    },
    api_keys.ApiKeyRotation: {"overlap_seconds": 86400},
    ConsumerSettings: {"types": ["task.*"], "start": "latest"},
    Acknowledgement: {"cursor": "eyJhIjoxfQ"},
    oauth.OAuthApplicationCreation: {
        "name": "Partner dashboard",
        "grant_types": ["authorization_code"],
        "redirect_uris": ["https://partner.example/callback"],
        "scopes": ["tasks:read", "webhooks:read"],
        "role": "viewer",
    },
    oauth.OAuthApplicationChange: {"scopes": ["tasks:read"]},
    pools.ClaimRejection: {"reason": "The name is not readable."},
    agents.AgentSessionCreation: {
        "session_id": "drafter-7f3a",
        "agent_name": "drafter",
        "pool_id": POOL,
        "capabilities": ["french"],
    },
    pools.WorkerUpdate: {"presence": "available"},
    pools.PoolCreation: {
        "name": "Front desk",
        "offer_seconds": {"critical": 30},
        "escalation": {"steps": [STEP], "at_end": "wait"},
    },
    pools.PoolChange: {"offer_mode": "broadcast", "broadcast_to": 3},
    pools.NoteCreation: {
        "text": "The hotline is closed today.",
        "expires_at": "2030-02-04T19:36:00Z",
    },
    pools.NewMember: {"worker_id": WORKER},
    pools.WorkerCreation: {
        "name": "Mara Lindqvist",
        "skills": ["phone_verification"],
        "skill_levels": {"phone_verification": 3},
        "languages": ["en", "pt-BR"],
        "trust_level": 4,
        "hours": {"mon": [["09:00", "17:00"]]},
        "time_zone": "Europe/Berlin",
        "pool_ids": [POOL],
    },
    pools.WorkerChange: {"trust_level": 5, "capacity": 2},
    organisations.OrganisationChange: {
        "requires_second_factor": True,
        "allowed_networks": ["192.0.2.0/24"],
    },
    organisations.MemberChange: {"role": "manager"},
    organisations.WorkerLink: {"worker_id": WORKER},
    organisations.InvitationCreation: {"email": "mara@northwind.example", "role": "editor"},
    webhooks.EndpointCreation: {
        "url": "https://hooks.example/biolayer",
        "event_types": ["task.completed", "task.failed"],
        "headers": {"X-Tenant": "northwind"},
    },
    webhooks.EndpointChange: {"enabled": False},
    bridges.BridgeInstanceCreation: {
        "name": "Support chat",
        "scope": "workspace",
        "workspace_id": POOL,
        "url": "https://bridge.example/notify",
    },
    bridges.BridgeInstanceChange: {"muted": True},
    webhooks.TestEvent: {"type": "task.completed"},
    webhooks.RecoveryRequest: {
        "kind": "missed",
        "since": "2026-02-04T19:21:00Z",
        "endpoint_id": UUID,
    },
}
