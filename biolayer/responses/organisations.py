"""Define the responses about an organisation, its members and invitations."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.values import Identifier, RoleName, Timestamp


class Organisation(OpenModel):
    organisation_id: Identifier
    tenant_id: Identifier
    name: str
    is_sandbox: bool
    retain_days: int
    requires_second_factor: bool
    allowed_networks: list[str]
    created_at: Timestamp


class OrganisationMember(OpenModel):
    member_id: Identifier
    email: str
    name: str
    role: RoleName
    has_second_factor: bool
    worker_id: Identifier | None
    created_at: Timestamp


class OrganisationMemberPage(Page):
    data: list[OrganisationMember]


class WorkerOfInvitation(OpenModel):
    pool_ids: list[Identifier]
    name: str | None
    skills: list[str]
    skill_levels: dict[str, int]
    languages: list[str]
    trust_level: int
    capacity: int
    time_zone: str
    skipped_pool_ids: list[Identifier]


class Invitation(OpenModel):
    invitation_id: Identifier
    email: str
    role: RoleName
    status: Literal["open", "accepted", "revoked", "expired"]
    invited_by: str
    created_at: Timestamp
    expires_at: Timestamp
    accepted_at: Timestamp | None
    sent_at: Timestamp | None
    mail_error: str | None
    worker: WorkerOfInvitation | None


class InvitationPage(Page):
    data: list[Invitation]
