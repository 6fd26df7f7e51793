"""Rows that another transaction holds: each drain passes over them and serves the others."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from apps.accounts.selectors import authenticate_key
from apps.base import clock, drains
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.matching.services.batch_transaction import TRY_LOCK
from apps.pools.models import Worker
from apps.reviews.services import verify_submitted
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.services import queueing
from apps.timers import services as timers_services
from apps.timers.services import RETRY_SECONDS, TIMEOUT_RETRY_SECONDS, fire_due
from apps.webhooks import services as webhooks
from apps.webhooks.models import Attempt, Delivery, Destination
from tests.concurrency.together import PATIENCE_SECONDS, _run
from tests.factories import Caller, House, contract, worker_in
from tests.integration.test_deliveries import callback
from tests.probes import assert_loads_are_true
from tests.receiver import Receiver

ROW = "SELECT FROM {} WHERE id = %s FOR UPDATE"


@pytest.fixture(autouse=True)
def bounded_as_worker(database: None) -> Iterator[None]:
    """This thread's connection waits no longer than a worker's would."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 100")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


@pytest.fixture
def nowait_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no refusal by NOWAIT for a timeout, however long a busy machine needs for it."""
    monkeypatch.setattr(timers_services, "NOWAIT_SECONDS", 60.0)


@pytest.fixture(autouse=True)
def not_postponed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drains, "POSTPONED_SECONDS", 0.0)


@contextmanager
def holding(statement: str, *params: Any) -> Iterator[None]:
    """Keep a transaction open that has executed the statement, until the block ends."""
    is_locked, may_end = threading.Event(), threading.Event()

    @transaction.atomic
    def hold() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
        is_locked.set()
        assert may_end.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(1) as thread:
        holder = thread.submit(_run, hold)
        assert is_locked.wait(PATIENCE_SECONDS)
        try:
            yield
        finally:
            may_end.set()
        holder.result(PATIENCE_SECONDS)


def locked(table: str, row_id: UUID) -> Any:
    return holding(ROW.format(table), row_id)


def post(caller: Caller, **changes: Any) -> Task:
    known = authenticate_key(caller.key)
    assert known is not None
    return tasks.create_task(
        actor=known.principal, document=contract(**changes), at=clock.now()
    ).task


def statuses() -> dict[UUID, str]:
    return dict(Task.objects.values_list("id", "status"))


# --- queueing, verification -----------------------------------------------------------------------


def test_queueing__passes_over_a_locked_task(house: House) -> None:
    first, second = house.task(), house.task()
    with locked("tasks_task", first.id):
        assert tasks.queue_created() == 1
    assert statuses() == {first.id: "created", second.id: "queued"}
    assert tasks.queue_created() == 1


def test_queueing__where_an_endpoint_is_locked_other_organisations_go_on(house: House) -> None:
    endpoint = house.alice.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/a"}).json()
    mine = [house.task() for _ in range(3)]
    theirs = [post(house.charlie) for _ in range(3)]
    with locked("webhooks_destination", endpoint["endpoint_id"]):
        assert tasks.queue_created() == 3
        assert {statuses()[task.id] for task in theirs} == {"queued"}
        assert {statuses()[task.id] for task in mine} == {"created"}
    assert tasks.queue_created() == 3


def test_queueing__comes_to_the_rows_behind_one_that_is_locked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first waits in a pass; the next pass begins behind it."""
    monkeypatch.setattr(drains, "POSTPONED_SECONDS", 60.0)
    monkeypatch.setattr(queueing, "_postponed", drains.Postponed())
    blocked, *others = (house.task() for _ in range(3))
    # A trigger stands for anything that a transition of one task may have to wait for.
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION wait_for_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NEW.id = '{blocked.id}' THEN PERFORM pg_advisory_xact_lock(77); END IF;"
            " RETURN NEW; END $$;"
            "CREATE TRIGGER wait_for_it BEFORE UPDATE ON tasks_task"
            " FOR EACH ROW EXECUTE FUNCTION wait_for_it()"
        )
    try:
        with holding("SELECT pg_advisory_xact_lock(77)"):
            assert tasks.queue_created() == 0
            assert tasks.queue_created() == 2
            assert {statuses()[task.id] for task in others} == {"queued"}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER wait_for_it ON tasks_task; DROP FUNCTION wait_for_it()")


def test_verification__passes_over_a_locked_task(house: House) -> None:
    Worker.objects.update(capacity=2)
    first, second = house.submitted().task_id, house.submitted().task_id
    with locked("tasks_task", first):
        assert verify_submitted() == 1
    assert statuses() == {first: "submitted", second: "completed"}


# --- timers ---------------------------------------------------------------------------------------


def clock_of(caller: Caller) -> Task:
    return post(caller, sla={"target_latency_seconds": 60})


