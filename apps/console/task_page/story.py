"""Read all that the page of a task shows, by at most 13 statements beside those of the session."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.utils import timezone

from apps.accounts.principal import Principal
from apps.accounts.read_only_admin import may
from apps.accounts.scopes import Scope
from apps.accounts.selectors import AuditFilter, audit_events
from apps.console.task_page import commands, explanation, graph, timeline
from apps.console.task_page.clocks import clocks_of
from apps.events import selectors as events
from apps.matching.selectors import task_offers
from apps.tasks import files, selectors
from apps.ui.schema_forms import answers_of
from apps.ui.schema_forms.texts import json_text
from apps.ui.task_brief import brief_of
from apps.webhooks import selectors as webhooks
from biolayer.lifecycle import MATCHING, OUTPUT_SHOWN, Status

MAX_EVENTS = 100
MAX_DELIVERIES = 50
MAX_AUDIT = 50
MAX_MESSAGES = 50

Names = dict[tuple[str, str], str]


class DeliveryRow(NamedTuple):
    """Hold a delivery with its last attempts, and what it waits for."""

    delivery: Any
    attempts: Sequence[Any]
    wait: Any


def story(actor: Principal, task_id: UUID, at: datetime) -> dict[str, Any]:
    """Return the context of the page. Raise `NotFound`, `ScopeMissing`."""
    task = selectors.task(actor=actor, task_id=task_id)
    offers = list(task_offers(task))
    runs: list[Any] = list(files.with_evidence(actor, selectors.task_runs(task)))
    log = _last_events(task.id, MAX_EVENTS)
    audit = _audit(actor, task.id)
    attached = [("attachment", str(one)) for one in _attached(task)]
    about = [*attached, *([("pool", str(task.pool_id))] if task.pool_id else [])]
    names = _names(actor, [*log, *audit], offers, runs, also=about)
    why = explanation.explain(task, offers, at) if task.status in MATCHING else None
    return {
        "task": task,
        "at": at,
        "clocks": clocks_of(task, at),
        "next_step": explanation.next_step(task, why),
        "why": why,
        "commands": commands.commands_of(actor, task),
        "events": timeline.entries(log[:MAX_EVENTS], names),
        "more_events": len(log) > MAX_EVENTS,
        "offers": offers[::-1],
        "runs": [_shown_run(run, task, actor) for run in runs],
        "audit": timeline.audit_entries(audit, names),
        "may_read_audit": may(actor, Scope.AUDIT_READ) and actor.pool_ids is None,
        "deliveries": _deliveries(actor, task.id, at),
        "evidence": [_dated(file, "purged_at") for run in runs[::-1] for file in run.files],
        "thread": [*selectors.messages_of(task).order_by("-sequence")[:MAX_MESSAGES]][::-1],
        "may_write": may(actor, Scope.TASKS_CREATE) and task.closed_at is None,
        "may_copy": may(actor, Scope.TASKS_CREATE),
        "attachments": [names[one] for one in attached if one in names],
        "pool_name": names.get(("pool", str(task.pool_id)), task.pool_id),
        "graph": graph.drawn(task, selectors.dependency_graph(actor=actor, task=task)),
        **_contract(task),
    }


def all_events(actor: Principal, task_id: UUID, before: int | None) -> dict[str, Any]:
    """Return the context of the page of older events. Raise `NotFound`, `ScopeMissing`."""
    task = selectors.task(actor=actor, task_id=task_id)
    log = _last_events(task.id, MAX_EVENTS, before)
    shown = log[:MAX_EVENTS]
    return {
        "task": task,
        "events": timeline.entries(shown, _names(actor, shown)),
        "older": shown[-1].sequence if len(log) > MAX_EVENTS else None,
    }


def changes_since(actor: Principal, task_id: UUID, version: int) -> Sequence[timeline.Entry]:
    """Return what happened to a task after a version of it, the latest first."""
    log = list(
        events.task_events(task_id=task_id).filter(sequence__gt=version).reverse()[:MAX_EVENTS]
    )
    return timeline.entries(log, _names(actor, log))


def _last_events(task_id: UUID, count: int, before: int | None = None) -> list[Any]:
    """Return the last events, and one more where there are more."""
    log = events.task_events(task_id=task_id)
    if before is not None:
        log = log.filter(sequence__lt=before)
    return list(log.reverse()[: count + 1])


def _names(
    actor: Principal,
    rows: Iterable[Any],
    offers: Iterable[Any] = (),
    runs: Iterable[Any] = (),
    *,
    also: Iterable[tuple[str, str]] = (),
) -> Names:
    """Return the names of who acted on the task, and of the workers that its events name."""
    known = {
        ("worker", str(one.worker_id)): one.worker.name for one in [*offers, *runs] if one.worker
    }
    for run in runs:
        known |= {("worker", one["worker_id"]): one["name"] for one in run.returned}
    asked = set(also)
    for row in rows:
        asked.add((row.actor_kind, row.actor_id))
        if worker_id := row.data.get("worker_id"):
            asked.add(("worker", str(worker_id)))
    return known | selectors.names_of(actor=actor, ids=asked - known.keys())


def _audit(actor: Principal, task_id: UUID) -> list[Any]:
    if not may(actor, Scope.AUDIT_READ) or actor.pool_ids is not None:
        return []
    rows = audit_events(actor=actor, filter_=AuditFilter(subject=str(task_id)))
    return list(rows[:MAX_AUDIT])


def _deliveries(actor: Principal, task_id: UUID, at: datetime) -> Sequence[DeliveryRow]:
    if not may(actor, Scope.WEBHOOKS_READ):
        return ()
    chosen = webhooks.DeliveryFilter(task_ids=[task_id])
    rows: Any = webhooks.deliveries(actor=actor, delivery_filter=chosen)
    return [
        DeliveryRow(
            row,
            [_dated(one, "started_at") for one in vars(row)["tried"]],
            webhooks.current_wait(row, at=at),
        )
        for row in sorted(
            webhooks.with_attempts(rows)[:MAX_DELIVERIES], key=lambda one: -one.sequence
        )
    ]


def _attached(task: Any) -> Sequence[UUID]:
    return files.named_attachments(task.context.get("attachments"))


def _dated(facts: dict[str, Any], name: str) -> dict[str, Any]:
    """Return facts that were read as JSON, with a time in place of its text."""
    return facts | {name: facts[name] and datetime.fromisoformat(facts[name])}


def _shown_run(run: Any, task: Any, actor: Principal) -> dict[str, Any]:
    """Return a run with its output where the actor may see one that is not verified."""
    is_verified = run.attempt == task.attempt and task.status in OUTPUT_SHOWN
    may_see = is_verified or may(actor, Scope.EVIDENCE_UNVERIFIED)
    output = None if run.output is None or not may_see else json_text(run.output, indent=2)
    run.returned = [_dated(one, "at") for one in run.returned]
    return {"run": run, "output": output, "is_hidden": run.output is not None and not may_see}


def _contract(task: Any) -> dict[str, Any]:
    schema = task.ordered_output_schema
    output = task.output if task.status in OUTPUT_SHOWN else None
    zone = timezone.get_current_timezone_name()
    return {
        **brief_of(task),
        "schema": None if schema is None else json_text(schema, indent=2),
        "output": None if output is None else answers_of(schema, output, time_zone=zone),
        "output_json": None if output is None else json_text(output, indent=2),
        "requirements": _requirements(task),
        "is_draft": task.status == Status.DRAFT,
    }


def _requirements(task: Any) -> dict[str, Any]:
    levels = task.skill_levels
    return {
        "skills": [(skill, levels.get(skill, 1)) for skill in task.skills],
        "preferred_skills": task.preferred_skills,
        "languages": task.languages,
        "certifications": task.certifications,
        "trust_level": task.trust_level,
        "min_rating": task.min_rating,
    }
