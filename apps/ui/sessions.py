"""Know the member of a browser's session: in which organisation, and as which principal."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest

from apps.accounts.principal import Principal
from apps.accounts.selectors import memberships_of, session_principal
from apps.base.addresses import client_address
from apps.pools.selectors import worker_of_user
from biolayer.errors import NotFound

# Where the session stores the organisation that the person chose.
ORGANISATION = "organisation_id"


def user_id_of(request: HttpRequest) -> UUID:
    """Return the id of the person who is signed in."""
    assert request.user.pk is not None
    return request.user.pk


def current_member(request: HttpRequest) -> Any:
    """Return the membership of the chosen organisation, else the oldest; None without any.

    It is read for each request: a membership that was removed acts at once.
    """
    user_id = user_id_of(request)
    chosen = request.session.get(ORGANISATION)
    memberships = memberships_of(user_id)
    if chosen is not None:
        member = memberships.filter(organisation_id=UUID(chosen)).first()
        if member is not None:
            return member
    return memberships.first()


def choose_organisation(request: HttpRequest, organisation_id: UUID) -> None:
    """Change to another organisation of the person. Raise `NotFound`."""
    if not memberships_of(user_id_of(request)).filter(organisation_id=organisation_id).exists():
        raise NotFound("organisation")
    request.session[ORGANISATION] = str(organisation_id)


def principal_of(request: HttpRequest) -> Principal:
    """Return the principal of the request, which every service takes.

    Raise `NotFound` without a membership, `AddressNotAllowed`, `SecondFactorRequired`.
    """
    member = getattr(request, "member", None)
    if member is None:
        raise NotFound("organisation")
    return session_principal(
        user_id=member.user_id,
        organisation_id=member.organisation_id,
        address=client_address(request),
        worker_id=worker_of_user(user_id=member.user_id, organisation_id=member.organisation_id),
    )
