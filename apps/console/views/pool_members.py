"""Add workers to a pool, and remove them."""

from datetime import datetime
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.transactions import one_of_several
from apps.console.access import console_page, read_at
from apps.console.views.parameters import ids_of
from apps.pools import selectors, services
from apps.pools.texts import presence_state
from apps.pools.worker_search import candidates
from biolayer.errors import BioLayerError

MOST = 50


@transaction.non_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def add(request: HttpRequest, actor: Principal, pool_id: UUID) -> HttpResponse:
    """Serve `/admin/pools/pool/<id>/add/`: find workers by name, and add the chosen ones."""
    pool = selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)
    if request.method == "POST":
        added = sum(
            _is_added(actor, pool.id, one, read_at(request))
            for one in ids_of(request.POST.getlist("chosen"))
        )
        text = ngettext("%(count)d worker is added.", "%(count)d workers are added.", added)
        level = messages.SUCCESS if added else messages.WARNING
        messages.add_message(request, level, text % {"count": added})
        return redirect("admin:pool", pool.id)
    text = request.GET.get("q", "")[:200]
    found = candidates(actor=actor, pool_id=pool.id, text=text, most=MOST) if text.strip() else []
    workers = [(worker, *presence_state(worker)) for worker in found]
    context = {"pool": pool, "q": text, "workers": workers, "most": MOST}
    return render(request, "console/pools/add.html", context)


def _is_added(actor: Principal, pool_id: UUID, worker_id: UUID, at: datetime) -> bool:
    """Add a worker, by a transaction of its own. Return whether it was none of the members."""
    document = {"worker_id": str(worker_id)}
    call = partial(services.add_member, actor=actor, pool_id=pool_id, document=document, at=at)
    added = one_of_several(call)
    return not isinstance(added, BioLayerError) and added[1]


@transaction.non_atomic_requests
@require_POST
@console_page
def remove(request: HttpRequest, actor: Principal, pool_id: UUID) -> HttpResponse:
    """Serve `POST /admin/pools/pool/<id>/remove/`: remove the chosen members."""
    pool = selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)
    removed = sum(
        _is_removed(actor, pool.id, worker_id, read_at(request))
        for worker_id in ids_of(request.POST.getlist("chosen"))
    )
    if removed:
        text = ngettext("%(count)d worker is removed.", "%(count)d workers are removed.", removed)
        messages.success(request, text % {"count": removed})
    else:
        messages.warning(request, gettext("Choose the workers first."))
    return redirect("admin:pool", pool.id)


def _is_removed(actor: Principal, pool_id: UUID, worker_id: UUID, at: datetime) -> bool:
    """Remove a worker, by a transaction of its own. Return whether it was a member."""
    call = partial(services.remove_member, actor=actor, pool_id=pool_id, worker_id=worker_id, at=at)
    return not isinstance(one_of_several(call), BioLayerError)
