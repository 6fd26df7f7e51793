"""Send again what failed or was missed: count it, start it, follow it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.console.access import console_page, read_at
from apps.console.forms.faults import add_faults
from apps.console.forms.recoveries import FIELDS, RecoveryForm
from apps.webhooks import selectors, services, texts
from biolayer.contract import parse
from biolayer.errors import InvalidInput, NotFound
from biolayer.requests.webhooks import RecoveryRequest

MAX_ENDPOINTS = 100


@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
@console_page
def new(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/webhooks/recovery/new`: a form, then its count, then the start.

    Only the button below the count starts it: `confirmed`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    initial = {"endpoint_id": request.GET.get("endpoint", ""), "rate_per_minute": 3000}
    form = RecoveryForm(request.POST or None, endpoints=_choices(actor), initial=initial)
    size = None
    if request.method == "POST" and form.is_valid():
        try:
            asked = parse(RecoveryRequest, form.document(), now=read_at(request))
            if "confirmed" in request.POST:
                made = services.start_recovery(actor=actor, request=asked, at=read_at(request))
                messages.success(request, _("The recovery has started."))
                return redirect("admin:recovery", made.id)
            if "change" not in request.POST:
                size = selectors.recovery_size(actor=actor, request=asked, at=read_at(request))
        except InvalidInput as error:
            add_faults(form, error, FIELDS)
        except NotFound:
            form.add_error("endpoint_id", _("This endpoint does not exist any more."))
    context = {"form": form, "size": size, "minutes": _minutes(form, size)}
    return render(request, "console/webhooks/recovery_form.html", context)


def _choices(actor: Principal) -> list[tuple[str, str]]:
    rows = selectors.visible_endpoints(actor).order_by("url", "id")
    named = rows.values_list("id", "url", "description")[:MAX_ENDPOINTS]
    return [(str(id_), text or url.partition("://")[2]) for id_, url, text in named]


def _minutes(form: RecoveryForm, size: Any) -> int:
    """Return how many minutes the deliveries take at the rate, rounded up."""
    if size is None:
        return 0
    rate: int = form.cleaned_data["rate_per_minute"]
    return int(-(-size.deliveries // rate))


@require_GET
@console_page
def recovery(request: HttpRequest, actor: Principal, recovery_id: UUID) -> HttpResponse:
    """Serve `GET /admin/webhooks/recovery/<id>/`."""
    return render(request, "console/webhooks/recovery.html", _context(actor, recovery_id))


@require_GET
@console_page
def fragment(request: HttpRequest, actor: Principal, recovery_id: UUID) -> HttpResponse:
    """Serve the part of a recovery's page that changes."""
    context = _context(actor, recovery_id)
    return render(request, "console/webhooks/recovery_fragment.html", context)


def _shares(progress: Any) -> dict[str, int]:
    """Return how many percent were delivered, and failed again."""
    whole = progress.released or 1
    good = min(100, progress.delivered * 100 // whole)
    return {"good": good, "bad": min(100 - good, progress.failed * 100 // whole)}


def _context(actor: Principal, recovery_id: UUID) -> dict[str, Any]:
    row = selectors.recovery(actor=actor, recovery_id=recovery_id)
    progress = selectors.recovery_progress(row)
    endpoint = None
    if row.destination_id is not None:
        visible = selectors.visible_endpoints(actor).filter(id=row.destination_id)
        endpoint = visible.only("id", "url", "description").first()
    return {
        "recovery": row,
        "progress": progress,
        "shares": _shares(progress),
        "endpoint": endpoint,
        "kind_text": texts.RECOVERY_KIND_TEXTS[row.kind],
        "state_text": texts.RECOVERY_STATE_TEXTS[progress.state],
        "state_mark": texts.RECOVERY_MARKS[progress.state],
    }
