"""Delete the requirements that no open task has."""

from uuid import UUID

from django.db import connection, transaction

# No open task has them: the matcher has nothing to do with them.
UNUSED = """
SELECT r.id FROM tasks_requirement r
WHERE r.id > %s AND NOT EXISTS (
    SELECT FROM tasks_task t WHERE t.requirement_id = r.id AND t.closed_at IS NULL)
ORDER BY r.id LIMIT 500
"""
LOCK = "SELECT id FROM tasks_requirement WHERE id = ANY (%s) ORDER BY id FOR UPDATE SKIP LOCKED"
DELETE = """
DELETE FROM tasks_requirement r WHERE r.id = ANY (%s) AND NOT EXISTS (
    SELECT FROM tasks_task t WHERE t.requirement_id = r.id AND t.closed_at IS NULL)
"""
FIRST = UUID(int=0)


def delete_unused_requirements() -> int:
    """Delete the requirements that no open task has, 500 in a transaction. Return how many.

    A task that is being created meanwhile may have found the row: it is written again when the task
    is queued, which is after its creation was committed.
    """
    deleted, after = 0, FIRST
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(UNUSED, [after])
            unused = [row[0] for row in cursor.fetchall()]
            if not unused:
                return deleted
            cursor.execute(LOCK, [unused])
            locked = [row[0] for row in cursor.fetchall()]
            cursor.execute(DELETE, [locked])
            deleted += int(cursor.rowcount)
        after = unused[-1]
