"""Show a worker's state, offers and active work; change the state."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.principal import Principal
from apps.matching import selectors as offers
from apps.matching.own_queue import own_queue
from apps.pools.selectors import own_state as own_worker
from apps.pools.selectors import own_state_and_notes
from apps.pools.services import dismiss_note, set_presence
from apps.portal.access import read_at, worker_page
from apps.portal.own_state import PRESENCES, own_state, snoozes, why_nothing
from apps.tasks import selectors as tasks

MAX_SHOWN = 50
"""Offers, and runs. A worker's capacity bounds both; this bounds the page."""


@require_GET
@worker_page
def home(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /portal/`."""
    return _render(request, actor, "portal/home.html")


@require_GET
@worker_page
def fragment(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /portal/fragments/home`: the part of the page that changes."""
    return _render(request, actor, "portal/home_fragment.html")


@require_POST
@worker_page
def presence(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /portal/presence/`: a presence, or the name of a pause; `end` ends it."""
    chosen, at = request.POST.get("presence"), read_at(request)
    pauses = {name: seconds for name, seconds, _ in snoozes(own_worker(actor), at)} | {"end": 0}
    seconds = pauses.get(request.POST.get("snooze", ""))
    if chosen in PRESENCES:
        set_presence(actor=actor, presence=chosen, at=at)
    elif seconds is not None:
        set_presence(actor=actor, snooze_seconds=seconds, at=at)
    else:
        messages.error(request, gettext("This is no state that you can choose."))
    return redirect("portal_home")


@require_POST
@worker_page
def dismiss(request: HttpRequest, actor: Principal, note_id: UUID) -> HttpResponse:
    """Serve `POST /portal/notes/<id>/dismiss/`."""
    dismiss_note(actor=actor, note_id=note_id, at=read_at(request))
    return redirect("portal_home")


def _render(request: HttpRequest, actor: Principal, template: str) -> HttpResponse:
    at = read_at(request)
    worker, notes = own_state_and_notes(actor, at=at)
    with timezone.override(ZoneInfo(worker.time_zone)):
        return render(request, template, {**_context(actor, worker, at), "notes": notes})


def _context(actor: Principal, worker: Any, at: datetime) -> dict[str, Any]:
    open_offers = list(
        _bounded(offers.open_offers(actor=actor, at=at).select_related("task", "pool"))
    )
    runs = list(_bounded(tasks.held_runs(actor=actor)))
    state = own_state(worker, at)
    context = {
        "worker": worker,
        "at": at,
        "state": state,
        "presences": [(name, text) for name, (text, _) in PRESENCES.items()],
        "snoozes": snoozes(worker, at),
        "offers": open_offers,
        "runs": runs,
        "next_due": _next_due(open_offers, runs),
    }
    if open_offers:
        context["typical"] = _typical(actor, open_offers)
    else:
        context["why"] = why_nothing(worker, state, own_queue(actor=actor, at=at))
    return context


def _bounded(rows: Any) -> Any:
    """Return the first rows, without the dependencies, which this page does not show."""
    return rows.prefetch_related(None)[:MAX_SHOWN]


def _typical(actor: Principal, open_offers: Iterable[Any]) -> dict[str, int]:
    types = {offer.task.task_type for offer in open_offers}
    return tasks.typical_seconds(organisation_id=actor.organisation_id, task_types=types)


def _next_due(open_offers: Iterable[Any], runs: Iterable[Any]) -> tuple[datetime, Any] | None:
    """Return what is due first of the work that is held, and when: by its lease or its deadline."""
    moments = (
        (moment, run)
        for run in runs
        for moment in (run.lease_until, run.task.deadline_due_at, run.task.latency_due_at)
        if moment is not None
    )
    return min(moments, key=lambda due: due[0], default=None)
