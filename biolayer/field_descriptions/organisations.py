"""Describe the fields of organisations, members and invitations."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import FROM_PARTS, POOL, TIME, UUID, WORKER

ROLED = "OrganisationMember MemberChange"
INVITED = "Invitation InvitationCreation"

TABLE: Table = {
    "organisation_id": ("The ID of the organisation.", UUID),
    "tenant_id": ("The tenant that the organisation belongs to.", UUID),
    **for_models("Organisation OrganisationChange", "name", "The name.", "Northwind Verification"),
    **for_models(
        "Organisation OrganisationChange",
        "retain_days",
        "Days that a task's personal content is kept, unless the task says.",
        365,
    ),
    "is_sandbox": ("Whether it is a sandbox, since a test key called (docs/sandbox.md).", False),
    "requires_second_factor": (
        "Whether members need a second factor. Without one they reach only the pages to add it.",
        True,
    ),
    "allowed_networks": (
        "CIDR blocks that keys, tokens and sessions may be used from; empty: any.",
        ["192.0.2.0/24", "2001:db8::/32"],
    ),
    "Organisation.created_at": ("When the organisation was created.", TIME),
    "member_id": ("The ID of the member.", UUID),
    "email": ("The e-mail address.", "mara@northwind.example"),
    "OrganisationMember.name": ("The person's name.", "Mara Lindqvist"),
    **for_models(ROLED, "role", "The role; each includes the ones before it.", "editor"),
    "has_second_factor": ("Whether the person has a passkey or an authenticator app.", True),
    "OrganisationMember.worker_id": ("The worker that the member is; null: none.", WORKER),
    "OrganisationMember.created_at": ("When the person joined.", TIME),
    "WorkerLink.worker_id": ("A human worker that is no other member.", WORKER),
    "invitation_id": ("The ID of the invitation.", UUID),
    **for_models(INVITED, "role", "The role that the person will have.", "viewer"),
    **for_models(INVITED, "worker", "What the person is as a worker; null: no worker.", FROM_PARTS),
    **for_models(
        "InvitedWorker WorkerOfInvitation", "name", "The worker's name; null: the person's.", None
    ),
    **for_models(
        "InvitedWorker WorkerOfInvitation", "pool_ids", "The pools that the worker joins.", [POOL]
    ),
    "skipped_pool_ids": (
        "Those of the pools that were closed when the person joined, and were left out.",
        [],
    ),
    "Invitation.status": ("`open`, `accepted`, `revoked` or `expired`.", "open"),
    "invited_by": ("The credential or member that invited.", f"member:{UUID}"),
    "Invitation.created_at": ("When the invitation was created.", TIME),
    "Invitation.expires_at": ("Until when the link works.", TIME),
    "accepted_at": ("When the person joined; null: not yet.", None),
    "sent_at": ("When the mail was handed to the mail server; null: not yet.", TIME),
    "mail_error": ("Why the latest mail was not sent; null: no error.", None),
}
