"""Read the clients of OAuth 2.0 and the consents of members."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.models import OAuthApplication, OAuthConsent
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from biolayer.errors import NotFound


def oauth_applications(*, actor: Principal) -> "QuerySet[OAuthApplication]":
    """Return the clients that the actor may see. Raise `ScopeMissing`, `RoleTooLow`."""
    actor.require(Scope.CREDENTIALS_READ)
    return visible_applications(actor)


def visible_applications(actor: Principal) -> "QuerySet[OAuthApplication]":
    """Return the organisation's clients; for a credential of some pools, those for no others."""
    rows = OAuthApplication.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is None:
        return rows
    return rows.filter(pool_ids__contained_by=list(actor.pool_ids))


def oauth_application(*, actor: Principal, client_id: str) -> OAuthApplication:
    """Return a client of the organisation. Raise `NotFound`, `ScopeMissing`, `RoleTooLow`."""
    row = oauth_applications(actor=actor).filter(client_id=client_id).first()
    if row is None:
        raise NotFound("OAuth application")
    return row


def consents_of(*, user_id: UUID) -> "QuerySet[OAuthConsent]":
    """Return a person's consents in all of their organisations, with clients and members."""
    rows = OAuthConsent.objects.filter(member__user_id=user_id)
    with_names = rows.select_related("application", "organisation", "member__user")
    return with_names.order_by("application__name", "id")


def covering_consent(
    *, actor: Principal, application_id: int, scopes: Collection[str]
) -> OAuthConsent | None:
    """Return the acting member's consent to a client if it covers all of `scopes`."""
    if actor.member_id is None:
        return None
    rows = OAuthConsent.objects.filter(application_id=application_id, member_id=actor.member_id)
    return rows.filter(scopes__contains=list(scopes)).first()
