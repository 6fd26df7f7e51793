"""Name the states of verdicts, appeals and second looks as pages show them, and who decided."""

from collections.abc import Collection

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.tasks.selectors import names_of

Text = str | Promise

VERDICT_TEXTS: dict[str, Text] = {
    "approved": _("Approved"),
    "auto_approved": _("Approved by the policy"),
    "rework": _("Sent back"),
    "rejected": _("Rejected"),
    "expired": _("Ended without a verdict"),
}
# The status with its shape.
APPEAL_STATES: dict[str, tuple[str, Text]] = {
    "open": ("soon", _("Open")),
    "upheld": ("off", _("Upheld")),
    "overturned": ("good", _("Overturned")),
    "expired": ("off", _("Expired")),
}
SECOND_LOOK_STATES: dict[str, tuple[str, Text]] = {
    "waiting": ("offered", _("Waiting")),
    "agreed": ("good", _("Agrees")),
    "disagreed": ("bad", _("Disagrees")),
    "expired": ("off", _("Expired")),
}


def reviewer_names(*, actor: Principal, texts: Collection[str]) -> dict[str, str]:
    """Return for credentials, as rows name them (`Principal.text`), what pages call them.

    One statement reads all names. A credential without a name is called as rows name it.
    """
    asked = {text: _named_by(text) for text in texts if text}
    found = names_of(actor=actor, ids={*asked.values()})
    return {text: found.get(key) or _without_name(text) for text, key in asked.items()}


def _named_by(text: str) -> tuple[str, str]:
    """Return kind and id of who has the name; that of an application for a member is the member."""
    kind, _, id_ = text.partition(":")
    return ("member", id_.partition(":")[0]) if kind == "oauth_member" else (kind, id_)


def _without_name(text: str) -> str:
    return gettext("the service") if text.startswith("system:") else text
