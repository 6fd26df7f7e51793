"""Represent organisations, members and invitations."""

from datetime import datetime
from uuid import UUID

from apps.accounts.models import Invitation, Member, Organisation
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.selectors import invitation_state
from apps.api.v1.representations.values import choice
from biolayer.responses import organisations as responses


def organisation(row: Organisation) -> responses.Organisation:
    """Return an organisation with its settings."""
    return responses.Organisation(
        organisation_id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        is_sandbox=is_of_sandbox(row.id),
        retain_days=row.retain_days,
        requires_second_factor=row.requires_second_factor,
        allowed_networks=row.allowed_networks,
        created_at=row.created_at,
    )


def member(row: Member, *, worker_id: UUID | None) -> responses.OrganisationMember:
    """Return a member, as `selectors.members` reads it."""
    return responses.OrganisationMember(
        member_id=row.id,
        email=row.user.email,
        name=row.user.name,
        role=choice(row.role),
        has_second_factor=bool(getattr(row, "has_second_factor", False)),
        worker_id=worker_id,
        created_at=row.created_at,
    )


def invitation(row: Invitation, *, at: datetime) -> responses.Invitation:
    """Return an invitation. Its link is in the mail only."""
    return responses.Invitation(
        invitation_id=row.id,
        email=row.email,
        role=choice(row.role),
        status=choice(invitation_state(row, at)),
        invited_by=row.invited_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        accepted_at=row.accepted_at,
        sent_at=row.sent_at,
        mail_error=row.mail_error or None,
        worker=None
        if row.worker is None
        else responses.WorkerOfInvitation(**{"skipped_pool_ids": [], **row.worker}),
    )
