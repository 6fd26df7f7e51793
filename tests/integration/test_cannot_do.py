"""Test the codes by which workers say that they cannot do a task, and what follows."""

from datetime import timedelta
from typing import Any

import pytest

from apps.base import clock
from apps.events.models import Event
from apps.matching import services as matching
from apps.matching.models import Offer, ParkedRequirement
from apps.matching.services import match_queued
from apps.pools.models import Pool, Worker
from apps.tasks import services as tasks
from apps.tasks.models import Task
from biolayer.values import LASTING, CannotDo
from tests.api.expect import expect_unchanged, faults
from tests.factories import House, worker_in
from tests.integration.matching_steps import offered_to

WAYS = ("declined", "released")
LATER = timedelta(hours=3)


def give_back(house: House, way: str, code: CannotDo | None, **changes: Any) -> Task:
    """Return a queued task that Bob declined or released."""
    if way == "declined":
        offer = house.offered(**changes)
        body = {"reason": "No ladder"} | ({"code": code.value} if code else {})
        answer = house.bob.post(f"/v1/offers/{offer.id}/decline", body)
        assert (answer.status_code, answer.json()["code"]) == (200, code)
        return Task.objects.get(id=offer.task_id)
    run = house.accepted(**changes)
    body = {"epoch": run.epoch, "reason": "No ladder"} | ({"code": code.value} if code else {})
    assert house.bob.post(f"/v1/runs/{run.id}/release", body).status_code == 200
    return Task.objects.get(id=run.task_id)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", [*CannotDo, None])
def test_code__decides_whether_the_worker_gets_the_task_again(
    house: House, way: str, code: CannotDo | None
) -> None:
    task = give_back(house, way, code)
    assert match_queued() == 0
    expected = 0 if code in LASTING else 1
    assert match_queued(at=clock.now() + LATER) == expected
    assert offered_to(task) == ({house.bobs_worker.id} if expected else set())


@pytest.mark.parametrize("way", WAYS)
def test_code__is_in_the_log(house: House, way: str) -> None:
    task = give_back(house, way, CannotDo.NO_ACCESS)
    event = Event.objects.filter(task_id=task.id).latest("sequence")
    assert (event.type, event.data["code"]) == ("task.queued", "no_access")
    assert Offer.objects.get().code == "no_access"
    # The webhook has it, too.
    shown = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"][-1]["data"]
    assert shown["code"] == "no_access"
    assert shown["reason"] == ("offer_declined" if way == "declined" else "No ladder")


def test_code__none_leaves_no_trace(house: House) -> None:
    task = give_back(house, "released", None)
    assert "code" not in Event.objects.filter(task_id=task.id).latest("sequence").data
    assert Offer.objects.get().code == ""


@pytest.mark.parametrize("code", ["", "MISSING_SKILL", "lazy", 1, ["unsafe"]])
def test_code__that_is_none_is_refused(house: House, code: Any) -> None:
    offer = house.offered()
    with expect_unchanged():
        answer = house.bob.post(f"/v1/offers/{offer.id}/decline", {"code": code})
        assert faults(answer) == {"/code": "not_one_of"}
    run = matching.accept_offer(actor=house.bob.principal, offer_id=offer.id, at=clock.now())
    with expect_unchanged():
        answer = house.bob.post(f"/v1/runs/{run.id}/release", {"epoch": 1, "code": code})
        assert faults(answer) == {"/code": "not_one_of"}


@pytest.mark.parametrize("way", WAYS)
def test_refusal__the_task_goes_to_others(house: House, way: str) -> None:
    task = give_back(house, way, CannotDo.MISSING_SKILL)
    assert match_queued(at=clock.now() + LATER) == 0
    assert ParkedRequirement.objects.count() == 1
    # She joins later, gives the task back for now, and gets it again; he does not.
    other, others_key = worker_in(house.pool)
    assert match_queued(at=clock.now() + LATER) == 1
    assert offered_to(task) == {other.id}
    offer = Offer.objects.get(status="open")
    at = offer.offered_at
    matching.decline_offer(
        actor=others_key.principal, offer_id=offer.id, reason="", code=CannotDo.NO_TIME, at=at
    )
    assert match_queued(at=at + LATER) == 1
    assert offered_to(task) == {other.id}


