"""Erase what tasks have of a person before the end of their retention, as far as it may be."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from apps.base.erasure import Finding
from apps.base.transactions import atomic
from apps.events.services import erase_notes
from apps.tasks.changes import UNTIL
from apps.tasks.services.retention.purging import purge_tasks_now

# Why the content of a task is kept; null: it may go.
KEPT = f"""
CASE
    WHEN t.closed_at IS NULL THEN 'the task is open: cancel it, or wait for its end'
    WHEN EXISTS (SELECT FROM tasks_legalhold h WHERE h.organisation_id = t.organisation_id
        AND h.released_at IS NULL AND (h.task_id IS NULL OR h.task_id = t.id)) THEN 'legal hold'
    WHEN t.log_required AND {UNTIL} > %(at)s THEN 'log_required, until the end of its retention'
END
"""
# A person's name in the texts of a task, in what was submitted, and in the words of workers.
NAMING = f"""
SELECT t.id, {KEPT} FROM tasks_task t JOIN accounts_organisation o ON o.id = t.organisation_id
WHERE t.organisation_id = %(organisation_id)s AND t.purged_at IS NULL AND (
    concat_ws(E'\\n', t.title, t.instructions, t.context, t.output, t.output_schema, t.created_by,
        t.callback_url, t.close_reason) ILIKE ANY(%(patterns)s)
    OR EXISTS (SELECT FROM tasks_run r WHERE r.task_id = t.id
        AND concat_ws(E'\\n', r.output, r.error) ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM tasks_run r JOIN tasks_evidence e ON e.run_id = r.id
        WHERE r.task_id = t.id AND e.filename ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM tasks_draft d WHERE d.task_id = t.id
        AND concat_ws(E'\\n', d.output, d.form) ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM tasks_message m
        WHERE m.task_id = t.id AND m.text ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM events_eventnote n
        WHERE n.task_id = t.id AND n.note ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM matching_offer f
        WHERE f.task_id = t.id AND f.reason ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM reviews_review v
        WHERE v.task_id = t.id AND v.reason ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM reviews_review v JOIN reviews_appeal p ON p.review_id = v.id
        WHERE v.task_id = t.id
        AND concat_ws(E'\\n', p.reason, p.decision_reason) ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM reviews_review v JOIN reviews_secondlook l ON l.review_id = v.id
        WHERE v.task_id = t.id AND l.reason ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM reviews_review v JOIN operations_runreview o ON o.review_id = v.id
        WHERE v.task_id = t.id AND concat_ws(E'\\n', o.request_reason, o.reason, o.missing_work,
            o.guidance, o.text) ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM operations_rundetails x WHERE x.task_id = t.id
        AND concat_ws(E'\\n', x.metadata, x.review_reason, x.missing_work, x.guidance)
            ILIKE ANY(%(patterns)s))
    OR EXISTS (SELECT FROM operations_taskdetails y WHERE y.task_id = t.id
        AND concat_ws(E'\\n', y.identifier, y.metadata, y.pause_reason, y.circuit_reason)
            ILIKE ANY(%(patterns)s))
)
"""
NATURAL_KEYS = """
SELECT count(*) FROM tasks_task t
WHERE t.organisation_id = %(organisation_id)s
    AND concat_ws(' ', t.product, t.request_id) ILIKE ANY(%(patterns)s)
"""
OF_WORKER = f"""
SELECT t.id, {KEPT} FROM tasks_task t JOIN accounts_organisation o ON o.id = t.organisation_id
WHERE t.organisation_id = %(organisation_id)s AND t.purged_at IS NULL AND t.id IN (
    SELECT task_id FROM tasks_run
    WHERE organisation_id = %(organisation_id)s AND worker_id = %(worker_id)s
    UNION SELECT task_id FROM tasks_draft
    WHERE organisation_id = %(organisation_id)s AND worker_id = %(worker_id)s
    UNION SELECT task_id FROM tasks_message
    WHERE organisation_id = %(organisation_id)s AND worker_id = %(worker_id)s)
