"""Match queued tasks to workers, and follow the offers."""

from apps.matching.assignment import load_assignment
from apps.matching.fair_share import set_weight
from apps.matching.parked_requirements import unpark_unused
from apps.matching.services.bulk_calls import boost_tasks, extend_deadlines, requeue_tasks
from apps.matching.services.dry_run import dry_run
from apps.matching.services.escalation_steps import (
    apply_pool_policy,
    escalate,
    restore_requirements,
    schedule_missed_steps,
)
from apps.matching.services.matcher import match_queued
from apps.matching.services.offers import (
    accept_offer,
    decline_offer,
    expire_offer,
)
from apps.matching.services.operator_calls import (
    boost_task,
    reassign_task,
    requeue_task,
)
from apps.matching.services.purging import erase_reasons, purge_offers
from apps.matching.services.stranded_tasks import fail_stranded_tasks, schedule_stranded_checks
from apps.matching.services.task_changes import update_task

__all__ = [
    "accept_offer",
    "apply_pool_policy",
    "boost_task",
    "boost_tasks",
    "decline_offer",
    "dry_run",
    "erase_reasons",
    "escalate",
    "expire_offer",
    "extend_deadlines",
    "fail_stranded_tasks",
    "load_assignment",
    "match_queued",
    "purge_offers",
    "reassign_task",
    "requeue_task",
    "requeue_tasks",
    "restore_requirements",
    "schedule_missed_steps",
    "schedule_stranded_checks",
    "set_weight",
    "unpark_unused",
    "update_task",
]
