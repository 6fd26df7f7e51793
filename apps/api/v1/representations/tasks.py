"""Represent tasks and runs."""

from datetime import datetime
from typing import Any, Literal

from apps.api.http.links import Links
from apps.api.v1.representations.files import briefing_attachment
from apps.api.v1.representations.own_verdicts import own_verdict
from apps.api.v1.representations.values import choice
from apps.reviews.models import Review
from apps.reviews.selectors import sent_back
from apps.tasks import files, selectors
from apps.tasks.models import Draft, Message, Run, Task
from biolayer.events.tasks import OriginFacts
from biolayer.lifecycle import OUTPUT_SHOWN
from biolayer.responses import drafts, history, messages, runs
from biolayer.responses import tasks as responses


def task(row: Task) -> responses.Task:
    """Return a task as its caller sees it. `output` is the verified result, null before."""
    ids = selectors.dependency_ids(row)
    return responses.Task(
        task_id=row.id,
        status=choice(row.status),
        created_at=row.created_at,
        updated_at=row.changed_at,
        closed_at=row.closed_at,
        close_reason=row.close_reason or None,
        purged_at=row.purged_at,
        attempt=row.attempt,
        worker_id=row.worker_id,
        origin=origin(row),
        task_type=row.task_type,
        domain=row.domain,
        title=row.title,
        depends_on=list(ids.depends_on),
        waiting_for=list(ids.waiting_for),
        instructions=row.instructions,
        context=row.context,
        sla=responses.WatchedSla(**_sla(row), breaches=_breaches(row)),
        requirements=responses.EscalatedRequirements(
            **_requirements(row), escalation=row.escalation
        ),
        review=open_review(row),
        review_policy=row.review_policy,
        output=row.output if row.status in OUTPUT_SHOWN else None,
        output_contract=_output_contract(row),
        handoff=responses.TaskHandoff(
            callback_url=row.callback_url or None,
            callback_auth=responses.ShownAuth(**row.callback_auth),
            retry_policy=_retry_policy(row),
        ),
        audit=responses.TaskAudit(log_required=row.log_required, retain_days=row.retain_days),
    )


def briefing(row: Task, links: Links) -> responses.Briefing:
    """Return a task as its worker sees it: what to do, by when, and what to submit."""
    return responses.Briefing(
        task_id=row.id,
        status=choice(row.status),
        task_type=row.task_type,
        domain=row.domain,
        title=row.title,
        instructions=row.instructions,
        context=row.context,
        attachments=[briefing_attachment(one, links) for one in files.task_attachments(row)],
        sla=responses.TaskSla(**_sla(row)),
        requirements=responses.TaskRequirements(**_requirements(row)),
        sent_back=_sent_back(row),
        dependencies=[_dependency(dependency) for dependency in selectors.dependencies(row)],
        output=_output_contract(row),
    )


def run(row: Run) -> runs.Run:
    """Return a run as its worker sees it."""
    return runs.Run(**_run(row))


def held_run(row: Run, links: Links) -> runs.HeldRun:
    """Return a run in a list of its worker's, with all that an app needs to continue it."""
    return runs.HeldRun(**_run(row), task=briefing(row.task, links))


def ended_run(row: Run, verdict: Review | None) -> history.EndedRun:
    """Return a run in the history of its worker."""
    task = history.TaskSummary(
        task_id=row.task_id,
        status=choice(row.task.status),
        task_type=row.task.task_type,
        domain=row.task.domain,
        title=row.task.title,
    )
    shown = None if verdict is None else own_verdict(verdict)
    return history.EndedRun(**_run(row), task=task, verdict=shown)


def run_with_task(row: Run, links: Links) -> runs.RunWithTask:
    """Return a run that a worker's call changed, with its task."""
    return runs.RunWithTask(run=run(row), task=briefing(row.task, links))


