"""Know the member of a browser's session: in which organisation, and as which principal."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    get_user,
)
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.accounts.selectors import check_member, memberships_of, principal_of_member
from apps.accounts.sessions import SessionStore
from apps.base.addresses import client_address
from apps.pools.selectors import with_worker_ids
from biolayer.errors import NotFound

# Where the session stores the organisation that the person chose.
ORGANISATION = "organisation_id"


def user_id_of(request: HttpRequest) -> UUID:
    """Return the id of the person who is signed in."""
    assert request.user.pk is not None
    return request.user.pk


def signed_in_person(request: HttpRequest) -> Any:
    """Return who is signed in, without a statement of its own: the session's row has the person.

    What does not fit (another password, a person who may not sign in) is left to Django.
    """
    session: Any = request.session
    user_id, backend = session.get(SESSION_KEY), session.get(BACKEND_SESSION_KEY)
    person = session.person
    if (
        person is not None
        and person.is_active
        and str(person.pk) == user_id
        and backend in settings.AUTHENTICATION_BACKENDS
        and constant_time_compare(session.get(HASH_SESSION_KEY, ""), person.get_session_auth_hash())
    ):
        person.backend = backend
        return person
    return get_user(request)


def current_member(request: HttpRequest) -> Any:
    """Return the membership of the chosen organisation, else the oldest; None without any.

    It is read for each request: a membership that was removed acts at once. It has the worker that
    the person is there (`worker_id`), and the database's time (`read_at`).
    """
    user_id = user_id_of(request)
    chosen = request.session.get(ORGANISATION)
    memberships = with_worker_ids(memberships_of(user_id))
    if chosen is not None:
        member = memberships.filter(organisation_id=UUID(chosen)).first()
        if member is not None:
            return member
    return memberships.first()


def start_of(request: HttpRequest) -> str:
    """Return the name of the page where a person who is signed in begins.

    A member who is a worker begins in the portal, and as an editor or more in the console, which
    has "My work" among its tabs. It is the same page on each device: links and habits hold. A
    viewer who is a worker was invited for the work: it is what they do most.
    """
    member = current_member(request)
    if member is not None:
        is_worker = member.worker_id is not None
        if member.role == Role.WORKER:
            return "portal_home" if is_worker else "account_home"
        return "portal_home" if is_worker and member.role == Role.VIEWER else "admin:board"
    return "admin:staff_organisations" if request.user.is_superuser else "account_home"


def read_session(request: HttpRequest) -> None:
    """Let a request that no page's middleware has seen know its session, person and member."""
    store: Any = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    request.session = store
    request.user = signed_in_person(request)
    request.member = (  # type: ignore[attr-defined]
        current_member(request) if request.user.is_authenticated else None
    )


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
    address = client_address(request)
    check_member(member, address)
    return principal_of_member(
        member, address="" if address is None else str(address), worker_id=member.worker_id
    )
