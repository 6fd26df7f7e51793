"""Tell a worker why nothing is offered to it: what waits in its pools, and what keeps it away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.base.queries import load_query
from apps.matching import eligibility

MAX_REQUIREMENTS = 100
MAX_TASKS = 100
"""Counting ends there, for the requirements and for the tasks of each: this is read by people."""

MAX_SKILLS = 5

OWN_QUEUE = load_query(
    "apps.matching",
    "own_queue",
    heads=load_query(
        "apps.matching",
        "heads",
        queued="status = 'queued' AND organisation_id = %(organisation_id)s",
    ),
    max_requirements=str(MAX_REQUIREMENTS),
    max_tasks=str(MAX_TASKS),
    pool_is_allowed=eligibility.POOL_IS_ALLOWED,
    unfit=eligibility.UNFIT,
    is_below_offer_limit=eligibility.IS_BELOW_OFFER_LIMIT,
)


@dataclass(frozen=True, slots=True)
class OwnQueue:
    """Count the queued tasks of a worker's pools under the first rule that keeps them from it.

    The rules are those of explain.py that do not depend on its state, `offer_limit`, and `fits`.
    """

    pools: int
    tasks: Mapping[str, int]
    # Some of the skills that the worker lacks, in order.
    missing_skills: Sequence[str]


def own_queue(*, actor: Principal, at: datetime) -> OwnQueue:
    """Return what waits in the pools of the actor's worker. Raise `ScopeMissing`."""
    params: dict[str, UUID | datetime] = {
        "organisation_id": actor.organisation_id,
        "worker_id": actor.require_worker(),
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(OWN_QUEUE, params)
        rows = cursor.fetchall()
    tasks = {rule: count for _, rule, count, _ in rows if rule is not None}
    missing = next((skills for _, rule, _, skills in rows if rule == "skills"), None) or []
    return OwnQueue(rows[0][0], tasks, sorted(missing)[:MAX_SKILLS])
