"""Create and change clients of OAuth 2.0: the pools that a client names are known here only."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from apps.accounts import services as accounts
from apps.accounts.models import OAuthApplication
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import IssuedSecret
from apps.base.transactions import atomic
from apps.pools.services.pools import named_pools, unusable_pool_faults
from biolayer.contract import parse
from biolayer.errors import Fault
from biolayer.requests.oauth import OAuthApplicationChange, OAuthApplicationCreation


@atomic()
def create_oauth_application(*, actor: Principal, document: Any, at: datetime) -> IssuedSecret:
    """Create a client from a document, with at most what the actor has.

    Raise `GrantExceeded`, `InvalidInput`, `RoleTooLow`, `ScopeMissing`,
    `TooManyOAuthApplications`.
    """
    actor.require(Scope.CREDENTIALS_MANAGE)
    creation = parse(OAuthApplicationCreation, document)
    return accounts.create_oauth_application(
        actor=actor, request=creation, find_faults=lambda: _pool_faults(actor, document), at=at
    )


@atomic()
def update_oauth_application(
    *, actor: Principal, client_id: str, document: Any, at: datetime
) -> OAuthApplication:
    """Change the given fields of a client. Its tokens are bound by the change at once.

    Raise `GrantExceeded`, `InvalidInput`, `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.CREDENTIALS_MANAGE)
    change = parse(OAuthApplicationChange, document)
    return accounts.update_oauth_application(
        actor=actor,
        client_id=client_id,
        request=change,
        find_faults=lambda: _pool_faults(actor, document),
        at=at,
    )


def _pool_faults(actor: Principal, document: Any) -> Iterator[Fault]:
    return unusable_pool_faults(actor, named_pools(document, "pool_ids"))
