"""Create organisations."""

from django.db import transaction

from apps.accounts.models import Organisation, Tenant


@transaction.atomic
def create_organisation(*, name: str, tenant: Tenant | None = None) -> Organisation:
    """Create an organisation, in a new tenant unless one is given."""
    tenant = tenant or Tenant.objects.create(name=name)
    return Organisation.objects.create(tenant=tenant, name=name)
