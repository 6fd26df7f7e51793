"""The forms of members, invitations, settings and credentials."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.grants import grantable_scopes
from apps.accounts.principal import Principal
from apps.accounts.scopes import LEAST_ROLE, OAUTH_SCOPES, Role, Scope
from apps.accounts.texts import SCOPE_TEXTS
from biolayer.errors import GrantExceeded
from biolayer.times import format_time

NETWORKS = _("One address or CIDR block on each line, such as 198.51.100.0/24. Empty: any.")
ENDS = [("", _("Never")), ("30", _("In 30 days")), ("90", _("In 90 days")), ("365", _("In a year"))]
OVERLAPS = [
    (86_400, _("One day: time to replace it")),
    (3_600, _("One hour")),
    (604_800, _("Seven days")),
    (0, _("At once: it is known to others")),
]
ROLE_HINT = _(
    "A worker sees only their own tasks; a viewer reads; an editor also creates tasks and manages"
    " pools and webhooks; a manager also keys and the audit log; an admin everything."
)


def roles_of(actor: Principal) -> list[tuple[str, Any]]:
    """Return the roles that the actor may give: its own and those below."""
    return [(role.value, role.label) for role in Role if actor.has_role(role)]


def lines(text: str) -> list[str]:
    """Return the lines of a text that are not blank."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def add_missing(form: forms.Form, error: GrantExceeded) -> None:
    """Say at the fields what the actor would give without having it."""
    for name in error.missing:
        text = gettext("You do not have this yourself, so that you cannot give it.")
        form.add_error(name if name in form.fields else None, text)


def _scope_text(scope: Scope) -> str:
    return f"{SCOPE_TEXTS[scope.value]} · {LEAST_ROLE[scope].label}"


