"""Show members and invitations, and change who belongs to the organisation."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import selectors, services
from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Role, Scope
from apps.accounts.sessions import stored_key
from apps.accounts.texts import INVITATION_STATES, SHAPES
from apps.console.access import console_page, read_at
from apps.console.forms.access import InvitationForm, RoleForm
from apps.console.forms.faults import add_faults
from apps.pools import services as pools
from apps.pools.selectors import workers_of_users
from apps.ui.devices import device_name
from biolayer.contract import parse
from biolayer.errors import AlreadyMember, Conflict, InvalidInput, InvitationOpen, LastAdmin
from biolayer.requests.organisations import InvitationCreation

FORM = ["GET", "HEAD", "POST"]
MAX_SESSIONS = 50


@require_GET
@console_page
def member(request: HttpRequest, actor: Principal, member_id: UUID) -> HttpResponse:
    """Serve `GET /admin/accounts/member/<id>/`."""
    return _member_page(request, actor, member_id)


@transaction.non_atomic_requests
@require_POST
@console_page
def change_role(request: HttpRequest, actor: Principal, member_id: UUID) -> HttpResponse:
    """Serve `POST /admin/accounts/member/<id>/role/`."""
    actor.require(Scope.ORGANISATION_MANAGE)
    selectors.member(actor=actor, member_id=member_id)
    form = RoleForm(request.POST, actor=actor)
    if form.is_valid():
        role = Role(form.cleaned_data["role"])
        try:
            services.change_role(actor=actor, member_id=member_id, role=role, at=read_at(request))
        except LastAdmin:
            form.add_error("role", gettext("The only admin keeps the role: make another first."))
        else:
            messages.success(request, gettext("The role was changed."))
            return redirect("admin:member", member_id)
    return _member_page(request, actor, member_id, form)


@transaction.non_atomic_requests
@require_http_methods(FORM)
@console_page
def remove(request: HttpRequest, actor: Principal, member_id: UUID) -> HttpResponse:
    """Serve `/admin/accounts/member/<id>/remove/`: ask, then remove."""
    actor.require(Scope.ORGANISATION_MANAGE)
    row = selectors.member(actor=actor, member_id=member_id)
    problem = ""
    if request.method == "POST":
        try:
            services.remove_member(actor=actor, member_id=member_id, at=read_at(request))
        except LastAdmin:
            problem = gettext("The only admin cannot be removed: make another member admin first.")
        else:
            messages.success(request, gettext("The member was removed."))
            return redirect("admin:accounts_member_changelist")
    context = {"row": row, "problem": problem}
    return render(request, "console/access/member_remove.html", context)


@transaction.non_atomic_requests
@require_POST
@console_page
def unlink_worker(request: HttpRequest, actor: Principal, member_id: UUID) -> HttpResponse:
    """Serve `POST /admin/accounts/member/<id>/unlink/`: let the member be no worker."""
    pools.unlink_worker(actor=actor, member_id=member_id, at=read_at(request))
    messages.success(request, gettext("The member is no worker any more."))
    return redirect("admin:member", member_id)


@transaction.non_atomic_requests
@require_POST
@console_page
def end_session(
    request: HttpRequest, actor: Principal, member_id: UUID, session_id: UUID
) -> HttpResponse:
    """Serve `POST /admin/accounts/member/<id>/sessions/<id>/end/`."""
    services.end_member_session(
        actor=actor, member_id=member_id, session_id=session_id, at=read_at(request)
    )
    messages.success(request, gettext("The session has ended."))
    return redirect("admin:member", member_id)


@transaction.non_atomic_requests
@require_http_methods(FORM)
@console_page
def invite(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/accounts/member/invite/`."""
    actor.require(Scope.ORGANISATION_MANAGE)
    actor.require_every_pool()
    form = InvitationForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid() and _invite(actor, form, read_at(request)):
        messages.success(request, gettext("The invitation is on its way."))
        return redirect("admin:accounts_invitation_changelist")
    return render(request, "console/access/invite.html", {"form": form})


