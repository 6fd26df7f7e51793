"""List the recoveries."""

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
from apps.webhooks.admin.lists import WebhooksList, labelled, status
from apps.webhooks.models import Recovery


@admin.register(Recovery)
class RecoveryAdmin(WebhooksList):
    """List what was sent again, newest first."""

    area = "recoveries"
    title = _("Recoveries")
    intro = _(
        "A recovery sends again what failed while a receiver was down, or what an endpoint missed."
    )
    empty_text = _("Nothing has been sent again yet.")
    tools = (("admin:recovery_new", _("New recovery"), Scope.WEBHOOKS_MANAGE),)
    list_display = ("kind_text", "receiver", "state", "queued", "since_text", "created")
    ordering = ("-created_at", "-id")

    def visible(self, actor: Principal) -> QuerySet[Recovery]:
        return (
            selectors.visible_recoveries(actor)
            .select_related("destination")
            .defer("destination__sealed")
        )

    def address_of(self, row: Recovery) -> str:
        return reverse("admin:recovery", args=[row.id])

    @admin.display(description=_("What"))
    def kind_text(self, recovery: Recovery) -> str:
        return str(texts.RECOVERY_KIND_TEXTS[recovery.kind])

    @admin.display(description=_("Receiver"))
    def receiver(self, recovery: Recovery) -> str:
        destination = recovery.destination
        if destination is None:
            return gettext("All endpoints and callbacks")
        return destination.description or destination.url.partition("://")[2]

    @admin.display(description=_("Status"))
    def state(self, recovery: Recovery) -> SafeString:
        if recovery.released_at is None:
            return status(texts.RECOVERY_STATE_TEXTS["releasing"], "offered")
        return status(_("All queued"), "good")

    @admin.display(description=_("Deliveries"))
    def queued(self, recovery: Recovery) -> SafeString | None:
        return labelled(_("Deliveries"), recovery.released_count)

    @admin.display(description=_("From"))
    def since_text(self, recovery: Recovery) -> SafeString | None:
        return labelled(_("From"), stamp(recovery.since))

    @admin.display(description=_("Started"))
    def created(self, recovery: Recovery) -> SafeString | None:
        return labelled(_("Started"), stamp(recovery.created_at))
