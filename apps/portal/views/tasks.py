"""Serve the page of a run, and what its forms send."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.principal import Principal
from apps.portal.access import read_at, worker_page
from apps.portal.calls import JSON, body_of, caller, problem, refusal, whole_number
from apps.portal.reasons import given_reason
from apps.portal.task_forms import faults_of, pairs_of, posted_form, with_faults
from apps.portal.task_pages import evidence_faults, problems_of, show_run
from apps.tasks import selectors, services
from apps.tasks.selectors import Work
from apps.ui.schema_forms import SchemaForm
from biolayer.errors import (
    BioLayerError,
    Conflict,
    DraftChanged,
    Fault,
    IllegalTransition,
    InvalidInput,
    LeaseLost,
    RunSubmitted,
)
from biolayer.requests.runs import MAX_EPOCH


@require_GET
@worker_page
def run(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve `GET /portal/runs/{run_id}/`."""
    return show_run(request, actor, run_id)


@require_POST
@transaction.non_atomic_requests
@worker_page
def start(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve the button that starts a run."""
    work = selectors.work(actor=actor, run_id=run_id, at=read_at(request))
    start_if_open(actor, work, at=read_at(request))
    return redirect("portal_run", run_id)


def start_if_open(actor: Principal, work: Work, *, at: datetime) -> bool:
    """Start a run that is held and was not started. Return whether it is started."""
    if work.is_started or not work.is_open:
        return work.is_started
    try:
        services.start_run(actor=actor, run_id=work.run.id, epoch=work.run.epoch, at=at)
    except (LeaseLost, IllegalTransition):
        # Another tab has started it, or the lease ended a moment ago.
        return False
    return True


@require_POST
@transaction.non_atomic_requests
def submit(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Serve the form's button, and the script that sends the same in JSON."""
    is_script = request.content_type == JSON
    return _submitted_by_script(request, run_id) if is_script else _submitted(request, run_id)


@worker_page
def _submitted(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    work = selectors.work(actor=actor, run_id=run_id, at=read_at(request))
    form = posted_form(work, _pairs(request))
    epoch, revision = _number(request, "epoch"), _number(request, "revision")
    at = read_at(request)
    try:
        revision = save_typed(actor, work, form, epoch=epoch, revision=revision, at=at)
        submit_typed(actor, work, form, epoch=epoch, at=at)
    except InvalidInput as error:
        form, problems = shown_faults(work, form, error.faults)
        return show_run(request, actor, run_id, form=form, problems=problems, revision=revision)
    except DraftChanged as error:
        return show_run(request, actor, run_id, form=form, theirs=error.draft)
    except RunSubmitted:
        messages.warning(request, gettext("It was submitted before, with another content."))
    except Conflict:
        return show_run(request, actor, run_id, form=form)
    return redirect("portal_run", run_id)


def _submitted_by_script(request: HttpRequest, run_id: UUID) -> HttpResponse:
    form, work, revision = None, None, 0
    try:
        actor, body, at = caller(request), body_of(request), read_at(request)
        work = selectors.work(actor=actor, run_id=run_id, at=at)
        form = posted_form(work, pairs_of(body.get("form")))
        epoch, revision = whole_number(body, "epoch"), whole_number(body, "revision")
        revision = save_typed(actor, work, form, epoch=epoch, revision=revision, at=at)
        submit_typed(actor, work, form, epoch=epoch, at=at)
    except InvalidInput as error:
        assert work is not None
        shown, problems = shown_faults(work, form, error.faults)
        lines = [line._asdict() for line in problems]
        own = [] if shown is None else shown.problems
        faults = [{"pointer": one.pointer, "text": one.text} for one in own]
        return refusal(422, code=error.code, problems=lines, faults=faults, revision=revision)
    except BioLayerError as error:
        return problem(error)
    # The page shows where the run stands: that it was submitted, and what is next.
    return JsonResponse({"location": reverse("portal_run", args=[run_id])})


def save_typed(
    actor: Principal,
    work: Work,
    form: SchemaForm | None,
    *,
    epoch: int,
    revision: int,
    at: datetime,
) -> int:
    """Save what was typed, so that it is kept whatever the submission meets. Return its revision.

    Saved again, it has no further effect. Raise `DraftChanged` where another tab or device has
    saved since.
    """
    if work.run.ended_at is not None:
        return revision
    draft = services.save_draft(
        actor=actor,
        run_id=work.run.id,
        epoch=epoch,
        revision=revision,
        output=None if form is None else form.output,
        form={} if form is None else form.raw,
        at=at,
    )
    return draft.revision


def submit_typed(
    actor: Principal, work: Work, form: SchemaForm | None, *, epoch: int, at: datetime
) -> None:
    """Submit what was typed with all evidence; start the run before, if need be.

    Submitted again, it has no further effect. Raise `InvalidInput` where a text is not a value of
    its field, and as `submit_run` does.
    """
    if work.run.ended_at is None and form is not None and form.faults:
        # A schema that allows any text would take what was meant to be a number, or JSON.
        raise InvalidInput([*form.faults, *faults_of(work, form), *evidence_faults(work)])
    output = None if form is None else form.output
    run_id = work.run.id
    with transaction.atomic():
        if work.is_open and not work.is_started:
            services.start_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
        services.submit_with_files(actor=actor, run_id=run_id, epoch=epoch, output=output, at=at)


def shown_faults(
    work: Work, form: SchemaForm | None, faults: Sequence[Fault]
) -> tuple[SchemaForm | None, list[Any]]:
    """Return the form with faults at its fields, and the lines of the summary."""
    own = [fault for fault in faults if not fault.pointer.startswith("/evidence")]
    shown = None if form is None else with_faults(work, form, own)
    return shown, problems_of(shown, faults)


def _pairs(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a posted form. Django keeps the order of names, and of texts in each."""
    for name, texts in request.POST.lists():
        for text in texts:
            yield name, str(text)


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    if not is_number or int(text) > MAX_EPOCH:
        raise BadRequest(f"{name} must be a whole number")
    return int(text)


@require_POST
@transaction.non_atomic_requests
@worker_page
def release(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve "I cannot do this": the task goes to another worker, and what was typed is kept."""
    given = given_reason(request)
    if given is None:
        messages.error(
            request, gettext("Choose a reason, so that the task finds the right worker.")
        )
        return redirect("portal_run", run_id)
    try:
        services.release_run(
            actor=actor,
            run_id=run_id,
            epoch=_number(request, "epoch"),
            at=read_at(request),
            **given,
        )
    except (LeaseLost, IllegalTransition):
        return redirect("portal_run", run_id)
    messages.success(request, gettext("The task goes to another worker. Thank you for telling us."))
    return redirect("portal_home")
