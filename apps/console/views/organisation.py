"""Show and change the settings of the organisation."""

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from apps.accounts import selectors, services
from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Scope
from apps.base.addresses import client_address
from apps.console.access import console_page, read_at
from apps.console.forms.access import OrganisationForm
from apps.console.forms.faults import add_faults
from biolayer.contract import parse
from biolayer.errors import InvalidInput
from biolayer.requests.organisations import OrganisationChange


@transaction.non_atomic_requests
@require_http_methods(["GET", "HEAD", "POST"])
@console_page
def settings(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/admin/accounts/organisation/`: an admin changes what others read."""
    row = selectors.organisation_of(actor=actor)
    stored = {
        "name": row.name,
        "retain_days": row.retain_days,
        "requires_second_factor": row.requires_second_factor,
        "allowed_networks": "\n".join(row.allowed_networks),
    }
    address = str(client_address(request) or "")
    form = OrganisationForm(request.POST or None, initial=stored, address=address)
    if request.method == "POST":
        actor.require(Scope.ORGANISATION_MANAGE)
        if form.is_valid() and _change(request, actor, form):
            messages.success(request, gettext("The settings were saved."))
            return redirect("admin:organisation")
    context = {"row": row, "form": form, "may_manage": may(actor, Scope.ORGANISATION_MANAGE)}
    return render(request, "console/access/organisation.html", context)


def _change(request: HttpRequest, actor: Principal, form: OrganisationForm) -> bool:
    try:
        services.change_organisation(
            actor=actor,
            changes=parse(OrganisationChange, form.changes()).sent_fields(),
            address=client_address(request),
            at=read_at(request),
        )
    except InvalidInput as error:
        add_faults(form, error, {"/allowed_networks": "allowed_networks"})
        return False
    return True
