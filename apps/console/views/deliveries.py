"""Show a delivery, and send deliveries again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Scope
from apps.base.ids import id_of
from apps.base.transactions import Raced, one_of_several
from apps.console.access import console_page, read_at
from apps.console.webhook_states import delivery_state, pretty_body, sent_headers
from apps.webhooks import selectors, services
from biolayer.errors import BioLayerError, NotFound

# As many as a page of the list has.
MAX_CHOSEN = 100


@require_GET
@console_page
def delivery(request: HttpRequest, actor: Principal, delivery_id: UUID) -> HttpResponse:
    """Serve `GET /admin/webhooks/delivery/<id>/`."""
    context = _context(request, actor, delivery_id)
    row, state = context["delivery"], context["state"]
    context |= {"body": pretty_body(row), "headers": sent_headers(row, state.attempts)}
    return render(request, "console/webhooks/delivery.html", context)


@require_GET
@console_page
def fragment(request: HttpRequest, actor: Principal, delivery_id: UUID) -> HttpResponse:
    """Serve the part of a delivery's page that changes."""
    context = _context(request, actor, delivery_id)
    return render(request, "console/webhooks/delivery_fragment.html", context)


def _context(request: HttpRequest, actor: Principal, delivery_id: UUID) -> dict[str, Any]:
    row = selectors.delivery(actor=actor, delivery_id=delivery_id)
    return {
        "delivery": row,
        "state": delivery_state(row, at=read_at(request)),
        "task_id": row.subject_id if selectors.is_about_task(row) else None,
        "message_id": f"msg_{row.id.hex}",
        "may_manage": may(actor, Scope.WEBHOOKS_MANAGE),
    }


@transaction.non_atomic_requests
@require_POST
@console_page
def resend_one(request: HttpRequest, actor: Principal, delivery_id: UUID) -> HttpResponse:
    """Serve `POST /admin/webhooks/delivery/<id>/resend`."""
    services.resend(actor=actor, delivery_id=delivery_id, at=read_at(request))
    messages.success(request, _("It is sent again, with its whole retry budget."))
    return redirect("admin:delivery", delivery_id)


@dataclass(frozen=True, slots=True)
class Resent:
    """Hold what came of one of the chosen deliveries; `problem` is empty where it was sent."""

    delivery_id: str
    event_type: str
    problem: str


@transaction.non_atomic_requests
@require_POST
@console_page
def resend(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /admin/webhooks/delivery/resend`: send the chosen ones again, each by itself."""
    actor.require(Scope.WEBHOOKS_MANAGE)
    chosen = list(dict.fromkeys(request.POST.getlist("chosen")))[:MAX_CHOSEN]
    back = request.POST.get("list", "")
    results = list(_resent(actor, chosen, read_at(request)))
    context = {
        "results": results,
        "sent": sum(not one.problem for one in results),
        "back": back if back.startswith("/admin/webhooks/delivery/") else "",
    }
    return render(request, "console/webhooks/resent.html", context)


def _resent(actor: Principal, chosen: list[str], at: datetime) -> Iterator[Resent]:
    for text in chosen:
        delivery_id = id_of(text)
        if delivery_id is None:
            yield Resent(text, "", _("It does not exist any more."))
            continue
        call = partial(services.resend, actor=actor, delivery_id=delivery_id, at=at)
        sent = one_of_several(call)
        yield Resent(str(delivery_id), *_outcome(sent))


def _outcome(sent: Any) -> tuple[str, str]:
    """Return the event of a delivery that is sent again, and an empty text; or why it is not."""
    if isinstance(sent, NotFound):
        return "", _("It does not exist any more.")
    if isinstance(sent, Raced):
        return "", _("It is being changed elsewhere. Try again in a moment.")
    return ("", str(sent)) if isinstance(sent, BioLayerError) else (sent.event_type, "")
