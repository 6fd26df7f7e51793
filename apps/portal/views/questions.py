"""Serve the thread of a task: what its worker asks, and what the requester says."""

from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from apps.accounts.principal import Principal
from apps.portal.access import read_at, worker_page
from apps.portal.calls import JSON, problem
from apps.portal.task_forms import zone_of
from apps.portal.task_pages import thread_of
from apps.tasks import selectors, services
from apps.tasks.selectors import Work
from biolayer.errors import BioLayerError, IllegalTransition, InvalidInput, Unavailable


@require_http_methods(["GET", "POST"])
@transaction.non_atomic_requests
@worker_page
def questions(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve `/portal/runs/{run_id}/questions`: the thread as HTML; POST adds a message."""
    work = selectors.work(actor=actor, run_id=run_id, at=read_at(request))
    if request.method == "POST":
        try:
            services.post_message(
                actor=actor,
                task_id=work.task.id,
                text=request.POST.get("text", "").replace("\r\n", "\n"),
                at=read_at(request),
            )
        except BioLayerError as error:
            return _refused(request, run_id, error)
        if request.headers.get("Accept") != JSON:
            return redirect("portal_run", run_id)
    return _thread(request, actor, work)


def _thread(request: HttpRequest, actor: Principal, work: Work) -> HttpResponse:
    context = {"thread": thread_of(actor, work), "owner": actor.worker_id}
    with timezone.override(ZoneInfo(zone_of(work))):
        return render(request, "portal/task/thread.html", context)


def _refused(request: HttpRequest, run_id: UUID, error: BioLayerError) -> HttpResponse:
    text = words_of(error)
    if request.headers.get("Accept") == JSON:
        return problem(error, detail=text)
    messages.error(request, text)
    return redirect("portal_run", run_id)


def words_of(error: BioLayerError) -> str:
    """Return what a person reads of a refused question."""
    if isinstance(error, InvalidInput):
        return gettext("Write your question first, in at most 4,000 characters.")
    if isinstance(error, IllegalTransition):
        return gettext("The task has closed: nothing can be asked any more.")
    if isinstance(error, Unavailable):
        return gettext("The service is not available at the moment")
    return gettext("This task is not with you any more")
