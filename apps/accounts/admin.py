"""List who and what may use an organisation: members, invitations, API keys, OAuth applications."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import F, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from apps.accounts import selectors
from apps.accounts.models import ApiKey, Invitation, Member, OAuthApplication
from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import ReadOnlyAdmin, Text, fixed_filter
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.scopes import Role, Scope
from apps.accounts.texts import INVITATION_STATES, KEY_STATES, SHAPES
from apps.base import clock
from apps.base.clock import DatabaseNow
from apps.base.stamps import stamp


def state_mark(state: str, text: Text) -> SafeString:
    """Return a state as a word with a shape."""
    return format_html('<span class="status status-{}">{}</span>', SHAPES.get(state, "off"), text)


class AccessAdmin(ReadOnlyAdmin):
    """List one kind of access, below the tabs of all kinds."""

    change_list_template = "console/access/list.html"


@admin.register(Member)
class MemberAdmin(AccessAdmin):
    """List the organisation's members, newest first."""

    scope = Scope.ORGANISATION_READ
    title = _("Members")
    tools = (("admin:member_invite", _("Invite a person"), Scope.ORGANISATION_MANAGE),)
    list_display = ("person", "email", "role_text", "second_factor", "since")
    phone_labels = ("second_factor", "since")
    list_filter = (fixed_filter("role", _("role"), lambda: list(Role.choices)),)
    search_fields = ("user__email", "user__name")
    search_help_text = _("Name or e-mail address")
    ordering = ("-created_at", "-id")

    def visible(self, actor: Principal) -> QuerySet[Member]:
        return selectors.members(actor=actor)

    def address_of(self, row: Member) -> str:
        return reverse("admin:member", args=[row.id])

    @admin.display(description=_("Name"))
    def person(self, member: Member) -> str:
        return member.user.get_full_name()

    @admin.display(description=_("E-mail address"))
    def email(self, member: Member) -> str:
        return member.user.email

    @admin.display(description=_("Role"))
    def role_text(self, member: Member) -> str:
        return str(Role(member.role).label)

    @admin.display(description=_("Second factor"))
    def second_factor(self, member: Member) -> Text:
        return _("Yes") if vars(member)["has_second_factor"] else _("No")

    @admin.display(description=_("Since"))
    def since(self, member: Member) -> str:
        return stamp(member.created_at)


def _of_state(rows: Any, value: str) -> Any:
    now = DatabaseNow()
    if value in ("open", "expired"):
        of_end = {"expires_at__gt" if value == "open" else "expires_at__lte": now}
        return rows.filter(accepted_at=None, revoked_at=None, **of_end)
    return rows.exclude(**{f"{value}_at": None})


@admin.register(Invitation)
class InvitationAdmin(AccessAdmin):
    """List the organisation's invitations, newest first."""

    scope = Scope.ORGANISATION_READ
    title = _("Invitations")
    empty_text = _("There is no invitation yet.")
    tools = (("admin:member_invite", _("Invite a person"), Scope.ORGANISATION_MANAGE),)
    list_display = ("invited", "role_text", "state", "mail", "invited_at", "works_until")
    phone_labels = ("mail", "invited_at", "works_until")
    list_filter = (
        fixed_filter("state", _("state"), lambda: list(INVITATION_STATES.items()), _of_state),
    )
    ordering = ("-created_at", "-id")

    def visible(self, actor: Principal) -> QuerySet[Invitation]:
        return selectors.invitations(actor=actor).annotate(read_at=DatabaseNow())

    def address_of(self, row: Invitation) -> str:
        return reverse("admin:invitation", args=[row.id])

    @admin.display(description=_("E-mail address"))
    def invited(self, invitation: Invitation) -> str:
        return invitation.email

    @admin.display(description=_("Role"))
    def role_text(self, invitation: Invitation) -> str:
        return str(Role(invitation.role).label)

    @admin.display(description=_("Status"))
    def state(self, invitation: Invitation) -> SafeString:
        state = selectors.invitation_state(invitation, vars(invitation)["read_at"])
        return state_mark(state, INVITATION_STATES[state])

    @admin.display(description=_("Mail"))
    def mail(self, invitation: Invitation) -> SafeString | Text:
        if invitation.mail_error:
            return format_html('<span class="bad-text">{}</span>', _("Not sent"))
        return _("Sent") if invitation.sent_at else _("Waiting")

    @admin.display(description=_("Invited at"))
    def invited_at(self, invitation: Invitation) -> str:
        return stamp(invitation.created_at)

    @admin.display(description=_("Works until"))
    def works_until(self, invitation: Invitation) -> str:
        return stamp(invitation.expires_at)


