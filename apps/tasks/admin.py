"""List tasks in the operator's console."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import ReadOnlyAdmin, Text, fixed_filter
from apps.accounts.scopes import Scope
from apps.base.wording import humanised
from apps.tasks.models import NEWEST_FIRST, Task
from apps.tasks.texts import STATUS_TEXTS, URGENCY_TEXTS
from biolayer.lifecycle import CLOSED, Status

# What the list shows; the contract's long texts stay in their rows.
COLUMNS = (
    "id",
    "organisation_id",
    "title",
    "request_id",
    "status",
    "domain",
    "urgency",
    "created_at",
    "changed_at",
    "closed_at",
    "deadline_at_risk_at",
    "deadline_breached_at",
    "latency_at_risk_at",
    "latency_breached_at",
    "worker__name",
)
BREACHED = Q(deadline_breached_at__isnull=False) | Q(latency_breached_at__isnull=False)
AT_RISK = Q(deadline_at_risk_at__isnull=False) | Q(latency_at_risk_at__isnull=False)
SLA_TEXTS = {"at_risk": _("At risk"), "breached": _("Breached")}


def _statuses() -> Sequence[tuple[str, Text]]:
    return [("open", _("Open")), *((one.value, text) for one, text in STATUS_TEXTS.items())]


def _of_status(tasks: Any, value: str) -> Any:
    return tasks.filter(closed_at=None) if value == "open" else tasks.filter(status=value)


def _of_sla(tasks: Any, value: str) -> Any:
    return tasks.filter(BREACHED if value == "breached" else AT_RISK & ~BREACHED)


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """List the tasks of the reader's organisation and pools, newest first."""

    scope = Scope.TASKS_READ
    empty_text = _("There is no task yet. A product backend posts them, or you do.")
    list_display = (
        "title_and_ids",
        "state",
        "sla",
        "domain_text",
        "urgency_text",
        "held_by",
        "created_at",
    )
    list_filter = (
        fixed_filter("status", _("status"), _statuses, _of_status),
        fixed_filter("sla", _("SLA"), lambda: list(SLA_TEXTS.items()), _of_sla),
        fixed_filter("urgency", _("urgency"), lambda: list(URGENCY_TEXTS.items())),
    )
    ordering = NEWEST_FIRST

    def visible(self, actor: Principal) -> QuerySet[Task]:
        return Task.objects.visible_to(actor).select_related("worker").only(*COLUMNS)

    def address_of(self, row: Task) -> str:
        return reverse("admin:task", args=[row.id])

    @admin.display(description=_("Task"))
    def title_and_ids(self, task: Task) -> str:
        return task.title

    @admin.display(description=_("Status"))
    def state(self, task: Task) -> SafeString:
        text = STATUS_TEXTS[Status(task.status)]
        return format_html('<span class="status status-{}">{}</span>', task.status, text)

    @admin.display(description=_("SLA"), empty_value="")
    def sla(self, task: Task) -> SafeString | None:
        if task.deadline_breached_at or task.latency_breached_at:
            return format_html('<span class="bad-text">{}</span>', SLA_TEXTS["breached"])
        if task.status not in CLOSED and (task.deadline_at_risk_at or task.latency_at_risk_at):
            return format_html('<span class="soon-text">{}</span>', SLA_TEXTS["at_risk"])
        return None

    @admin.display(description=_("Domain"))
    def domain_text(self, task: Task) -> str:
        return humanised(task.domain)

    @admin.display(description=_("Urgency"))
    def urgency_text(self, task: Task) -> str:
        return str(URGENCY_TEXTS.get(task.urgency, task.urgency))

    @admin.display(description=_("Worker"), empty_value="")
    def held_by(self, task: Task) -> str | None:
        return task.worker.name if task.worker else None
