"""From an endpoint's document to its row: what is wrong with it, and which columns it means."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import orjson

from apps.accounts.principal import Principal
from apps.base import crypto
from apps.webhooks.addresses import url_problem
from apps.webhooks.models import Destination, DestinationStatus
from apps.webhooks.services.announcing import sealed, sealed_place
from biolayer.contract import CallbackAuth, Check, dig
from biolayer.errors import Fault, pointer

PoolCheck = Callable[[Principal, UUID], bool]

_pool_checks: list[PoolCheck] = [Principal.may_use_pool]


def add_pool_check(check: PoolCheck) -> None:
    """Have `check` say which pools an actor's endpoints may filter by. Called by config/wiring.py
    only: pools are not of this room.
    """
    _pool_checks.append(check)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an endpoint's row keeps sealed."""

    auth: CallbackAuth = field(default_factory=CallbackAuth)
    headers: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(endpoint: Destination) -> "Secrets":
        if not endpoint.sealed:
            return Secrets()
        opened = crypto.unseal(bytes(endpoint.sealed), sealed_place(endpoint.organisation_id))
        kept = orjson.loads(opened)
        headers = kept.pop("headers", {})
        return Secrets(CallbackAuth.model_validate(kept), headers)

    def replaced(self, given: Mapping[str, Any]) -> "Secrets":
        """With what was given in the place of what there was, each whole."""
        return replace(self, **{name: given[name] for name in ("auth", "headers") if name in given})

    def columns(self, organisation_id: UUID) -> dict[str, Any]:
        return {
            "auth_type": self.auth.type,
            "sealed": sealed(organisation_id, self.auth, dict(self.headers)),
            "header_names": list(self.headers),
        }

    def clash_faults(self, document: Any) -> Iterable[Fault]:
        """Where a document, laid over these, has a custom header that `auth` sets as well."""
        if not isinstance(document, dict):
            return
        auth = document.get("auth", {"name": self.auth.name})
        headers = document.get("headers", self.headers)
        name = dig(auth, "name")
        if not isinstance(name, str) or not isinstance(headers, Mapping):
            return
        for header in headers:
            if header.lower() == name.lower():
                place = pointer("headers", header) if "headers" in document else "/auth/name"
                yield Fault(place, "duplicate", "is a custom header and the header of `auth`")


def checks(actor: Principal, kept: Secrets, *, is_new: bool) -> list[Check]:
    """Looks at a document of the actor's for faults that its form does not show."""
    return [_url_faults, _pool_faults(actor, is_new=is_new), kept.clash_faults]


def _url_faults(document: Any) -> Iterable[Fault]:
    url = dig(document, "url")
    if isinstance(url, str) and url:
        problem = url_problem(url)
        if problem is not None:
            yield Fault("/url", *problem)


def _pool_faults(actor: Principal, *, is_new: bool) -> Check:
    def faults(document: Any) -> Iterable[Fault]:
        absent: Any = None if is_new else []
        named = document.get("pool_ids", absent) if isinstance(document, dict) else absent
        if named is None and actor.pool_ids is not None:
            yield Fault("/pool_ids", "required", "must name pools that this credential may use")
        for index, text in enumerate(named if isinstance(named, list) else []):
            if not _may_filter_by(actor, text):
                words = "is no open pool that this credential may use"
                yield Fault(pointer("pool_ids", index), "unknown_pool", words)

    return faults


def _may_filter_by(actor: Principal, text: Any) -> bool:
    try:
        pool_id = UUID(text)
    except (AttributeError, TypeError, ValueError):
        return True  # No UUID: the form's own fault.
    return all(may_use(actor, pool_id) for may_use in _pool_checks)


SAME_NAME = ("url", "description", "event_types", "pool_ids", "domains", "timeout_seconds")


def columns(given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of what was given. Secrets and `enabled` have ways of their own."""
    found = {name: given[name] for name in SAME_NAME if name in given}
    if "rate_limit_per_minute" in given:
        found["rate_per_minute"] = given["rate_limit_per_minute"]
    if "payload" in given:
        found["is_thin"] = given["payload"] == "thin"
    if "ordering" in given:
        found["is_ordered"] = given["ordering"] == "per_task"
    if "retry_policy" in given:
        policy = given["retry_policy"]
        found["max_retries"] = None if policy is None else policy.max_retries
        found["backoff_seconds"] = None if policy is None else policy.backoff_seconds
    return found


def standing(endpoint: Destination, *, enabled: bool | None) -> dict[str, Any]:
    """The columns of `enabled`; None: it was not given. Enabled anew, an endpoint has no record."""
    is_enabled = endpoint.status == DestinationStatus.ENABLED
    if enabled and not is_enabled:
        return {
            "status": DestinationStatus.ENABLED,
            "disabled_reason": "",
            "failing_since": None,
            "failure_count": 0,
            "warned_hours": 0,
        }
    # One that we disabled stays so: the reason is worth more than the word.
    if enabled is False and is_enabled:
        return {"status": DestinationStatus.PAUSED}
    return {}
