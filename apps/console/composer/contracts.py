"""Make contracts to begin with: an example for a pool, and that of a task as it was posted."""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

from apps.accounts.principal import Principal
from apps.pools import selectors as pools
from apps.tasks.selectors import dependency_ids

MAX_POOLS = 100
MAX_MEMBERS = 50
OUTPUT = {"schema": {"reached_user": "boolean", "notes": "string"}}


def open_pools(actor: Principal) -> list[Any]:
    """Return the pools that the actor may post tasks to, newest first."""
    return list(pools.pools(actor=actor).filter(status="active")[:MAX_POOLS])


def example(actor: Principal, pool: Any) -> dict[str, Any]:
    """Return a contract that a worker of the pool can do; None: of any pool."""
    needs: dict[str, Any] = {}
    kind = "verification"
    if pool is not None:
        members = pools.members(actor=actor, pool_id=pool.id)[:MAX_MEMBERS]
        needs = {"worker_pool_id": str(pool.id), "skills": _usual(one.worker for one in members)}
        kind = min(pool.costs, default=kind)
    return {
        "origin": _origin(),
        "task_type": kind,
        "domain": "support",
        "title": "Call the customer back",
        "instructions": "Call the customer and find out:\n\n1. What they saw.\n2. Since when.",
        "context": {"background": "They reported by e-mail that they cannot sign in."},
        "sla": {"urgency": "normal", "target_latency_seconds": 3600},
        "requirements": {name: value for name, value in needs.items() if value},
        "output": OUTPUT,
    }


def _usual(workers: Iterable[Any]) -> list[str]:
    """Return the skill that most of the workers have; none where they have none."""
    counts = Counter(skill for worker in workers for skill in worker.skills)
    return [min(counts, key=lambda skill: (-counts[skill], skill))] if counts else []


def _origin() -> dict[str, str]:
    # Posted twice, by two clicks, it is one task: the natural key is the same.
    return {"product": "console", "request_id": f"console-{uuid4().hex[:12]}"}


def contract_of(task: Any) -> dict[str, Any]:
    """Return the contract of a task, without what is as by default, as that of a new one.

    A deadline is left out, since it may have passed, and the credentials of the callback, which are
    never shown again.
    """
    document = {
        "origin": _origin(),
        "task_type": task.task_type,
        "domain": task.domain,
        "title": task.title,
        "instructions": task.instructions,
        "context": task.context,
        "sla": {"urgency": task.urgency, "target_latency_seconds": task.target_latency_seconds},
        "requirements": _requirements(task),
        "output": {
            "expected_format": task.expected_format,
            "schema": task.ordered_output_schema,
            "evidence_required": task.evidence_required,
        },
        "handoff": _handoff(task),
        "audit": {"log_required": task.log_required, "retain_days": task.retain_days},
        "depends_on": [str(one) for one in dependency_ids(task).depends_on],
    }
    cleared = {name: _without_empty(value) for name, value in document.items()}
    return {name: value for name, value in cleared.items() if value not in ({}, [])}


def _requirements(task: Any) -> dict[str, Any]:
    pool_id: UUID | None = task.named_pool_id or task.pool_id
    return {
        "skills": task.skills,
        "skill_levels": task.skill_levels,
        "preferred_skills": task.preferred_skills,
        "languages": task.languages,
        "certifications": task.certifications,
        "trust_level": task.trust_level,
        "min_rating": task.min_rating,
        "worker_pool_id": None if pool_id is None else str(pool_id),
        "escalation": task.escalation,
    }


def _handoff(task: Any) -> dict[str, Any]:
    policy = None
    if task.max_retries is not None and task.backoff_seconds is not None:
        policy = {"max_retries": task.max_retries, "backoff_seconds": task.backoff_seconds}
    return {"callback_url": task.callback_url or None, "retry_policy": policy}


def _without_empty(value: Any) -> Any:
    """Return an object of the contract without members that say what is so by default."""
    if not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if one not in (None, "", [], {}, 0, 0.0)}
