"""Create the sandbox of an organisation: an organisation of its own that test keys act in."""

from collections.abc import Callable
from uuid import UUID

from apps.accounts.models import Organisation
from apps.accounts.sandbox_ids import is_of_sandbox, sandbox_id
from apps.base.transactions import atomic
from biolayer.errors import NotFound

# Called within the transaction that asks for a sandbox; adds what is missing in it.
Equipment = Callable[[UUID], None]

_equipment: list[Equipment] = []


def equip_sandboxes(equipment: Equipment) -> None:
    """Have `equipment` give each sandbox its pool and workers. Called by config/wiring.py only."""
    _equipment.append(equipment)


@atomic()
def ensure_sandbox(*, organisation_id: UUID) -> UUID:
    """Return the id of the organisation's sandbox, complete; a sandbox's is its own.

    It is created at the first call, and what is missing in it is added again. The live organisation
    is locked meanwhile, so that of two calls the second one finds what the first one made. Raise
    `NotFound`.
    """
    if is_of_sandbox(organisation_id):
        return organisation_id
    live = Organisation.objects.select_for_update(no_key=True).filter(id=organisation_id).first()
    if live is None:
        raise NotFound("organisation")
    own_id = sandbox_id(live.id)
    Organisation.objects.get_or_create(
        id=own_id,
        defaults={
            "tenant_id": live.tenant_id,
            "name": live.name,
            "retain_days": live.retain_days,
            "sandbox_of": live,
        },
    )
    for equipment in _equipment:
        equipment(own_id)
    return own_id