@pytest.mark.parametrize("count", [1, 3])
def test_timers__where_an_endpoint_is_locked_other_organisations_go_on(
    house: House, count: int
) -> None:
    endpoint = house.alice.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/a"}).json()
    mine = [clock_of(house.alice) for _ in range(count)]
    theirs = [clock_of(house.charlie) for _ in range(count)]
    late = clock.now() + timedelta(seconds=61)
    with locked("webhooks_destination", endpoint["endpoint_id"]):
        fire_due(at=late)
        assert breached() == {task.id for task in theirs}
    fire_due(at=late + timedelta(seconds=TIMEOUT_RETRY_SECONDS))
    assert breached() == {task.id for task in [*mine, *theirs]}


def test_timers__behind_one_that_is_locked_get_through_in_the_next_pass(house: House) -> None:
    """The deliveries of one task are locked; those of the others of its organisation are not."""
    stuck = post(house.alice, **callback("http://127.0.0.1:9"), sla={"target_latency_seconds": 60})
    others = [clock_of(house.alice) for _ in range(3)]
    late = clock.now() + timedelta(seconds=61)
    with locked("webhooks_destination", Destination.objects.get().id):
        fire_due(at=late)
        fire_due(at=late + timedelta(seconds=RETRY_SECONDS))
        assert breached() == {task.id for task in others}
    fire_due(at=late + timedelta(seconds=TIMEOUT_RETRY_SECONDS))
    assert breached() == {stuck.id, *(task.id for task in others)}


def breached() -> set[UUID]:
    late = Task.objects.filter(latency_breached_at__isnull=False)
    return set(late.values_list("id", flat=True))


@pytest.mark.usefixtures("nowait_may_be_slow")
@pytest.mark.parametrize("table", ["tasks_task", "tasks_run", "matching_offer", "pools_worker"])
def test_an_offers_end__is_put_back_while_a_row_of_it_is_locked(house: House, table: str) -> None:
    offer = house.offered()
    ids = {
        "tasks_task": offer.task_id,
        "tasks_run": offer.run_id,
        "matching_offer": offer.id,
        "pools_worker": offer.worker_id,
    }
    with locked(table, ids[table]):
        assert fire_due(at=offer.expires_at) == 1
        assert Offer.objects.get().status == "open"
    assert fire_due(at=offer.expires_at + timedelta(seconds=RETRY_SECONDS)) == 1
    assert Offer.objects.get().status == "expired"
    assert_loads_are_true()


@pytest.mark.usefixtures("nowait_may_be_slow")
@pytest.mark.parametrize("table", ["tasks_task", "tasks_run", "pools_worker"])
def test_a_leases_end__is_put_back_while_a_row_of_it_is_locked(house: House, table: str) -> None:
    run = house.accepted()
    ids = {"tasks_task": run.task_id, "tasks_run": run.id, "pools_worker": run.worker_id}
    assert run.lease_until is not None
    with locked(table, ids[table]):
        assert fire_due(at=run.lease_until) == 1
        assert Task.objects.get().status == "accepted"
    assert fire_due(at=run.lease_until + timedelta(seconds=RETRY_SECONDS)) == 1
    assert Task.objects.get().status == "queued"
    assert_loads_are_true()


def test_tasks_of_a_closed_pool__fail_behind_one_that_is_locked(house: House) -> None:
    needs = {"worker_pool_id": str(house.pool.id), "skills": ["welsh"]}
    first, second = (house.queued(requirements=needs) for _ in range(2))
    assert house.alice.call("DELETE", f"/v1/pools/{house.pool.id}").status_code == 204
    at = clock.now()
    with locked("tasks_task", first.id):
        assert fire_due(at=at) == 1
        assert statuses() == {first.id: "queued", second.id: "failed"}
    assert fire_due(at=at + timedelta(seconds=30)) == 1
    assert statuses() == {first.id: "failed", second.id: "failed"}


# --- matching -------------------------------------------------------------------------------------


def offered() -> set[UUID]:
    return set(Offer.objects.filter(status="open").values_list("task_id", flat=True))


def test_matching__of_an_organisation_that_is_locked_leaves_the_others_theirs(house: House) -> None:
    worker_in(house.strangers_pool)
    mine, theirs = house.task(), post(house.charlie)
    assert tasks.queue_created() == 2
    with holding(TRY_LOCK, str(house.organisation.id)):
        assert match_queued() == 1
        assert offered() == {theirs.id}
    assert match_queued() == 1
    assert offered() == {mine.id, theirs.id}


@pytest.mark.parametrize("table", ["tasks_task", "tasks_run", "pools_worker", "pools_pool"])
def test_matching__goes_on_without_a_row_that_is_locked(house: House, table: str) -> None:
    worker_in(house.pool, skills=["welsh"], capacity=5)
    first = house.queued(requirements={"worker_pool_id": str(house.pool.id)})
    locked_rows = {
        "tasks_task": first.id,
        "tasks_run": first.runs.get().id,
        "pools_worker": house.bobs_worker.id,
        "pools_pool": house.pool.id,
    }
    other = _in_another_pool(house)
    second = house.queued(requirements={"worker_pool_id": str(other.id)})
    with locked(table, locked_rows[table]):
        match_queued()
        assert second.id in offered()
    match_queued()
    assert offered() == {first.id, second.id}
    assert_loads_are_true()


