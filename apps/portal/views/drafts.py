"""Serve the page's script: save a draft, renew the lease, tell the state of a run."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.principal import Principal
from apps.portal.access import read_at
from apps.portal.calls import body_of, stored, whole_number, worker_call
from apps.portal.task_forms import faults_of, is_field, pairs_of, posted_form, stored_form
from apps.portal.task_pages import missing_of
from apps.portal.views.tasks import start_if_open
from apps.tasks import selectors, services
from apps.tasks.selectors import Work
from apps.ui.schema_forms import SchemaForm


@require_POST
@worker_call
def save(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve `POST /portal/runs/{run_id}/draft`: the first save starts the run."""
    body, at = body_of(request), read_at(request)
    work = selectors.work(actor=actor, run_id=run_id, at=at)
    pairs = pairs_of(body.get("form"))
    form = posted_form(work, pairs)
    # As the page sent it: the page compares it with what it contains.
    raw = {name: texts for name, texts in body["form"].items() if is_field(name)}
    draft = services.save_draft(
        actor=actor,
        run_id=run_id,
        epoch=whole_number(body, "epoch"),
        revision=whole_number(body, "revision"),
        output=None if form is None else form.output,
        form=raw,
        at=at,
    )
    is_started = start_if_open(actor, work, at=at)
    answer = {"revision": draft.revision, "saved_at": draft.saved_at, "is_started": is_started}
    return JsonResponse({**answer, "is_held": work.is_open, **checked(work, form)})


def checked(work: Work, form: SchemaForm | None) -> dict[str, Any]:
    """Return what the validator finds, and what is required and not there yet."""
    problems = [] if form is None else form.problems_for(faults_of(work, form))
    return {
        "faults": [{"pointer": one.pointer, "text": one.text} for one in problems],
        "missing": missing_of(work, form),
    }


@require_POST
@worker_call
def heartbeat(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve `POST /portal/runs/{run_id}/heartbeat`."""
    epoch = whole_number(body_of(request), "epoch")
    run = services.heartbeat_run(
        actor=actor, run_id=run_id, epoch=epoch, lease_seconds=None, at=read_at(request)
    )
    draft = selectors.draft(actor=actor, run_id=run_id)
    revision = 0 if draft is None else draft.revision
    return JsonResponse({"lease_until": run.lease_until, "revision": revision})


@require_GET
@worker_call
def state(request: HttpRequest, actor: Principal, run_id: UUID) -> HttpResponse:
    """Serve `GET /portal/runs/{run_id}/state`, with the fields as HTML for `?fields=1`.

    It has a new token for forms: signing in again replaces the one that the page has.
    """
    work = selectors.work(actor=actor, run_id=run_id, at=read_at(request))
    answer: dict[str, Any] = {
        "worker": str(actor.worker_id),
        "token": get_token(request),
        "epoch": work.epoch,
        "is_held": work.is_open,
        "ended": work.run.ended_at is not None and work.is_own,
        "draft": None if work.draft is None else stored(work.draft),
    }
    if "fields" in request.GET and work.is_own and work.run.ended_at is None:
        form = stored_form(work)
        answer |= {"html": "" if form is None else form.html, **checked(work, form)}
    return JsonResponse(answer)
