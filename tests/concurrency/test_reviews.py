"""Many reviewers at once, the policy's timers beside them, and connections that are cut."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.events.models import Event
from apps.reviews import services
from apps.reviews.models import Review
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.errors import Conflict, OwnWork, ReviewChanged, ReviewClosed
from tests.concurrency.test_races import everything_holds
from tests.concurrency.together import _run, queued_up, together
from tests.factories import Caller, House
from tests.review_steps import decide, in_review, many_in_review, reviewer, set_policy, verdict

RACES = 1000
REVIEWERS = 40
REVIEWS = 400


def verdicts() -> Counter[UUID]:
    decided = Event.objects.filter(type="review.decided")
    return Counter(UUID(data["review_id"]) for data in decided.values_list("data", flat=True))


# --- two who decide -------------------------------------------------------------------------------


def test_two_verdicts__in_order(house: House) -> None:
    """The second one has read a version that is no more."""
    set_policy(house.pool)
    review = in_review(house)
    rita, sam = reviewer(house), reviewer(house, "Sam")

    def give(caller: Caller, kind: str) -> Callable[[], Any]:
        def call() -> str:
            try:
                return decide(caller.principal, review, kind).status
            except ReviewChanged as refusal:
                return refusal.code

        return call

    calls = [give(rita, "rework"), give(sam, "approve")]
    with queued_up(*calls, behind="tasks_task", key=review.task_id) as waiting:
        pass
    assert [future.result() for future in waiting] == ["rework", "review_changed"]
    assert verdicts() == {review.id: 1}
    everything_holds()


def test_two_claims__in_order(house: House) -> None:
    set_policy(house.pool)
    review = in_review(house)

    def claim(caller: Caller) -> Callable[[], Any]:
        return lambda: caller.post(f"/v1/reviews/{review.id}/claim").status_code

    calls = [claim(reviewer(house)), claim(reviewer(house, "Sam"))]
    with queued_up(*calls, behind="reviews_review", key=review.id) as waiting:
        pass
    assert [future.result() for future in waiting] == [200, 409]


def test_auto_approval_races_a_verdict__one_outcome_and_one_event(house: House) -> None:
    """A thousand times, in both directions of the list, so that they meet."""
    many_in_review(house, RACES, auto_approve_after_hours=24)
    rita, at = reviewer(house).principal, clock.now() + timedelta(hours=25)
    reviews = list(Review.objects.order_by("-id"))
    outcomes: Counter[str] = Counter()

    def person() -> None:
        for review in reviews:
            try:
                services.give_verdict(
                    actor=rita, review_id=review.id, verdict=verdict(review, "reject"), at=at
                )
                outcomes["rejected"] += 1
            except (ReviewChanged, ReviewClosed):
                outcomes["refused"] += 1

    def policy() -> None:
        while Timer.objects.filter(kind="review_auto").exists():
            fire_due(at=at)
            # What was locked is due again half a second later.
            fire_due(at=at + timedelta(seconds=1))

    together(person, policy)
    statuses = Counter(Review.objects.values_list("status", flat=True))
    assert statuses == {
        "rejected": outcomes["rejected"],
        "auto_approved": outcomes["refused"],
    }
    assert min(statuses.values()) > 0, "they did not meet"
    assert verdicts() == dict.fromkeys((review.id for review in reviews), 1)
    ends = {"rejected": "failed", "auto_approved": "verified"}
    wrong = [
        review.id
        for review in Review.objects.select_related("task")
        if review.task.status != ends[review.status]
    ]
    assert not wrong


# --- many reviewers -------------------------------------------------------------------------------


class Killer(threading.Thread):
    """Cut a connection of the database now and then, whatever it is doing."""

    def __init__(self) -> None:
        super().__init__()
        self.ended, self.cut = threading.Event(), 0

    def run(self) -> None:
        try:
            while not self.ended.wait(0.05):
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        " AND state IN ('active', 'idle in transaction')"
                        " ORDER BY random() LIMIT 1"
                    )
                    self.cut += len(cursor.fetchall())
        finally:
            connection.close()


def reviewing(actor: Principal, ids: list[UUID], decided: "Counter[UUID]") -> None:
    """Claim and decide reviews as they come, until none is open; begin again after a cut."""
    shuffled = random.sample(ids, len(ids))
    while True:
        try:
            open_ids = {*Review.objects.open().values_list("id", flat=True)}
            if not open_ids:
                return
            for review_id in shuffled:
                if review_id in open_ids:
                    _review(actor, review_id, decided)
        except (OperationalError, InterfaceError):
            connection.close()


def _review(actor: Principal, review_id: UUID, decided: "Counter[UUID]") -> None:
    try:
        review = services.claim_review(actor=actor, review_id=review_id, at=clock.now())
        kind = random.choice(["approve", "reject"])
        decide(actor, review, kind)
        decided[review_id] += 1
    except (Conflict, OwnWork):
        # Another reviewer has it, or it is their own.
        time.sleep(0)


def contest(house: House, count: int) -> int:
    """Have `REVIEWERS` decide `count` reviews while connections are cut. Return how many were.

    None is decided twice, none is lost, and no worker decides on its own work.
    """
    both = [_reviewing_worker(house, worker) for worker in many_in_review(house, count)]
    others = [reviewer(house, f"Rita {n}").principal for n in range(REVIEWERS - len(both))]
    ids = list(Review.objects.values_list("id", flat=True))
    decided: Counter[UUID] = Counter()
    killer = Killer()
    killer.start()
    try:
        with ThreadPoolExecutor(REVIEWERS) as threads:
            calls = [partial(reviewing, actor, ids, decided) for actor in [*both, *others]]
            # Without a limit of time: a bench has many more reviews.
            list(threads.map(_run, calls))
    finally:
        killer.ended.set()
        killer.join()
    assert verdicts() == dict.fromkeys(ids, 1)
    # A cut after the commit loses the answer, not the verdict.
    assert max(decided.values()) == 1
    rows = list(Review.objects.select_related("task"))
    assert {row.status for row in rows} == {"approved", "rejected"}
    ends = {"approved": "verified", "rejected": "failed"}
    assert not [row.id for row in rows if row.task.status != ends[row.status]]
    assert not [row.id for row in rows if row.decided_by == f"worker:{row.worker_id}"]
    assert len({row.decided_by for row in rows}) > REVIEWERS / 4
    assert services.verify_submitted() == sum(row.status == "approved" for row in rows)
    return killer.cut


def _reviewing_worker(house: House, worker: Caller) -> Principal:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Both",
        role=Role.EDITOR,
        scopes=[Scope.WORK, Scope.TASKS_REVIEW],
        worker_id=worker.principal.worker_id,
    )
    return Caller(key).principal


def test_forty_reviewers__none_twice_none_lost_none_of_own_work(house: House) -> None:
    assert contest(house, REVIEWS) > 0
    everything_holds()