def _in_another_pool(house: House) -> Any:
    from apps.pools.services import provision_pool

    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    worker_in(other)
    return other


def test_matching__goes_on_without_a_requirement_that_is_locked(house: House) -> None:
    """It is parked; a membership that fits opens while another transaction has its row locked."""
    parked = house.queued(requirements={"skills": ["welsh"]})
    assert match_queued() == 0
    other = house.queued()
    row = "SELECT FROM matching_parkedrequirement WHERE requirement_id = %s FOR UPDATE"
    with holding(row, parked.requirement_id):
        worker_in(house.pool, skills=["welsh"])
        assert match_queued() == 1
        assert offered() == {other.id}
    # The comparison that skipped it is made once more.
    assert match_queued() == 1
    assert offered() == {parked.id, other.id}


# --- deliveries -----------------------------------------------------------------------------------


def delivered() -> None:
    while webhooks.deliver_due():
        pass


def test_deliveries__go_on_without_one_that_is_locked(house: House, receiver: Receiver) -> None:
    first, second = (house.task(**callback(receiver.url)) for _ in range(2))
    mine = Delivery.objects.get(subject_id=first.id)
    with locked("webhooks_delivery", mine.id):
        delivered()
        assert dict(Delivery.objects.values_list("subject_id", "status")) == {
            first.id: "pending",
            second.id: "succeeded",
        }
    delivered()
    assert set(Delivery.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Attempt.objects.count() == 2


def test_results__are_written_without_those_whose_rows_are_locked(
    house: House, receiver: Receiver
) -> None:
    from apps.webhooks.http_client import AttemptResult, Outcome
    from apps.webhooks.services.pipeline.claiming import claim
    from apps.webhooks.services.pipeline.recording import record

    for _ in range(2):
        house.task(**callback(receiver.url))
    claims = claim(limit=10, at=None).deliveries
    returned = [(one, AttemptResult(one.token, Outcome.OK, 5, status_code=204)) for one in claims]
    with locked("webhooks_delivery", claims[0].id):
        later = record(returned)
        assert [one.id for one, _ in later] == [claims[0].id]
        assert Attempt.objects.get().delivery_id == claims[1].id
    assert record(later) == []
    assert Attempt.objects.count() == 2


def test_results__of_a_destination_that_is_locked_are_written_later(
    house: House, receiver: Receiver
) -> None:
    from apps.webhooks.http_client import AttemptResult, Outcome
    from apps.webhooks.services.pipeline.claiming import claim
    from apps.webhooks.services.pipeline.recording import record

    failing = house.alice.post("/v1/webhook-endpoints", {"url": f"{receiver.url}/a"}).json()
    house.alice.post("/v1/webhook-endpoints", {"url": f"{receiver.url}/b"})
    house.task()
    claims = claim(limit=10, at=None).deliveries
    returned = [
        (one, AttemptResult(one.token, Outcome.STATUS, 5, status_code=500)) for one in claims
    ]
    with locked("webhooks_destination", failing["endpoint_id"]):
        later = record(returned)
        assert [str(one.destination_id) for one, _ in later] == [failing["endpoint_id"]]
    assert record(later) == []


# --- locked rows and the rest of a pass -----------------------------------------------------------


def test_a_pass__asks_each_organisation_that_is_locked_once() -> None:
    organisations = [UUID(int=number) for number in (1, 2)]
    rows = [drains.Row(UUID(int=10 + n), organisations[n % 2]) for n in range(10)]
    tried: list[int] = []

    def handle(ids: Any) -> int:
        tried.append(len(ids))
        if any(row.id in ids and row.organisation_id == organisations[0] for row in rows):
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM django_migrations FOR UPDATE NOWAIT")
        return len(ids)

    with _any_row_locked():
        handled = drains.handle_in_batches(
            iter(rows), handle, size=10, postponed=drains.Postponed()
        )
    assert handled == 5
    # All together, then each organisation, and one row of the one that timed out.
    assert tried == [10, 5, 1, 5]


def _any_row_locked() -> Any:
    return holding("SELECT FROM django_migrations FOR UPDATE")


def test_what_fails_otherwise__is_no_locked_row(caplog: pytest.LogCaptureFixture) -> None:
    rows = [drains.Row(UUID(int=n), UUID(int=1)) for n in (1, 2)]

    def handle(row_id: UUID) -> bool:
        return 1 // (row_id.int - 1) > 0

    assert drains.handle_each(rows, handle, postponed=drains.Postponed()) == 1
    assert "failed; it is tried again in the next pass" in caplog.text