class InvitationForm(forms.Form):
    """Ask whom to invite, and with which role."""

    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        help_text=_("The link in the mail works for 7 days, once."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )
    role = forms.ChoiceField(label=_("Role"), help_text=ROLE_HINT)

    def __init__(self, *args: Any, actor: Principal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles_of(actor)  # type: ignore[attr-defined]
        self.fields["role"].initial = Role.VIEWER.value


class RoleForm(forms.Form):
    """Ask for a member's role."""

    role = forms.ChoiceField(label=_("Role"), help_text=ROLE_HINT)

    def __init__(self, *args: Any, actor: Principal, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles_of(actor)  # type: ignore[attr-defined]


class OrganisationForm(forms.Form):
    """Ask for the organisation's settings."""

    name = forms.CharField(label=_("Name"), max_length=200)
    retain_days = forms.IntegerField(
        label=_("Days that a task's content is kept"),
        help_text=_("1 to 3,650, counted from the end of the task, unless the task says."),
        min_value=1,
        max_value=3_650,
    )
    requires_second_factor = forms.BooleanField(
        label=_("Members need a second factor"),
        help_text=_("A member without one reaches only the page that adds one."),
        required=False,
    )
    allowed_networks = forms.CharField(
        label=_("Allowed networks"), required=False, widget=forms.Textarea(attrs={"rows": 4})
    )

    def __init__(self, *args: Any, address: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        text = gettext("Your address is %(address)s.") % {"address": address or "?"}
        self.fields["allowed_networks"].help_text = f"{NETWORKS} {text}"

    def changes(self) -> dict[str, Any]:
        """Return the document that the service reads."""
        data = self.cleaned_data
        return {**data, "allowed_networks": lines(data["allowed_networks"])}


class CredentialForm(forms.Form):
    """Ask what a credential may do: only what the actor can give is shown."""

    name = forms.CharField(label=_("Name"), max_length=200)
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        help_text=_("What it may do. Each scope needs at least the role beside it."),
        widget=forms.CheckboxSelectMultiple,
    )
    role = forms.ChoiceField(label=_("Role"))
    pool_ids = forms.MultipleChoiceField(
        label=_("Pools"),
        help_text=_("Choose none for all pools of the organisation."),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    known_scopes: frozenset[str] = frozenset(Scope.values)

    def __init__(
        self, *args: Any, actor: Principal, pools: Iterable[tuple[str, str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        given = grantable_scopes(actor) & self.known_scopes
        choices: Mapping[str, Any] = {
            "scopes": [(one.value, _scope_text(one)) for one in Scope if one.value in given],
            "role": roles_of(actor),
            "pool_ids": list(pools),
        }
        for name, of_field in choices.items():
            self.fields[name].choices = of_field  # type: ignore[attr-defined]
        if not choices["pool_ids"]:
            del self.fields["pool_ids"]

    def _grant(self) -> dict[str, Any]:
        data = self.cleaned_data
        grant = {name: data[name] for name in ("name", "scopes", "role")}
        if data.get("pool_ids"):
            grant["pool_ids"] = data["pool_ids"]
        return grant


class ApiKeyForm(CredentialForm):
    """Ask what an API key may do, from where, and until when."""

    mode = forms.ChoiceField(
        label=_("Acts in"),
        choices=[
            ("live", _("The organisation")),
            ("test", _("The sandbox: simulated workers, all pools of the sandbox")),
        ],
    )
    expires_in = forms.ChoiceField(label=_("Ends"), choices=ENDS, required=False)
    allowed_networks = forms.CharField(
        label=_("Allowed networks"),
        help_text=NETWORKS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    worker_id = forms.UUIDField(
        label=_("Id of a worker"),
        help_text=_("Only for a key that works in a worker's name. It needs the scope for it."),
        required=False,
    )
    field_order = ("name", "mode", "scopes", "role", "pool_ids", "expires_in")

    def __init__(self, *args: Any, actor: Principal, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        self.fields["role"].initial = Role.EDITOR.value
        if Scope.WORK.value not in grantable_scopes(actor):
            del self.fields["worker_id"]

    def document(self, at: datetime) -> dict[str, Any]:
        """Return the document that the service reads."""
        data = self.cleaned_data
        document = {**self._grant(), "mode": data["mode"]}
        document["allowed_networks"] = lines(data["allowed_networks"])
        if data["expires_in"]:
            document["expires_at"] = format_time(at + timedelta(days=int(data["expires_in"])))
        if data.get("worker_id"):
            document["worker_id"] = str(data["worker_id"])
        return document


class RotationForm(forms.Form):
    """Ask how long the present secret of a key stays valid."""

    overlap_seconds = forms.TypedChoiceField(
        label=_("The present secret ends"), choices=OVERLAPS, coerce=int
    )


class OAuthForm(CredentialForm):
    """Ask what a client of OAuth 2.0 may do, and how it gets its tokens."""

    client_type = forms.ChoiceField(
        label=_("Kind"),
        choices=[
            ("confidential", _("Confidential: a server that keeps a secret")),
            ("public", _("Public: a program on a person's machine, without a secret")),
        ],
    )
    grant_types = forms.MultipleChoiceField(
        label=_("How it gets tokens"),
        choices=[
            ("client_credentials", _("For itself, by its secret")),
            ("authorization_code", _("For a member, who consents in a browser")),
        ],
        widget=forms.CheckboxSelectMultiple,
    )
    redirect_uris = forms.CharField(
        label=_("Redirect URIs"),
        help_text=_("One on each line, for members who consent: https://…"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    field_order = ("name", "client_type", "grant_types", "redirect_uris", "scopes", "role")
    known_scopes = OAUTH_SCOPES

    def __init__(self, *args: Any, actor: Principal, **kwargs: Any) -> None:
        super().__init__(*args, actor=actor, **kwargs)
        self.fields["role"].initial = Role.VIEWER.value

    def document(self) -> dict[str, Any]:
        """Return the document that the service reads."""
        data = self.cleaned_data
        return {
            **self._grant(),
            "client_type": data["client_type"],
            "grant_types": data["grant_types"],
            "redirect_uris": lines(data["redirect_uris"]),
        }
