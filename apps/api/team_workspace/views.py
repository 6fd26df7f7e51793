"""Provide the base class of this API's views: each call names its tenant and organisation."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request

from apps.accounts.sandbox_ids import live_id
from apps.accounts.selectors import tenant_id_of
from apps.api.http.headers import header
from apps.api.http.parameters import parameter_faults
from apps.api.http.views import View
from biolayer.errors import InvalidHeader, InvalidInput, OrganisationMismatch

TENANT = "X-Tenant-ID"
ORGANISATION = "X-Org-ID"
PAGING = ("cursor", "limit")


class TeamView(View):
    """Refuse a call whose headers do not name the tenant and organisation of its credential."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        tenant_id, organisation_id = _id_in(request, TENANT), _id_in(request, ORGANISATION)
        own = self.actor(request).organisation_id
        # A sandbox may be named by its live organisation, as in a contract.
        if organisation_id not in (own, live_id(own)):
            raise OrganisationMismatch(f"{ORGANISATION} is not the organisation of the credential.")
        if tenant_id != tenant_id_of(organisation_id=own):
            raise OrganisationMismatch(f"{TENANT} is not the tenant of the credential.")


def check_paging(request: Request) -> None:
    """Raise `InvalidInput` for parameters other than those of paging."""
    faults = parameter_faults(request.query_params, PAGING)
    if faults:
        raise InvalidInput(faults)


def _id_in(request: Request, name: str) -> UUID:
    text = header(request, name)
    if text is None:
        raise InvalidHeader(f"The header {name} is missing.")
    try:
        return UUID(text.strip())
    except ValueError:
        raise InvalidHeader(f"The header {name} is no UUID.") from None
