"""Serve the forms by which an operator changes a task."""

from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.principal import Principal
from apps.console.access import console_page, read_at
from apps.console.forms.faults import add_faults
from apps.console.task_page import commands, undo
from apps.console.task_page.actions import ACTIONS, Call, form_of, refusal, take_back
from apps.console.task_page.explanation import RULE_TEXTS
from apps.console.task_page.story import changes_since
from apps.console.views.parameters import number_of
from apps.matching.explain import judged_workers
from apps.tasks import selectors
from biolayer.errors import BioLayerError, InvalidInput, NotFound, Refused, VersionChanged

MAX_NAME = 100


@require_http_methods(["GET", "POST"])
@transaction.non_atomic_requests
@console_page
def action(request: HttpRequest, actor: Principal, task_id: UUID, name: str) -> HttpResponse:
    """Serve `/admin/tasks/task/<id>/<name>/`: the page of an action, and its form."""
    if name not in ACTIONS:
        raise Http404
    actor.require(ACTIONS[name].scope)
    task = selectors.task(actor=actor, task_id=task_id)
    if request.method == "GET":
        form = form_of(name, task, read_at(request), lacks=request.GET.getlist("lack"))
        return _page(request, actor, task, name, form)
    return _post(request, actor, task, name)


def _post(request: HttpRequest, actor: Principal, task: Any, name: str) -> HttpResponse:
    form = form_of(name, task, read_at(request), data=request.POST)
    shown = _version(request, task.version)
    if not form.is_valid():
        return _page(request, actor, task, name, form, version=shown)
    check = partial(_check_version, shown)
    try:
        changed, reversal = ACTIONS[name].call(Call(actor, task, form, read_at(request), check))
    except Refused:
        raise
    except VersionChanged as error:
        changes = changes_since(actor, task.id, shown)
        task = selectors.task(actor=actor, task_id=task.id)
        return _page(
            request, actor, task, name, form, version=error.version, changes=changes, stale=True
        )
    except InvalidInput as error:
        add_faults(form, error, form.pointers)
    except NotFound as error:
        form.add_error(
            None, gettext("This worker is none of yours.") if name == "reassign" else str(error)
        )
    except BioLayerError as error:
        form.add_error(None, str(refusal(error)))
    else:
        messages.success(request, str(ACTIONS[name].done))
        return _to_task(actor, changed, reversal)
    return _page(request, actor, task, name, form, version=shown)


def _to_task(actor: Principal, task: Any, reversal: dict[str, Any] | None) -> HttpResponse:
    address = reverse("admin:task", args=[task.id])
    if reversal is not None:
        address += "?" + urlencode({"undo": undo.token_of(actor, task, reversal)})
    return redirect(address)


def _page(
    request: HttpRequest, actor: Principal, task: Any, name: str, form: Any, **more: Any
) -> HttpResponse:
    found = commands.commands_of(actor, task)
    context = {
        "task": task,
        "name": name,
        "title": commands.TEXTS[name],
        "action": ACTIONS[name],
        "form": form,
        "version": task.version,
        "is_possible": name in {one.name for one in found},
        "is_dangerous": name in {one.name for one in found if one.is_dangerous},
        **more,
    }
    if name == "reassign":
        context |= _workers(request, actor, task)
    return render(request, "console/tasks/action.html", context)


def _workers(request: HttpRequest, actor: Principal, task: Any) -> dict[str, Any]:
    """Return the workers to choose from, those that fit before those that do not."""
    text = (request.GET.get("name") or request.POST.get("name") or "")[:MAX_NAME]
    text = text.replace("\0", "").strip()
    found = judged_workers(actor=actor, task_id=task.id, name=text, at=read_at(request))
    return {
        "searched": text,
        "workers": [(one, "" if one.rule is None else RULE_TEXTS[one.rule]) for one in found],
    }


def _version(request: HttpRequest, present: int) -> int:
    """Return the version of the task that the form was shown with."""
    shown = number_of(request.POST.get("version", ""))
    return present if shown is None else shown


def _check_version(shown: int, present: int) -> None:
    if present != shown:
        raise VersionChanged(present)


@require_POST
@transaction.non_atomic_requests
@console_page
def undo_change(request: HttpRequest, actor: Principal, task_id: UUID) -> HttpResponse:
    """Serve the button that takes a change back."""
    facts = undo.read(request.POST.get("token", ""), actor=actor, task_id=task_id)
    if facts is None:
        messages.error(request, gettext("It is too late to undo this here. Change it again."))
        return redirect("admin:task", task_id)
    try:
        check = partial(undo.check_unchanged, task_id, facts["since"])
        take_back(actor=actor, task_id=task_id, facts=facts, check=check, at=read_at(request))
    except (NotFound, Refused):
        raise
    except VersionChanged:
        messages.error(request, gettext("It was changed again meanwhile, so it is not undone."))
    except BioLayerError as error:
        messages.error(request, str(refusal(error)))
    else:
        messages.success(request, gettext("It is as it was before."))
    return redirect("admin:task", task_id)
