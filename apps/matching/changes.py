"""Describe rows for a transition to write: offers that close, parked requirements, next steps."""

from datetime import datetime
from uuid import UUID

from apps.base.queries import load_query
from apps.base.rows import BulkStatement, Change, Statement, Update
from apps.matching.models import Offer, OfferStatus
from apps.pools.changes import load_change_from
from apps.tasks.models import Task
from apps.timers.changes import timer_deletion, timer_deletion_from, timer_upsert_from

# The timer that ends an offer; its subject is the offer.
OFFER = "offer"

# The code of an offer whose worker's output a reviewer rejected: the task is offered to others.
REJECTED = "rejected"

# The timer of a task's next escalation step; its subject is the task.
ESCALATION = "escalation"

# --- parked requirements --------------------------------------------------------------------------

REQUEST_RECHECK = load_query("apps.matching", "request_recheck")


def recheck_request(task: Task) -> BulkStatement:
    """Return the request to recheck a queued task's requirement, if it is parked for a cooldown.

    Workers who declined other tasks of the requirement may be offered this one.
    """
    return BulkStatement(REQUEST_RECHECK, {"id": task.requirement_id})


# --- escalation -----------------------------------------------------------------------------------

NEXT_STEP_TIMER = load_query("apps.matching", "next_step_timer", kind=ESCALATION)


def next_step_timer(task: Task) -> BulkStatement:
    """Return the timer of the next step of a task that was queued, unless its policy has none."""
    row = {
        "organisation_id": task.organisation_id,
        "task_id": task.id,
        "pool_id": task.pool_id,
        "policy": task.escalation,
        "steps_taken": task.escalation_step,
        "waits_since": task.waits_since,
    }
    return timer_upsert_from(NEXT_STEP_TIMER, row)


# --- offers ---------------------------------------------------------------------------------------

STILL_OPEN = "o.task_id = %s AND o.status = 'open' AND o.id IS DISTINCT FROM %s::uuid"
CLOSED_OFFERS = f"SELECT o.id FROM matching_offer o WHERE {STILL_OPEN}"
CLOSE_OFFERS = f"""
UPDATE matching_offer o SET status = %s, closed_at = %s WHERE {STILL_OPEN}
"""

# All of a task's workers in one statement that locks them by id: two tasks that were offered to the
# same workers may be accepted at the same time.
CLOSED_OFFER_LOADS = load_query("apps.matching", "closed_offer_loads")


def offer_closing(
    offer: Offer, status: OfferStatus, at: datetime, *, reason: str = "", code: str = ""
) -> list[Change]:
    """Return the end of a locked offer, without its worker's load."""
    values = {"status": status, "closed_at": at, "reason": reason, "code": code}
    return [Update(Offer, {"id": offer.id}, values), timer_deletion(subject_id=offer.id)]


RELEASED = """
UPDATE matching_offer SET code = %s WHERE id = (
    SELECT id FROM matching_offer
    WHERE task_id = %s AND run_id = %s AND worker_id = %s AND status = 'accepted'
    ORDER BY offered_at DESC LIMIT 1)
"""


def released_offer(*, task_id: UUID, run_id: UUID, worker_id: UUID, code: str) -> Statement:
    """Return the code by which a worker released a run, on the offer that gave it the run."""
    return Statement(RELEASED, (code, task_id, run_id, worker_id))


def offers_withdrawal(*, task_id: UUID, at: datetime) -> list[Change]:
    """Return the end of all open offers of a task that ended."""
    return _closing_of_all(task_id, OfferStatus.WITHDRAWN, at)


def offers_rescission(accepted: Offer, at: datetime) -> list[Change]:
    """Return the end of a task's other open offers, when one was accepted."""
    return _closing_of_all(accepted.task_id, OfferStatus.RESCINDED, at, accepted_id=accepted.id)


def _closing_of_all(
    task_id: UUID, status: OfferStatus, at: datetime, *, accepted_id: UUID | None = None
) -> list[Change]:
    """Return the end of a task's open offers; the accepted one is counted as answered.

    The statements all see the offers as they were before.
    """
    return [
        load_change_from(CLOSED_OFFER_LOADS, (accepted_id, task_id)),
        timer_deletion_from(CLOSED_OFFERS, (task_id, accepted_id)),
        Statement(CLOSE_OFFERS, (status.value, at, task_id, accepted_id)),
    ]
