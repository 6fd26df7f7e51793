"""Making tasks from contracts."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
from django.db import IntegrityError, connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import crypto
from apps.base.ids import new_id
from apps.base.rows import Change
from apps.base.transactions import Raced, atomic
from apps.pools import selectors as pools
from apps.tasks.models import Task
from apps.tasks.requirements import kept, signature_of
from apps.tasks.schemas.checks import schema_faults
from apps.tasks.selectors import with_needs
from apps.tasks.services.depending import dependency_check, gate
from apps.tasks.services.locks import lock_task
from apps.tasks.transitions import apply
from biolayer.contract import Check, TaskContract, dig, parse, parse_task
from biolayer.errors import Fault, InvalidInput, RequestIdReused, pointer
from biolayer.lifecycle import Command

POOL = ("requirements", "worker_pool_id")
STEPS = ("requirements", "escalation", "steps")
MOST_POOLS = 1 + 10 * 16
"""No contract that the form allows names more pools: its own, and those of its escalation steps."""

_checks: list[Check] = [schema_faults]


def add_check(check: Check) -> None:
    """Have `check` look at each posted contract. Called by config/wiring.py only."""
    _checks.append(check)


@dataclass(frozen=True, slots=True)
class Created:
    """`is_new` is False when the same product had sent the same request before."""

    task: Task
    is_new: bool


def create_task(*, actor: Principal, document: Any, at: datetime) -> Created:
    """Accept a contract: the task at `created`, its event, and the rows that follow from it.

    Raises `InvalidInput` with every fault of the document, `OrganisationMismatch`, `ScopeMissing`,
    and `RequestIdReused` when the natural key came before with another body.
    """
    actor.require(Scope.TASKS_CREATE)
    actor.require_organisation(_named_organisation(document))
    try:
        checks = [*_checks, _pool_check(actor), dependency_check(actor)]
        contract = parse_task(document, now=at, checks=checks)
    except InvalidInput:
        sent_before = _sent_before(actor, document)
        if sent_before is not None:
            return sent_before
        raise
    # Within a transaction a violated constraint would end it, so there is a look before; else the
    # constraint says it, and the usual request, which is new, pays for no look.
    looks_first = connection.in_atomic_block or bool(contract.depends_on)
    earlier = _earlier(actor, contract) if looks_first else None
    if earlier is not None:
        return _same_or_reused(actor, earlier, contract)
    task = _new_task(actor, contract, at)
    try:
        # Without dependencies all that is written is one statement, and needs no transaction around it.
        with atomic() if contract.depends_on else nullcontext():
            also = gate(task=task, task_ids=contract.depends_on)
            _write(task, contract, actor=actor, at=at, also=also)
    except Raced:
        earlier = None if looks_first else _earlier(actor, contract)
        if earlier is None:
            raise
        return _same_or_reused(actor, earlier, contract)
    return Created(task, is_new=True)


def _same_or_reused(actor: Principal, earlier: Task, contract: TaskContract) -> Created:
    """Return the task that came before with this natural key. Raises `RequestIdReused` for another body."""
    replayed = _replayed(actor, earlier)
    if not _is_same(earlier, contract):
        raise RequestIdReused(str(earlier.id))
    return replayed


def _write(
    task: Task, contract: TaskContract, *, actor: Principal, at: datetime, also: Iterable[Change]
) -> None:
    signature = signature_of(task)
    task.requirement_id = signature.id
    also = [kept(signature), *also]
    try:
        apply(task, Command.CREATE, actor=actor, at=at, contract=contract, also=also)
    except IntegrityError as error:
        if "task_request_id_is_unique" in str(error):
            raise Raced from error
        raise


@atomic()
def publish_task(*, actor: Principal, task_id: UUID, at: datetime) -> Task:
    """Bring a draft to `created`. Its SLA clocks start now."""
    actor.require(Scope.TASKS_CREATE)
    task = lock_task(actor=actor, task_id=task_id)
    apply(task, Command.PUBLISH, actor=actor, at=at)
    return task


def _named_organisation(document: Any) -> UUID | None:
    """The organisation that the document names, if it names one at all; faults are told later."""
    try:
        return UUID(dig(document, "origin", "org_id"))
    except (AttributeError, TypeError, ValueError):
        return None


def _pool_check(actor: Principal) -> Check:
    def check(document: Any) -> Iterable[Fault]:
        for place, named in islice(_pools_named(document), MOST_POOLS):
            try:
                pool_id = UUID(named)
            except (AttributeError, TypeError, ValueError):
                continue  # Absent, or no UUID: the form's own fault.
            if not pools.may_use(actor=actor, pool_id=pool_id):
                text = "is no open pool that this credential may use"
                yield Fault(pointer(*place), "unknown_pool", text)

    return check


def _pools_named(document: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Each place that names a pool, and what it says, in a document of whatever form."""
    yield POOL, dig(document, *POOL)
    for step, named in _numbered(dig(document, *STEPS)):
        for place, pool_id in _numbered(dig(named, "widen_to_pools")):
            yield (*STEPS, step, "widen_to_pools", place), pool_id


