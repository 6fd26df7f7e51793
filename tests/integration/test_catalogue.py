"""The events of a task have exactly the fields of the catalogue, at every transition.

Each row of the transition table is applied once, and the bodies that it stored are read by their
models with `extra="forbid"`: a fact that no model names fails here.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from apps.accounts import principal
from apps.base import clock
from apps.base.transactions import atomic
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.operations.models import TaskDetails
from apps.reviews import services as reviews
from apps.reviews.models import Review
from apps.tasks import services as tasks
from apps.tasks.models import Run, Task
from apps.tasks.selectors import open_run
from apps.tasks.services.locks import lock_run
from apps.tasks.services.reviewing import request_review
from apps.tasks.services.sla import Clock
from apps.webhooks.models import Message
from biolayer.events import CATALOGUE, EVENT_TYPES, ThinEnvelope
from biolayer.lifecycle import TRANSITIONS, Command, EventType, Status, Transition
from biolayer.requests.tasks import TaskChanges
from tests.factories import OUTPUT, House, soon, tasks_submission
from tests.operator_steps import desk_of
from tests.review_steps import set_policy

CONTRACT: dict[str, Any] = {
    "origin": {"product": "threatlabs", "request_id": "IR-48219"},
    "handoff": {"callback_url": "http://127.0.0.1:9/hook"},
}

State = Callable[[House], UUID]
Step = Callable[[House, UUID], object]


def bodies(task_id: UUID, *, thin: bool = False) -> list[dict[str, Any]]:
    """Return the bodies of a task's webhooks, in order."""
    column = "thin_body" if thin else "body"
    stored = Message.objects.filter(subject_id=task_id).order_by("sequence")
    return [json.loads(bytes(body)) for body in stored.values_list(column, flat=True)]


# --- how a task comes to each status --------------------------------------------------------------


def created(house: House) -> UUID:
    return house.task(**CONTRACT, sla={"deadline": soon(hours=1).isoformat()}).id


def queued(house: House) -> UUID:
    task_id = created(house)
    assert tasks.queue_created() == 1
    return task_id


def matched(house: House) -> UUID:
    task_id = queued(house)
    data = {"worker_id": str(house.bobs_worker.id)}
    locked(tasks.match_task, data=data)(house, task_id)
    return task_id


def offered(house: House) -> UUID:
    task_id = queued(house)
    assert matching.match_queued() == 1
    return task_id


def accepted(house: House) -> UUID:
    task_id = offered(house)
    accept(house, task_id)
    return task_id


def started(house: House) -> UUID:
    task_id = accepted(house)
    on_run(tasks.start_run)(house, task_id)
    return task_id


def claim_only(house: House) -> UUID:
    """Return a task that only claims hand out, with a queued run; one attempt is left after it."""
    desk = desk_of(house)
    made = desk.task(max_attempts=2, scope="workspace", workspace=str(house.pool.id))
    desk.started(made["id"])
    return TaskDetails.objects.get(wire_id=made["id"]).task_id


def held_by_bob(house: House) -> UUID:
    task_id = claim_only(house)
    claim(house, task_id)
    return task_id


def hold(house: House, task_id: UUID) -> None:
    """Have the task wait again, as what its status allows does it."""
    task = Task.objects.get(id=task_id)
    match task.status:
        case Status.ACCEPTED | Status.STARTED:
            on_run(tasks.release_run, reason="my shift ends")(house, task_id)
        case Status.SUBMITTED:
            locked(tasks.rework_task, reason="call again")(house, task_id)
        case _:
            desk_of(house).started(TaskDetails.objects.get(task_id=task_id).wire_id)


def held_started(house: House) -> UUID:
    task_id = held_by_bob(house)
    on_run(tasks.start_run)(house, task_id)
    return task_id


def held_submitted(house: House) -> UUID:
    task_id = held_started(house)
    submit(house, task_id)
    return task_id


def held_completed(house: House) -> UUID:
    task_id = held_submitted(house)
    assert reviews.verify_submitted() == 1
    return task_id


def held_failed(house: House) -> UUID:
    task_id = held_by_bob(house)
    locked(tasks.fail_task, reason="rejected")(house, task_id)
    return task_id


def submitted(house: House) -> UUID:
    task_id = started(house)
    submit(house, task_id)
    return task_id


def verified(house: House) -> UUID:
    task_id = submitted(house)
    locked(tasks.verify_task)(house, task_id)
    return task_id


def completed(house: House) -> UUID:
    task_id = submitted(house)
    assert reviews.verify_submitted() == 1
    return task_id


def failed(house: House) -> UUID:
    task_id = queued(house)
    give_up(house, task_id)
    return task_id


def cancelled(house: House) -> UUID:
    task_id = queued(house)
    cancel(house, task_id)
    return task_id


