"""Actions of the console on many rows, one of which another transaction holds."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.scopes import Role
from apps.base import clock
from apps.pools.models import Membership, Worker
from apps.reviews import services as reviews
from apps.reviews.models import Review
from apps.tasks.models import Task
from apps.webhooks import services as webhooks
from apps.webhooks.models import Delivery
from biolayer.requests.reviews import ReviewVerdict
from tests.concurrency.test_locked_rows import locked
from tests.console.pool_steps import operator_of
from tests.console.task_steps import audited, operator, words
from tests.destinations import emit, endpoint
from tests.factories import House, worker_in
from tests.receiver import Receiver
from tests.review_steps import in_review, many_in_review, reviewer, set_policy


@pytest.fixture(autouse=True)
def bounded(database: None) -> Iterator[None]:
    """This thread's connection waits no longer than a web process would, and less."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 100")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


@pytest.mark.parametrize(("action", "fields"), [("cancel", {}), ("boost", {"minutes": 5})])
def test_bulk__says_which_task_is_held(house: House, action: str, fields: dict[str, int]) -> None:
    rows = sorted((house.queued() for _ in range(3)), key=lambda row: row.id)
    mara = operator(house)
    with locked("tasks_task", rows[1].id):
        answer = mara.post(
            "/admin/tasks/bulk/",
            chosen=[row.id for row in rows],
            action=action,
            confirm="1",
            reason="Called off",
            **fields,
        )
    assert answer.status_code == 200
    assert "It is being changed elsewhere. Try again in a moment." in words(answer)
    assert [len(audited(row)) for row in rows] == [1, 0, 1]
    if action == "cancel":
        assert [Task.objects.get(id=row.id).status for row in rows] == [
            "cancelled",
            "queued",
            "cancelled",
        ]


def test_verdicts__keep_their_results_beside_a_task_that_is_held(house: House) -> None:
    set_policy(house.pool)
    rows = sorted((in_review(house) for _ in range(3)), key=lambda row: row.task_id)
    body = {
        "verdicts": [
            {"review_id": str(row.id), "version": 1, "verdict": "approve", "rating": 4}
            for row in rows
        ]
    }
    with locked("tasks_task", rows[1].task_id):
        answer = reviewer(house).post("/v1/reviews/verdicts", body).json()
    assert [row["status"] for row in answer["data"]] == [200, 409, 200]
    assert [Review.objects.get(id=row.id).status for row in rows] == [
        "approved",
        "waiting",
        "approved",
    ]
    assert Worker.objects.get(id=house.bobs_worker.id).rating_count == 2


def test_verdicts__of_one_transaction_lock_the_workers_last(house: House) -> None:
    """A transaction that holds a worker never waits for a task (docs/adr/0005)."""
    many_in_review(house, 8)
    actor = reviewer(house).principal
    verdicts = [
        ReviewVerdict(review_id=row.id, version=1, verdict="approve", rating=4)
        for row in Review.objects.all()
    ]
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        results = reviews.give_verdicts(actor=actor, verdicts=verdicts, at=clock.now())
    assert {one.status for one in results.values() if isinstance(one, Review)} == {"approved"}
    sent = [one["sql"] for one in captured.captured_queries]
    ratings = [place for place, one in enumerate(sent) if one.strip().startswith("UPDATE pools_w")]
    others = [place for place, one in enumerate(sent) if "FOR UPDATE" in one or "FOR NO KEY" in one]
    assert len(ratings) == len(verdicts)
    assert max(others) < min(ratings)
    workers = [sent[place].rpartition("WHERE id = ")[2] for place in ratings]
    assert workers == sorted(workers)
    assert len({*workers}) > 1


def test_resend__says_which_delivery_is_held(house: House, receiver: Receiver) -> None:
    endpoint(house, receiver.url)
    for _ in range(2):
        emit(house, at=clock.now())
    webhooks.deliver_due()
    first, second = Delivery.objects.order_by("id")
    with locked("webhooks_delivery", first.id):
        answer = operator(house).post(
            "/admin/webhooks/delivery/resend", chosen=[first.id, second.id]
        )
    assert "1 of 2 is sent again" in words(answer)
    assert "It is being changed elsewhere. Try again in a moment." in words(answer)
    statuses = dict(Delivery.objects.values_list("id", "status"))
    assert statuses == {first.id: "succeeded", second.id: "pending"}


def test_members__are_added_beside_one_that_is_held(house: House) -> None:
    mara = operator_of(house, Role.EDITOR)
    rows = sorted((worker_in(house.pool)[0] for _ in range(3)), key=lambda row: row.id)
    Membership.objects.filter(worker__in=rows).delete()
    with locked("pools_worker", rows[1].id):
        answer = mara.post(
            f"/admin/pools/pool/{house.pool.id}/add/", chosen=[row.id for row in rows]
        )
    assert answer.status_code == 302
    added = set(Membership.objects.filter(worker__in=rows).values_list("worker_id", flat=True))
    assert added == {rows[0].id, rows[2].id}


def test_worker__is_not_held_while_a_pool_is_waited_for(house: House) -> None:
    """The worker is locked last (docs/adr/0005): what holds the pool may wait for the worker."""
    mara = operator_of(house, Role.EDITOR)
    mara.client.raise_request_exception = False
    worker, _ = worker_in(house.pool)
    with locked("pools_pool", house.pool.id):
        answer = mara.post(f"/admin/pools/worker/{worker.id}/end/", action="deactivate")
    assert answer.status_code == 503
    worker.refresh_from_db()
    # What was done is kept, and is done again without effect.
    assert worker.presence == "offline"
    mara.post(f"/admin/pools/worker/{worker.id}/end/", action="deactivate")
    assert not worker.memberships.exists()
