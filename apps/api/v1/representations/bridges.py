"""Represent bridge instances."""

from apps.api.v1.representations.values import choice
from apps.api.v1.representations.webhooks import shown_auth
from apps.operations.selectors import BridgeView
from biolayer.responses import bridges as responses


def bridge_instance(view: BridgeView) -> responses.BridgeInstance:
    """Return a bridge as its owner sees it: credentials and header values are never shown."""
    row, destination = view.row, view.destination
    reason = destination.disabled_reason
    return responses.BridgeInstance(
        bridge_instance_id=row.wire_id,
        name=row.name,
        scope="global" if row.pool_id is None else "workspace",
        workspace_id=row.pool_id,
        url=destination.url,
        origin=destination.origin.text,
        headers=dict.fromkeys(destination.header_names, "redacted"),
        auth=shown_auth(destination.auth_type),
        timeout_seconds=destination.timeout_seconds,
        enabled=destination.status == "enabled",
        muted=row.is_muted,
        status=choice(destination.status),
        disabled_reason=choice(reason) if reason else None,
        endpoint_id=destination.id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