def _numbered(value: Any) -> Iterator[tuple[int, Any]]:
    yield from enumerate(value if isinstance(value, list) else [])


def _sent_before(actor: Principal, document: Any) -> Created | None:
    """The task that this very body made while it was acceptable: before its deadline, say."""
    try:
        contract = parse(TaskContract, document)
    except InvalidInput:
        return None
    earlier = _earlier(actor, contract)
    return _replayed(actor, earlier) if earlier and _is_same(earlier, contract) else None


HASH_VERSION = b"\x02"


def _request_hash(contract: TaskContract) -> bytes:
    """Return a hash of what a request says, which neither the order of its members nor a default changes.

    So a field that a later version adds leaves the hashes of requests without it as they are.
    """
    said = contract.model_dump(mode="json", exclude_defaults=True)
    ordered = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
    return HASH_VERSION + crypto.keyed_hash("task-request", ordered)


def _hash_of_0_1(contract: TaskContract) -> bytes:
    return crypto.keyed_hash("task-body", orjson.dumps(contract.model_dump(mode="json")))


def _is_same(task: Task, contract: TaskContract) -> bool:
    """Return whether a contract is the one that a task was made from."""
    if task.request_hash is None:
        return bytes(task.body_hash) == _hash_of_0_1(contract)
    return bytes(task.request_hash) == _request_hash(contract)


EARLIER = (
    "SELECT id FROM tasks_task WHERE organisation_id = %s AND product = %s AND request_id = %s"
)


def _earlier(actor: Principal, contract: TaskContract) -> Task | None:
    if contract.origin.request_id is None:
        return None
    origin = contract.origin
    with connection.cursor() as cursor:
        cursor.execute(EARLIER, [actor.organisation_id, origin.product, origin.request_id])
        row = cursor.fetchone()
    return None if row is None else with_needs(Task.objects.all()).get(id=row[0])


def _replayed(actor: Principal, earlier: Task) -> Created:
    if not Task.objects.visible_to(actor).filter(id=earlier.id).exists():
        raise RequestIdReused(None)
    return Created(earlier, is_new=False)


def _new_task(actor: Principal, contract: TaskContract, at: datetime) -> Task:
    origin, sla, needs = contract.origin, contract.sla, contract.requirements
    handoff, policy = contract.handoff, contract.handoff.retry_policy
    escalation = needs.escalation
    return Task(
        id=new_id(),
        organisation_id=actor.organisation_id,
        product=origin.product,
        request_id=origin.request_id,
        created_by=origin.created_by or actor.name[:200],
        raised_at=origin.created_at or at,
        request_hash=_request_hash(contract),
        body_hash=_hash_of_0_1(contract),
        task_type=contract.task_type,
        domain=contract.domain,
        title=contract.title,
        instructions=contract.instructions,
        context=contract.context.model_dump(),
        urgency=sla.urgency,
        deadline=sla.deadline,
        target_latency_seconds=sla.target_latency_seconds,
        skills=needs.skills,
        skill_levels=needs.skill_levels,
        preferred_skills=needs.preferred_skills,
        languages=needs.languages,
        certifications=needs.certifications,
        trust_level=needs.trust_level,
        min_rating=needs.min_rating,
        escalation=None if escalation is None else escalation.model_dump(mode="json"),
        pool_id=needs.worker_pool_id,
        pool_ids=_candidate_pools(actor, needs.worker_pool_id),
        expected_format=contract.output.expected_format,
        output_schema=contract.output.schema_,
        evidence_required=contract.output.evidence_required,
        callback_url=handoff.callback_url or "",
        callback_auth=handoff.callback_auth.redacted(),
        max_retries=None if policy is None else policy.max_retries,
        backoff_seconds=None if policy is None else policy.backoff_seconds,
        log_required=contract.audit.log_required,
        retain_days=contract.audit.retain_days,
    )


def _candidate_pools(actor: Principal, pool_id: UUID | None) -> list[UUID] | None:
    if pool_id is not None:
        return [pool_id]
    return None if actor.pool_ids is None else sorted(actor.pool_ids)
