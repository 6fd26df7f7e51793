"""Do with a worker what needs no form of its own: presence, pools, keys, claims, an end."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import id_of
from apps.console.access import console_page, read_at
from apps.console.views.workers import new_key_page
from apps.pools import selectors, services
from apps.tasks import services as tasks
from apps.ui.downloads import file_response
from biolayer.errors import (
    BioLayerError,
    ClaimDecided,
    Conflict,
    ContentDeleted,
    InvalidInput,
    NotFound,
    Unavailable,
    WorkerHasHistory,
)

MAX_REASON = 1000


@require_POST
@console_page
def presence(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/<id>/presence/`."""
    document = {"presence": request.POST.get("presence", "")}
    try:
        with transaction.atomic():
            services.update_worker(
                actor=actor, worker_id=worker_id, document=document, at=read_at(request)
            )
    except InvalidInput:
        messages.error(request, gettext("Choose a presence."))
    else:
        messages.success(request, gettext("The presence is set."))
    return redirect("admin:worker", worker_id)


@require_POST
@console_page
def join(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/<id>/join/`: add the worker to a pool."""
    pool_id = id_of(request.POST.get("pool", ""))
    if pool_id is None:
        messages.warning(request, gettext("Choose a pool."))
        return redirect("admin:worker", worker_id)
    document = {"worker_id": str(worker_id)}
    try:
        with transaction.atomic():
            services.add_member(
                actor=actor, pool_id=pool_id, document=document, at=read_at(request)
            )
    except (Conflict, InvalidInput):
        messages.error(request, gettext("This pool takes no members any longer."))
    else:
        messages.success(request, gettext("The worker is in the pool."))
    return redirect("admin:worker", worker_id)


@require_POST
@console_page
def leave(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/<id>/leave/`: remove the worker from a pool."""
    pool_id = id_of(request.POST.get("pool", ""))
    if pool_id is not None:
        services.remove_member(
            actor=actor, pool_id=pool_id, worker_id=worker_id, at=read_at(request)
        )
        messages.success(
            request, gettext("The worker has left the pool. Open offers and work go on.")
        )
    return redirect("admin:worker", worker_id)


@require_POST
@console_page
def new_key(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/worker/<id>/key/`: another key, whose secret is shown once."""
    return new_key_page(request, actor, selectors.worker(actor=actor, worker_id=worker_id))


@transaction.non_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def end(request: HttpRequest, actor: Principal, worker_id: UUID) -> HttpResponse:
    """Serve `/admin/pools/worker/<id>/end/`, which asks first: deactivate the worker, or delete it.

    A worker that is deactivated is offline and in no pool, so it is offered nothing. Each of its
    pools is left by a transaction of its own: none waits for a pool while it holds the worker.
    """
    row = selectors.worker(actor=actor, worker_id=worker_id, scope=Scope.POOLS_MANAGE)
    if request.method != "POST":
        return render(request, "console/workers/end.html", {"worker": row})
    if request.POST.get("action") == "delete":
        return _delete(request, actor, row)
    document = {"presence": "offline"}
    services.update_worker(actor=actor, worker_id=row.id, document=document, at=read_at(request))
    left = 0
    for membership in row.memberships.all():
        left += _has_left(actor, membership.pool_id, row.id, read_at(request))
    text = ngettext(
        "The worker is offline, and has left %(count)d pool.",
        "The worker is offline, and has left %(count)d pools.",
        left,
    )
    messages.success(request, text % {"count": left})
    return redirect("admin:worker", row.id)


def _has_left(actor: Principal, pool_id: UUID, worker_id: UUID, at: datetime) -> bool:
    try:
        services.remove_member(actor=actor, pool_id=pool_id, worker_id=worker_id, at=at)
    except NotFound:
        return False
    return True


def _delete(request: HttpRequest, actor: Principal, row: Any) -> HttpResponse:
    try:
        services.delete_worker(actor=actor, worker_id=row.id, at=read_at(request))
    except WorkerHasHistory:
        messages.error(
            request, gettext("It was offered tasks before, so it is kept. Deactivate it instead.")
        )
        return redirect("admin:worker_end", row.id)
    messages.success(request, gettext("The worker is deleted, with its keys."))
    return redirect("admin:pools_worker_changelist")


# --- claims of certifications ---------------------------------------------------------------------


@require_POST
@console_page
def decide(request: HttpRequest, actor: Principal, claim_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/claim/<id>/decide/`: confirm a claim, or reject it with a reason."""
    claim = selectors.certification_claim(actor=actor, claim_id=claim_id)
    reason = request.POST.get("reason", "").replace("\0", "").strip()[:MAX_REASON]
    at = read_at(request)
    try:
        with transaction.atomic():
            if request.POST.get("action") == "confirm":
                services.confirm_claim(actor=actor, claim_id=claim.id, at=at)
                messages.success(request, gettext("The certification counts from now on."))
            elif reason:
                services.reject_claim(actor=actor, claim_id=claim.id, reason=reason, at=at)
                messages.success(request, gettext("It is rejected. The worker sees your reason."))
            else:
                messages.error(request, gettext("Say why it is rejected: the worker sees it."))
    except ClaimDecided:
        messages.warning(request, gettext("It has been decided meanwhile."))
    return redirect("admin:worker", claim.worker_id)


@require_GET
@console_page
def document(request: HttpRequest, actor: Principal, claim_id: UUID) -> HttpResponse:
    """Serve `GET /admin/pools/claim/<id>/document/`, to be saved, never shown. It is audited."""
    try:
        with transaction.atomic():
            content = tasks.open_certificate(
                actor=actor, claim_id=claim_id, has_link=False, at=read_at(request)
            )
    except (ContentDeleted, Unavailable) as error:
        return _lost(request, actor, claim_id, error)
    return file_response(content)


def _lost(
    request: HttpRequest, actor: Principal, claim_id: UUID, error: BioLayerError
) -> HttpResponse:
    claim = selectors.certification_claim(actor=actor, claim_id=claim_id)
    messages.error(request, str(error))
    return redirect("admin:worker", claim.worker_id)
