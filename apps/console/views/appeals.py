"""Show an appeal to managers, who decide it there."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Role, Scope
from apps.console.access import console_page, read_at
from apps.console.forms.appeals import AppealForm
from apps.console.forms.faults import add_faults
from apps.reviews import selectors, services
from apps.reviews.services import Ruling
from apps.reviews.texts import APPEAL_STATES, VERDICT_TEXTS, reviewer_names
from apps.ui.task_brief import output_answers
from biolayer.contract import parse
from biolayer.errors import (
    AppealChanged,
    AppealClosed,
    AttemptsExhausted,
    BioLayerError,
    IllegalTransition,
    InvalidInput,
    OwnVerdict,
    OwnWork,
    TaskPurged,
)
from biolayer.lifecycle import Status
from biolayer.requests.appeals import AppealDecision

Text = str | Promise

REOPENABLE = (Status.COMPLETED, Status.FAILED)
# The field that a refusal is shown at, None for the whole form, and the words.
REFUSALS: Mapping[type[BioLayerError], tuple[str | None, Text]] = {
    AppealChanged: (None, _("It was decided meanwhile. Nothing of yours was stored.")),
    AppealClosed: (None, _("It was decided meanwhile. Nothing of yours was stored.")),
    AttemptsExhausted: ("reopen", _("No attempt is left. Nothing was decided.")),
    IllegalTransition: ("reopen", _("The task has moved on. Nothing was decided.")),
    OwnVerdict: (None, _("You gave this verdict: another manager has to decide.")),
    OwnWork: (None, _("This is your own work: another manager has to decide.")),
    TaskPurged: ("reopen", _("The content of the task was deleted. Nothing was decided.")),
}


@transaction.non_atomic_requests
@require_http_methods(["GET", "POST"])
@console_page
def appeal(request: HttpRequest, actor: Principal, appeal_id: UUID) -> HttpResponse:
    """Serve `/admin/reviews/appeal/<id>/`: an appeal, and the form that decides it."""
    row = selectors.appeal(actor=actor, appeal_id=appeal_id)
    may_reopen = _may_reopen(actor, row)
    form = AppealForm(request.POST or None, may_reopen=may_reopen, initial={"version": row.version})
    if request.method == "POST" and form.is_valid():
        if _decide(actor, appeal_id, form, read_at(request)):
            messages.success(request, gettext("The appeal is decided. The worker sees the reason."))
            return redirect("admin:appeal", appeal_id)
        row = selectors.appeal(actor=actor, appeal_id=appeal_id)
    return render(request, "console/reviews/appeal.html", _context(actor, row, form))


def _may_reopen(actor: Principal, row: Any) -> bool:
    is_admin = may(actor, Scope.TASKS_MANAGE) and actor.has_role(Role.ADMIN)
    return is_admin and row.review.task.status in REOPENABLE


def _decide(actor: Principal, appeal_id: UUID, form: AppealForm, at: datetime) -> bool:
    """Decide the appeal. Return whether it was; where not, the form says why."""
    try:
        body = parse(AppealDecision, form.document())
        ruling = Ruling(body.version, body.decision, body.reason, body.rating, body.reopen)
        services.decide_appeal(actor=actor, appeal_id=appeal_id, ruling=ruling, at=at)
    except InvalidInput as error:
        add_faults(form, error, {})
    except tuple(REFUSALS) as error:
        name, text = REFUSALS[type(error)]
        form.add_error(name, str(text))
    else:
        return True
    return False


def _context(actor: Principal, row: Any, form: AppealForm) -> dict[str, Any]:
    detail = selectors.review(actor=actor, review_id=row.review_id)
    review = detail.review
    names = reviewer_names(actor=actor, texts={row.verdict_by, row.decided_by})
    shape, state = APPEAL_STATES[row.status]
    zone = timezone.get_current_timezone_name()
    return {
        "appeal": row,
        "review": review,
        "task": review.task,
        "shape": shape,
        "state": state,
        "verdict": VERDICT_TEXTS[review.status],
        "verdict_by": names.get(row.verdict_by, ""),
        "decided_by": names.get(row.decided_by, ""),
        "output": output_answers(review.task, detail.output, time_zone=zone),
        "files": len(detail.evidence),
        "form": form,
        "why_not": _why_not(actor, row) if row.status == "open" else "",
    }


def _why_not(actor: Principal, row: Any) -> Text:
    """Return why the actor may not decide an open appeal; empty: they may."""
    try:
        selectors.require_other(actor, row)
    except (OwnVerdict, OwnWork) as error:
        return REFUSALS[type(error)][1]
    return ""
