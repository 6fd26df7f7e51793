"""Read what a worker was offered and did, for operators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.matching.models import Offer, OfferStatus
from apps.pools.models import Worker
from apps.pools.selectors import worker as visible_worker
from apps.tasks.models import RUN_HELD, Run, Task

MAX_A_DAY = 200


@dataclass(frozen=True, slots=True)
class WorkerDay:
    """Hold the offers made to a worker, and the runs that it had, between two moments.

    The oldest first, with their tasks, at most `MAX_A_DAY` of each. Open ones are among them,
    whenever they began.
    """

    offers: Sequence[Offer]
    runs: Sequence[Run]

    @property
    def open_offers(self) -> list[Offer]:
        """Return the offers that can still be accepted, as far as their rows say."""
        return [offer for offer in self.offers if offer.status == OfferStatus.OPEN]

    @property
    def held_runs(self) -> list[Run]:
        """Return the runs that the worker holds."""
        return [run for run in self.runs if run.ended_at is None]


def worker_day(*, actor: Principal, worker: Worker, since: datetime, until: datetime) -> WorkerDay:
    """Return what a visible worker was offered and did in that time. Raise `ScopeMissing`.

    Tasks that the actor may not see are left out.
    """
    actor.require(Scope.TASKS_READ)
    made = Q(offered_at__gte=since, offered_at__lt=until) | Q(status=OfferStatus.OPEN)
    offers = _visible(Offer.objects.filter(made, worker_id=worker.id), actor)
    held = Q(status__in=RUN_HELD)
    ended = Q(ended_at__gte=since, claimed_at__lt=until)
    runs = _visible(Run.objects.filter(held | ended, worker_id=worker.id), actor)
    return WorkerDay(
        sorted(
            offers.order_by(F("closed_at").desc(nulls_first=True))[:MAX_A_DAY],
            key=lambda one: one.offered_at,
        ),
        sorted(
            runs.order_by(F("ended_at").desc(nulls_first=True))[:MAX_A_DAY],
            key=lambda one: one.claimed_at or one.queued_at,
        ),
    )


def worker_history(*, actor: Principal, worker_id: UUID, count: int) -> list[Run]:
    """Return the runs that ended with a worker, newest first, with their tasks.

    Raise `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_READ)
    worker = visible_worker(actor=actor, worker_id=worker_id)
    ended = Run.objects.filter(worker_id=worker.id, ended_at__isnull=False)
    return list(_visible(ended, actor).order_by("-ended_at", "-id")[:count])


def _visible(rows: "QuerySet[Any]", actor: Principal) -> "QuerySet[Any]":
    rows = rows.filter(organisation_id=actor.organisation_id).select_related("task")
    if actor.pool_ids is None:
        return rows
    return rows.filter(task__in=Task.objects.visible_to(actor))
