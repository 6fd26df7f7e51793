"""Describe the caller: created once by the API, passed as `actor`, checked by every service."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from apps.accounts.sandbox_ids import live_id
from apps.accounts.scopes import LEAST_ROLE, ROLE_ORDER, Role, Scope
from biolayer.errors import (
    EVERY_POOL,
    OrganisationMismatch,
    PoolNotGranted,
    RoleTooLow,
    ScopeMissing,
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Hold what decides on access: scopes, role, organisation and granted pools."""

    # api_key, oauth_application, oauth_member (a client for a person), member, worker, system, or
    # staff: of the installation, who read an organisation for a time.
    kind: str
    id: str
    name: str
    organisation_id: UUID
    role: str
    scopes: frozenset[str]
    pool_ids: frozenset[UUID] | None = None  # None: every pool of the organisation
    worker_id: UUID | None = None
    # The member in whose name a browser's session, or a client with a person's consent, acts.
    member_id: UUID | None = None
    # Where the call comes from, for the audit log; empty for the service itself.
    address: str = ""
    # The API key, which a worker's `id` does not name; empty for other credentials.
    key_id: str = ""
    # The access token; 0 for other credentials.
    token_id: int = 0

    def require(self, scope: Scope) -> None:
        """Raise `ScopeMissing` or `RoleTooLow` unless the credential may use `scope`."""
        if scope.value not in self.scopes:
            raise ScopeMissing(scope.value)
        self.require_role(LEAST_ROLE[scope])

    def require_role(self, role: Role) -> None:
        """Raise `RoleTooLow` unless the credential acts with `role` or a higher one."""
        if not self.has_role(role):
            raise RoleTooLow(role.value)

    def require_worker(self) -> UUID:
        """Return the worker that the credential acts for. Raise `ScopeMissing` without one."""
        self.require(Scope.WORK)
        if self.worker_id is None:
            raise ScopeMissing(Scope.WORK.value)
        return self.worker_id

    def as_worker(self) -> "Principal":
        """Return the worker that the credential acts for, as the actor of what a worker does.

        A member who is a worker is recorded like the worker's own key. Raise `ScopeMissing`.
        """
        worker_id = self.require_worker()
        return replace(self, kind="worker", id=str(worker_id))

    def for_worker(self, worker_id: UUID) -> "Principal":
        """Return the credential as the worker that it acts for by a session, and nothing else.

        The caller has checked that it may.
        """
        return replace(
            self,
            kind="worker",
            id=str(worker_id),
            worker_id=worker_id,
            scopes=frozenset({Scope.WORK.value}),
        )

    def require_organisation(self, organisation_id: UUID | None) -> None:
        """Raise `OrganisationMismatch` when a document names another organisation.

        A sandbox may be named by its live organisation: a test contract is the live contract.
        """
        own = (None, self.organisation_id, live_id(self.organisation_id))
        if organisation_id not in own:
            raise OrganisationMismatch(
                "`origin.org_id` is not the organisation of this credential."
            )

    def require_every_pool(self) -> None:
        """Raise `PoolNotGranted` where the credential is restricted to pools.

        It must not change what belongs to the whole organisation, its signing keys, say.
        """
        if self.pool_ids is not None:
            raise PoolNotGranted(
                "This concerns the whole organisation; the credential is restricted to pools.",
                missing=EVERY_POOL,
            )

    def covers(self, pool_ids: Collection[UUID] | None) -> bool:
        """Return whether the credential is for all of these pools; None: every pool there is."""
        if self.pool_ids is None:
            return True
        return pool_ids is not None and self.pool_ids.issuperset(pool_ids)

    @property
    def text(self) -> str:
        """Return how rows name the caller that wrote them."""
        return f"{self.kind}:{self.id}"

    def has_role(self, role: Role) -> bool:
        """Return whether the credential acts with `role` or a higher one."""
        return ROLE_ORDER.index(self.role) >= ROLE_ORDER.index(role.value)

    def may_use_pool(self, pool_id: UUID) -> bool:
        """Return whether the pool is granted."""
        return self.pool_ids is None or pool_id in self.pool_ids


EVERY_SCOPE = frozenset(Scope.values)


def system(name: str, organisation_id: UUID) -> Principal:
    """Return the service itself as actor: its matcher, its timers, its checks."""
    return Principal(
        kind="system",
        id=name,
        name=name,
        organisation_id=organisation_id,
        role=Role.ADMIN,
        scopes=EVERY_SCOPE,
    )
