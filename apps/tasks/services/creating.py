"""Create tasks from contracts."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import IntegrityError, connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import rows
from apps.base.ids import new_id
from apps.base.rows import Change
from apps.base.transactions import Raced, atomic, retry_races
from apps.pools.selectors import NEW_ROWS_POOL_IS_OPEN, pool_for
from apps.tasks.changes import attachment_rows, dependency_rows, requirement_row
from apps.tasks.models import Task
from apps.tasks.requirements import RequirementSpec, required
from apps.tasks.services.attachments import (
    attachments_of_contract,
    lock_attachments,
    require_attachments,
)
from apps.tasks.services.contract_checks import (
    checked_contract,
    contract_without_references,
    is_plain,
    named_organisation,
    usable_pools,
)
from apps.tasks.services.dependencies import gate_task
from apps.tasks.services.locks import lock_task
from apps.tasks.services.natural_key import (
    earlier_tasks,
    hash_of_0_1,
    is_same,
    natural_key,
    request_hash,
)
from apps.tasks.transitions import apply
from biolayer.contract import TaskContract, parse
from biolayer.errors import InvalidInput
from biolayer.lifecycle import Command


@dataclass(frozen=True, slots=True)
class Created:
    """`is_new` is False when the same product had sent the same request before."""

    task: Task
    is_new: bool


def create_task(*, actor: Principal, document: Any, at: datetime) -> Created:
    """Accept a contract: the task at `created`, its event, and the rows that follow from it.

    Raise `InvalidInput` with every fault of the document, `OrganisationMismatch`, `ScopeMissing`,
    and `RequestIdReused` when the natural key came before with another body.

    1. A contract without dependencies, attachments and escalation is written without a query
       before: constraints and the guard of the insert refuse a used key and an unusable pool.
    2. What they refuse, and every other contract, is checked by queries first and then written.
    """
    _require_access(actor, document)
    # Within a transaction a violated constraint would end it, so there the checks come first.
    if not connection.in_atomic_block:
        task = create_unless_refused(actor=actor, document=document, at=at)
        if task is not None:
            return Created(task, is_new=True)
    return retry_races(lambda: _create_checked(actor, document, at))


def check_contract(*, actor: Principal, document: Any, at: datetime) -> None:
    """Check a document as `create_task` does, and write nothing. Raise what that raises.

    Except `RequestIdReused`: the natural key is not looked up.
    """
    _require_access(actor, document)
    usable = usable_pools(actor=actor, documents=[document])
    checked_contract(actor=actor, document=document, at=at, usable_pools=usable)


def create_unless_refused(*, actor: Principal, document: Any, at: datetime) -> Task | None:
    """Return the new task; None where its form, its key, its pool or anything else is refused.

    It is written by one statement. In a block of `rows.batched` that statement follows at the end
    of the block, which then raises `IntegrityError` for what it refuses. Raise
    `OrganisationMismatch`, `ScopeMissing`.
    """
    _require_access(actor, document)
    try:
        contract = contract_without_references(document=document, at=at)
    except InvalidInput:
        return None
    pool_id = contract.requirements.worker_pool_id
    if not is_plain(contract) or not (pool_id is None or actor.may_use_pool(pool_id)):
        return None
    requirement = new_requirement(actor, contract)
    task = new_task(actor, contract, requirement, at)
    try:
        write(task, contract, requirement, actor=actor, at=at, guard=NEW_ROWS_POOL_IS_OPEN)
    except IntegrityError:
        return None
    return task


def _require_access(actor: Principal, document: Any) -> None:
    actor.require(Scope.TASKS_CREATE)
    actor.require_organisation(named_organisation(document))


def _create_checked(actor: Principal, document: Any, at: datetime) -> Created:
    try:
        usable = usable_pools(actor=actor, documents=[document])
        contract = checked_contract(actor=actor, document=document, at=at, usable_pools=usable)
    except InvalidInput:
        task = sent_before(actor, document)
        if task is not None:
            return Created(task, is_new=False)
        raise
    key = natural_key(contract)
    earlier = None if key is None else earlier_tasks(actor=actor, keys=[key]).get(key)
    if earlier is not None:
        return Created(earlier.replayed(contract), is_new=False)
    requirement = new_requirement(actor, contract)
    task = new_task(actor, contract, requirement, at)
    # Without dependencies all that is written is one statement: it needs no transaction around it.
    attachment_ids = attachments_of_contract(contract)
    with atomic() if contract.depends_on or attachment_ids else nullcontext():
        gate_task(task=task, task_ids=contract.depends_on)
        require_attachments(attachment_ids, lock_attachments(attachment_ids))
        also = [
            *dependency_rows(task, contract.depends_on),
            *attachment_rows(task, attachment_ids),
        ]
        try:
            write(task, contract, requirement, actor=actor, at=at, also=also)
        except IntegrityError as error:
            if "task_request_id_is_unique" in str(error):
                raise Raced from error
            raise
    return Created(task, is_new=True)


def sent_before(actor: Principal, document: Any) -> Task | None:
    """Return the task that this body created while it was valid: before its deadline, say."""
    try:
        contract = parse(TaskContract, document)
    except InvalidInput:
        return None
    key = natural_key(contract)
    earlier = None if key is None else earlier_tasks(actor=actor, keys=[key]).get(key)
    if earlier is None or not is_same(earlier.task, contract):
        return None
    return earlier.replayed(contract)


def write(
    task: Task,
    contract: TaskContract,
    requirement: RequirementSpec,
    *,
    actor: Principal,
    at: datetime,
    also: Iterable[Change] = (),
    guard: str = "true",
) -> None:
    """Insert a new task with everything that follows from it. See `rows.Insert` for `guard`."""
    apply(
        task,
        Command.CREATE,
        actor=actor,
        at=at,
        contract=contract,
        also=[requirement_row(requirement), *also],
        guard=guard,
    )


@atomic()
def publish_task(*, actor: Principal, task_id: UUID, at: datetime) -> Task:
    """Bring a draft to `created`. Its SLA clocks start now."""
    actor.require(Scope.TASKS_CREATE)
    task = lock_task(actor=actor, task_id=task_id)
    publish_locked(task=task, actor=actor, at=at)
    return task


def publish_locked(
    *, task: Task, actor: Principal, at: datetime, also: Iterable[Change] = ()
) -> None:
    """Bring a locked draft to `created`. Raise `IllegalTransition`."""
    apply(task, Command.PUBLISH, actor=actor, at=at, also=also)


def new_task(
    actor: Principal, contract: TaskContract, requirement: RequirementSpec, at: datetime
) -> Task:
    """Return an unsaved task for a contract."""
    origin, sla, needs = contract.origin, contract.sla, contract.requirements
    handoff, policy = contract.handoff, contract.handoff.retry_policy
    escalation = needs.escalation
    pool_id = pool_for(actor=actor, named=needs.worker_pool_id)
    task = rows.new(
        Task,
        id=new_id(),
        organisation_id=actor.organisation_id,
        requirement_id=requirement.id,
        product=origin.product,
        request_id=origin.request_id,
        created_by=origin.created_by or actor.name[:200],
        raised_at=origin.created_at or at,
        request_hash=request_hash(contract),
        body_hash=hash_of_0_1(contract),
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
        review_policy=None if contract.review is None else contract.review.stored(),
        pool_id=pool_id,
        named_pool_id=None if pool_id == needs.worker_pool_id else needs.worker_pool_id,
        pool_ids=_candidate_pools(actor, pool_id),
        expected_format=contract.output.expected_format,
        output_schema=contract.output.schema_,
        output_schema_text=_as_text(contract.output.schema_),
        evidence_required=contract.output.evidence_required,
        callback_url=handoff.callback_url or "",
        callback_auth=handoff.callback_auth.redacted(),
        max_retries=None if policy is None else policy.max_retries,
        backoff_seconds=None if policy is None else policy.backoff_seconds,
        log_required=contract.audit.log_required,
        retain_days=contract.audit.retain_days,
    )
    # As `with_dependency_ids` would read it: the representation of a new task need not ask.
    vars(task).update(needs=(), awaits=())
    return task


def _as_text(schema: Mapping[str, Any] | None) -> str | None:
    return None if schema is None else orjson.dumps(schema).decode()


def new_requirement(actor: Principal, contract: TaskContract) -> RequirementSpec:
    """Return the requirement that the task of a contract will have."""
    return required(
        contract.requirements,
        organisation_id=actor.organisation_id,
        task_type=contract.task_type,
        title=contract.title,
        pool_ids=_candidate_pools(
            actor, pool_for(actor=actor, named=contract.requirements.worker_pool_id)
        ),
    )


def _candidate_pools(actor: Principal, pool_id: UUID | None) -> list[UUID] | None:
    if pool_id is not None:
        return [pool_id]
    return None if actor.pool_ids is None else sorted(actor.pool_ids)