"""
OF_IDS = f"""
SELECT t.id, {KEPT} FROM tasks_task t JOIN accounts_organisation o ON o.id = t.organisation_id
WHERE t.id = ANY(%(ids)s) AND t.closed_at IS NOT NULL
"""
WORDS = """
UPDATE tasks_run SET error = '' WHERE task_id = ANY(%s) AND worker_id = %s AND error <> ''
"""
DRAFTS = "DELETE FROM tasks_draft WHERE task_id = ANY(%s) AND worker_id = %s"
MESSAGES = "DELETE FROM tasks_message WHERE task_id = ANY(%s) AND worker_id = %s"


# What a pattern of LIKE has a backslash before, to mean itself.
ESCAPED, ADD_BACKSLASH = r"[\\%_]", r"\\\g<0>"


class Found(NamedTuple):
    """Name a task, and why its content is kept; None: it may go."""

    task_id: UUID
    kept_because: str | None


def erase_text(*, organisation_id: UUID, text: str, apply: bool, at: datetime) -> Iterator[Finding]:
    """Purge the closed tasks of an organisation that have a text. Yield what was found.

    Without `apply` nothing is changed. Files are not searched: they go with their tasks.
    """
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "patterns": _patterns(text),
        "at": at,
    }
    found = _found(NAMING, params)
    yield from _findings("tasks whose content has the text", found)
    with connection.cursor() as cursor:
        cursor.execute(NATURAL_KEYS, params)
        (count,) = cursor.fetchone()
    if count:
        why = "product and request_id are the natural key: send ids that name nothing"
        yield Finding("natural keys of tasks", count, why)
    if apply:
        purge_tasks_now(task_ids=[task.task_id for task in found if not task.kept_because], at=at)


def _patterns(text: str) -> list[str]:
    """Return what matches a text: as it is, and as JSON has it, with quotes and lines escaped."""
    as_json = orjson.dumps(text).decode()[1:-1]
    return [f"%{re.sub(ESCAPED, ADD_BACKSLASH, one)}%" for one in sorted({text, as_json})]


def erase_words(
    *, organisation_id: UUID, worker_id: UUID, apply: bool, at: datetime
) -> Iterator[Finding]:
    """Delete a worker's drafts, messages, and reasons in runs and logs. Yield what was found.

    Outputs and files stay until the end of their tasks' retention: they are the callers'.
    """
    params = {"organisation_id": organisation_id, "worker_id": worker_id, "at": at}
    found = _found(OF_WORKER, params)
    yield from _findings(
        "tasks in which the worker may have written: reasons, drafts, messages", found
    )
    free = [task.task_id for task in found if not task.kept_because]
    if free:
        why = "outputs and evidence are kept until the end of the tasks' retention"
        yield Finding("tasks with the worker's results", len(free), why)
    if apply:
        _erase_words(free, worker_id)


def kept_reasons(*, task_ids: Iterable[UUID], at: datetime) -> dict[UUID, str]:
    """Return why the content of those of some tasks is kept that must be. An open task is not."""
    found = _found(OF_IDS, {"ids": list(task_ids), "at": at})
    return {task.task_id: task.kept_because for task in found if task.kept_because}


@atomic()
def _erase_words(task_ids: list[UUID], worker_id: UUID) -> None:
    erase_notes(task_ids=task_ids, actor_id=str(worker_id))
    with connection.cursor() as cursor:
        cursor.execute(WORDS, [task_ids, worker_id])
        cursor.execute(DRAFTS, [task_ids, worker_id])
        cursor.execute(MESSAGES, [task_ids, worker_id])


def _found(sql: str, params: dict[str, Any]) -> list[Found]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [Found._make(row) for row in cursor.fetchall()]


def _findings(place: str, found: Iterable[Found]) -> Iterator[Finding]:
    reasons: dict[str, int] = {}
    for task in found:
        reasons[task.kept_because or ""] = reasons.get(task.kept_because or "", 0) + 1
    for reason, count in sorted(reasons.items()):
        yield Finding(place, count, reason)
