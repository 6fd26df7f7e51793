"""List tasks in the operator's console."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import (
    ReadOnlyAdmin,
    Text,
    actor_of,
    fixed_filter,
    may,
)
from apps.accounts.scopes import Scope
from apps.base import clock
from apps.base.paginator import BoundedPaginator
from apps.base.stamps import stamp
from apps.base.wording import humanised
from apps.tasks import selectors
from apps.tasks.list_filters import ANY_POOL, PERIODS, STATUS_GROUPS, WAITING
from apps.tasks.models import NEWEST_FIRST, Task
from apps.tasks.texts import STATUS_TEXTS, URGENCY_TEXTS
from biolayer.errors import InvalidInput
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
MAX_CHOICES = 50
MAX_FOUND = 2_000
"""What a search counts to."""
PERIOD_TEXTS = {
    "hour": _("the last hour"),
    "day": _("the last day"),
    "week": _("the last week"),
    "month": _("the last 30 days"),
}
# Addresses of the list that operators often look at.
VIEWS: tuple[tuple[Text, str], ...] = (
    (_("Open"), "status=open"),
    (_("At risk"), "sla=at_risk"),
    (_("Breached"), "sla=breached"),
    (_("Waiting over an hour"), "waiting=hour"),
    (_("To verify"), "status=submitted"),
)
SLA_TEXTS = {"at_risk": _("At risk"), "breached": _("Breached")}


GROUP_TEXTS: dict[str, Text] = {"open": _("Open"), "waiting": _("Waiting"), "active": _("Active")}


def _statuses() -> Sequence[tuple[str, Text]]:
    return [*GROUP_TEXTS.items(), *((one.value, text) for one, text in STATUS_TEXTS.items())]


def _of_status(tasks: Any, value: str) -> Any:
    return tasks.filter(status__in=STATUS_GROUPS.get(value, [value]))


def _of_sla(tasks: Any, value: str) -> Any:
    return tasks.filter(selectors.SLA_STATES[value])


def _periods() -> Sequence[tuple[str, Text]]:
    return list(PERIOD_TEXTS.items())


def _of_period(tasks: Any, value: str) -> Any:
    return tasks.filter(created_at__gte=clock.now() - PERIODS[value])


def _of_waiting(tasks: Any, value: str) -> Any:
    """Return queued tasks that were created over an hour ago."""
    return tasks.filter(status=Status.QUEUED, created_at__lt=clock.now() - WAITING[value])


def _choices(request: HttpRequest) -> selectors.FilterChoices:
    """Return what the list can be filtered by, read once for a request."""
    known: Any = request
    if not hasattr(known, "task_choices"):
        known.task_choices = selectors.filter_choices(actor=actor_of(request), limit=MAX_CHOICES)
    choices: selectors.FilterChoices = known.task_choices
    return choices


class DomainFilter(admin.SimpleListFilter):
    """Filter by a domain that the organisation's tasks have."""

    title = _("domain")
    parameter_name = "domain"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(domain, humanised(domain)) for domain in _choices(request).domains]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").replace("\0", "")
        return queryset.filter(domain=value) if value else queryset


class PoolFilter(admin.SimpleListFilter):
    """Filter by the pool that a task's contract names.

    With a status, as the board leads here, by the pools that may be offered the task: those of a
    status are few, and no index has them by pool.
    """

    title = _("pool")
    parameter_name = "pool"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return [(ANY_POOL, _("Any pool")), *_choices(request).pools]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == ANY_POOL:
            return queryset.filter(pool_ids=None)
        try:
            pool_id = UUID(self.value() or "")
        except ValueError:
            return queryset
        if "status" in request.GET:
            return queryset.filter(pool_ids__contains=[pool_id])
        return queryset.filter(pool_id=pool_id)


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """List the tasks of the reader's organisation and pools, newest first."""

    scope = Scope.TASKS_READ
    title = _("Tasks")
    paginator = BoundedPaginator
    search_fields = ("title",)
    search_help_text = _("Title, task id or request id")
    empty_text = _("There is no task yet. A product backend posts them, or you do.")
    list_display = (
        "title_and_ids",
        "state",
        "sla",
        "domain_text",
        "urgency_text",
        "held_by",
        "created",
    )
    phone_labels = ("urgency_text", "held_by", "created")
    list_filter = (
        fixed_filter("status", _("status"), _statuses, _of_status),
        fixed_filter("sla", _("SLA"), lambda: list(SLA_TEXTS.items()), _of_sla),
        fixed_filter("urgency", _("urgency"), lambda: list(URGENCY_TEXTS.items())),
        PoolFilter,
        DomainFilter,
        fixed_filter("created", _("created in"), _periods, _of_period),
        fixed_filter("waiting", _("waiting"), lambda: [("hour", _("over an hour"))], _of_waiting),
    )
    ordering = NEWEST_FIRST
    tools = (("admin:task_new", _("New task"), Scope.TASKS_CREATE),)
    bulk_address = "admin:tasks_bulk"
    bulk_scope = Scope.TASKS_CANCEL
    bulk_actions = (
        ("boost", _("Move ahead")),
        ("extend", _("Extend the deadline")),
        ("requeue", _("Take back and queue")),
        ("cancel", _("Cancel the tasks")),
    )

    def visible(self, actor: Principal) -> QuerySet[Task]:
        return Task.objects.visible_to(actor).select_related("worker").only(*COLUMNS)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the rows that a text finds, as `GET /v1/tasks?q=` does."""
        if not search_term.strip():
            return queryset, False
        actor = actor_of(request)
        try:
            search = selectors.search_of(actor=actor, text=search_term)
        except InvalidInput:
            return queryset.none(), False
        request.is_counted_in_order = search.is_of_most  # type: ignore[attr-defined]
        return queryset & selectors.search_tasks(actor=actor, search=search), False

    def get_paginator(self, request: HttpRequest, *args: Any, **options: Any) -> BoundedPaginator:
        """Return the pages: fewer of a search, since each title that is counted is taken apart."""
        pages = BoundedPaginator(*args, **options)
        if request.GET.get(SEARCH_VAR, "").strip():
            pages.bound = MAX_FOUND
            pages.in_order = getattr(request, "is_counted_in_order", False)
        return pages

    def address_of(self, row: Task) -> str:
        return reverse("admin:task", args=[row.id])

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        """Return the columns, for who may act on the rows with a box to choose each."""
        boxes = ("chosen",) if may(actor_of(request), Scope.TASKS_CANCEL) else ()
        return (*boxes, *self.list_display)

    def get_list_display_links(
        self, request: HttpRequest, list_display: Sequence[Any]
    ) -> tuple[str, ...]:
        return ("title_and_ids",)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show an editor, who may only cancel, no button for more."""
        manages = may(actor_of(request), Scope.TASKS_MANAGE)
        actions = self.bulk_actions if manages else self.bulk_actions[-1:]
        return super().changelist_view(
            request,
            {
                "bulk_actions": actions,
                "saved_views": VIEWS,
                "export_address": "admin:tasks_export",
                **(extra_context or {}),
            },
        )

    @admin.display(description=format_html('<span class="visually-hidden">{}</span>', _("Choose")))
    def chosen(self, task: Task) -> SafeString:
        return format_html(
            '<label class="choose"><input type="checkbox" name="chosen" value="{}"'
            ' aria-label="{}"></label>',
            task.id,
            task.title,
        )

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

    @admin.display(description=_("Created"))
    def created(self, task: Task) -> str:
        return stamp(task.created_at)

    @admin.display(description=_("Worker"), empty_value="")
    def held_by(self, task: Task) -> str | None:
        return task.worker.name if task.worker else None
