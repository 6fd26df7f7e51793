"""Show one task."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.principal import Principal
from apps.console.access import console_page
from apps.tasks import selectors as tasks


@require_GET
@console_page
def task(request: HttpRequest, actor: Principal, task_id: UUID) -> HttpResponse:
    """Serve `GET /admin/tasks/task/<id>/`."""
    context = {"task": tasks.task(actor=actor, task_id=task_id)}
    return render(request, "console/task.html", context)