STATES: dict[Status | None, State] = {
    Status.CREATED: created,
    Status.QUEUED: queued,
    Status.MATCHED: matched,
    Status.OFFERED: offered,
    Status.ACCEPTED: accepted,
    Status.STARTED: started,
    Status.SUBMITTED: submitted,
    Status.VERIFIED: verified,
    Status.COMPLETED: completed,
    Status.FAILED: failed,
    Status.CANCELLED: cancelled,
}


# --- what moves it on -----------------------------------------------------------------------------


def locked(verb: Callable[..., object], **facts: Any) -> Step:
    """A verb that wants the task locked, done by the service itself."""

    @atomic()
    def step(house: House, task_id: UUID) -> None:
        task = Task.objects.locked().get(id=task_id)
        actor = principal.system("test", house.organisation.id)
        verb(task=task, actor=actor, at=clock.now(), **facts)

    return step


def on_run(verb: Callable[..., object], **facts: Any) -> Step:
    """A verb of the worker who holds the task's run."""

    def step(house: House, task_id: UUID) -> None:
        run = Run.objects.get(task_id=task_id, lease_until__isnull=False)
        actor = house.bob.principal
        verb(actor=actor, run_id=run.id, epoch=run.epoch, at=clock.now(), **facts)

    return step


def open_offer(task_id: UUID) -> Offer:
    return Offer.objects.get(task_id=task_id, status="open")


def decline(house: House, task_id: UUID) -> None:
    matching.decline_offer(
        actor=house.bob.principal,
        offer_id=open_offer(task_id).id,
        reason="on a call",
        at=clock.now(),
    )


def expire(house: House, task_id: UUID) -> None:
    offer = open_offer(task_id)
    matching.expire_offer(offer_id=offer.id, at=offer.expires_at)


def accept(house: House, task_id: UUID) -> None:
    matching.accept_offer(
        actor=house.bob.principal, offer_id=open_offer(task_id).id, at=clock.now()
    )


@atomic()
def claim(house: House, task_id: UUID) -> None:
    task = Task.objects.locked().get(id=task_id)
    tasks.claim_task(
        task=task,
        run=open_run(task=task),
        worker_id=house.bobs_worker.id,
        lease_seconds=300,
        actor=house.bob.principal,
        at=clock.now(),
    )


def lapse(house: House, task_id: UUID) -> None:
    run = Run.objects.get(task_id=task_id, lease_until__isnull=False)
    assert run.lease_until is not None
    tasks.lapse_run(run_id=run.id, at=run.lease_until)


def submit(house: House, task_id: UUID) -> None:
    run = Run.objects.get(task_id=task_id, lease_until__isnull=False)
    tasks.submit_run(
        actor=house.bob.principal,
        run_id=run.id,
        submission=tasks_submission(run.epoch, OUTPUT),
        at=clock.now(),
    )


def cancel(house: House, task_id: UUID) -> None:
    actor = house.alice.principal
    tasks.cancel_task(actor=actor, task_id=task_id, reason="resolved", at=clock.now())


def reopen(house: House, task_id: UUID) -> None:
    actor = principal.system("test", house.organisation.id)
    tasks.reopen_task(actor=actor, task_id=task_id, reason="wrong person", at=clock.now())


def breach(house: House, task_id: UUID) -> None:
    tasks.watch_sla(task_id=task_id, clock=Clock.DEADLINE, at=clock.now() + timedelta(hours=1))


def escalate(house: House, task_id: UUID) -> None:
    """By the timer of its policy's first step."""
    policy = {"steps": [{"after_seconds": 60, "lower_min_rating_by": 0.5, "notify": True}]}
    Task.objects.filter(id=task_id).update(escalation=policy)
    matching.escalate(task_id=task_id, at=clock.now() + timedelta(seconds=60))


def warn(house: House, task_id: UUID) -> None:
    tasks.watch_sla(task_id=task_id, clock=Clock.DEADLINE, at=clock.now() + timedelta(minutes=50))


give_up = locked(tasks.fail_task, reason="nobody_found")


def ask(house: House, task_id: UUID) -> None:
    tasks.post_message(
        actor=house.alice.principal, task_id=task_id, text="Any news?", at=clock.now()
    )


def recall(house: House, task_id: UUID) -> None:
    actor = principal.system("test", house.organisation.id)
    matching.requeue_task(actor=actor, task_id=task_id, reason="she is ill", at=clock.now())


def update(house: House, task_id: UUID) -> None:
    changes = TaskChanges.model_validate({"sla": {"urgency": "critical"}, "reason": "A VIP"})
    matching.update_task(
        actor=principal.system("test", house.organisation.id),
        task_id=task_id,
        changes=changes,
        at=clock.now(),
    )