@require_GET
@console_page
def invitation(request: HttpRequest, actor: Principal, invitation_id: UUID) -> HttpResponse:
    """Serve `GET /admin/accounts/invitation/<id>/`."""
    row = selectors.invitation(actor=actor, invitation_id=invitation_id)
    state = selectors.invitation_state(row, read_at(request))
    names = _names(actor, row.invited_by)
    context = {
        "row": row,
        "state": INVITATION_STATES[state],
        "shape": SHAPES.get(state, "off"),
        "is_open": state in ("open", "expired"),
        "invited_by": names,
        "may_manage": may(actor, Scope.ORGANISATION_MANAGE),
    }
    return render(request, "console/access/invitation.html", context)


@transaction.non_atomic_requests
@require_POST
@console_page
def resend_invitation(request: HttpRequest, actor: Principal, invitation_id: UUID) -> HttpResponse:
    """Serve `POST /admin/accounts/invitation/<id>/resend/`."""
    try:
        services.resend_invitation(actor=actor, invitation_id=invitation_id, at=read_at(request))
    except Conflict:
        messages.error(request, gettext("The invitation was accepted or revoked meanwhile."))
    else:
        text = gettext("The mail is sent again, with a new link. The link before no longer works.")
        messages.success(request, text)
    return redirect("admin:invitation", invitation_id)


@transaction.non_atomic_requests
@require_POST
@console_page
def revoke_invitation(request: HttpRequest, actor: Principal, invitation_id: UUID) -> HttpResponse:
    """Serve `POST /admin/accounts/invitation/<id>/revoke/`. It can be made again at once."""
    try:
        services.revoke_invitation(actor=actor, invitation_id=invitation_id, at=read_at(request))
    except Conflict:
        messages.error(request, gettext("The invitation was accepted or revoked meanwhile."))
    else:
        messages.success(request, gettext("The invitation was revoked: its link no longer works."))
    return redirect("admin:invitation", invitation_id)


def _member_page(
    request: HttpRequest, actor: Principal, member_id: UUID, form: RoleForm | None = None
) -> HttpResponse:
    row = selectors.member(actor=actor, member_id=member_id)
    may_manage = may(actor, Scope.ORGANISATION_MANAGE)
    workers = workers_of_users(organisation_id=actor.organisation_id, user_ids=[row.user_id])
    context = {
        "row": row,
        "role": Role(row.role).label,
        "linked_worker_id": workers.get(row.user_id),
        "may_manage": may_manage,
        "form": form or RoleForm(initial={"role": row.role}, actor=actor),
        "sessions": _sessions(request, actor, member_id) if may_manage else [],
    }
    return render(request, "console/access/member.html", context)


def _sessions(request: HttpRequest, actor: Principal, member_id: UUID) -> list[dict[str, Any]]:
    own_key = stored_key(str(request.session.session_key))
    rows = selectors.member_sessions(actor=actor, member_id=member_id)[:MAX_SESSIONS]
    return [
        {
            "id": row.id,
            "device": device_name(row.user_agent),
            "address": row.address,
            "last_seen_at": row.last_seen_at,
            "is_own": row.session_key == own_key,
        }
        for row in rows
    ]


def _invite(actor: Principal, form: InvitationForm, at: datetime) -> bool:
    try:
        wanted = parse(InvitationCreation, form.cleaned_data)
        services.invite(actor=actor, email=wanted.email, role=Role(wanted.role), at=at)
    except InvalidInput as error:
        add_faults(form, error, {})
    except AlreadyMember:
        form.add_error("email", gettext("This person is a member already."))
    except InvitationOpen:
        text = gettext("This address has an open invitation: send that one again instead.")
        form.add_error("email", text)
    return form.is_valid()


def _names(actor: Principal, invited_by: str) -> str:
    """Return the name of the principal `kind:id` that invited, as far as it is known."""
    kind, _, id_ = invited_by.partition(":")
    names = selectors.names_of(actor=actor, actors=[(kind, id_)])
    return names.get((kind, id_), invited_by)
