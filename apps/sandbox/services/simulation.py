"""Take the steps of simulated workers that are due, by the services that real workers call.

`take_due_steps` runs in one process or in several; rows of `sandbox_step` are the queue:

1. Read the first due rows, without a lock.
2. Store the file of evidence that a step needs, if any. A file that is not used is deleted later.
3. Take each step in a transaction of its own, which locks the row by SKIP LOCKED, deletes it, and
   does what it is for. The transition of a step writes the next one. So each step is taken once,
   and where a process dies, the row is due again.
4. Drop a step that is not possible any more: the task was cancelled, another worker has accepted,
   the lease has ended.
5. Put off the steps of an organisation of which another transaction has locked a row, and a step
   that failed otherwise, so that the steps behind them are reached.
"""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.base import clock
from apps.base.transactions import atomic, is_timeout, raise_if_disconnected
from apps.matching import services as matching
from apps.matching.models import Offer, OfferStatus
from apps.sandbox.models import SimulatedStep, StepKind
from apps.sandbox.services.answers import Unanswerable, evidence_text, generated_output
from apps.tasks import services as tasks
from apps.tasks.models import Run
from apps.tasks.scenarios import Scenario
from apps.tasks.services.locks import lock_held_run
from biolayer.errors import Conflict, NotFound, Unavailable
from biolayer.requests.runs import Submission

logger = logging.getLogger(__name__)

BATCH = 20
LOCKED_SECONDS = 1.0
FAILED_SECONDS = 10.0

DECLINED_OFFERS = 2
"""Offers of a `[decline]` that are declined; the next one is accepted."""

EXPIRED_OFFERS = 1
"""The same for an `[expire]`."""


def take_due_steps(*, at: datetime | None = None) -> int:
    """Take up to `BATCH` due steps, the first due first. Return how many were taken.

    `at` replaces the database's time, for tests.
    """
    due = SimulatedStep.objects.filter(due_at__lte=at or clock.now()).order_by("due_at", "id")
    taken = 0
    locked: set[UUID] = set()
    for step_id, organisation_id, kind in due.values_list("id", "organisation_id", "kind")[:BATCH]:
        if organisation_id in locked:
            continue
        try:
            taken += _take_or_drop(step_id, kind, at or clock.now())
        except Exception as error:
            raise_if_disconnected(error)
            if is_timeout(error):
                locked.add(organisation_id)
                _put_off(LOCKED_SECONDS, organisation_id=organisation_id)
            elif isinstance(error, Unavailable):  # every process that checks outputs is busy
                _put_off(LOCKED_SECONDS, id=step_id)
            else:
                logger.exception("step %s failed; again in %s s", step_id, FAILED_SECONDS)
                _put_off(FAILED_SECONDS, id=step_id)
    return taken


def _take_or_drop(step_id: UUID, kind: str, at: datetime) -> bool:
    received = None
    try:
        if kind == StepKind.FINISH:
            received = _received_evidence(step_id, at)
        return _take(step_id, received, at)
    except (Conflict, NotFound) as error:
        logger.debug("step %s is dropped: %s", step_id, error)
        unlocked = SimulatedStep.objects.select_for_update(skip_locked=True)
        with atomic():
            deleted, _ = unlocked.filter(id=step_id).delete()
        return bool(deleted)
    finally:
        if received is not None:
            tasks.give_up_file(received, at=at)  # unless the step has used it


def _received_evidence(step_id: UUID, at: datetime) -> tasks.ReceivedFile | None:
    """Store the file that a step will need, before its transaction: no row is locked meanwhile."""
    step = SimulatedStep.objects.filter(id=step_id).first()
    if step is None:
        return None
    run = Run.objects.select_related("task").get(id=step.subject_id)
    if run.task.scenario is Scenario.FAIL or not run.task.needs_file:
        return None
    file = SimpleUploadedFile("evidence.txt", evidence_text(run.task), "text/plain")
    return tasks.receive_evidence(
        actor=_worker(step), run_id=run.id, epoch=run.epoch, file=file, at=at
    )


@atomic()
def _take(step_id: UUID, received: tasks.ReceivedFile | None, at: datetime) -> bool:
    """Take a step. Return False where another process has taken it, or is about to."""
    unlocked = SimulatedStep.objects.select_for_update(no_key=True, skip_locked=True)
    step = unlocked.filter(id=step_id, due_at__lte=at).first()
    if step is None:
        return False
    SimulatedStep.objects.filter(id=step.id).delete()
    match StepKind(step.kind):
        case StepKind.ANSWER:
            _answer(step, at)
        case StepKind.START:
            _start(step, at)
        case StepKind.FINISH:
            _finish(step, received, at)
    return True


def _put_off(seconds: float, **which: UUID) -> None:
    """Make steps due again in some seconds, without those that another process has locked."""
    now = clock.now()
    with atomic():
        unlocked = SimulatedStep.objects.select_for_update(no_key=True, skip_locked=True)
        ids = list(unlocked.filter(due_at__lte=now, **which).values_list("id", flat=True))
        again_at = now + timedelta(seconds=seconds)
        SimulatedStep.objects.filter(id__in=ids).update(due_at=again_at)


# --- what a step does -----------------------------------------------------------------------------


def _answer(step: SimulatedStep, at: datetime) -> None:
    offer = Offer.objects.select_related("task").get(id=step.subject_id)
    actor = _worker(step)
    scenario = offer.task.scenario
    if scenario is Scenario.EXPIRE and _ended(offer, OfferStatus.EXPIRED) < EXPIRED_OFFERS:
        return  # Its timer ends it.
    if scenario is Scenario.DECLINE and _ended(offer, OfferStatus.DECLINED) < DECLINED_OFFERS:
        matching.decline_offer(actor=actor, offer_id=offer.id, reason="[decline]", at=at)
    else:
        matching.accept_offer(actor=actor, offer_id=offer.id, at=at)


def _ended(offer: Offer, status: OfferStatus) -> int:
    return Offer.objects.filter(task_id=offer.task_id, status=status).count()


def _start(step: SimulatedStep, at: datetime) -> None:
    run = Run.objects.get(id=step.subject_id)
    tasks.start_run(actor=_worker(step), run_id=run.id, epoch=run.epoch, at=at)


def _finish(step: SimulatedStep, received: tasks.ReceivedFile | None, at: datetime) -> None:
    actor = _worker(step)
    run = Run.objects.get(id=step.subject_id)
    run = lock_held_run(actor=actor, run_id=run.id, epoch=run.epoch, at=at)
    if run.task.scenario is Scenario.FAIL:
        tasks.fail_run(actor=actor, run_id=run.id, epoch=run.epoch, error="[fail]", at=at)
        return
    try:
        output = generated_output(run.task)
    except Unanswerable as error:
        # Each further attempt would fail as well.
        tasks.fail_task(task=run.task, actor=actor, reason=str(error), at=at)
        return
    evidence = []
    if received is not None:
        kept = tasks.add_evidence(
            actor=actor, run_id=run.id, epoch=run.epoch, received=received, at=at
        )
        evidence = [kept.id]
    submission = Submission(epoch=run.epoch, output=output, evidence=evidence)
    tasks.submit_run(actor=actor, run_id=run.id, submission=submission, at=at)


def _worker(step: SimulatedStep) -> Principal:
    """Return the simulated worker as the principal that a real one's key would make."""
    return Principal(
        kind="worker",
        id=str(step.worker_id),
        name="Simulated worker",
        organisation_id=step.organisation_id,
        role=Role.EDITOR,
        scopes=frozenset([Scope.WORK.value]),
        worker_id=step.worker_id,
    )
