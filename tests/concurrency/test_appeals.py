"""Two who appeal the same verdict, two who decide, and a decision beside a purge."""

from collections.abc import Callable
from typing import Any

from apps.base import clock
from apps.events.models import Event
from apps.pools.models import Worker
from apps.reviews.models import Appeal
from apps.reviews.services import open_appeal
from apps.tasks.services.retention.purging import purge_tasks_now
from tests.concurrency.test_races import everything_holds
from tests.concurrency.together import queued_up, together
from tests.factories import Caller, House
from tests.review_steps import decide, in_review, reviewer, set_policy

WORDS = {"reason": "It is right."}
OVERTURN = {"version": 1, "decision": "overturn", "reason": "It is.", "rating": 5}


def code(answer: Any) -> str:
    body = answer.json()
    return str(body["code"] if answer.status_code >= 400 else answer.status_code)


def test_two_appeals__in_order(house: House) -> None:
    set_policy(house.pool)
    review = decide(reviewer(house).principal, in_review(house), "reject")

    def appeal() -> str:
        caller = Caller(house.bob.key)
        return code(caller.post(f"/v1/reviews/{review.id}/appeal", WORDS))

    with queued_up(appeal, appeal, behind="tasks_task", key=review.task_id) as waiting:
        pass
    assert [future.result() for future in waiting] == ["201", "already_appealed"]
    assert Event.objects.filter(type="appeal.opened").count() == 1
    everything_holds()


def opened(house: House) -> Appeal:
    set_policy(house.pool)
    review = decide(reviewer(house).principal, in_review(house), "reject", rating=1)
    actor, at = house.bob.principal, clock.now()
    return open_appeal(actor=actor, review_id=review.id, reason="It is right.", at=at)


def test_two_decisions__in_order(house: House) -> None:
    appeal = opened(house)

    def ruling(caller: Caller, **body: Any) -> Callable[[], str]:
        path = f"/v1/appeals/{appeal.id}/decision"
        return lambda: code(caller.post(path, {**OVERTURN, **body}))

    upheld = {"decision": "uphold", "rating": None}
    calls = [ruling(reviewer(house, "Mona")), ruling(reviewer(house, "Max"), **upheld)]
    with queued_up(*calls, behind="tasks_task", key=appeal.review.task_id) as waiting:
        pass
    assert [future.result() for future in waiting] == ["200", "appeal_changed"]
    worker = Worker.objects.get(id=house.bobs_worker.id)
    assert (worker.rating_now, worker.rating_count) == (5, 1)
    assert Event.objects.filter(type="appeal.decided").count() == 1
    everything_holds()


def test_a_decision_races_the_purge__one_outcome(house: House) -> None:
    appeals = [opened(house) for _ in range(20)]
    mona = reviewer(house, "Mona")
    results: list[str] = []

    def manager() -> None:
        paths = (f"/v1/appeals/{appeal.id}/decision" for appeal in appeals)
        results.extend(code(mona.post(path, OVERTURN)) for path in paths)

    def purge() -> None:
        for appeal in reversed(appeals):
            ids = [appeal.review.task_id]
            while not purge_tasks_now(task_ids=ids, at=clock.now()):
                pass

    together(manager, purge)
    statuses = [*Appeal.objects.values_list("status", flat=True)]
    assert statuses.count("overturned") == results.count("200")
    assert statuses.count("expired") == results.count("appeal_changed")
    assert len(statuses) == len(results) == 20
    kept = [1] * statuses.count("expired") + [5] * statuses.count("overturned")
    worker = Worker.objects.get(id=house.bobs_worker.id)
    assert (worker.rating_now, worker.rating_count) == (sum(kept) / 20, 20)
    assert not Appeal.objects.exclude(reason="", decision_reason="").exists()
    everything_holds()
