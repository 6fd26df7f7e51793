"""Show the keys that sign deliveries, rotate and end them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Scope
from apps.console.access import console_page, read_at
from apps.console.forms.signing_keys import RotationForm
from apps.webhooks import selectors, services, texts
from biolayer.errors import Conflict

KINDS = ("v1", "v1a")


@require_GET
@console_page
def keys(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/webhooks/keys/`."""
    return render(request, "console/webhooks/keys.html", _context(request, actor))


@transaction.non_atomic_requests
@require_POST
@console_page
def rotate(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /admin/webhooks/keys/rotate`: the answer shows the secret, and nothing else does.

    A form that is sent again (the page is loaded again) names a key that was replaced already, and
    changes nothing.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    actor.require_every_pool()
    form = RotationForm(request.POST)
    at = read_at(request)
    if not form.is_valid():
        messages.error(request, _("Choose how long the key before it signs along."))
        return redirect("admin:signing_keys")
    kind = form.cleaned_data["kind"]
    if form.cleaned_data["replaces"] != _current_id(actor, kind, at):
        messages.error(request, _("This key was replaced meanwhile. Nothing was changed."))
        return redirect("admin:signing_keys")
    try:
        rotation = services.rotate_key(
            actor=actor,
            kind=kind,
            overlap_seconds=int(form.cleaned_data["overlap_seconds"]),
            at=at,
        )
    except Conflict as error:
        messages.error(request, str(error))
        return redirect("admin:signing_keys")
    context = {**_context(request, actor), "rotation": rotation}
    return render(request, "console/webhooks/keys.html", context)


@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
@console_page
def end(request: HttpRequest, actor: Principal, key_id: UUID) -> HttpResponse:
    """Serve `/admin/webhooks/keys/<id>/end`: it asks first."""
    actor.require(Scope.WEBHOOKS_MANAGE)
    actor.require_every_pool()
    at = read_at(request)
    if request.method == "GET":
        key = next((one for one in _keys(actor, at) if one["key"].id == key_id), None)
        if key is None or key["status"] != "expiring":
            messages.error(request, _("This key has no end that could come earlier."))
            return redirect("admin:signing_keys")
        return render(request, "console/webhooks/key_end.html", key)
    try:
        services.expire_key(actor=actor, key_id=key_id, at=at)
    except Conflict as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("The key has ended: it signs nothing any more."))
    return redirect("admin:signing_keys")


def _context(request: HttpRequest, actor: Principal) -> dict[str, Any]:
    at = read_at(request)
    rows = _keys(actor, at)
    may_manage = may(actor, Scope.WEBHOOKS_MANAGE) and actor.pool_ids is None
    return {
        "kinds": [_kind_context(kind, rows, may_manage=may_manage) for kind in KINDS],
        "jwks": request.build_absolute_uri(
            f"/v1/organisations/{actor.organisation_id}/webhook-jwks.json"
        ),
        "may_manage": may_manage,
    }


def _keys(actor: Principal, at: datetime) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "status": (status := selectors.key_status(key, at=at)),
            "text": texts.KEY_STATUS_TEXTS[status],
            "mark": texts.KEY_MARKS[status],
        }
        for key in selectors.signing_keys(actor=actor, at=at)
    ]


def _kind_context(kind: str, rows: list[dict[str, Any]], *, may_manage: bool) -> dict[str, Any]:
    own = [row for row in rows if row["key"].kind == kind]
    current = next((str(row["key"].id) for row in own if row["status"] == "current"), "")
    initial = {"kind": kind, "replaces": current, "overlap_seconds": "86400"}
    form = RotationForm(initial=initial, auto_id=f"id_{kind}_%s") if may_manage else None
    return {"kind": kind, "rows": own, "form": form}


def _current_id(actor: Principal, kind: str, at: datetime) -> str:
    current = _kind_context(kind, _keys(actor, at), may_manage=True)
    return str(current["form"].initial["replaces"])
