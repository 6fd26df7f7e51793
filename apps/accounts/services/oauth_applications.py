"""Create, change and delete the clients of OAuth 2.0.

A client never has more than the caller who creates or changes it: also a new secret, or a further
redirect URI, would give the caller what the client has.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.grants import Grant, ineffective_scopes, require_covered
from apps.accounts.models import GrantType, OAuthApplication, Organisation
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.selectors.api_keys import limits_of
from apps.accounts.selectors.oauth import visible_applications
from apps.accounts.services.oauth_tokens import delete_tokens
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import Fault, InvalidInput, NotFound, SecretNotUsed, TooManyOAuthApplications
from biolayer.requests.oauth import OAuthApplicationChange, OAuthApplicationCreation

MAX_APPLICATIONS = 100

FindFaults = Callable[[], Iterable[Fault]]


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """Hold a client, and its secret, which is shown once; empty for a public client."""

    application: OAuthApplication
    secret: str = field(repr=False)


@atomic()
def create_oauth_application(
    *,
    actor: Principal,
    request: OAuthApplicationCreation,
    find_faults: FindFaults,
    at: datetime,
) -> IssuedSecret:
    """Create a client. `find_faults` looks at what only a higher app knows: the pools.

    Raise `GrantExceeded`, `InvalidInput`, `TooManyOAuthApplications`, `ScopeMissing`.
    """
    _require_grantable(actor, request, find_faults)
    Organisation.objects.select_for_update(no_key=True).get(id=actor.organisation_id)
    if OAuthApplication.objects.filter(organisation_id=actor.organisation_id).count() >= (
        MAX_APPLICATIONS
    ):
        raise TooManyOAuthApplications(MAX_APPLICATIONS)
    secret = _new_secret()
    application = OAuthApplication.objects.create(
        organisation_id=actor.organisation_id,
        name=request.name,
        client_type=request.client_type,
        grant_types=request.grant_types,
        authorization_grant_type=_library_name(request.grant_types),
        redirect_uris=" ".join(request.redirect_uris),
        scopes=request.scopes,
        role=request.role,
        pool_ids=request.pool_ids,
        # A public client has a secret that nothing knows, rather than an empty one.
        client_secret=secret,
        created_by=actor.text,
    )
    facts = {"scopes": request.scopes, "role": request.role, "client_type": request.client_type}
    _write_audit(AuditAction.CLIENT_CREATED, application, actor=actor, at=at, **facts)
    return IssuedSecret(application, secret if application.is_confidential else "")


@atomic()
def update_oauth_application(
    *,
    actor: Principal,
    client_id: str,
    request: OAuthApplicationChange,
    find_faults: FindFaults,
    at: datetime,
) -> OAuthApplication:
    """Change the given fields of a client. Its tokens are bound by the change at once.

    Raise `GrantExceeded`, `InvalidInput`, `NotFound`, `ScopeMissing`.
    """
    application = _lock(actor, client_id)
    request.check_for(application.grant_types, application.client_type)
    changed = []
    for name, value in _columns(request).items():
        if getattr(application, name) != value:
            setattr(application, name, value)
            changed.append(name)
    _require_grantable(actor, application, find_faults)
    if changed:
        application.save(update_fields=[*changed, "updated"])
        facts: dict[str, Any] = {"fields": changed}
        facts |= {
            name: getattr(application, name) for name in ("scopes", "role") if name in changed
        }
        _write_audit(AuditAction.CLIENT_CHANGED, application, actor=actor, at=at, **facts)
    return application


@atomic()
def rotate_oauth_secret(*, actor: Principal, client_id: str, at: datetime) -> IssuedSecret:
    """Give a client a new secret; the one before ends at once.

    Raise `GrantExceeded`, `NotFound`, `ScopeMissing`, `SecretNotUsed`.
    """
    application = _lock(actor, client_id)
    _require_grantable(actor, application)
    if not application.is_confidential:
        raise SecretNotUsed
    secret = application.client_secret = _new_secret()
    application.save(update_fields=["client_secret", "updated"])
    facts = {"fields": ["client_secret"]}
    _write_audit(AuditAction.CLIENT_CHANGED, application, actor=actor, at=at, **facts)
    return IssuedSecret(application, secret)


@atomic()
def delete_oauth_application(*, actor: Principal, client_id: str, at: datetime) -> None:
    """Delete a client with its consents, codes and tokens, which end at once."""
    actor.require(Scope.CREDENTIALS_MANAGE)
    application = _lock(actor, client_id)
    delete_tokens(application_id=application.id)
    _write_audit(AuditAction.CLIENT_DELETED, application, actor=actor, at=at)
    application.delete()


def _require_grantable(
    actor: Principal,
    client: OAuthApplication | OAuthApplicationCreation,
    find_faults: FindFaults = tuple,
) -> None:
    """Raise `GrantExceeded` or, once that is excluded, `InvalidInput`."""
    actor.require(Scope.CREDENTIALS_MANAGE)
    grant = Grant(scopes=client.scopes, role=client.role, pool_ids=client.pool_ids)
    require_covered(grant, actor=actor, limits=limits_of(actor))
    if faults := [*ineffective_scopes(grant), *find_faults()]:
        raise InvalidInput(faults)


def _lock(actor: Principal, client_id: str) -> OAuthApplication:
    actor.require(Scope.CREDENTIALS_MANAGE)
    row = visible_applications(actor).filter(client_id=client_id).select_for_update().first()
    if row is None:
        raise NotFound("OAuth application")
    return row


def _columns(request: OAuthApplicationChange) -> dict[str, Any]:
    values = request.model_dump(include=request.model_fields_set)
    if "redirect_uris" in values:
        values["redirect_uris"] = " ".join(values["redirect_uris"])
    return values


def _library_name(grant_types: Sequence[str]) -> str:
    """Return the flow that the library's own column names: one, the more general one."""
    if GrantType.AUTHORIZATION_CODE in grant_types:
        return OAuthApplication.GRANT_AUTHORIZATION_CODE
    return OAuthApplication.GRANT_CLIENT_CREDENTIALS


def _new_secret() -> str:
    """Return 256 random bits: as text that needs no encoding in a form or a header."""
    return secrets.token_hex(32)


def _write_audit(
    action: AuditAction,
    application: OAuthApplication,
    *,
    actor: Principal,
    at: datetime,
    **facts: Any,
) -> None:
    subject = ("oauth_application", application.client_id)
    write([audit_entry(actor=actor, action=action, subject=subject, at=at, **facts)])
