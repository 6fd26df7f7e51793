"""Say which member is a worker, and invite people who become workers."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Scope
from apps.accounts.selectors import members
from apps.base.ids import id_of
from apps.console.access import console_page, read_at
from apps.pools import services
from apps.pools.worker_search import members_without_worker
from biolayer.errors import NotFound, WorkerIsLinked

MAX_MEMBERS = 200


def person_of(actor: Principal, worker: Any) -> dict[str, Any]:
    """Return who a worker is, and the members who could be it, as far as the actor may see them."""
    if worker.kind != "human" or not may(actor, Scope.ORGANISATION_READ):
        return {}
    rows = members(actor=actor)
    may_link = may(actor, Scope.ORGANISATION_MANAGE) and may(actor, Scope.POOLS_MANAGE)
    if worker.user_id is not None:
        return {"person": rows.filter(user_id=worker.user_id).first(), "may_link": may_link}
    if not may_link:
        return {}
    return {"free_members": members_without_worker(actor=actor, most=MAX_MEMBERS)}


@require_POST
@console_page
def link(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/<id>/link/`: a member becomes this worker."""
    member_id = id_of(request.POST.get("member", ""))
    if member_id is None:
        messages.warning(request, gettext("Choose a member."))
        return redirect("admin:worker", worker_id)
    try:
        with transaction.atomic():
            services.link_worker(
                actor=actor, member_id=member_id, worker_id=worker_id, at=read_at(request)
            )
    except WorkerIsLinked as error:
        messages.error(request, str(error))
    except NotFound:
        messages.error(request, gettext("This person is no member any longer."))
    else:
        messages.success(request, gettext("The member is this worker from now on."))
    return redirect("admin:worker", worker_id)


@require_POST
@console_page
def unlink(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/<id>/unlink/`: the member is no worker any longer."""
    member_id = id_of(request.POST.get("member", ""))
    if member_id is not None:
        services.unlink_worker(actor=actor, member_id=member_id, at=read_at(request))
        messages.success(request, gettext("The member is this worker no longer."))
    return redirect("admin:worker", worker_id)
