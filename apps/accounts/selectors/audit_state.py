"""Read what the audit log's pages show beside its rows: names of actors, the state of the chain."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.accounts.audit_facts import is_authentic_end, is_authentic_head
from apps.accounts.models import ApiKey, AuditChain, AuditEvent, AuditHead, Member, User
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.selectors.audit import audit_heads
from apps.accounts.selectors.audit_keys import authentic_publics
from apps.accounts.selectors.audit_verification import hash_at, row_beyond_the_end

# The rows without a position are counted up to this many.
MAX_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class AuditState:
    """Hold what is known of a chain without reading all of it: its end and its latest head.

    `manage.py verify_audit` reads all rows.
    """

    position: int
    changed_at: datetime | None
    # The end is what was signed, the row there has its hash, and none follows.
    is_end_intact: bool
    # How many rows have no position yet, at most `MAX_WAITING`.
    waiting: int
    head: AuditHead | None
    # The head is what was signed, and the row that it names has its hash.
    is_head_intact: bool


def audit_state(*, actor: Principal) -> AuditState:
    """Return the state of the organisation's chain. Raise as `audit_events` does."""
    head = audit_heads(actor=actor).first()
    organisation_id, publics = actor.organisation_id, authentic_publics()
    chain = AuditChain.objects.filter(organisation_id=organisation_id).first()
    unchained = AuditEvent.objects.filter(organisation_id=organisation_id, position=None)
    return AuditState(
        position=0 if chain is None else chain.position,
        changed_at=None if chain is None else chain.changed_at,
        is_end_intact=chain is None or _is_end_intact(chain, publics),
        waiting=unchained[:MAX_WAITING].count(),
        head=head,
        is_head_intact=head is None or _is_head_intact(head, publics),
    )


def names_of(
    *, actor: Principal, actors: Collection[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Return the names of principals, by kind and id, as far as they exist and the actor sees them.

    Raise `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.ORGANISATION_READ)
    names: dict[tuple[str, str], str] = {}
    members = Member.objects.select_related("user").filter(
        organisation_id=actor.organisation_id, id__in=_uuids(actors, "member")
    )
    names |= {("member", str(row.id)): row.user.get_full_name() for row in members}
    keys = [id_ for kind, id_ in actors if kind == "api_key"]
    if keys and Scope.CREDENTIALS_READ.value in actor.scopes:
        rows = ApiKey.objects.filter(organisation_id=actor.organisation_id, id__in=keys)
        names |= {("api_key", row.id): row.name for row in rows}
    if staff := _uuids(actors, "staff"):
        people = User.objects.filter(id__in=staff)
        names |= {("staff", str(row.id)): row.get_full_name() for row in people}
    return names


def _is_end_intact(chain: AuditChain, publics: dict[UUID, str]) -> bool:
    public = publics.get(chain.key_id)
    is_signed = public is not None and is_authentic_end(chain, public)
    is_last = hash_at(chain.organisation_id, chain.position) == bytes(chain.hash)
    return is_signed and is_last and row_beyond_the_end(chain.organisation_id) is None


def _is_head_intact(head: AuditHead, publics: dict[UUID, str]) -> bool:
    public = publics.get(head.key_id)
    is_signed = public is not None and is_authentic_head(head, public)
    return is_signed and hash_at(head.organisation_id, head.position) == bytes(head.hash)


def _uuids(actors: Collection[tuple[str, str]], kind: str) -> list[str]:
    """Return the ids of actors of a kind whose ids are UUIDs."""
    return [id_ for known, id_ in actors if known == kind and _is_uuid(id_)]


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