def draft(row: Draft) -> drafts.Draft:
    """Return a draft as its worker sees it."""
    return drafts.Draft(
        run_id=row.run_id,
        task_id=row.task_id,
        revision=row.revision,
        epoch=row.epoch,
        output=row.output,
        form=row.form,
        saved_at=row.saved_at,
    )


def message(row: Message) -> messages.Message:
    """Return a message about a task."""
    return messages.Message(
        message_id=row.id,
        task_id=row.task_id,
        author_kind=choice(row.author_kind),
        author_name=row.author_name,
        text=row.text,
        created_at=row.created_at,
    )


def origin(row: Task) -> OriginFacts:
    """Return the origin of a task."""
    return OriginFacts(
        org_id=row.organisation_id,
        product=row.product,
        request_id=row.request_id,
        created_by=row.created_by,
        created_at=row.raised_at,
    )


def headline(row: Task) -> dict[str, Any]:
    """Return what webhooks contain of a task besides its status, as JSON values."""
    return {
        "origin": origin(row).model_dump(mode="json"),
        "task_type": row.task_type,
        "domain": row.domain,
        "title": row.title,
    }


def _sent_back(row: Task) -> responses.SentBack | None:
    """Return what a reviewer said of the attempt before; no query for a first attempt."""
    review = sent_back(task_ids=[row.id]).get(row.id) if row.attempt > 1 else None
    if review is None:
        return None
    return responses.SentBack(
        review_id=review.id,
        attempt=review.attempt,
        reason=review.reason,
        pointers=review.pointers,
        output=review.run.output,
    )


def open_review(row: Task) -> responses.OpenReview | None:
    """Return the review that a task's output waits for; None: none."""
    if row.review_id is None:
        return None
    return responses.OpenReview(review_id=row.review_id, due_at=row.review_due_at)


def _sla(row: Task) -> dict[str, Any]:
    return {
        "urgency": row.urgency,
        "deadline": row.deadline,
        "target_latency_seconds": row.target_latency_seconds,
    }


def _breaches(row: Task) -> list[responses.SlaBreach]:
    clocks: list[tuple[Literal["deadline", "target_latency"], datetime | None, datetime | None]] = [
        ("deadline", row.deadline_due_at, row.deadline_breached_at),
        ("target_latency", row.latency_due_at, row.latency_breached_at),
    ]
    return [
        responses.SlaBreach(breach=name, due_at=due, detected_at=detected)
        for name, due, detected in clocks
        if due is not None and detected is not None
    ]


def _requirements(row: Task) -> dict[str, Any]:
    return {
        "skills": row.skills,
        "skill_levels": row.skill_levels,
        "preferred_skills": row.preferred_skills,
        "languages": row.languages,
        "certifications": row.certifications,
        "trust_level": row.trust_level,
        "min_rating": row.min_rating,
        "worker_pool_id": row.named_pool_id or row.pool_id,
    }


def _output_contract(row: Task) -> responses.OutputContract:
    return responses.OutputContract(
        expected_format=choice(row.expected_format),
        schema=row.ordered_output_schema,
        evidence_required=row.evidence_required,
    )


def _retry_policy(row: Task) -> responses.TaskRetryPolicy | None:
    """Return the contract's policy; None if the default schedule applies."""
    if row.max_retries is None or row.backoff_seconds is None:
        return None
    return responses.TaskRetryPolicy(
        max_retries=row.max_retries, backoff_seconds=row.backoff_seconds
    )


def _dependency(row: Task) -> responses.DependencyResult:
    return responses.DependencyResult(
        task_id=row.id,
        title=row.title,
        task_type=row.task_type,
        output=row.output if row.status in OUTPUT_SHOWN else None,
    )


def _run(row: Run) -> dict[str, Any]:
    return {
        "run_id": row.id,
        "task_id": row.task_id,
        "status": row.status,
        "attempt": row.attempt,
        "epoch": row.epoch,
        "lease_until": row.lease_until,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
    }
