"""Call the services by which an operator changes a task: what each form asks, and what it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.transactions import Raced
from apps.console.forms.tasks import BoostForm, DeadlineForm, LowerForm, ReasonForm, ReassignForm
from apps.console.task_page import commands
from apps.matching import services as matching
from apps.matching.lowering import Lack
from apps.tasks import services as tasks
from apps.tasks.texts import STATUS_TEXTS
from biolayer.contract import parse
from biolayer.errors import (
    AttemptsExhausted,
    BioLayerError,
    IllegalTransition,
    InvalidInput,
    NotFound,
    TaskPurged,
    WorkerNotEligible,
)
from biolayer.lifecycle import Status
from biolayer.requests.tasks import TaskChanges
from biolayer.times import format_time

Text = str | Promise
CheckVersion = Callable[[int], None]
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Call:
    """Hold what a service is called with: the form, filled in, and the version that was shown."""

    actor: Principal
    task: Any
    form: Any
    at: datetime
    check_version: CheckVersion

    @property
    def about(self) -> dict[str, Any]:
        return {
            "actor": self.actor,
            "task_id": self.task.id,
            "reason": self.form.cleaned_data["reason"],
            "at": self.at,
            "check_version": self.check_version,
        }


@dataclass(frozen=True, slots=True)
class Action:
    """Describe an action. `call` returns the task, and what takes the change back, if anything."""

    scope: Scope
    explains: Text
    done: Text
    call: Callable[[Call], tuple[Any, dict[str, Any] | None]]
    form: type[ReasonForm] = ReasonForm


def _cancel(call: Call) -> tuple[Any, None]:
    return tasks.cancel_task(**call.about), None


def _requeue(call: Call) -> tuple[Any, None]:
    return matching.requeue_task(**call.about), None


def _reopen(call: Call) -> tuple[Any, None]:
    return tasks.reopen_task(**call.about), None


def _reassign(call: Call) -> tuple[Any, None]:
    worker_id = call.form.cleaned_data["worker_id"]
    return matching.reassign_task(worker_id=worker_id, **call.about), None


def _boost(call: Call) -> tuple[Any, dict[str, Any]]:
    seconds = call.form.cleaned_data["minutes"] * 60
    return matching.boost_task(seconds=seconds, **call.about), {"boost_seconds": -seconds}


def _extend(call: Call) -> tuple[Any, dict[str, Any]]:
    before = call.task.deadline
    deadline = format_time(call.form.cleaned_data["deadline"])
    reverse = {"deadline": None if before is None else format_time(before)}
    return _updated(call, "sla", {"deadline": deadline}, reverse)


def _lower(call: Call) -> tuple[Any, dict[str, Any]]:
    changes = call.form.changes
    return _updated(
        call, "requirements", changes, {name: getattr(call.task, name) for name in changes}
    )


def _updated(
    call: Call, part: str, changes: Mapping[str, Any], reverse: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    about = call.about
    document = {part: changes, "reason": about.pop("reason")}
    task = matching.update_task(changes=parse(TaskChanges, document), **about)
    return task, {"changes": {part: reverse}}


ACTIONS: dict[str, Action] = {
    "boost": Action(
        Scope.TASKS_MANAGE,
        _("It is offered before tasks that have waited longer. This can be undone."),
        _("The task has moved in the queue."),
        _boost,
        BoostForm,
    ),
    "extend": Action(
        Scope.TASKS_MANAGE,
        _(
            "Its clock and its place in the queue follow. A breach that was reported stays"
            " reported. This can be undone."
        ),
        _("The deadline is changed."),
        _extend,
        DeadlineForm,
    ),
    "lower": Action(
        Scope.TASKS_MANAGE,
        _("More workers may get the task. Its caller is told by an event. This can be undone."),
        _("The requirements are lowered."),
        _lower,
        LowerForm,
    ),
    "reassign": Action(
        Scope.TASKS_MANAGE,
        _("Only the worker that you choose is offered it. Who has it now loses it."),
        _("The task is offered to the worker that you chose."),
        _reassign,
        ReassignForm,
    ),
    "requeue": Action(
        Scope.TASKS_MANAGE,
        _("Its offers are withdrawn, or its worker loses it. No attempt is used."),
        _("The task is in the queue again."),
        _requeue,
    ),
    "reopen": Action(
        Scope.TASKS_MANAGE,
        _("It is queued again with a new attempt. Its output is not shown any more."),
        _("The task is open again."),
        _reopen,
    ),
    "cancel": Action(
        Scope.TASKS_CANCEL,
        _("Who works on it loses it, and its caller is told. This cannot be undone."),
        _("The task is cancelled."),
        _cancel,
    ),
}
assert {*ACTIONS} == {*commands.TEXTS}, "an action without a text"


def form_of(name: str, task: Any, at: datetime, *, data: Any = None, lacks: Any = ()) -> Any:
    """Return the form of an action, with what was posted."""
    kind = ACTIONS[name].form
    if kind is LowerForm:
        return LowerForm(data, task=task, lacks=_read(lacks))
    if kind is DeadlineForm:
        latest = max(task.deadline or at, at)
        # One at the end of time stands for none, and has no time after it.
        initial = {} if latest.year == MAXYEAR else {"deadline": latest + HOUR}
        return DeadlineForm(data, initial=initial)
    return kind(data)


def _read(lacks: Any) -> list[Lack]:
    """Return what the address of the form names; what is no such name is left out."""
    found = []
    for text in lacks:
        try:
            found.append(Lack.of(text))
        except ValueError:
            continue
    return found


def take_back(
    *, actor: Principal, task_id: Any, facts: Mapping[str, Any], check: CheckVersion, at: datetime
) -> None:
    """Call the service that takes a change back."""
    about = {"actor": actor, "task_id": task_id, "at": at, "check_version": check}
    reason = gettext("Undone")
    if "boost_seconds" in facts:
        matching.boost_task(seconds=facts["boost_seconds"], reason=reason, **about)
    else:
        document = {**facts["changes"], "reason": reason}
        matching.update_task(changes=parse(TaskChanges, document), **about)


def refusal(error: BioLayerError) -> Text:
    """Return in the page's words why a service refused."""
    if isinstance(error, IllegalTransition):
        status = STATUS_TEXTS[Status(error.task_status)]
        return gettext("This is not possible any more: the task is %(status)s now.") % {
            "status": str(status).lower()
        }
    if isinstance(error, InvalidInput):
        return " ".join(str(fault.detail) for fault in error.faults)
    words: tuple[tuple[type[BioLayerError], Text], ...] = (
        (NotFound, gettext_lazy("There is no such task, or you may not see it.")),
        (Raced, gettext_lazy("It is being changed elsewhere. Try again in a moment.")),
        (AttemptsExhausted, gettext_lazy("All its attempts were used.")),
        (TaskPurged, gettext_lazy("Its content was deleted at the end of its retention.")),
        (
            WorkerNotEligible,
            gettext_lazy(
                "This worker cannot be offered it now. Lower the requirements, or choose another"
                " worker."
            ),
        ),
    )
    return next((text for kind, text in words if isinstance(error, kind)), str(error))