def ask_for_review(house: House, task_id: UUID) -> None:
    """What a submission does by its pool's policy."""
    set_policy(house.pool, deadline_seconds=3600, auto_approve_after_hours=24)
    actor = principal.system("test", house.organisation.id)
    with transaction.atomic():
        run = lock_run(actor=actor, run_id=Run.objects.get(task_id=task_id).id)
        request = reviews.decide_on_review(run, clock.now())
        assert request is not None
        request_review(task=run.task, request=request, at=clock.now())


def report_review(house: House, task_id: UUID) -> None:
    ask_for_review(house, task_id)
    at = clock.now() + timedelta(hours=2)
    reviews.report_overdue(review_id=Review.objects.get().id, at=at)


@transaction.atomic
def decide_review(house: House, task_id: UUID) -> None:
    """Only the verdict's own event: the next one follows in the same transaction."""
    run = Run.objects.get(task_id=task_id)
    tasks.end_review(
        task=Task.objects.locked().get(id=task_id),
        actor=principal.system("test", house.organisation.id),
        at=clock.now(),
        data={
            "review_id": str(UUID(int=1)),
            "run_id": str(run.id),
            "worker_id": str(run.worker_id),
            "attempt": 1,
            "round": 1,
            "verdict": "rework",
            "next_status": "queued",
            "rating": 2,
        },
        reason="call again",
        also=[],
    )


@transaction.atomic
def appeal(command: Command, house: House, task_id: UUID) -> None:
    """Only the event of an appeal: the task has a verdict of another attempt."""
    facts = {
        "appeal_id": str(UUID(int=2)),
        "review_id": str(UUID(int=1)),
        "run_id": str(UUID(int=3)),
        "worker_id": str(house.bobs_worker.id),
        "attempt": 1,
        "round": 1,
        "verdict": "rework",
    }
    if command is Command.DECIDE_APPEAL:
        facts |= {"decision": "overturned", "rating": 4}
    tasks.record_appeal(
        task=Task.objects.locked().get(id=task_id),
        command=command,
        actor=principal.system("test", house.organisation.id),
        at=clock.now(),
        data=facts,
        reason="it was right",
        also=[],
    )


CLAIM_ONLY: dict[tuple[Command, Status], State] = {
    (Command.CLAIM, Status.CREATED): claim_only,
    (Command.HOLD, Status.ACCEPTED): held_by_bob,
    (Command.HOLD, Status.STARTED): held_started,
    (Command.HOLD, Status.SUBMITTED): held_submitted,
    (Command.HOLD, Status.COMPLETED): held_completed,
    (Command.HOLD, Status.FAILED): held_failed,
}
"""The rows that only tasks of `/api` take, and how such a task comes there."""

STEPS: dict[Command, Step] = {
    Command.QUEUE: lambda house, task_id: tasks.queue_created(),
    Command.MATCH: locked(tasks.match_task, data={"worker_id": str(UUID(int=1))}),
    Command.REQUEUE: decline,
    Command.ACCEPT: accept,
    Command.CLAIM: claim,
    Command.START: on_run(tasks.start_run),
    Command.RELEASE: on_run(tasks.release_run, reason="my shift ends"),
    Command.LAPSE: lapse,
    Command.RETRY: on_run(tasks.fail_run, error="no answer"),
    Command.SUBMIT: submit,
    Command.REWORK: locked(tasks.rework_task, reason="call again"),
    Command.VERIFY: locked(tasks.verify_task),
    Command.COMPLETE: locked(tasks.complete_task),
    Command.CANCEL: cancel,
    Command.FAIL: give_up,
    Command.REOPEN: reopen,
    Command.HOLD: hold,
    Command.ESCALATE: escalate,
    Command.WARN: warn,
    Command.BREACH: breach,
    Command.MESSAGE: ask,
    Command.RECALL: recall,
    Command.UPDATE: update,
    Command.REQUEST_REVIEW: ask_for_review,
    Command.DECIDE_REVIEW: decide_review,
    Command.REPORT_REVIEW: report_review,
    Command.OPEN_APPEAL: partial(appeal, Command.OPEN_APPEAL),
    Command.DECIDE_APPEAL: partial(appeal, Command.DECIDE_APPEAL),
}

TOLD_ROWS = [
    row for row in TRANSITIONS if row.source in STATES and row.command is not Command.OFFER
]
ELSEWHERE = {Command.CREATE, Command.OFFER}
"""Driven on the way to other rows: the first event, and the matcher's second in one transaction."""


def called(row: Transition) -> str:
    return f"{row.command}-{row.source}"


# --- bodies ---------------------------------------------------------------------------------------


def assert_as_catalogued(task_id: UUID) -> dict[str, Any]:
    """Assert that every body of the task is exactly its model. Return the last one."""
    sent = bodies(task_id)
    assert [body["data"]["sequence"] for body in sent] == list(range(1, len(sent) + 1))
    for body in sent:
        CATALOGUE[body["type"]].model.model_validate_json(json.dumps(body), extra="forbid")
    return sent[-1]


