"""Put many tasks right at once: ask for the reason, then show a result for each of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.console.access import console_page, read_at
from apps.console.forms.tasks import BoostForm, ExtensionForm, ReasonForm
from apps.console.task_page.actions import refusal
from apps.matching import services as matching
from apps.tasks import services as tasks
from apps.tasks.selectors import tasks_by_id
from biolayer.errors import BioLayerError

MAX_TASKS = 100


class BulkAction(NamedTuple):
    """Describe an action on many tasks: `call` gets what the form has."""

    title: str | Promise
    explains: str | Promise
    done: str | Promise
    scope: Scope
    form: type[ReasonForm]
    call: Callable[..., Any]
    is_dangerous: bool = False


def _cancel(data: dict[str, Any], **about: Any) -> Any:
    return tasks.cancel_tasks(reason=data["reason"], **about)


def _requeue(data: dict[str, Any], **about: Any) -> Any:
    return matching.requeue_tasks(reason=data["reason"], **about)


def _boost(data: dict[str, Any], **about: Any) -> Any:
    seconds = data["minutes"] * 60
    return matching.boost_tasks(seconds=seconds, reason=data["reason"], **about)


def _extend(data: dict[str, Any], **about: Any) -> Any:
    seconds = data["minutes"] * 60
    return matching.extend_deadlines(seconds=seconds, reason=data["reason"], **about)


ACTIONS: dict[str, BulkAction] = {
    "boost": BulkAction(
        _("Move ahead"),
        _("They are offered before tasks that have waited longer."),
        _("moved"),
        Scope.TASKS_MANAGE,
        BoostForm,
        _boost,
    ),
    "extend": BulkAction(
        _("Extend the deadline"),
        _("Tasks without a deadline stay as they are."),
        _("extended"),
        Scope.TASKS_MANAGE,
        ExtensionForm,
        _extend,
    ),
    "requeue": BulkAction(
        _("Take back and queue"),
        _("Their offers are withdrawn, or their workers lose them. No attempt is used."),
        _("queued again"),
        Scope.TASKS_MANAGE,
        ReasonForm,
        _requeue,
    ),
    "cancel": BulkAction(
        _("Cancel the tasks"),
        _("Who works on them loses them, and their callers are told. This cannot be undone."),
        _("cancelled"),
        Scope.TASKS_CANCEL,
        ReasonForm,
        _cancel,
        is_dangerous=True,
    ),
}


class Result(NamedTuple):
    """Hold what became of a task: why not, or nothing where it was done."""

    task: Any
    why_not: str | Promise


@require_http_methods(["GET", "POST"])
@transaction.non_atomic_requests
@console_page
def bulk(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/tasks/bulk/`: each task is a transaction of its own."""
    name = request.POST.get("action", "")
    chosen = _chosen(request)
    if name not in ACTIONS or not chosen:
        return redirect(_list(request))
    action = ACTIONS[name]
    actor.require(action.scope)
    is_sent = "confirm" in request.POST
    form = action.form(request.POST if is_sent else None)
    found = {task.id: task for task in tasks_by_id(actor=actor, ids=chosen[:MAX_TASKS])}
    context = {
        "action": action,
        "name": name,
        "tasks": list(found.values()),
        "left_out": max(0, len(chosen) - MAX_TASKS),
        "most": MAX_TASKS,
        "list": _list(request),
        "form": form,
    }
    if not is_sent or not form.is_valid():
        return render(request, "console/tasks/bulk.html", context)
    results = action.call(form.cleaned_data, actor=actor, task_ids=list(found), at=read_at(request))
    rows = [_result(found[task_id], one) for task_id, one in results.items()]
    context |= {"results": rows, "count": sum(not row.why_not for row in rows)}
    return render(request, "console/tasks/bulk_results.html", context)


def _result(task: Any, outcome: Any) -> Result:
    return Result(task, refusal(outcome) if isinstance(outcome, BioLayerError) else "")


def _chosen(request: HttpRequest) -> Sequence[UUID]:
    """Return the ids that the list has sent, each once; what is no id is left out."""
    found: dict[UUID, None] = {}
    for text in request.POST.getlist("chosen"):
        try:
            found[UUID(text)] = None
        except ValueError:
            continue
    return list(found)


def _list(request: HttpRequest) -> str:
    """Return the address of the list with its filters, never one of another site."""
    tasks_list = reverse("admin:tasks_task_changelist")
    address = request.POST.get("list", "")
    is_own = address == tasks_list or address.startswith(f"{tasks_list}?")
    return address if is_own else tasks_list
