"""Offers: to which worker, for how long, and the effect of the answer."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from apps.base import clock
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.pools.models import Worker, WorkerKind
from apps.tasks.models import Run
from apps.timers.services import fire_due
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import load, open_offers, statuses
from tests.factories import SCHEMA, House, contract, worker_in


def test_offers__contain_the_task_and_the_expiry(house: House) -> None:
    offer = house.offered()
    (shown,) = open_offers(house.bob)
    assert shown["offer_id"] == str(offer.id)
    assert shown["task"]["task_id"] == str(offer.task_id)
    assert shown["task"]["instructions"] == contract()["instructions"]
    assert shown["task"]["output"]["schema"] == SCHEMA
    for moment in (shown["offered_at"], shown["expires_at"]):
        assert moment.endswith("Z")
        datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    ("urgency", "seconds"), [("critical", 30), ("high", 60), ("normal", 120), ("low", 300)]
)
def test_offers__duration_depends_on_urgency(house: House, urgency: str, seconds: int) -> None:
    offer = house.offered(sla={"urgency": urgency})
    assert offer.expires_at - offer.offered_at == timedelta(seconds=seconds)


def test_offers__limit_of_the_pool_counts(house: House) -> None:
    house.pool.offer_seconds = {"high": 7}
    house.pool.save()
    offer = house.offered(sla={"urgency": "high"})
    assert offer.expires_at - offer.offered_at == timedelta(seconds=7)


def test_offers__callback_and_origin_are_not_the_workers_affair(house: House) -> None:
    handoff = {"callback_url": "https://example.com/private-hook"}
    house.offered(handoff=handoff)
    assert "private-hook" not in house.bob.get("/v1/offers").content.decode()


def test_offers__expired_offer_is_not_listed_and_cannot_be_accepted(house: House) -> None:
    offer = house.offered(at=clock.now() - timedelta(minutes=10))
    assert open_offers(house.bob) == []
    for verb in ("accept", "decline"):
        with expect_unchanged():
            answer = house.bob.post(f"/v1/offers/{offer.id}/{verb}")
        expect_problem(answer, 409, "offer_expired")


def test_accept__answers_the_run_and_the_task(house: House) -> None:
    offer = house.offered()
    before = clock.now()
    answer = house.bob.post(f"/v1/offers/{offer.id}/accept")
    assert answer.status_code == 200
    run = Run.objects.get(task_id=offer.task_id)
    shown = answer.json()
    assert shown["run"]["run_id"] == str(run.id)
    assert shown["run"]["task_id"] == shown["task"]["task_id"] == str(offer.task_id)
    assert shown["run"]["epoch"] == run.epoch == 1
    lease = datetime.fromisoformat(shown["run"]["lease_until"]) - before
    assert timedelta(seconds=3600) <= lease < timedelta(seconds=3610)
    assert statuses(offer.task_id) == ("accepted", "claimed")
    assert load(house.bobs_worker) == 1
    assert open_offers(house.bob) == []


def test_accept__agents_lease_is_300_seconds(house: House) -> None:
    Worker.objects.update(kind=WorkerKind.AGENT)
    offer = house.offered()
    before = clock.now()
    shown = house.bob.post(f"/v1/offers/{offer.id}/accept").json()
    lease = datetime.fromisoformat(shown["run"]["lease_until"]) - before
    assert timedelta(seconds=300) <= lease < timedelta(seconds=310)


def test_accept__second_time_is_refused(house: House) -> None:
    offer = house.offered()
    assert house.bob.post(f"/v1/offers/{offer.id}/accept").status_code == 200
    for verb in ("accept", "decline"):
        with expect_unchanged():
            expect_problem(house.bob.post(f"/v1/offers/{offer.id}/{verb}"), 409, "offer_closed")


@pytest.mark.parametrize("verb", ["accept", "decline"])
def test_offer__to_another_worker_is_not_found(house: House, verb: str) -> None:
    offer = house.offered()
    _, carol = worker_in(house.pool)
    with expect_unchanged():
        expect_problem(carol.post(f"/v1/offers/{offer.id}/{verb}"), 404, "not_found")
    assert open_offers(carol) == []


def test_decline__sends_the_task_to_the_next_worker(house: House) -> None:
    offer = house.offered()
    carols_worker, carol = worker_in(house.pool)
    answer = house.bob.post(f"/v1/offers/{offer.id}/decline", {"reason": "on the road"})
    assert answer.status_code == 200
    assert statuses(offer.task_id) == ("queued", "queued")
    assert load(house.bobs_worker) == 0
    assert match_queued() == 1
    assert (len(open_offers(house.bob)), len(open_offers(carol))) == (0, 1)
    assert (load(house.bobs_worker), load(carols_worker)) == (0, 1)


def test_decline__only_worker_gets_no_second_offer_immediately(house: House) -> None:
    offer = house.offered()
    house.bob.post(f"/v1/offers/{offer.id}/decline")
    with expect_unchanged("matching_parkedrequirement", "matching_turn"):
        assert match_queued() == 0
    assert statuses(offer.task_id) == ("queued", "queued")


def test_decline__alternates_between_workers(house: House) -> None:
    """Check that consecutive offers of a task go to different workers."""
    _, carol = worker_in(house.pool)
    offer = house.offered()
    offered = [offer.worker_id]
    callers = {house.bobs_worker.id: house.bob, offer.worker_id: house.bob}
    callers |= {worker.id: carol for worker in Worker.objects.exclude(id=house.bobs_worker.id)}
    for _ in range(4):
        callers[offer.worker_id].post(f"/v1/offers/{offer.id}/decline")
        assert match_queued() == 1
        offer = Offer.objects.get(task=offer.task_id, status="open")
        offered.append(offer.worker_id)
    assert all(one != other for one, other in pairwise(offered))


@pytest.mark.parametrize("reason", ["x" * 1001, 5, "nul\x00"])
def test_decline__bad_reason(house: House, reason: Any) -> None:
    offer = house.offered()
    with expect_unchanged():
        answer = house.bob.post(f"/v1/offers/{offer.id}/decline", {"reason": reason})
    assert list(faults(answer)) == ["/reason"]


def test_offer__expires_and_goes_to_the_next_worker(house: House) -> None:
    offer = house.offered()
    _, carol = worker_in(house.pool)
    fire_due(at=offer.expires_at - timedelta(milliseconds=1))
    assert statuses(offer.task_id) == ("offered", "queued")
    fire_due(at=offer.expires_at)
    offer.refresh_from_db()
    assert offer.status == "expired"
    assert statuses(offer.task_id) == ("queued", "queued")
    assert load(house.bobs_worker) == 0
    assert match_queued(at=offer.expires_at) == 1
    assert [row.worker_id for row in Offer.objects.filter(status="open")] == [
        carol.principal.worker_id
    ]


def test_offers__one_at_a_time_within_capacity(house: House) -> None:
    house.offered()
    house.queued(title="A second task")
    assert match_queued() == 0
    assert len(open_offers(house.bob)) == 1


INELIGIBLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"skills": ["phone", "french"]}, {"skills": ["phone"]}),
    ({"certifications": ["soc"]}, {}),
    ({"certifications": ["soc"]}, {"certifications": {"soc": datetime(2020, 1, 1, tzinfo=UTC)}}),
    ({"trust_level": 3}, {"trust_level": 2}),
    ({"min_rating": 4.8}, {"rating": 4.79}),
    ({}, {"presence": "away"}),
    ({}, {"presence": "busy"}),
    ({}, {"presence": "offline"}),
    ({}, {"capacity": 0}),
]


@pytest.mark.parametrize(("needs", "traits"), INELIGIBLE)
def test_offers__ineligible_worker_gets_none(
    house: House, needs: dict[str, Any], traits: dict[str, Any]
) -> None:
    Worker.objects.update(presence="offline")
    worker_in(house.pool, **traits)
    house.queued(requirements=needs)
    with expect_unchanged("matching_parkedrequirement", "matching_turn"):
        assert match_queued() == 0


SUITABLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"skills": ["phone"]}, {"skills": ["french", "phone"]}),
    ({"certifications": ["soc"]}, {"certifications": {"soc": None}}),
    ({"certifications": ["soc"]}, {"certifications": {"soc": datetime(2999, 1, 1, tzinfo=UTC)}}),
    ({"trust_level": 3}, {"trust_level": 3}),
    ({"min_rating": 4.8}, {"rating": 4.8}),
]


@pytest.mark.parametrize(("needs", "traits"), SUITABLE)
def test_offers__eligible_worker_gets_one(
    house: House, needs: dict[str, Any], traits: dict[str, Any]
) -> None:
    Worker.objects.update(presence="offline")
    _, carol = worker_in(house.pool, **traits)
    house.queued(requirements=needs)
    assert match_queued() == 1
    assert len(open_offers(carol)) == 1