def test_every_row_of_the_law_is_driven() -> None:
    driven = {(row.command, row.source) for row in TOLD_ROWS}
    left = {
        (row.command, row.source)
        for row in TRANSITIONS
        # No API creates drafts; publishing one has the event of a creation.
        if row.command not in ELSEWHERE | {Command.DRAFT} and row.source is not Status.DRAFT
    } - driven
    assert not left, f"not driven: {sorted(left)}. Add the state to STATES or the verb to STEPS."


@pytest.mark.parametrize("row", TOLD_ROWS, ids=called)
def test_a_row_of_the_law__is_told_as_catalogued(house: House, row: Transition) -> None:
    assert row.source is not None
    state = CLAIM_ONLY.get((row.command, row.source), STATES[row.source])
    task_id = state(house)
    STEPS[row.command](house, task_id)
    last = assert_as_catalogued(task_id)
    transition = (last["type"], last["data"]["previous_status"], last["data"]["status"])
    assert transition == (row.event, row.source, row.target)


def test_a_life_with_all_its_steps__tells_nine_events(house: House) -> None:
    task_id = completed(house)
    last = assert_as_catalogued(task_id)
    assert [body["type"] for body in bodies(task_id)] == list(EVENT_TYPES[:9])
    assert last["data"]["output"] == OUTPUT


@pytest.mark.parametrize(
    ("state", "step", "reason", "facts"),
    [
        (offered, decline, "offer_declined", {"offer_id", "worker_id"}),
        (offered, expire, "offer_expired", {"offer_id", "worker_id"}),
        (started, STEPS[Command.RELEASE], "my shift ends", {"run_id", "worker_id"}),
        (started, lapse, "lease_ended", {"run_id", "worker_id"}),
        (started, recall, "she is ill", {"run_id", "worker_id"}),
        (offered, recall, "she is ill", set()),
        (started, STEPS[Command.RETRY], "run_failed", {"run_id", "worker_id"}),
        (submitted, STEPS[Command.REWORK], "call again", {"run_id", "attempt"}),
        (completed, reopen, "wrong person", {"run_id", "attempt"}),
    ],
)
def test_task_queued__has_the_facts_of_its_cause(
    house: House, state: State, step: Step, reason: str, facts: set[str]
) -> None:
    task_id = state(house)
    step(house, task_id)
    data = assert_as_catalogued(task_id)["data"]
    assert data["reason"] == reason
    assert set(data) & {"run_id", "attempt", "offer_id", "worker_id"} == facts


def test_task_accepted__names_no_offer_when_it_was_claimed(house: House) -> None:
    task_id = queued(house)
    claim(house, task_id)
    assert "offer_id" not in assert_as_catalogued(task_id)["data"]


def test_task_failed__names_the_run_that_was_the_last(house: House) -> None:
    task_id = started(house)
    Task.objects.filter(id=task_id).update(max_attempts=1)
    STEPS[Command.RETRY](house, task_id)
    last = assert_as_catalogued(task_id)
    assert last["type"] == EventType.FAILED
    assert (last["data"]["reason"], "run_id" in last["data"]) == ("run_failed", True)


def test_task_failed__after_the_last_rework(house: House) -> None:
    task_id = submitted(house)
    Task.objects.filter(id=task_id).update(max_attempts=1)
    STEPS[Command.REWORK](house, task_id)
    assert assert_as_catalogued(task_id)["data"]["reason"] == "attempts_exhausted"


@pytest.mark.parametrize(("state", "is_shown"), [(submitted, False), (verified, True)])
def test_task_sla_breached__shows_the_output_only_of_a_verified_task(
    house: House, state: State, *, is_shown: bool
) -> None:
    task_id = state(house)
    breach(house, task_id)
    data = assert_as_catalogued(task_id)["data"]
    assert data.get("output") == (OUTPUT if is_shown else None)
    assert ("output" in data) is is_shown


def test_a_contract_without_origin__is_told_as_catalogued(house: House) -> None:
    task = house.task(handoff=CONTRACT["handoff"])
    origin = assert_as_catalogued(task.id)["data"]["origin"]
    assert (origin["product"], origin["request_id"]) == ("", None)


def test_the_thin_payload__is_told_as_catalogued(house: House) -> None:
    task_id = completed(house)
    for full, thin in zip(bodies(task_id), bodies(task_id, thin=True), strict=True):
        ThinEnvelope.model_validate_json(json.dumps(thin), extra="forbid")
        assert (thin["type"], thin["timestamp"]) == (full["type"], full["timestamp"])
        assert thin["data"].items() <= full["data"].items()
