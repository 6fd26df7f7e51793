"""Simulated workers with several drains at once, and with rows that other transactions have."""

from collections import Counter
from datetime import timedelta

from django.db import connection

from apps.accounts.models import Organisation
from apps.accounts.services import ensure_sandbox, issue_key
from apps.base import clock
from apps.events.models import Event
from apps.matching.services import match_queued
from apps.pools.models import Membership, Pool, Worker
from apps.sandbox.models import SimulatedStep
from apps.sandbox.services import take_due_steps
from apps.tasks.models import Task
from apps.tasks.services import queue_created
from tests.concurrency.test_locked_rows import locked
from tests.concurrency.test_races import everything_holds
from tests.concurrency.together import together
from tests.factories import Caller, House
from tests.sandboxes import posted, run_drains, sandbox_of, sandboxed

TASKS = 40


def drained() -> None:
    while take_due_steps():
        pass


def test_ensure_sandbox__two_at_once_make_one(house: House) -> None:
    ids = together(*[lambda: ensure_sandbox(organisation_id=house.organisation.id)] * 6)
    assert set(ids) == {sandbox_of(house)}
    assert Organisation.objects.filter(sandbox_of=house.organisation).count() == 1
    assert Pool.objects.filter(organisation_id=sandbox_of(house)).count() == 1
    assert Worker.objects.filter(organisation_id=sandbox_of(house)).count() == 3
    assert Membership.objects.filter(organisation_id=sandbox_of(house)).count() == 3


def test_drains__take_each_step_once(house: House) -> None:
    test = sandboxed(house)
    for _ in range(TASKS):
        posted(test)
    queue_created()
    match_queued()
    assert SimulatedStep.objects.count() == TASKS
    # A drain may find only steps that others are taking, and end: the last one finds the rest.
    together(*[drained] * 4)
    drained()
    log = Counter(Event.objects.values_list("type", flat=True))
    assert {log[f"task.{name}"] for name in ("accepted", "started", "submitted")} == {TASKS}
    assert SimulatedStep.objects.count() == 0
    run_drains()
    assert set(Task.objects.values_list("status", flat=True)) == {"completed"}
    everything_holds()


def test_drains__a_broadcast_has_one_taker(house: House) -> None:
    test = sandboxed(house)
    (pool,) = test.get("/v1/pools").json()["data"]
    test.patch(f"/v1/pools/{pool['pool_id']}", {"offer_mode": "broadcast", "broadcast_to": 3})
    for _ in range(5):
        posted(test)
    queue_created()
    match_queued()
    assert SimulatedStep.objects.count() == 15
    together(*[drained] * 4)
    drained()
    assert Event.objects.filter(type="task.accepted").count() == 5
    assert SimulatedStep.objects.count() == 0
    everything_holds()


def test_drain__puts_off_an_organisation_whose_task_is_locked(house: House) -> None:
    test, other = sandboxed(house), _strangers_sandbox(house)
    mine = [posted(test) for _ in range(3)]
    theirs = [posted(other) for _ in range(3)]
    queue_created()
    match_queued()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 100")
    # The first step in the queue is that of a locked task
    first = SimulatedStep.objects.filter(organisation_id=sandbox_of(house)).order_by("due_at", "id")
    offer = first.values_list("subject_id", flat=True)[0]
    task_id = Task.objects.get(offers=offer).id
    with locked("tasks_task", task_id):
        drained()
        assert _statuses(theirs) == {"submitted"}
        assert Task.objects.get(id=task_id).status == "offered"
        assert SimulatedStep.objects.filter(due_at__gt=clock.now()).count() >= 1
    later = clock.now() + timedelta(seconds=2)
    while take_due_steps(at=later):
        pass
    assert _statuses(mine) == {"submitted"}
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")


def test_drain__puts_off_a_step_that_fails(house: House) -> None:
    test = sandboxed(house)
    bad, good = posted(test), posted(test)
    queue_created()
    match_queued()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'planted'; END $$;"
            " CREATE TRIGGER refuse BEFORE UPDATE ON tasks_task FOR EACH ROW"
            f" WHEN (OLD.id = '{bad['task_id']}') EXECUTE FUNCTION refuse()"
        )
    try:
        drained()
        assert _statuses([good]) == {"submitted"}
        (left,) = SimulatedStep.objects.all()
        assert left.due_at > clock.now() + timedelta(seconds=5)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION refuse() CASCADE")
    SimulatedStep.objects.update(due_at=clock.now())
    drained()
    assert _statuses([bad]) == {"submitted"}


def _statuses(tasks: list[dict[str, str]]) -> set[str]:
    ids = [task["task_id"] for task in tasks]
    return set(Task.objects.filter(id__in=ids).values_list("status", flat=True))


def _strangers_sandbox(house: House) -> Caller:
    stranger = house.charlie.principal.organisation_id
    return Caller(issue_key(organisation_id=stranger, name="Charlie's tests", is_test=True))
