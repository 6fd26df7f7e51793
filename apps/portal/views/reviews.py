"""Serve the reviewer's inbox: its lanes, one review, and what is decided on it."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.pools.selectors import pools
from apps.portal.access import read_at, reviewer_page
from apps.portal.calls import reviewer_call
from apps.portal.parameters import uuid_of
from apps.portal.review_forms import Place, Typed, done_text, refusal_text
from apps.portal.review_pages import consequences, show_review
from apps.reviews import inbox, selectors, services
from apps.reviews.selectors import Lane, ReviewFilter
from apps.tasks.services import open_attachment, open_evidence
from apps.ui.downloads import file_response
from biolayer.contract import parse
from biolayer.errors import (
    BioLayerError,
    Conflict,
    ContentDeleted,
    InvalidInput,
    NotFound,
    Refused,
    Unavailable,
)
from biolayer.requests.reviews import Verdict

PAGE = 25
MAX_POOLS = 100
# Of a list's tasks, what is large and not shown.
UNSHOWN = ("context", "instructions", "output", "output_schema", "output_schema_text")
OF_NO_FILE: tuple[tuple[type[BioLayerError], int], ...] = (
    (Refused, 403),
    (ContentDeleted, 410),
    (Unavailable, 503),
)


# --- the list -------------------------------------------------------------------------------------


@require_GET
@transaction.non_atomic_requests
@reviewer_page
def reviews(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /portal/reviews/`: a lane of the inbox. What it has is not new any more."""
    context, at = _list(request, actor), read_at(request)
    if not context["after"]:
        services.visit_lane(actor=actor, lane=context["place"].lane, at=at)
    context["pools"] = list(pools(actor=actor).order_by("name")[:MAX_POOLS])
    return render(request, "portal/reviews/list.html", context)


