"""Hold what the lists of webhooks share."""

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.accounts.read_only_admin import ReadOnlyAdmin, Text
from apps.accounts.scopes import Scope
from apps.base import clock
from apps.base.stamps import stamp


class WebhooksList(ReadOnlyAdmin):
    """List something of webhooks, with links to the other lists."""

    scope = Scope.WEBHOOKS_READ
    change_list_template = "console/webhooks/list.html"
    area = ""
    # The page itself looks for newer rows.
    is_live = False

    def changelist_view(self, request: Any, extra_context: Any = None) -> Any:
        """List the rows, which know the time of the request: `at`."""
        response = super().changelist_view(request, extra_context)
        changes = getattr(response, "context_data", None) or {}
        if "cl" in changes:
            rows = list(changes["cl"].result_list)
            # The staff of the installation is no member.
            at = clock.now() if request.member is None else request.member.read_at
            for row in rows:
                row.at = at
            self.complete(rows, at)
            changes["cl"].result_list = rows
        return response

    def complete(self, rows: list[Any], at: datetime) -> None:
        """Read what the rows of a page lack."""


def status(text: Text, mark: str) -> SafeString:
    return format_html('<span class="status status-{}">{}</span>', mark, text)


def late(due_at: datetime | None, at: datetime) -> str | None:
    """Return since when the oldest delivery is due; None where nothing is due yet."""
    if due_at is None or due_at > at:
        return None
    return stamp(due_at)


def labelled(label: Text, value: Any) -> SafeString | None:
    """Return a cell whose label is shown where a row is a card; None without a value."""
    if value is None:
        return None
    return format_html('<span class="phone-label">{}: </span>{}', label, value)
