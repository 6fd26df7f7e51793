"""Show the tabs of the section "Access"."""

from django import template
from django.template import RequestContext
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.accounts.scopes import Scope
from apps.console.navigation import Tab

register = template.Library()

KINDS = (
    (_("Members"), "accounts_member_changelist", Scope.ORGANISATION_READ),
    (_("Invitations"), "accounts_invitation_changelist", Scope.ORGANISATION_READ),
    (_("API keys"), "accounts_apikey_changelist", Scope.CREDENTIALS_READ),
    (_("OAuth applications"), "accounts_oauthapplication_changelist", Scope.CREDENTIALS_READ),
    (_("Settings"), "organisation", Scope.ORGANISATION_READ),
)


@register.simple_tag(takes_context=True)
def access_tabs(context: RequestContext) -> list[Tab]:
    """Return the kinds of access that the reader may see, with the one of the page marked."""
    actor, path = getattr(context.request, "actor", None), context.request.path
    found = []
    for title, name, scope in KINDS:
        if actor is not None and scope.value in actor.scopes:
            address = reverse(f"admin:{name}")
            inside = "true" if path.startswith(address) else ""
            found.append(Tab(title, address, "page" if path == address else inside))
    return found