@admin.register(ApiKey)
class ApiKeyAdmin(AccessAdmin):
    """List the organisation's API keys, and those that ended within 30 days; newest first."""

    scope = Scope.CREDENTIALS_READ
    title = _("API keys")
    empty_text = _("There is no API key yet. Programs call the API with one.")
    tools = (("admin:api_key_create", _("Create an API key"), Scope.CREDENTIALS_MANAGE),)
    list_display = (
        "label",
        "mode",
        "state",
        "role_text",
        "scope_count",
        "limits",
        "last_use",
        "ends_at",
    )
    phone_labels = ("scope_count", "limits", "last_use", "ends_at")
    search_fields = ("name", "id")
    search_help_text = _("Name or id of a key")
    ordering = ("-created_at", "-id")

    def visible(self, actor: Principal) -> QuerySet[ApiKey]:
        later = ApiKey.objects.filter(original=OuterRef("id")).order_by("-created_at", "-id")
        used = later.order_by().values("original").annotate(at=Max("last_used_at")).values("at")
        rows = selectors.api_keys(actor=actor, at=clock.now())
        return rows.annotate(
            used_at=Greatest("last_used_at", Subquery(used)),
            # A key that was never rotated has no later secret, whose end could be null, too.
            newest=Coalesce(Subquery(later.values("id")[:1]), F("id")),
            ended_at=Coalesce(Subquery(later.values("revoked_at")[:1]), F("revoked_at")),
            later_end=Subquery(later.values("expires_at")[:1]),
            read_at=DatabaseNow(),
        )

    def address_of(self, row: ApiKey) -> str:
        return reverse("admin:api_key", args=[row.id])

    @admin.display(description=_("Name"))
    def label(self, key: ApiKey) -> str:
        return key.name

    @admin.display(description=_("For"))
    def mode(self, key: ApiKey) -> SafeString | Text:
        if is_of_sandbox(key.organisation_id):
            return format_html('<span class="badge">{}</span>', _("Sandbox"))
        return _("Live")

    @admin.display(description=_("Status"))
    def state(self, key: ApiKey) -> SafeString:
        known, end = vars(key), _end_of(key)
        state = "active" if end is None or end > known["read_at"] else "expired"
        state = "revoked" if known["ended_at"] is not None else state
        return state_mark(state, KEY_STATES[state])

    @admin.display(description=_("Role"))
    def role_text(self, key: ApiKey) -> str:
        return str(Role(key.role).label)

    @admin.display(description=_("Scopes"))
    def scope_count(self, key: ApiKey) -> int:
        return len(key.scopes)

    @admin.display(description=_("Limited to"), empty_value="")
    def limits(self, key: ApiKey) -> str | None:
        limits = [
            (_("pools"), key.pool_ids),
            (_("a worker"), key.worker_id),
            (_("networks"), key.allowed_networks),
        ]
        return ", ".join(str(text) for text, value in limits if value) or None

    @admin.display(description=_("Last used"))
    def last_use(self, key: ApiKey) -> Text:
        return stamp(vars(key)["used_at"]) or _("never")

    @admin.display(description=_("Ends"), empty_value="")
    def ends_at(self, key: ApiKey) -> str | None:
        return stamp(_end_of(key)) or None


def _end_of(key: ApiKey) -> datetime | None:
    """Return when the newest secret of a key ends; None: never."""
    known = vars(key)
    end: datetime | None = known["later_end"]
    return key.expires_at if known["newest"] == key.id else end


@admin.register(OAuthApplication)
class OAuthApplicationAdmin(AccessAdmin):
    """List the organisation's clients of OAuth 2.0, newest first."""

    scope = Scope.CREDENTIALS_READ
    title = _("OAuth applications")
    empty_text = _("There is no client of OAuth 2.0 yet.")
    tools = (("admin:oauth_create", _("Create an OAuth application"), Scope.CREDENTIALS_MANAGE),)
    list_display = ("label", "client", "kind", "role_text", "scope_count", "since")
    phone_labels = ("scope_count", "since")
    ordering = ("-id",)

    def visible(self, actor: Principal) -> QuerySet[OAuthApplication]:
        return selectors.oauth_applications(actor=actor)

    def address_of(self, row: OAuthApplication) -> str:
        return reverse("admin:oauth_application", args=[row.client_id])

    @admin.display(description=_("Name"))
    def label(self, application: OAuthApplication) -> str:
        return application.name

    @admin.display(description=_("Client id"))
    def client(self, application: OAuthApplication) -> str:
        return application.client_id

    @admin.display(description=_("Kind"))
    def kind(self, application: OAuthApplication) -> Text:
        return _("Confidential") if application.is_confidential else _("Public")

    @admin.display(description=_("Role"))
    def role_text(self, application: OAuthApplication) -> str:
        return str(Role(application.role).label)

    @admin.display(description=_("Scopes"))
    def scope_count(self, application: OAuthApplication) -> int:
        return len(application.scopes)

    @admin.display(description=_("Since"))
    def since(self, application: OAuthApplication) -> str:
        return stamp(application.created)
