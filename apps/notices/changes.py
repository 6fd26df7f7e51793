"""Describe notices for a transition to write, for the workers that want them.

Each is one insert for all tasks of a statement, which reads nothing but the workers' preferences by
their primary key. No worker has notices before it chooses a channel: then nothing is inserted.
"""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from apps.accounts.scopes import ROLE_ORDER
from apps.base.rows import BulkStatement
from apps.events.models import Event
from apps.reviews.models import Review
from apps.reviews.selectors import policy_of

# `{targets}` are rows of (worker_id, subject_id, at). A preference is read by its index, however
# many rows the planner expects.
INSERT = """
INSERT INTO notices_notice (organisation_id, worker_id, kind, subject_id, created_at, due_at)
SELECT p.organisation_id, p.worker_id, '{kind}', target.subject_id, target.at,
    greatest(target.at, p.next_at)
FROM ({targets}) target CROSS JOIN LATERAL (
    SELECT organisation_id, worker_id, next_at FROM notices_preference
    WHERE worker_id = target.worker_id AND {column} AND (by_email OR by_push) LIMIT 1
) p
"""
OFFERED = """
SELECT * FROM jsonb_to_recordset(%s) AS given (worker_id uuid, subject_id uuid, at timestamptz)
"""
HOLDERS = """
SELECT run.worker_id, run.id AS subject_id, given.at
FROM jsonb_to_recordset(%s) AS given (task_id uuid, at timestamptz)
JOIN tasks_run run ON run.task_id = given.task_id
    AND run.status IN ('claimed', 'starting', 'running')
"""
MEMBERS = """
SELECT membership.worker_id, given.subject_id, given.at
FROM jsonb_to_recordset(%s) AS given (pool_id uuid, subject_id uuid, at timestamptz)
JOIN pools_membership membership ON membership.pool_id = given.pool_id
"""
# Those who may review an output, but for who did it: members with one of the roles who are workers,
# all of them, those of a pool, or those who are not of a pool.
REVIEWERS = """
SELECT worker.id AS worker_id, given.subject_id, given.at
FROM jsonb_to_recordset(%s) AS given (organisation_id uuid, subject_id uuid, own_id uuid,
    roles text, in_pool_id uuid, outside_pool_id uuid, at timestamptz)
JOIN accounts_member member ON member.organisation_id = given.organisation_id
    AND member.role = ANY (string_to_array(given.roles, ' '))
JOIN pools_worker worker ON worker.user_id = member.user_id
    AND worker.organisation_id = given.organisation_id AND worker.id <> given.own_id
WHERE (given.in_pool_id IS NULL OR EXISTS (SELECT FROM pools_membership seat
        WHERE seat.pool_id = given.in_pool_id AND seat.worker_id = worker.id))
    AND (given.outside_pool_id IS NULL OR NOT EXISTS (SELECT FROM pools_membership seat
        WHERE seat.pool_id = given.outside_pool_id AND seat.worker_id = worker.id))
"""
INSERT_OFFERS = INSERT.format(kind="offer", targets=OFFERED, column="offers")
INSERT_DUE_SOON = INSERT.format(kind="due_soon", targets=HOLDERS, column="due_soon")
INSERT_MESSAGE = INSERT.format(kind="message", targets=HOLDERS, column="messages")
INSERT_POOL_NOTE = INSERT.format(kind="pool_note", targets=MEMBERS, column="messages")
INSERT_REVIEW = INSERT.format(kind="review", targets=REVIEWERS, column="reviews")


def offer_notices(event: Event) -> Iterator[BulkStatement]:
    """Yield what tells the workers of an event `task.offered` of their offers."""
    for offer in event.data.get("offers", [event.data]):
        row = {
            "worker_id": offer["worker_id"],
            "subject_id": offer["offer_id"],
            "at": event.occurred_at,
        }
        yield BulkStatement(INSERT_OFFERS, row)


def due_soon_notice(*, task_id: UUID, at: datetime) -> BulkStatement:
    """Return what tells the worker that holds a task, if any, that its deadline is near."""
    return BulkStatement(INSERT_DUE_SOON, {"task_id": task_id, "at": at})


def message_notice(*, task_id: UUID, at: datetime) -> BulkStatement:
    """Return what tells the worker that holds a task, if any, of the requester's message."""
    return BulkStatement(INSERT_MESSAGE, {"task_id": task_id, "at": at})


def pool_note_notice(*, pool_id: UUID, note_id: UUID, at: datetime) -> BulkStatement:
    """Return what tells the members of a pool of a note, as they want to be told of messages."""
    row = {"pool_id": pool_id, "subject_id": note_id, "at": at}
    return BulkStatement(INSERT_POOL_NOTE, row)


def review_notices(review: Review, at: datetime) -> Iterator[BulkStatement]:
    """Yield what tells reviewers of an open review, if its policy says so.

    When it is requested, all who may give it are told; when it is overdue, only those who may from
    now on. So each is told once.
    """
    policy = policy_of(review)
    is_overdue, pool_id = review.escalated_at is not None, policy.reviewer_pool_id
    if not policy.notify or (is_overdue and pool_id is None):
        return
    row = {
        "organisation_id": review.organisation_id,
        "subject_id": review.id,
        "own_id": review.worker_id,
        "roles": " ".join(ROLE_ORDER[ROLE_ORDER.index(policy.required_role) :]),
        "in_pool_id": None if is_overdue else pool_id,
        "outside_pool_id": pool_id if is_overdue else None,
        "at": at,
    }
    yield BulkStatement(INSERT_REVIEW, row)
