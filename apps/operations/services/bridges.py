"""Create, change and delete bridge instances. The webhooks' engine sends to them."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.transactions import atomic, retry_races
from apps.operations.models import BridgeDue, BridgeInstance, BridgeSubscription
from apps.operations.selectors.bridges import BridgeView, bridge_instance
from apps.operations.services.notifying import finish_delivery
from apps.webhooks import services as webhooks
from apps.webhooks.credentials import Credentials
from biolayer.contract import Check, dig, parse
from biolayer.errors import BridgeInstanceIdTaken, Fault
from biolayer.requests.bridges import BridgeInstanceChange, BridgeInstanceCreation

DELETED_AT_ONCE = 1_000


def create_bridge_instance(*, actor: Principal, document: Any, at: datetime) -> BridgeView:
    """Create a bridge instance.

    Raise `BridgeInstanceIdTaken`, `InvalidInput` with every fault, `RoleTooLow`, `ScopeMissing`.
    """
    try:
        return _create(actor, document, at)
    except IntegrityError as error:
        if "bridge_wire_id_is_unique" in str(error):
            raise BridgeInstanceIdTaken from error
        raise


@atomic()
def _create(actor: Principal, document: Any, at: datetime) -> BridgeView:
    actor.require(Scope.WEBHOOKS_MANAGE)
    checks = [*webhooks.address_checks(Credentials()), _workspace_faults(actor)]
    new = parse(BridgeInstanceCreation, document, checks=checks)
    taken = BridgeInstance.objects.filter(
        organisation_id=actor.organisation_id, wire_id=new.bridge_instance_id
    )
    if new.bridge_instance_id and taken.exists():
        raise BridgeInstanceIdTaken
    destination = webhooks.create_bridge(
        organisation_id=actor.organisation_id,
        url=new.url,
        description=new.name,
        auth=new.auth,
        headers=new.headers,
        timeout_seconds=new.timeout_seconds,
        pool_ids=None if new.workspace_id is None else [new.workspace_id],
        is_enabled=new.enabled,
        at=at,
    )
    row = BridgeInstance.objects.create(
        id=destination.id,
        organisation_id=actor.organisation_id,
        wire_id=new.bridge_instance_id or f"brg-{secrets.token_hex(8)}",
        name=new.name,
        pool_id=new.workspace_id,
        is_muted=new.muted,
        created_at=at,
        updated_at=at,
    )
    _record(actor, AuditAction.BRIDGE_CREATED, row.id, at)
    return _visible(actor, row.wire_id)


def _workspace_faults(actor: Principal) -> Check:
    """Return a check that the workspace fits the scope, and that the actor may use it."""

    def faults(document: Any) -> Iterable[Fault]:
        scope, workspace = dig(document, "scope"), dig(document, "workspace_id")
        if scope == "workspace" and workspace is None:
            yield Fault("/workspace_id", "required", "is required for this scope")
        if scope == "global" and actor.pool_ids is not None:
            detail = "must be workspace: this credential is for some pools"
            yield Fault("/scope", "forbidden", detail)
        if scope == "global" and workspace is not None:
            yield Fault("/workspace_id", "forbidden", "must be absent for a global bridge")
        elif workspace is not None and not webhooks.may_filter_by(actor, workspace):
            detail = "is not an open pool that this credential may use"
            yield Fault("/workspace_id", "unknown_pool", detail)

    return faults


def update_bridge_instance(
    *, actor: Principal, wire_id: str, document: Any, at: datetime
) -> BridgeView:
    """Change the fields in the document; the others stay.

    Raise `InvalidInput`, `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    return retry_races(lambda: _update(actor, wire_id, document, at))


def _update(actor: Principal, wire_id: str, document: Any, at: datetime) -> BridgeView:
    view = _visible(actor, wire_id)
    stored = webhooks.bridge_credentials(view.destination)
    change = parse(BridgeInstanceChange, document, checks=webhooks.address_checks(stored))
    fields = change.present()
    origin = view.destination.origin_id
    if "url" in fields:
        # Before the transaction, as for endpoints: its row would be locked until the end.
        origin = webhooks.origin_for(actor.organisation_id, change.url)
    _write_update(actor, view, fields, origin, at)
    return _visible(actor, wire_id)


@atomic()
def _write_update(
    actor: Principal, view: BridgeView, fields: dict[str, Any], origin_id: UUID, at: datetime
) -> None:
    known = {"description": fields["name"]} if "name" in fields else {}
    webhooks.change_bridge(
        known=view.destination,
        fields={**fields, **known},
        origin_id=origin_id,
        by=actor.text,
        at=at,
    )
    values = {"name": "name", "muted": "is_muted"}
    changed = {column: fields[name] for name, column in values.items() if name in fields}
    BridgeInstance.objects.filter(id=view.row.id).update(**changed, updated_at=at)
    if fields:
        _record(actor, AuditAction.BRIDGE_CHANGED, view.row.id, at, fields=sorted(fields))


def delete_bridge_instance(*, actor: Principal, wire_id: str, at: datetime) -> None:
    """Delete a bridge instance with its subscriptions and deliveries; their cursors stay.

    There may be very many, so they are deleted in batches. A call that was interrupted is repeated
    and continues. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    view = _visible(actor, wire_id)
    while _delete_subscriptions(view.row.id, at) == DELETED_AT_ONCE:
        pass
    webhooks.empty_bridge(view.destination)
    retry_races(lambda: _delete(actor, view.row.id, at))


@atomic()
def _delete_subscriptions(bridge_id: UUID, at: datetime) -> int:
    rows = BridgeSubscription.objects.filter(bridge_id=bridge_id).order_by("id")
    found = list(rows.select_for_update(of=("self",))[:DELETED_AT_ONCE])
    for row in found:
        # What has arrived counts for a later subscription of the same id.
        finish_delivery(row, at=at)
    ids = [row.id for row in found]
    BridgeDue.objects.filter(subscription_id__in=ids).delete()
    BridgeSubscription.objects.filter(id__in=ids).delete()
    return len(found)


@atomic()
def _delete(actor: Principal, bridge_id: UUID, at: datetime) -> None:
    """Delete the instance with what was added meanwhile."""
    webhooks.delete_bridge(bridge_id)
    list(BridgeInstance.objects.select_for_update().filter(id=bridge_id))
    BridgeSubscription.objects.filter(bridge_id=bridge_id).delete()
    BridgeInstance.objects.filter(id=bridge_id).delete()
    _record(actor, AuditAction.BRIDGE_DELETED, bridge_id, at)


def _record(
    actor: Principal, action: AuditAction, bridge_id: UUID, at: datetime, **facts: Any
) -> None:
    subject = ("bridge_instance", bridge_id)
    record_action(actor=actor, action=action, subject=subject, at=at, **facts)


def _visible(actor: Principal, wire_id: str) -> BridgeView:
    return bridge_instance(actor=actor, wire_id=wire_id, scope=Scope.WEBHOOKS_MANAGE)