def test_refusal__holds_after_many_others_were_asked(house: House) -> None:
    """The last who was asked has a cooldown; the first, who cannot do it, never gets it again."""
    task = give_back(house, "declined", CannotDo.UNSAFE)
    other, others_key = worker_in(house.pool)
    at = clock.now()
    for _ in range(3):
        at += LATER
        assert match_queued(at=at) == 1
        offer = Offer.objects.get(status="open")
        assert offer.worker_id == other.id
        matching.decline_offer(actor=others_key.principal, offer_id=offer.id, reason="", at=at)
    assert match_queued(at=at) == 0
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    excluded = match["workers"]["excluded"]
    assert (excluded["cannot_do"], excluded["asked_already"]) == (1, 1)


def test_refusal__other_tasks_of_the_requirement_are_offered(house: House) -> None:
    refused = give_back(house, "declined", CannotDo.WRONG_PLACE)
    assert match_queued(at=clock.now() + LATER) == 0
    assert ParkedRequirement.objects.count() == 1
    other = house.queued(title="Another")
    assert Task.objects.get(id=refused.id).requirement_id == other.requirement_id
    assert match_queued() == 1
    assert (offered_to(other), offered_to(refused)) == ({house.bobs_worker.id}, set())


def test_refusal__does_not_hold_back_tasks_behind_it(house: House) -> None:
    """Many refused tasks at the head of the queue, and one behind them."""
    Worker.objects.update(capacity=50)
    for number in range(20):
        give_back(house, "declined", CannotDo.NO_ACCESS, title=f"Refused {number}")
    last = house.task(title="Last")
    tasks.queue_created()
    assert match_queued(at=clock.now() + LATER) == 1
    assert offered_to(last) == {house.bobs_worker.id}


def test_refusal__holds_in_a_broadcast(house: House) -> None:
    Pool.objects.update(offer_mode="broadcast", broadcast_to=3)
    second, seconds_key = worker_in(house.pool)
    task = house.queued()
    assert match_queued() == 1
    assert offered_to(task) == {house.bobs_worker.id, second.id}
    refused = Offer.objects.get(worker=second)
    matching.decline_offer(
        actor=seconds_key.principal,
        offer_id=refused.id,
        reason="",
        code=CannotDo.CONFLICT_OF_INTEREST,
        at=clock.now(),
    )
    run = matching.accept_offer(
        actor=house.bob.principal,
        offer_id=Offer.objects.get(worker=house.bobs_worker).id,
        at=clock.now(),
    )
    tasks.release_run(actor=house.bob.principal, run_id=run.id, epoch=1, reason="", at=clock.now())
    assert match_queued(at=clock.now() + LATER) == 1
    assert offered_to(task) == {house.bobs_worker.id}


def test_refusal__after_an_earlier_release_without_a_code(house: House) -> None:
    """The code is of the last offer that gave the worker the run."""
    task = give_back(house, "released", None)
    at = clock.now() + LATER
    assert match_queued(at=at) == 1
    offer = Offer.objects.get(status="open")
    run = matching.accept_offer(actor=house.bob.principal, offer_id=offer.id, at=at)
    tasks.release_run(
        actor=house.bob.principal,
        run_id=run.id,
        epoch=2,
        reason="",
        code=CannotDo.NO_ACCESS,
        at=at,
    )
    codes = Offer.objects.order_by("offered_at").values_list("code", flat=True)
    assert [*codes] == ["", "no_access"]
    assert match_queued(at=at + LATER) == 0
    assert offered_to(task) == set()


def test_refusal__is_explained(house: House) -> None:
    task = give_back(house, "released", CannotDo.UNSAFE)
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    assert match["workers"]["eligible"] == 0
    assert match["workers"]["excluded"]["cannot_do"] == 1
    assert match["next"] == (
        "The workers who meet the requirements said that they cannot do the task."
    )
    worker_in(house.pool, presence="away")
    match = house.alice.get(f"/v1/tasks/{task.id}/match").json()
    assert match["next"] == (
        "One worker meets the requirements, but cannot be offered the task now: 1 not available."
    )
    assert match["workers"]["in_pools"] == 2


def test_refusal__of_a_run_that_is_held_changes_no_other_offer(house: House) -> None:
    """A release marks the offer of its own worker and run."""
    declined = give_back(house, "declined", None)
    house.alice.post(f"/v1/tasks/{declined.id}/cancel")
    give_back(house, "released", CannotDo.UNSAFE, title="Another")
    codes = Offer.objects.order_by("offered_at").values_list("status", "code")
    assert [*codes] == [("declined", ""), ("accepted", "unsafe")]
