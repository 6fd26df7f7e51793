"""Invite people who become workers, and list the open invitations."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import services as accounts
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.selectors import invitations
from apps.console.access import console_page, read_at
from apps.console.forms.faults import add_faults
from apps.console.forms.worker_invitations import WorkerInvitationForm
from apps.pools import selectors, services
from biolayer.contract import parse
from biolayer.errors import AlreadyMember, Conflict, InvalidInput, InvitationClosed, InvitationOpen
from biolayer.requests.organisations import InvitationCreation

MAX_POOLS = 200
MAX_LISTED = 50
POINTERS = {
    "/worker/name": "name",
    "/worker/skills": "skills",
    "/worker/pool_ids": "pools",
    "/worker": "pools",
}
REFUSED = {
    AlreadyMember: _("This person is a member already. Link them on the page of a worker."),
    InvitationOpen: _("This address has an open invitation already: send it again, or revoke it."),
}


@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def invite(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/pools/worker/invite/`: the form, and the open invitations."""
    actor.require(Scope.ORGANISATION_MANAGE)
    rows = selectors.visible_pools(actor).filter(status="active").order_by("-id")
    pools = [(str(row_id), name) for row_id, name in rows.values_list("id", "name")[:MAX_POOLS]]
    initial = {"pools": request.GET.getlist("pool")}
    form = WorkerInvitationForm(request.POST or None, pools=pools, initial=initial)
    if request.method == "POST" and form.is_valid() and _is_invited(actor, form, read_at(request)):
        email = form.cleaned_data["email"]
        messages.success(
            request, gettext("The invitation of %(email)s is on its way.") % {"email": email}
        )
        return redirect("admin:worker_invite")
    opened = invitations(actor=actor).filter(
        accepted_at=None, revoked_at=None, worker__isnull=False
    )
    context = {
        "form": form,
        "forms": [form],
        "invitations": [(row, _pool_names(row.worker, pools)) for row in opened[:MAX_LISTED]],
        "at": read_at(request),
    }
    return render(request, "console/workers/invite.html", context)


def _pool_names(worker: Any, pools: Sequence[tuple[str, str]]) -> str:
    """Return the names of the open pools that an invited worker joins."""
    return ", ".join(name for row_id, name in pools if row_id in worker["pool_ids"])


def _is_invited(actor: Principal, form: WorkerInvitationForm, at: datetime) -> bool:
    """Invite the person, who is a worker as soon as they join. Return whether it was done."""
    try:
        with transaction.atomic():
            wanted = parse(InvitationCreation, form.document())
            services.invite_person(actor=actor, wanted=wanted, at=at)
    except InvalidInput as error:
        add_faults(form, error, POINTERS)
    except (AlreadyMember, InvitationOpen) as error:
        form.add_error("email", str(REFUSED[type(error)]))
    return not form.errors


@require_POST
@console_page
def resend(request: HttpRequest, actor: Principal, invitation_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/invite/<id>/resend/`: a new link, valid for seven days."""
    try:
        with transaction.atomic():
            accounts.resend_invitation(
                actor=actor, invitation_id=invitation_id, at=read_at(request)
            )
    except InvitationClosed:
        messages.warning(request, gettext("It was accepted or revoked meanwhile."))
    else:
        messages.success(request, gettext("The invitation is sent again, with a new link."))
    return redirect("admin:worker_invite")


@require_POST
@console_page
def revoke(request: HttpRequest, actor: Principal, invitation_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/invite/<id>/revoke/`: its link no longer works."""
    try:
        with transaction.atomic():
            accounts.revoke_invitation(
                actor=actor, invitation_id=invitation_id, at=read_at(request)
            )
    except Conflict:
        messages.warning(request, gettext("It was accepted or revoked meanwhile."))
    else:
        messages.success(request, gettext("The invitation is revoked."))
    return redirect("admin:worker_invite")
