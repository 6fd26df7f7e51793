"""Check that ratings are compared without rounding."""

from datetime import timedelta

import pytest
from django.db.models import F

from apps.base import clock
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.pools.models import Membership, Worker
from apps.pools.services import rate_worker, refresh_rating_means
from tests.factories import House


def is_asked(house: House, min_rating: float) -> bool:
    """Return whether a task that requires this rating is offered to Bob."""
    task = house.queued(requirements={"min_rating": min_rating})
    match_queued(at=clock.now() + timedelta(seconds=1))
    found = Offer.objects.filter(task=task, worker=house.bobs_worker).exists()
    Offer.objects.all().delete()
    Worker.objects.filter(id=house.bobs_worker.id).update(load=0, capacity=F("capacity"))
    return found


def rated(house: House, rating: float) -> None:
    Worker.objects.filter(id=house.bobs_worker.id).update(
        rating=rating, exact_rating=rating, rating_count=10
    )


@pytest.mark.parametrize(
    ("rating", "least", "fits"),
    [
        (4.796, 4.8, False),
        (4.796, 4.796, True),
        (4.796, 4.7961, False),
        (4.7999999999, 4.8, False),
        (4.8, 4.8, True),
        (4.8000000001, 4.8, True),
        (4.8, 4.8000000001, False),
        (0.1, 0.1, True),
        (5, 5, True),
    ],
)
def test_rating__that_was_given(house: House, rating: float, least: float, fits: bool) -> None:
    rated(house, rating)
    assert Membership.objects.get(worker=house.bobs_worker).rating == rating
    assert is_asked(house, least) is fits


def test_rating__that_the_version_before_wrote(house: House) -> None:
    Worker.objects.filter(id=house.bobs_worker.id).update(
        rating=4.5, exact_rating=None, rating_count=10
    )
    assert is_asked(house, 4.5)
    assert not is_asked(house, 4.51)


def test_rating__that_was_earned(house: House) -> None:
    for stars in (5, 4, 4, 5, 5, 4):
        rate_worker(
            actor=house.alice.principal, worker_id=house.bobs_worker.id, stars=stars, at=clock.now()
        )
    assert Worker.objects.get(id=house.bobs_worker.id).rating_now == pytest.approx(4.5, abs=1e-12)
    assert is_asked(house, 4.5)
    assert not is_asked(house, 4.500001)


def test_rating__that_is_drawn_to_the_pools_mean(house: House) -> None:
    rated(house, 4.796)
    refresh_rating_means()
    assert Membership.objects.get(worker=house.bobs_worker).rating == pytest.approx(
        4.796, abs=1e-12
    )


def test_rating__is_shown_as_it_was_given(house: House) -> None:
    for rating in 4.796, 4.7999999999:
        made = house.alice.post("/v1/workers", {"name": "Ann", "rating": rating})
        assert house.alice.get(made["Location"]).json()["rating"] == rating
