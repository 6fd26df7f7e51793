"""Check a posted contract against what the database knows: organisation, pools, dependencies."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from apps.accounts.principal import Principal
from apps.pools import selectors as pool_selectors
from apps.pools.selectors import pool_for
from apps.tasks.schemas.checks import schema_faults
from apps.tasks.services.attachments import attachment_check, attachments_of_contract
from apps.tasks.services.dependencies import dependency_check
from biolayer.contract import Check, TaskContract, dig, parse_task
from biolayer.errors import Fault, pointer
from biolayer.reviews import ReviewPolicy, laxer_fields

POOL = ("requirements", "worker_pool_id")
REVIEWERS = ("review", "reviewer_pool_id")
STEPS = ("requirements", "escalation", "steps")
MAX_POOLS = 2 + 10 * 16
"""No contract that its model allows names more: its own pool, its reviewers', and those of its
escalation steps."""

_checks: list[Check] = [schema_faults]


def add_check(check: Check) -> None:
    """Have `check` look at each posted contract. Called by config/wiring.py only."""
    _checks.append(check)


def checked_contract(
    *, actor: Principal, document: Any, at: datetime, usable_pools: Collection[UUID]
) -> TaskContract:
    """Return the document as a contract. Raise `InvalidInput` with every fault."""

    def check_references(document: Any) -> list[Fault]:
        return reference_faults(actor=actor, document=document, usable_pools=usable_pools)

    return parse_task(document, now=at, checks=[*_checks, check_references])


def contract_without_references(*, document: Any, at: datetime) -> TaskContract:
    """Return the document as a contract. What it names is not checked: no query.

    Raise `InvalidInput`.
    """
    return parse_task(document, now=at, checks=_checks)


def reference_faults(
    *, actor: Principal, document: Any, usable_pools: Collection[UUID]
) -> list[Fault]:
    """Return what is wrong with the pools, tasks and attachments that a document names."""
    return [
        *_pool_faults(document, usable_pools),
        *_review_faults(actor, document, usable_pools),
        *dependency_check(actor)(document),
        *attachment_check(actor)(document),
    ]


def usable_pools(*, actor: Principal, documents: Iterable[Any]) -> set[UUID]:
    """Return those of the pools that the documents name that the actor may name in a contract."""
    named = {pool_id for document in documents for _, pool_id in _named_pools(document)}
    return pool_selectors.nameable_pools(actor=actor, pool_ids=named)


def is_plain(contract: TaskContract) -> bool:
    """Return whether a contract names no tasks, no attachments, and no pool but its own.

    A review policy must be compared with that of the pool.
    """
    needs = contract.requirements
    if contract.depends_on or needs.escalation is not None or contract.review is not None:
        return False
    return not attachments_of_contract(contract)


def named_organisation(document: Any) -> UUID | None:
    """Return the organisation that a document names; None where it names none, or no UUID."""
    try:
        return UUID(dig(document, "origin", "org_id"))
    except (AttributeError, TypeError, ValueError):
        return None


def _pool_faults(document: Any, usable: Collection[UUID]) -> Iterator[Fault]:
    for place, pool_id in _named_pools(document):
        if pool_id not in usable:
            text = "is no open pool that this credential may use"
            yield Fault(pointer(*place), "unknown_pool", text)


def _review_faults(actor: Principal, document: Any, usable: Collection[UUID]) -> Iterator[Fault]:
    """Yield a fault for each field of a review policy that is laxer than the named pool's."""
    task = _review_policy(dig(document, "review"))
    named = next((pool_id for place, pool_id in _named_pools(document) if place == POOL), None)
    if task is None or named not in usable:
        return
    pool = pool_selectors.review_policy(pool_id=pool_for(actor=actor, named=named))
    for field in () if pool is None else laxer_fields(pool=pool, task=task):
        floor = orjson.dumps(pool.model_dump(mode="json")[field]).decode() if pool else ""
        text = f"is laxer than the policy of the pool, {floor}"
        yield Fault(pointer("review", field), "laxer_than_pool", text)


def _review_policy(document: Any) -> ReviewPolicy | None:
    """Return the policy; None for another value, which the model reports."""
    try:
        return None if document is None else ReviewPolicy.model_validate(document)
    except ValidationError:
        return None


def _named_pools(document: Any) -> Iterator[tuple[tuple[str | int, ...], UUID]]:
    """Yield each pool that a document names, with its place; the model reports other values."""
    for place, text in islice(_pool_places(document), MAX_POOLS):
        try:
            yield place, UUID(text)
        except (AttributeError, TypeError, ValueError):
            continue


def _pool_places(document: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    yield POOL, dig(document, *POOL)
    yield REVIEWERS, dig(document, *REVIEWERS)
    for number, step in _numbered(dig(document, *STEPS)):
        for position, pool_id in _numbered(dig(step, "widen_to_pools")):
            yield (*STEPS, number, "widen_to_pools", position), pool_id


def _numbered(value: Any) -> Iterator[tuple[int, Any]]:
    yield from enumerate(value if isinstance(value, list) else [])
