"""List the hosts that are sent to."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import fixed_filter
from apps.webhooks import selectors, texts
from apps.webhooks.admin.lists import WebhooksList, labelled, late, status
from apps.webhooks.models import Origin


@admin.register(Origin)
class OriginAdmin(WebhooksList):
    """List the hosts that are sent to: those of endpoints, and of tasks' own callbacks."""

    area = "origins"
    title = _("Hosts")
    intro = _(
        "A host is one scheme, name and port. Its endpoints and the callbacks of tasks share its"
        " breaker, its concurrency and its rate."
    )
    empty_text = _("Nothing has been sent anywhere yet.")
    list_display = ("text", "state", "attempts", "concurrent", "rate", "pending", "oldest_due")
    list_filter = (
        fixed_filter(
            "breaker",
            _("breaker"),
            lambda: [("open", _("Open or probing"))],
            lambda rows, _value: rows.filter(open_until__isnull=False),
        ),
    )
    ordering = ("text", "id")

    def visible(self, actor: Principal) -> QuerySet[Origin]:
        return selectors.origins(actor=actor)

    def address_of(self, row: Origin) -> str:
        return reverse("admin:origin", args=[row.id])

    @admin.display(description=_("Breaker"))
    def state(self, origin: Any) -> SafeString:
        state = selectors.breaker_state(origin, at=origin.at)
        return status(texts.BREAKER_TEXTS[state], texts.BREAKER_MARKS[state])

    @admin.display(description=_("Last 5 minutes"), empty_value="")
    def attempts(self, origin: Any) -> str | None:
        tried, failed = selectors.recent_attempts(origin, at=origin.at)
        if not tried:
            return None
        text = ngettext(
            "%(failed)s of %(n)s attempt failed", "%(failed)s of %(n)s attempts failed", tried
        )
        return text % {"failed": failed, "n": tried}

    @admin.display(description=_("At once"))
    def concurrent(self, origin: Origin) -> SafeString | None:
        return labelled(_("At once"), int(origin.concurrency))

    @admin.display(description=_("A minute"), empty_value="")
    def rate(self, origin: Origin) -> SafeString | None:
        return labelled(_("A minute"), origin.rate_per_minute)

    @admin.display(description=_("Pending"))
    def pending(self, origin: Any) -> SafeString | None:
        return labelled(_("Pending"), int(origin.pending_count))

    @admin.display(description=_("Oldest due"), empty_value="")
    def oldest_due(self, origin: Any) -> SafeString | None:
        return labelled(_("Oldest due"), late(origin.oldest_due_at, origin.at))
