"""List a worker's certifications, and let the worker claim one with a document."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.base import clock
from apps.pools import services as pools
from apps.pools.selectors import known_certifications, own_claims, own_worker
from apps.portal.access import worker_page
from apps.tasks import services as tasks
from biolayer.errors import (
    BioLayerError,
    ClaimDecided,
    Fault,
    InvalidInput,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)

FIELDS = ("code", "issuer", "expires_on")
DAY = timedelta(days=1)


@require_http_methods(["GET", "HEAD", "POST"])
@transaction.non_atomic_requests
@worker_page
def certifications(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/portal/profile/certifications/`. An upload is stored before its transaction."""
    worker = own_worker(actor)
    if request.method != "POST":
        return _page(request, actor, worker, {})
    values = {name: request.POST.get(name, "").strip() for name in FIELDS}
    problems = _claim(request, actor, values, worker.time_zone)
    if problems:
        return _page(request, actor, worker, values, problems)
    messages.success(request, gettext("Your document is sent. It counts once it has been checked."))
    return redirect("portal_certifications")


def _page(
    request: HttpRequest,
    actor: Principal,
    worker: Any,
    values: dict[str, str],
    problems: dict[str, str] | None = None,
) -> HttpResponse:
    context = {
        "worker": worker,
        "claims": list(own_claims(actor)),
        "known": known_certifications(actor),
        "values": values,
        "problems": problems or {},
        "at": clock.now(),
    }
    return render(request, "portal/certifications.html", context)


def _claim(
    request: HttpRequest, actor: Principal, values: dict[str, str], time_zone: str
) -> dict[str, str]:
    """Send the claim. Return what is wrong with which field; nothing once it is stored."""
    file, problems = request.FILES.get("file"), {}
    document: dict[str, Any] = {"code": _slug(values["code"]), "issuer": values["issuer"]}
    if values["expires_on"]:
        expires_at = _end_of_day(values["expires_on"], time_zone)
        document["expires_at"] = expires_at
        if expires_at is None:
            problems["expires_on"] = gettext("Enter a date, such as 2027-03-31.")
    if not document["code"]:
        problems["code"] = gettext("Enter the name of the certification.")
    if file is None:
        problems["file"] = gettext("Choose a file.")
    if problems or file is None:
        return problems
    at = clock.now()
    try:
        received = tasks.receive_certificate(actor=actor, file=file, at=at)
        tasks.claim_certification(actor=actor, received=received, document=document, at=at)
    except InvalidInput as error:
        return dict(map(_problem, error.faults))
    except (TooLarge, UnsupportedMedia, Unavailable) as error:
        return {"file": _file_problem(error)}
    return {}


def _slug(text: str) -> str:
    """Return a code as operators write it: "First aid" is `first-aid`."""
    return "-".join(text.lower().split())


def _end_of_day(text: str, time_zone: str) -> datetime | None:
    """Return when a day ends where the worker is; None for a text that is no date."""
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day + DAY, time(), ZoneInfo(time_zone))
    except (ValueError, OverflowError):
        return None


def _problem(fault: Fault) -> tuple[str, str]:
    name = fault.pointer.removeprefix("/")
    sentences = {
        "code": gettext("Use letters a to z, digits, and . _ - only, 64 characters at most."),
        "issuer": gettext("Write at most 200 characters."),
        "expires_at": gettext("It has expired already."),
        "file": gettext("This file is empty, or is no image that can be read."),
    }
    if fault.code == "too_many":
        return "code", gettext("You have too many claims. Remove one first.")
    shown = "expires_on" if name == "expires_at" else name
    return shown if shown in (*FIELDS, "file") else "code", sentences.get(name, fault.detail)


def _file_problem(error: BioLayerError) -> str:
    if isinstance(error, TooLarge):
        return gettext("The file is larger than 10 MB.")
    if isinstance(error, Unavailable):
        return gettext("The file could not be stored. Try again in a minute.")
    return gettext("Send a PDF, or a picture as JPEG or PNG.")


@require_POST
@worker_page
def withdraw(request: HttpRequest, actor: Principal, claim_id: UUID) -> HttpResponse:
    """Serve `POST /portal/profile/certifications/{id}/remove/`."""
    try:
        with transaction.atomic():
            pools.withdraw_claim(actor=actor, claim_id=claim_id, at=clock.now())
    except ClaimDecided:
        messages.warning(request, gettext("It has been confirmed meanwhile."))
    else:
        messages.success(request, gettext("It is removed, with its document."))
    return redirect("portal_certifications")
