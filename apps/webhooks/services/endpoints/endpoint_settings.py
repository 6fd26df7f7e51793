"""Convert an endpoint's document into columns, and check it for faults."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.webhooks.credentials import Credentials, unsealed
from apps.webhooks.destination_urls import url_faults
from apps.webhooks.models import Destination, DestinationStatus
from biolayer.contract import CallbackAuth, Check, dig
from biolayer.errors import Fault, pointer

PoolCheck = Callable[[Principal, UUID], bool]

_pool_checks: list[PoolCheck] = [Principal.may_use_pool]


def add_pool_check(check: PoolCheck) -> None:
    """Register a check of which pools an actor's endpoints may filter by.

    Called by config/wiring.py only: webhooks do not know pools.
    """
    _pool_checks.append(check)


# --- checks ---------------------------------------------------------------------------------------


def document_checks(actor: Principal, stored: Credentials, *, is_new: bool) -> list[Check]:
    """Return checks for faults of the actor's document that its schema does not show."""
    return [*address_checks(stored), _pool_faults(actor, is_new=is_new)]


def address_checks(stored: Credentials) -> list[Check]:
    """Return the checks of a URL and of what a request to it carries."""
    return [_url_faults, _header_faults(stored)]


def _url_faults(document: Any) -> Iterable[Fault]:
    return url_faults(dig(document, "url"), "/url")


def _pool_faults(actor: Principal, *, is_new: bool) -> Check:
    def faults(document: Any) -> Iterable[Fault]:
        default: Any = None if is_new else []
        pool_ids = document.get("pool_ids", default) if isinstance(document, dict) else default
        if pool_ids is None and actor.pool_ids is not None:
            yield Fault("/pool_ids", "required", "must name pools that this credential may use")
        for index, text in enumerate(pool_ids if isinstance(pool_ids, list) else []):
            if not may_filter_by(actor, text):
                detail = "is not an open pool that this credential may use"
                yield Fault(pointer("pool_ids", index), "unknown_pool", detail)

    return faults


def may_filter_by(actor: Principal, text: Any) -> bool:
    """Return whether the actor's endpoints may get the events of a pool; True for what is none."""
    try:
        pool_id = UUID(text)
    except (AttributeError, TypeError, ValueError):
        return True  # The schema reports what is not a UUID.
    return all(may_use(actor, pool_id) for may_use in _pool_checks)


def _header_faults(stored: Credentials) -> Check:
    """Return a check for custom headers that `auth` sets as well.

    The stored values stand for absent fields.
    """

    def faults(document: Any) -> Iterable[Fault]:
        if not isinstance(document, dict):
            return
        auth = document.get("auth", {"name": stored.auth.name})
        headers = document.get("headers", stored.headers)
        name = dig(auth, "name")
        if not isinstance(name, str) or not isinstance(headers, Mapping):
            return
        for header in headers:
            if header.lower() == name.lower():
                location = pointer("headers", header) if "headers" in document else "/auth/name"
                detail = "is both a custom header and the header of `auth`"
                yield Fault(location, "duplicate", detail)

    return faults


# --- columns --------------------------------------------------------------------------------------

SAME_NAME = ("url", "description", "event_types", "pool_ids", "domains", "timeout_seconds")


def setting_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of the present fields, except those of credentials and status."""
    columns = {name: values[name] for name in SAME_NAME if name in values}
    if "rate_limit_per_minute" in values:
        columns["rate_per_minute"] = values["rate_limit_per_minute"]
    if "payload" in values:
        columns["is_thin"] = values["payload"] == "thin"
    if "ordering" in values:
        columns["is_ordered"] = values["ordering"] == "per_task"
    if "retry_policy" in values:
        policy = values["retry_policy"]
        columns["max_retries"] = None if policy is None else policy.max_retries
        columns["backoff_seconds"] = None if policy is None else policy.backoff_seconds
    return columns


def stored_credentials(endpoint: Destination) -> Credentials:
    """Return an endpoint's credentials and headers. Raise what `crypto.unseal` raises."""
    document = unsealed(endpoint.organisation_id, bytes(endpoint.sealed))
    headers = document.pop("headers", {})
    return Credentials(CallbackAuth.model_validate(document), headers)


def with_changes(stored: Credentials, values: Mapping[str, Any]) -> Credentials:
    """Return the credentials with the present fields replaced, each as a whole."""
    changed = {name: values[name] for name in ("auth", "headers") if name in values}
    return replace(stored, **changed)


def credential_columns(credentials: Credentials, organisation_id: UUID) -> dict[str, Any]:
    """Return the columns of credentials and custom headers."""
    return {
        "auth_type": credentials.auth.type,
        "sealed": credentials.sealed(organisation_id),
        "header_names": list(credentials.headers),
    }


def status_columns(endpoint: Destination, *, enabled: bool | None) -> dict[str, Any]:
    """Return the columns of `enabled`; None: not in the document. Enabling clears the failures."""
    is_enabled = endpoint.status == DestinationStatus.ENABLED
    if enabled and not is_enabled:
        return {
            "status": DestinationStatus.ENABLED,
            "disabled_reason": "",
            "failing_since": None,
            "failure_count": 0,
            "warned_hours": 0,
        }
    # An endpoint that we disabled stays disabled: the reason is more useful than `paused`.
    if enabled is False and is_enabled:
        return {"status": DestinationStatus.PAUSED}
    return {}
