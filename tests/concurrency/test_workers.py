"""Workers and their memberships under concurrent writes."""

import random
import time

from apps.accounts.principal import system
from apps.base import clock, rows
from apps.pools import services as pool_services
from apps.pools.changes import capacity_reservation, missed_offer
from apps.pools.models import Membership, Worker
from tests.concurrency.together import together
from tests.factories import House, worker_in

SECONDS = 2.0


def test_rate__each_of_many_at_once_counts(house: House) -> None:
    actor = system("review", house.organisation.id)

    def rate() -> None:
        pool_services.rate_worker(
            actor=actor, worker_id=house.bobs_worker.id, stars=4, at=clock.now()
        )

    together(*[rate] * 8)
    worker = Worker.objects.get()
    assert (float(worker.rating), worker.rating_count) == (4, 8)


def test_add_member__at_once_is_one_seat(house: House) -> None:
    pool = pool_services.provision_pool(organisation_id=house.organisation.id, name="Back office")
    path, body = f"/v1/pools/{pool.id}/members", {"worker_id": str(house.bobs_worker.id)}
    answers = together(*[lambda: house.alice.post(path, body)] * 4)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert Membership.objects.filter(pool_id=pool.id).count() == 1


def test_all_seats_of_a_pool__are_written_among_batches_without_a_deadlock(house: House) -> None:
    other = pool_services.provision_pool(organisation_id=house.organisation.id, name="Back office")
    workers = [worker_in(house.pool, capacity=9)[0] for _ in range(20)]
    for worker in workers:
        Membership.objects.create(organisation_id=house.organisation.id, pool=other, worker=worker)
    ends = time.monotonic() + SECONDS

    def batches() -> None:
        while time.monotonic() < ends:
            some = random.sample(workers, 8)
            with rows.batched():
                rows.write(capacity_reservation(worker_id=worker.id) for worker in some)
            with rows.batched():
                rows.write(missed_offer(worker_id=worker.id, until_away=None) for worker in some)

    def means() -> None:
        while time.monotonic() < ends:
            Worker.objects.filter(id=random.choice(workers).id).update(
                rating=random.randint(1, 5), rating_count=10
            )
            pool_services.refresh_rating_means()

    def costs() -> None:
        while time.monotonic() < ends:
            for pool in (house.pool, other):
                pool_services.update_pool(
                    actor=house.alice.principal,
                    pool_id=pool.id,
                    document={"costs": {"call": random.randint(1, 100)}},
                    at=clock.now(),
                )

    together(batches, batches, means, costs)
    assert set(Worker.objects.values_list("load", flat=True)) == {0}
