"""Show a run to its worker: to work on, after it ended, or after its lease was lost."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext

from apps.accounts.principal import Principal
from apps.portal.access import read_at
from apps.portal.reasons import REASONS
from apps.portal.task_forms import schema_of, stored_form, zone_of
from apps.reviews.selectors import appeal_until, own_verdicts, sent_back
from apps.tasks import files, selectors
from apps.tasks.selectors import Work
from apps.tasks.services import ACCEPTED_TYPES
from apps.tasks.services.stored_files import MAX_BYTES
from apps.ui.schema_forms import Answer, SchemaForm, answers_of
from apps.ui.task_brief import brief_of
from biolayer.errors import Fault
from biolayer.requests.runs import MAX_EVIDENCE_PER_RUN

# The latest ones of a thread.
MAX_MESSAGES = 50
EVIDENCE_ID = "evidence"
# Without HEIC, which a telephone then sends as JPEG: the server does not store it.
TYPES = sorted(kind for kind in ACCEPTED_TYPES if not kind.startswith("image/hei"))


class Problem(NamedTuple):
    """Hold a line of the summary of problems, and the id of the field that it is about."""

    field_id: str
    label: str
    text: str


class Clock(NamedTuple):
    """Hold when a task is due, and what to say of it."""

    due_at: datetime
    is_soon: bool
    is_late: bool


def show_run(
    request: HttpRequest,
    actor: Principal,
    run_id: UUID,
    *,
    form: SchemaForm | None = None,
    problems: Sequence[Problem] = (),
    **context: Any,
) -> HttpResponse:
    """Return the page of a run; `form` has what was posted and not accepted.

    `revision` is that of the draft with what `form` has; without it, the stored one's.
    """
    at = read_at(request)
    work = selectors.work(actor=actor, run_id=run_id, at=at)
    more: dict[str, Any]
    context |= {"work": work, "run": work.run, "task": work.task, "at": at}
    context["owner"] = actor.worker_id
    if not work.is_own:
        template, more = "portal/task_lost.html", {"typed": typed_answers(work, work.draft)}
    elif work.run.ended_at is not None:
        template, more = "portal/task_ended.html", _ended(actor, work, at)
    else:
        context |= {"form": form or stored_form(work), "problems": problems}
        context["their_rows"] = typed_answers(work, context.get("theirs"))
        context["missing"] = missing_of(work, context["form"])
        template, more = "portal/task.html", _open(work, actor, at)
        more["revision"] = context.get("revision", more["revision"])
    with timezone.override(ZoneInfo(zone_of(work))):
        return render(request, template, {**context, **more})


def _open(work: Work, actor: Principal, at: datetime) -> dict[str, Any]:
    task = work.task
    return {
        **brief_of(task),
        "clock": clock_of(work, at),
        "results": [
            {"title": result["title"], "rows": _unlabelled(result["output"])}
            for result in work.results
        ],
        "attachments": files.task_attachments(task),
        "sent_back": _sent_back(work),
        "thread": thread_of(actor, work),
        "accepted_types": ",".join(TYPES),
        "max_files": MAX_EVIDENCE_PER_RUN,
        "max_file_bytes": MAX_BYTES,
        "cannot_reasons": [*REASONS.items()],
        "revision": 0 if work.draft is None else work.draft.revision,
    }


def _sent_back(work: Work) -> Any:
    """Return the review that sent an earlier attempt back; None for a first attempt."""
    if work.run.attempt == 1:
        return None
    return sent_back(task_ids=[work.task.id]).get(work.task.id)


def _ended(actor: Principal, work: Work, at: datetime) -> dict[str, Any]:
    following = selectors.next_held_run(actor=actor, after=work.run.id)
    return {
        **_verdict(actor, work, at),
        "rows": _answers(work, work.run.output),
        "following": following,
        "typed": typed_answers(work, work.draft) if work.run.output is None else (),
    }


def _verdict(actor: Principal, work: Work, at: datetime) -> dict[str, Any]:
    """Return the verdict that sent the output back or refused it, and the worker's appeal."""
    if work.run.output is None and work.task.purged_at is None:
        return {}  # Nothing was submitted: it saves a query.
    verdict = own_verdicts(actor=actor, runs=[work.run]).get(work.run.id)
    if verdict is None:
        return {}
    appeal, until = getattr(verdict, "appeal", None), appeal_until(verdict)
    can_appeal = until is not None and at < until and work.task.purged_at is None
    return {
        "verdict": verdict,
        "appeal": appeal,
        "appeal_until": until,
        "can_appeal": can_appeal,
    }


def thread_of(actor: Principal, work: Work) -> list[Any]:
    """Return what the worker and the requester wrote to each other, at most `MAX_MESSAGES`."""
    rows = selectors.messages(actor=actor, task_id=work.task.id)
    return [*rows.order_by("-sequence")[:MAX_MESSAGES]][::-1]


def typed_answers(work: Work, draft: Any) -> Sequence[Answer]:
    """Return what the worker typed, to read and to copy; nothing without a draft."""
    is_empty = draft is None or draft.output in ("", [], {})
    return () if is_empty else _answers(work, draft.output)


def _answers(work: Work, output: Any) -> Sequence[Answer]:
    if output is None:
        return ()
    return answers_of(schema_of(work), output, time_zone=zone_of(work))


def _unlabelled(value: Any) -> Sequence[Answer]:
    """Return a value that no schema describes, with its names in words."""
    return answers_of(None, value) if value else ()


def clock_of(work: Work, at: datetime) -> Clock | None:
    """Return the earlier one of the task's clocks; None without a clock."""
    task = work.task
    clocks = [
        Clock(due, at_risk is not None, due <= at)
        for due, at_risk in (
            (task.deadline_due_at, task.deadline_at_risk_at),
            (task.latency_due_at, task.latency_at_risk_at),
        )
        if due is not None
    ]
    return min(clocks, default=None)


def missing_of(work: Work, form: SchemaForm | None) -> list[tuple[str, str]]:
    """Return element id and label of each required field, or file, that is not there yet."""
    missing = [] if form is None else form.missing
    if evidence_faults(work):
        missing = [*missing, (EVIDENCE_ID, gettext("Evidence: at least one file"))]
    return missing


def evidence_faults(work: Work) -> list[Fault]:
    """Return the fault of a submission without the file that it needs."""
    if not work.task.needs_file or work.evidence_ids:
        return []
    return [Fault("/evidence", "required", "this task requires evidence")]


def problems_of(form: SchemaForm | None, faults: Sequence[Fault]) -> list[Problem]:
    """Return the lines of the summary for a form that shows these faults."""
    lines = [] if form is None else [Problem(*line) for line in form.summary]
    return lines + [
        Problem(EVIDENCE_ID, gettext("Evidence"), _evidence_text(fault))
        for fault in faults
        if fault.pointer.startswith("/evidence")
    ]


def _evidence_text(fault: Fault) -> str:
    if fault.code == "required":
        return gettext("add at least one file")
    return gettext("a file was removed meanwhile; load the page again")
