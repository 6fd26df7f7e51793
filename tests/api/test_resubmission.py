"""Test repeated calls without a key after a lost response, and late calls."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.base import clock
from apps.matching.services import expire_offer
from apps.reviews.services import verify_submitted
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.steps import PNG, act, upload
from tests.factories import OUTPUT, House

NUMBERS = {"schema": {"type": "object"}}


def test_submit__the_same_again_answers_the_same_run(house: House) -> None:
    run = house.started()
    first = act(house.bob, run, "submit", output=OUTPUT).json()
    reordered = dict(reversed(OUTPUT.items()))
    with expect_unchanged():
        again = act(house.bob, run, "submit", output=reordered)
    assert again.status_code == 200
    assert again.json() == first


def test_submit__the_same_again_after_the_task_was_completed(house: House) -> None:
    run = house.started()
    act(house.bob, run, "submit", output=OUTPUT)
    verify_submitted()
    again = act(house.bob, run, "submit", output=OUTPUT).json()
    assert (again["run"]["status"], again["task"]["task_id"]) == ("completed", str(run.task_id))


@pytest.mark.parametrize(
    ("output", "again"),
    [({"n": 1}, {"n": 1.0}), ({"n": [1e2, True]}, {"n": [100, True]}), ({}, {})],
)
def test_submit__numbers_are_the_same_by_value(house: House, output: Any, again: Any) -> None:
    run = house.started(output=NUMBERS)
    assert act(house.bob, run, "submit", output=output).status_code == 200
    assert act(house.bob, run, "submit", output=again).status_code == 200


@pytest.mark.parametrize(
    "other", [{"n": 2}, {"n": True}, {"n": "1"}, {"n": 1, "m": 1}, {}, [], None, {"n": [1]}]
)
def test_submit__another_output_is_refused(house: House, other: Any) -> None:
    run = house.started(output=NUMBERS)
    act(house.bob, run, "submit", output={"n": 1})
    with expect_unchanged():
        expect_problem(act(house.bob, run, "submit", output=other), 409, "run_submitted")


def test_submit__other_evidence_is_refused(house: House) -> None:
    run = house.started()
    files = [upload(house.bob, run, PNG).json()["evidence_id"] for _ in range(2)]
    assert act(house.bob, run, "submit", output=OUTPUT, evidence=files).status_code == 200
    assert act(house.bob, run, "submit", output=OUTPUT, evidence=files[::-1]).status_code == 200
    for evidence in [files[:1], [], [str(uuid4())]]:
        again = act(house.bob, run, "submit", output=OUTPUT, evidence=evidence)
        expect_problem(again, 409, "run_submitted")


def test_submit__with_another_epoch_or_by_another_worker_is_a_lost_lease(house: House) -> None:
    run = house.started()
    act(house.bob, run, "submit", output=OUTPUT)
    body = {"epoch": run.epoch + 1, "output": OUTPUT}
    expect_problem(house.bob.post(f"/v1/runs/{run.id}/submit", body), 409, "lease_lost")
    expect_problem(act(house.bob, run, "start"), 409, "lease_lost")


@pytest.mark.parametrize("is_swept", [True, False])
@pytest.mark.parametrize("verb", ["accept", "decline"])
def test_offer__answered_late_has_expired_whether_or_not_that_was_noticed(
    house: House, verb: str, is_swept: bool
) -> None:
    offer = house.offered(at=clock.now() - timedelta(hours=2))
    if is_swept:
        expire_offer(offer_id=offer.id, at=clock.now())
    answer = house.bob.post(f"/v1/offers/{offer.id}/{verb}", {})
    expect_problem(answer, 409, "offer_expired")
