"""List appeals and second looks in the operator's console."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import (
    ConsoleList,
    ReadOnlyAdmin,
    Text,
    actor_of,
    fixed_filter,
)
from apps.accounts.scopes import Scope
from apps.base.stamps import stamp
from apps.reviews import selectors
from apps.reviews.models import Appeal, SecondLook
from apps.reviews.texts import (
    APPEAL_STATES,
    SECOND_LOOK_STATES,
    VERDICT_TEXTS,
    reviewer_names,
)

MAX_WORDS = 200
# What both lists show; the contract's long texts and the outputs stay in their rows.
COLUMNS = (
    "id",
    "organisation_id",
    "status",
    "worker__name",
    "verdict_by",
    "decided_by",
    "decided_at",
    "review__status",
    "review__task__title",
)
DECIDED: Sequence[tuple[str, Text]] = (("open", _("Open")), ("decided", _("Decided")))


class DecisionList(ConsoleList):
    """Read the names of those who decided for all rows of a page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # An evaluated list: the admin reads it once more.
        rows: Any = list(self.result_list)
        texts = {text for row in rows for text in (row.verdict_by, row.decided_by)}
        names = reviewer_names(actor=actor_of(request), texts=texts)
        for row in rows:
            row.verdict_name = names.get(row.verdict_by, "")
            row.decider_name = names.get(row.decided_by, "")
        self.result_list = rows


class DecisionAdmin(ReadOnlyAdmin):
    """List decisions on verdicts: those that wait first, then the latest.

    Those that wait have no `decided_at`, and PostgreSQL sorts NULL first in a descending order.
    """

    scope = Scope.TASKS_REVIEW
    change_list_template = "console/reviews/list.html"
    ordering = ("-decided_at", "-id")
    states: ClassVar[dict[str, tuple[str, Text]]]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return DecisionList

    @admin.display(description=_("Task"))
    def title_text(self, row: Any) -> Text:
        return row.review.task.title or _("Untitled task")

    @admin.display(description=_("Status"))
    def state(self, row: Any) -> SafeString:
        shape, text = self.states[row.status]
        return format_html('<span class="status status-{}">{}</span>', shape, text)

    @admin.display(description=_("Worker"))
    def worker_name(self, row: Any) -> str:
        return str(row.worker.name)

    @admin.display(description=_("Decided"), empty_value="")
    def decided(self, row: Any) -> str | None:
        return stamp(row.decided_at) or None


def _is_decided(rows: Any, value: str) -> Any:
    return rows.filter(decided_at__isnull=value == "open")


@admin.register(Appeal)
class AppealAdmin(DecisionAdmin):
    """List the appeals, for managers."""

    title = _("Appeals")
    intro = _("Workers say that a verdict on their work is wrong. Another manager decides.")
    empty_text = _("No worker has appealed a verdict yet.")
    list_display = (
        "title_text",
        "state",
        "verdict",
        "worker_name",
        "opened",
        "decided",
        "decider",
    )
    phone_labels = ("verdict", "worker_name", "opened", "decided", "decider")
    list_filter = (fixed_filter("decision", _("decision"), lambda: DECIDED, _is_decided),)
    states = APPEAL_STATES

    def visible(self, actor: Principal) -> QuerySet[Appeal]:
        rows = selectors.appeals(actor=actor, filters=selectors.AppealFilter())
        return rows.select_related("worker").only(*COLUMNS, "opened_at")

    def address_of(self, row: Appeal) -> str:
        return reverse("admin:appeal", args=[row.id])

    @admin.display(description=_("Verdict"))
    def verdict(self, appeal: Appeal) -> Text:
        return VERDICT_TEXTS[appeal.review.status]

    @admin.display(description=_("Appealed"))
    def opened(self, appeal: Appeal) -> str:
        return stamp(appeal.opened_at)

    @admin.display(description=_("Decided by"), empty_value="")
    def decider(self, appeal: Any) -> str | None:
        return appeal.decider_name or None


def _states() -> Sequence[tuple[str, Text]]:
    return [(status, text) for status, (_shape, text) in SECOND_LOOK_STATES.items()]


@admin.register(SecondLook)
class SecondLookAdmin(DecisionAdmin):
    """List the second looks, with what came of each."""

    title = _("Second looks")
    intro = _(
        "Of the approvals by people, a share is looked at again by another reviewer. The tasks do"
        " not wait for it."
    )
    empty_text = _("No approval was drawn for a second look yet. Review policies set the share.")
    list_display = (
        "title_text",
        "state",
        "approver",
        "decider",
        "words",
        "worker_name",
        "decided",
    )
    phone_labels = ("approver", "decider", "words", "worker_name", "decided")
    list_filter = (fixed_filter("status", _("second verdict"), _states),)
    states = SECOND_LOOK_STATES

    def visible(self, actor: Principal) -> QuerySet[SecondLook]:
        rows = selectors.second_looks(actor=actor)
        # Without the runs, whose outputs the list does not show.
        rows = rows.select_related(None).select_related("review__task", "worker")
        return rows.only(*COLUMNS, "reason")

    def address_of(self, row: SecondLook) -> str:
        return reverse("admin:task", args=[row.review.task_id])

    @admin.display(description=_("Approved by"))
    def approver(self, look: Any) -> str:
        return str(look.verdict_name)

    @admin.display(description=_("Looked at again by"), empty_value="")
    def decider(self, look: Any) -> str | None:
        return look.decider_name or None

    @admin.display(description=_("Reason"), empty_value="")
    def words(self, look: SecondLook) -> str | None:
        return Truncator(look.reason).chars(MAX_WORDS) or None