@require_GET
@reviewer_page
def fragment(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /portal/reviews/fragment`: the part of the list that changes."""
    return render(request, "portal/reviews/list_fragment.html", _list(request, actor))


def _list(request: HttpRequest, actor: Principal) -> dict[str, Any]:
    place, at = Place.of(request.GET), read_at(request)
    after = uuid_of(request.GET.get("after", ""))
    states = inbox.lane_states(actor=actor, at=at)
    filters = ReviewFilter(lane=place.lane, pool_ids=place.pool_ids)
    rows = selectors.reviews(actor=actor, filters=filters, at=at)
    rows = rows.select_related("task", "pool", "worker")
    rows = rows.defer("policy", "pointers", "reason", *(f"task__{name}" for name in UNSHOWN))
    newest_first = place.lane is Lane.DONE
    if after is not None:
        rows = rows.filter(id__lt=after) if newest_first else rows.filter(id__gt=after)
    found = list(rows.order_by("-id" if newest_first else "id")[: PAGE + 1])
    shown = found[:PAGE]
    # What is new when the list is opened stays marked while its rows are read again.
    seen_at = _time_of(request.GET.get("since", "")) or states[place.lane].seen_at
    return {
        "at": at,
        "place": place,
        "after": after or "",
        "lanes": [(lane, state, Place(lane, place.pool_id)) for lane, state in states.items()],
        "rows": shown,
        "seen_at": seen_at,
        "since": int(seen_at.timestamp()),
        "next": shown[-1].id if len(found) > PAGE else "",
        "own": actor.text,
    }


def _time_of(text: str) -> datetime | None:
    """Return the time of a number of seconds since 1970; None for anything else."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return datetime.fromtimestamp(int(text), UTC) if is_number else None


# --- one review -----------------------------------------------------------------------------------


@require_GET
@transaction.non_atomic_requests
@reviewer_page
def review(request: HttpRequest, actor: Principal, review_id: UUID) -> HttpResponse:
    """Serve `GET /portal/reviews/{review_id}/`: opening it claims it."""
    if "prefetch" in request.headers.get("Sec-Purpose", ""):
        # The browser loads it in case the person will: that claims nothing.
        return HttpResponse(status=503)
    return show_review(request, actor, review_id, place=Place.of(request.GET))


@require_POST
@reviewer_call
def renew(request: HttpRequest, actor: Principal, review_id: UUID) -> HttpResponse:
    """Serve the script that keeps a claim while the page is used."""
    held = services.claim_review(actor=actor, review_id=review_id, at=read_at(request))
    return JsonResponse({"until": held.lease_until, "version": held.version})


@require_POST
@transaction.non_atomic_requests
@reviewer_page
def release(request: HttpRequest, actor: Principal, review_id: UUID) -> HttpResponse:
    """Serve the button that leaves a review to others, and opens the next one."""
    place = Place.of(request.POST)
    # Refused where its time has ended, or it was decided: others have it already.
    with suppress(Conflict):
        services.release_review(actor=actor, review_id=review_id, at=read_at(request))
    return _to_next(request, actor, place, review_id)


@require_http_methods(["GET", "POST"])
@transaction.non_atomic_requests
@reviewer_page
def verdict(request: HttpRequest, actor: Principal, review_id: UUID) -> HttpResponse:
    """Serve the buttons that decide. What is refused is shown again, with all that was typed.

    A person who had to sign in first comes back by GET, and finds it in the tab's memory.
    """
    if request.method == "GET":
        return redirect("portal_review", review_id)
    place, typed = Place.of(request.POST), Typed.of(request)
    again: dict[str, Any] = {"place": place, "typed": typed}
    try:
        given = parse(Verdict, typed.document(request.POST.get("version", "")))
        if not typed.is_confirmed and _must_be_confirmed(actor, review_id, typed.verdict):
            return show_review(request, actor, review_id, confirm=typed.verdict, **again)
        decided = services.give_verdict(
            actor=actor, review_id=review_id, verdict=given, at=read_at(request)
        )
    except (InvalidInput, Conflict, Refused) as error:
        return show_review(request, actor, review_id, problem=refusal_text(error), **again)
    messages.success(request, done_text(typed.verdict, decided.task.title))
    return _to_next(request, actor, place, review_id)


def _must_be_confirmed(actor: Principal, review_id: UUID, verdict: str) -> bool:
    if verdict == "approve":
        return False
    found = selectors.review(actor=actor, review_id=review_id).review
    return found.is_open and bool(consequences(found)[verdict]["is_final"])


def _to_next(request: HttpRequest, actor: Principal, place: Place, review_id: UUID) -> HttpResponse:
    """Lead to the next review of the lane, else to the list."""
    at, pool_ids = read_at(request), place.pool_ids
    following = inbox.next_review(
        actor=actor, lane=place.lane, at=at, after=review_id, pool_ids=pool_ids
    )
    return redirect(place.address if following is None else place.address_of(following))


@require_GET
@transaction.non_atomic_requests
@reviewer_page
def file(request: HttpRequest, actor: Principal, review_id: UUID, file_id: UUID) -> HttpResponse:
    """Serve a file of the submission, or one that the requester attached. Reading is audited.

    It is sent to be saved; a page may show it as an image, and nothing in it runs.
    """
    detail, at = selectors.review(actor=actor, review_id=review_id), read_at(request)
    attached = detail.review.task.context.get("attachments")
    try:
        if file_id in detail.evidence_ids:
            content = open_evidence(actor=actor, evidence_id=file_id, has_link=False, at=at)
        elif isinstance(attached, list) and str(file_id) in attached:
            content = open_attachment(actor=actor, attachment_id=file_id, has_link=False, at=at)
        else:
            raise NotFound("file")
    except (Refused, ContentDeleted, Unavailable) as error:
        return _no_file(error)
    return file_response(content)


def _no_file(error: Refused | ContentDeleted | Unavailable) -> HttpResponse:
    """Return why a file is not sent. It may be sent in a moment where the storage is away."""
    status = next(status for kind, status in OF_NO_FILE if isinstance(error, kind))
    headers = {"Retry-After": "1"} if isinstance(error, Unavailable) else {}
    return HttpResponse(str(error), status=status, content_type="text/plain", headers=headers)
