"""Show an offer while it is open, and accept or decline it.

Each of these may be repeated, by a double click or in two tabs: the page of an offer says what
became of it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.principal import Principal
from apps.matching import services as matching
from apps.matching.selectors import own_offer
from apps.portal.access import read_at, worker_page
from apps.portal.links import run_path
from apps.portal.reasons import MAX_WORDS, REASONS, given_reason
from apps.tasks.selectors import typical_seconds
from biolayer.errors import OfferClosed, OfferExpired

BEGINNING = 600
"""Characters of the instructions that an offer shows."""


@require_GET
@worker_page
def offer(request: HttpRequest, actor: Principal, offer_id: UUID) -> HttpResponse:
    """Serve `GET /portal/offers/{id}/`: the offer, or what became of it."""
    row, at = own_offer(actor=actor, offer_id=offer_id), read_at(request)
    if _is_held(row):
        return redirect(run_path(row.run_id))
    context = {"offer": row, "task": row.task, "at": at}
    with timezone.override(ZoneInfo(row.worker.time_zone)):
        if _is_open(row, at):
            return render(request, "portal/offer.html", {**context, **_facts(actor, row)})
        return render(request, "portal/offer_closed.html", {**context, "ended": _ended(row)})


@require_GET
@worker_page
def state(request: HttpRequest, actor: Principal, offer_id: UUID) -> HttpResponse:
    """Serve `GET /portal/offers/{id}/state`: the part of the offer's page that changes."""
    row, at = own_offer(actor=actor, offer_id=offer_id), read_at(request)
    context: dict[str, Any] = {"offer": row, "at": at}
    if _is_held(row):
        context["run_path"] = run_path(row.run_id)
        context["ended"] = Ended(gettext("You accepted this offer"), "")
    elif not _is_open(row, at):
        context["ended"] = _ended(row)
    return render(request, "portal/offer_state.html", context)


@require_POST
@worker_page
def accept(request: HttpRequest, actor: Principal, offer_id: UUID) -> HttpResponse:
    """Serve `POST /portal/offers/{id}/accept/`: to the run; where it is too late, to the offer."""
    try:
        with transaction.atomic():
            run = matching.accept_offer(actor=actor, offer_id=offer_id, at=read_at(request))
    except (OfferClosed, OfferExpired):
        return redirect("portal_offer", offer_id)
    return redirect(run_path(run.id))


@require_POST
@worker_page
def decline(request: HttpRequest, actor: Principal, offer_id: UUID) -> HttpResponse:
    """Serve `POST /portal/offers/{id}/decline/`."""
    given = given_reason(request)
    if given is None:
        messages.error(request, gettext("Say why you decline the offer."))
        return redirect("portal_offer", offer_id)
    try:
        with transaction.atomic():
            matching.decline_offer(actor=actor, offer_id=offer_id, at=read_at(request), **given)
    except (OfferClosed, OfferExpired):
        return redirect("portal_offer", offer_id)
    messages.success(request, gettext("You declined the offer. It goes to another worker."))
    return redirect("portal_home")


def _is_held(row: Any) -> bool:
    """Return whether the worker has accepted the offer, and still has the run."""
    return bool(row.status == "accepted" and row.run.worker_id == row.worker_id)


def _is_open(row: Any, at: datetime) -> bool:
    return bool(row.status == "open" and row.expires_at > at)


def _facts(actor: Principal, row: Any) -> dict[str, Any]:
    task = row.task
    types = [task.task_type]
    typical = typical_seconds(organisation_id=actor.organisation_id, task_types=types)
    levels = task.skill_levels
    return {
        "typical": typical.get(task.task_type),
        "skills": [(skill, levels.get(skill)) for skill in task.skills],
        "risk_notes": _texts(task.context, "risk_notes"),
        "constraints": _texts(task.context, "constraints"),
        "beginning": task.instructions[:BEGINNING],
        "is_cut": len(task.instructions) > BEGINNING,
        "needs_file": task.needs_file,
        "reasons": REASONS.items(),
        "max_words": MAX_WORDS,
    }


def _texts(context: Any, name: str) -> list[str]:
    texts = context.get(name) if isinstance(context, dict) else None
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


@dataclass(frozen=True, slots=True)
class Ended:
    """Say in words what became of an offer."""

    title: str
    text: str


def _ended(row: Any) -> Ended:
    """Return what became of an offer that cannot be accepted any more."""
    match row.status:
        case "accepted":
            title = gettext("You accepted this offer")
            text = gettext("It is not yours any more: you released it, or its time ran out.")
        case "declined":
            title = gettext("You declined this offer")
            text = gettext("The task goes to another worker. Nothing is left to do for you.")
        case "rescinded":
            title = gettext("Another worker accepted it first")
            text = gettext(
                "It was offered to several people at once. This does not count against you."
            )
        case "withdrawn":
            title = gettext("This offer was withdrawn")
            text = gettext("The task is no longer needed. This does not count against you.")
        case _:
            title, text = gettext("This offer has expired"), _missed(row)
    return Ended(title, text)


def _missed(row: Any) -> str:
    """Return what a missed offer does."""
    text = gettext("The task goes to another worker.")
    if row.worker.presence_reason == "missed_offers":
        away = gettext(
            "You let several offers in a row pass, so you were set to Away. Switch to Available to"
            " get offers again."
        )
        return f"{text} {away}"
    return text
