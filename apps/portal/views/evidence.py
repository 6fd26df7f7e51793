"""Serve the files of a run: what its worker uploads, and what the requester attached."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.principal import Principal
from apps.portal.access import read_at, worker_page
from apps.portal.calls import JSON, problem
from apps.portal.views.tasks import start_if_open
from apps.tasks import selectors, services
from apps.ui.downloads import file_response
from biolayer.errors import (
    BioLayerError,
    Fault,
    InvalidInput,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)


@require_POST
@transaction.non_atomic_requests
def upload(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Serve `POST /portal/runs/{run_id}/evidence`: one file; sent again, it is the same file."""
    if _is_script(request) and not request.user.is_authenticated:
        return problem(Unauthenticated("Your session has ended."))
    return _upload(request, run_id)


@worker_page
def _upload(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    at = read_at(request)
    try:
        file = request.FILES.get("file")
        if file is None:
            raise InvalidInput([Fault("/file", "required", gettext("choose a file"))])
        work = selectors.work(actor=actor, run_id=run_id, at=at)
        evidence = services.upload_evidence(
            actor=actor, run_id=run_id, epoch=_epoch(request), file=file, at=at
        )
        start_if_open(actor, work, at=at)
    except BioLayerError as error:
        return _refused(request, run_id, error)
    if not _is_script(request):
        return redirect("portal_run", run_id)
    facts = {"id": evidence.id, "filename": evidence.filename, "size": evidence.size}
    return JsonResponse(facts, status=201)


@require_POST
@transaction.non_atomic_requests
@worker_page
def remove(request: HttpRequest, actor: Principal, run_id: UUID, evidence_id: UUID) -> HttpResponse:
    """Serve the button that removes a file before it is submitted."""
    try:
        services.remove_evidence(
            actor=actor,
            run_id=run_id,
            epoch=_epoch(request),
            evidence_id=evidence_id,
            at=read_at(request),
        )
    except NotFound:
        pass  # Another tab has removed it.
    except BioLayerError as error:
        return _refused(request, run_id, error)
    if _is_script(request):
        return HttpResponse(status=204)
    return redirect("portal_run", run_id)


@require_GET
@worker_page
def file(request: HttpRequest, actor: Principal, run_id: UUID, file_id: UUID) -> HttpResponse:
    """Serve an attachment of the task, or an uploaded file, to be saved and never shown."""
    content = services.open_file_of_run(
        actor=actor, run_id=run_id, file_id=file_id, at=read_at(request)
    )
    return file_response(content)


def _refused(request: HttpRequest, run_id: UUID, error: BioLayerError) -> HttpResponse:
    text = words_of(error)
    if _is_script(request):
        return problem(error, detail=text)
    messages.error(request, text)
    return redirect("portal_run", run_id)


def words_of(error: BioLayerError) -> str:
    """Return what a person reads of a refused file."""
    if isinstance(error, TooLarge):
        return gettext("The file is larger than 10 MB. Take a smaller picture, or split it.")
    if isinstance(error, UnsupportedMedia):
        return gettext("Files of this type are not accepted. Send a JPEG, PNG, PDF or text.")
    if isinstance(error, InvalidInput):
        codes = {fault.code for fault in error.faults}
        if "too_many" in codes:
            return gettext("There are as many files as a task may have. Remove one first.")
        return gettext("The file is empty or damaged. Choose another one.")
    if isinstance(error, Unavailable):
        return gettext("The file could not be stored. Try again in a minute.")
    return gettext("This task is not with you any more")


def _epoch(request: HttpRequest) -> int:
    text = request.POST.get("epoch", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadRequest("epoch must be a whole number")
    return int(text)


def _is_script(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "") == JSON
