"""List the endpoints with their health."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.stamps import stamp
from apps.webhooks import selectors, texts
from apps.webhooks.admin.lists import WebhooksList, labelled, late, status
from apps.webhooks.models import Destination
from apps.webhooks.selectors import EndpointRecord


@admin.register(Destination)
class EndpointAdmin(WebhooksList):
    """List the organisation's endpoints with their health."""

    area = "endpoints"
    title = _("Webhook endpoints")
    empty_text = _("There is no endpoint yet: no event leaves, except to the callbacks of tasks.")
    tools = (("admin:endpoint_new", _("New endpoint"), Scope.WEBHOOKS_MANAGE),)
    list_display = (
        "address",
        "state",
        "events",
        "last_hour",
        "last_day",
        "last_success",
        "oldest_due",
    )

    def visible(self, actor: Principal) -> QuerySet[Destination]:
        oldest = selectors.oldest_due(origin_column="webhooks_destination.origin_id")
        return selectors.endpoints(actor=actor).annotate(oldest_due_at=oldest)

    def address_of(self, row: Destination) -> str:
        return reverse("admin:endpoint", args=[row.id])

    def complete(self, rows: list[Any], at: datetime) -> None:
        ids = [row.id for row in rows]
        records = selectors.endpoint_records(endpoint_ids=ids, at=at)
        for row in rows:
            row.record = records.get(row.id, EndpointRecord())

    @admin.display(description=_("Endpoint"))
    def address(self, endpoint: Destination) -> str:
        return endpoint.description or endpoint.url.partition("://")[2]

    @admin.display(description=_("Status"))
    def state(self, endpoint: Any) -> SafeString:
        breaker = selectors.breaker_state(endpoint.origin, at=endpoint.at)
        if endpoint.status == "enabled" and breaker != "closed":
            return status(_("Breaker open"), "bad")
        text = texts.ENDPOINT_STATUS_TEXTS[endpoint.status]
        return status(text, texts.ENDPOINT_MARKS[endpoint.status])

    @admin.display(description=_("Events"))
    def events(self, endpoint: Destination) -> str:
        first, *others = endpoint.event_types or [""]
        return f"{first} +{len(others)}" if others else first

    @admin.display(description=_("Last hour"), empty_value="")
    def last_hour(self, endpoint: Any) -> SafeString | None:
        return labelled(_("Last hour"), _share(endpoint.record.hour))

    @admin.display(description=_("Last 24 hours"), empty_value="")
    def last_day(self, endpoint: Any) -> SafeString | None:
        record = endpoint.record
        share = _share(record.day, is_sample=record.is_sample)
        return labelled(_("Last 24 hours"), share)

    @admin.display(description=_("Last success"), empty_value="")
    def last_success(self, endpoint: Any) -> SafeString | None:
        at = endpoint.record.last_success_at
        return labelled(_("Last success"), stamp(at) or None)

    @admin.display(description=_("Oldest due"), empty_value="")
    def oldest_due(self, endpoint: Any) -> SafeString | None:
        return labelled(_("Oldest due"), late(endpoint.oldest_due_at, endpoint.at))


def _share(share: Any, *, is_sample: bool = False) -> str | None:
    if share.percent is None:
        return None
    tried = f"{share.tried}+" if is_sample else f"{share.tried}"
    values = {"percent": share.percent, "tried": tried}
    return gettext("%(percent)s %% of %(tried)s") % values
