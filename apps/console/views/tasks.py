"""Show one task: its whole story, the parts that change, older events, and its evidence."""

from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.console.access import console_page, read_at
from apps.console.forms.faults import add_faults
from apps.console.forms.tasks import MessageForm
from apps.console.task_page import undo
from apps.console.task_page.actions import refusal
from apps.console.task_page.story import all_events, story
from apps.console.views.parameters import number_of
from apps.tasks import services
from apps.tasks.selectors import task_version
from apps.ui.downloads import file_response
from biolayer.errors import BioLayerError, InvalidInput, NotFound, Refused


@require_GET
@console_page
def task(request: HttpRequest, actor: Principal, task_id: UUID) -> HttpResponse:
    """Serve `GET /admin/tasks/task/<id>/`."""
    return _page(request, actor, task_id, MessageForm())


def _page(request: HttpRequest, actor: Principal, task_id: UUID, form: MessageForm) -> HttpResponse:
    context = story(actor, task_id, read_at(request))
    token = request.GET.get("undo", "")
    facts = undo.read(token, actor=actor, task_id=task_id) if token else None
    is_possible = facts is not None and undo.is_last(facts["since"], context["events"])
    context |= {"message_form": form, "undo_token": token if is_possible else ""}
    return render(request, "console/tasks/task.html", context)


@require_GET
@console_page
def parts(request: HttpRequest, actor: Principal, task_id: UUID) -> HttpResponse:
    """Serve `GET /admin/tasks/task/<id>/parts`: what changes of the page.

    204 where the task has still the `version` that the page names: most looks find no change.
    """
    shown = request.GET.get("version")
    if shown and shown == str(task_version(actor=actor, task_id=task_id).version):
        return HttpResponse(status=204)
    return render(request, "console/tasks/parts.html", story(actor, task_id, read_at(request)))


@require_GET
@console_page
def task_events(request: HttpRequest, actor: Principal, task_id: UUID) -> HttpResponse:
    """Serve `GET /admin/tasks/task/<id>/events/`: the events before the number `before`."""
    before = number_of(request.GET.get("before", ""))
    return render(request, "console/tasks/events.html", all_events(actor, task_id, before))


@require_GET
@console_page
def evidence(
    request: HttpRequest, actor: Principal, task_id: UUID, evidence_id: UUID
) -> HttpResponse:
    """Serve a file of evidence, to be saved and never shown. Reading it is audited."""
    content = services.open_evidence(
        actor=actor, evidence_id=evidence_id, has_link=False, at=read_at(request)
    )
    return file_response(content)


@require_POST
@transaction.non_atomic_requests
@console_page
def message(request: HttpRequest, actor: Principal, task_id: UUID) -> HttpResponse:
    """Serve the form that writes to the task's worker."""
    actor.require(Scope.TASKS_CREATE)
    form = MessageForm(request.POST)
    if form.is_valid():
        try:
            services.post_message(
                actor=actor, task_id=task_id, text=form.cleaned_data["text"], at=read_at(request)
            )
        except (NotFound, Refused):
            raise
        except InvalidInput as error:
            add_faults(form, error, {"": "text"})
        except BioLayerError as error:
            form.add_error(None, str(refusal(error)))
        else:
            messages.success(request, gettext("The message is sent."))
            return _to_messages(task_id)
    return _page(request, actor, task_id, form)


def _to_messages(task_id: UUID) -> HttpResponse:
    return redirect(reverse("admin:task", args=[task_id]) + "#messages")
