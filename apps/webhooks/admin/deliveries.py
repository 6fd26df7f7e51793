"""List the deliveries, as a live log."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import Text, actor_of, fixed_filter
from apps.accounts.scopes import Scope
from apps.base.stamps import stamp
from apps.webhooks import selectors, texts
from apps.webhooks.admin.lists import WebhooksList, labelled, status
from apps.webhooks.models import NOTIFICATION, Delivery, Destination, Message
from apps.webhooks.selectors import DeliveryFilter
from biolayer.events import EVENT_TYPES

# How many of the newest deliveries a filter looks at that has no index of its own.
LOOK_BACK = 20_000
PERIODS = {
    "hour": (_("Last hour"), timedelta(hours=1)),
    "day": (_("Last 24 hours"), timedelta(days=1)),
    "week": (_("Last 7 days"), timedelta(days=7)),
}


def _of_status(rows: Any, value: str) -> Any:
    return rows.exclude(status="succeeded") if value == "not" else rows.filter(status=value)


def _statuses() -> Sequence[tuple[str, Text]]:
    return [("not", _("Not succeeded")), *texts.DELIVERY_STATUS_TEXTS.items()]


def _of_period(rows: Any, value: str) -> Any:
    return rows.filter(created_at__gte=Now() - PERIODS[value][1])


class EndpointFilter(admin.SimpleListFilter):
    """Filter by one of the reader's endpoints: one statement."""

    title = _("endpoint")
    parameter_name = "endpoint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = selectors.visible_endpoints(actor_of(request)).order_by("url", "id")
        named = rows.values_list("id", "url", "description")[:100]
        return [(str(id_), text or url.partition("://")[2]) for id_, url, text in named]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        known = {value for value, _ in self.lookup_choices}
        if self.value() not in known:
            return queryset.none()
        endpoint_id = UUID(self.value())
        return queryset.filter(selectors.OF_ENDPOINT, destination_id=endpoint_id)


@admin.register(Delivery)
class DeliveryAdmin(WebhooksList):
    """List the deliveries, newest first, as a live log."""

    area = "deliveries"
    title = _("Deliveries")
    is_live = True
    empty_text = _("Nothing has been delivered yet. A delivery is kept for 30 days.")
    bulk_address = "admin:delivery_resend"
    bulk_scope = Scope.WEBHOOKS_MANAGE
    bulk_actions = (("resend", _("Resend the chosen ones")),)
    list_display = ("event", "state", "receiver", "tries", "last", "created")
    list_display_links = ("event",)
    list_filter = (
        fixed_filter("status", _("status"), _statuses, _of_status),
        EndpointFilter,
        fixed_filter(
            "event_type",
            _("event"),
            lambda: [(name, name) for name in (*EVENT_TYPES, NOTIFICATION)],
        ),
        fixed_filter(
            "created",
            _("time"),
            lambda: [(name, text) for name, (text, _length) in PERIODS.items()],
            _of_period,
        ),
    )
    search_fields = ("id",)
    search_help_text = _("Id of a delivery or a task")
    ordering = ("-created_at", "-id")

    def visible(self, actor: Principal) -> QuerySet[Delivery]:
        """Return the visible rows; what they refer to is read for the page alone.

        Joins would let PostgreSQL begin with the destinations, and sort all of their deliveries.
        """
        rows = selectors.deliveries(actor=actor).select_related(None).defer(None)
        destinations = Destination.objects.only("id", "kind", "url", "description")
        is_test = Message.objects.filter(id=OuterRef("message_id")).values("is_test")
        return rows.annotate(is_test=Subquery(is_test)).prefetch_related(
            Prefetch("destination", destinations)
        )

    def address_of(self, row: Delivery) -> str:
        return reverse("admin:delivery", args=[row.id])

    def get_list_display(self, request: HttpRequest) -> Any:
        may_resend = Scope.WEBHOOKS_MANAGE.value in actor_of(request).scopes
        return ("chosen", *self.list_display) if may_resend else self.list_display

    def get_queryset(self, request: Any) -> QuerySet[Delivery]:
        rows = super().get_queryset(request)
        since = self._looks_back_to(request)
        return rows if since is None else rows.filter(created_at__gte=since)

    def _looks_back_to(self, request: Any) -> datetime | None:
        """Return since when rows are looked at, where only their event is filtered."""
        asked = request.GET
        if "event_type" not in asked or {"endpoint", "q"} & asked.keys():
            return None
        if not hasattr(request, "looks_back_to"):
            actor = actor_of(request)
            request.looks_back_to = selectors.newest_since(actor=actor, count=LOOK_BACK)
        since: datetime | None = request.looks_back_to
        return since

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        response = super().changelist_view(request, extra_context)
        since = getattr(request, "looks_back_to", None)
        if since is not None and hasattr(response, "context_data"):
            text = _("Among the newest %(count)s deliveries. Choose an endpoint to see older ones.")
            response.context_data["notice"] = text % {"count": f"{LOOK_BACK:,}"}
        return response

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().removeprefix("msg_")
        if not term:
            return queryset, False
        try:
            wanted = UUID(term)
        except ValueError:
            return queryset.none(), False
        found = queryset.filter(id=wanted)
        if found.exists():
            return found, False
        of_task = DeliveryFilter(task_ids=[wanted])
        return queryset.filter(of_task.condition(actor_of(request).organisation_id)), False

    @admin.display(description=_("Choose"))
    def chosen(self, delivery: Delivery) -> SafeString:
        label = gettext("Choose %(event)s") % {"event": delivery.event_type}
        return format_html(
            '<input type="checkbox" name="chosen" value="{}" aria-label="{}">', delivery.id, label
        )

    @admin.display(description=_("Event"))
    def event(self, delivery: Delivery) -> str:
        test = gettext("test")
        return (
            f"{delivery.event_type} ({test})" if vars(delivery)["is_test"] else delivery.event_type
        )

    @admin.display(description=_("Status"))
    def state(self, delivery: Delivery) -> SafeString:
        text = texts.DELIVERY_STATUS_TEXTS[delivery.status]
        return status(text, texts.DELIVERY_MARKS[delivery.status])

    @admin.display(description=_("Receiver"))
    def receiver(self, delivery: Delivery) -> str:
        destination = delivery.destination
        if destination.kind == "callback":
            host = urlsplit(destination.url).netloc
            return gettext("Callback to %(host)s") % {"host": host}
        return destination.description or destination.url.partition("://")[2]

    @admin.display(description=_("Attempts"))
    def tries(self, delivery: Delivery) -> SafeString | None:
        return labelled(_("Attempts"), delivery.attempt_count)

    @admin.display(description=_("Last result"), empty_value="")
    def last(self, delivery: Delivery) -> str | None:
        if not delivery.last_outcome:
            return None
        if delivery.last_status_code:
            return f"HTTP {delivery.last_status_code}"
        return str(texts.OUTCOME_TEXTS.get(delivery.last_outcome, delivery.last_outcome))

    @admin.display(description=_("Created"))
    def created(self, delivery: Delivery) -> str:
        return stamp(delivery.created_at)
