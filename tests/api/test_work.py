"""Test the worker's calls: runs, leases, cancellation, presence. Tests run the drains."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.matching.models import Offer
from apps.matching.services import match_queued
from apps.pools.models import Worker
from apps.tasks.models import Run, Task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from tests.api.expect import count, everything, expect_problem, expect_unchanged, faults
from tests.api.steps import PNG, VERBS, act, load, open_offers, statuses, upload
from tests.factories import OUTPUT, Caller, House, worker_in

# --- runs ----------------------------------------------------------------------------------


def test_start__begins_the_run(house: House) -> None:
    run = house.accepted()
    answer = act(house.bob, run, "start")
    assert answer.status_code == 200
    assert answer.json()["run"]["status"] == "running"
    assert statuses(run.task_id) == ("started", "running")


def test_start__second_time_is_refused(house: House) -> None:
    run = house.started()
    with expect_unchanged():
        body = expect_problem(act(house.bob, run, "start"), 409, "illegal_transition")
    assert body["task_status"] == "started"
    assert "submit" in body["allowed_commands"]


def test_submit__before_start_is_refused(house: House) -> None:
    run = house.accepted()
    with expect_unchanged():
        expect_problem(act(house.bob, run, "submit", output=OUTPUT), 409, "illegal_transition")


@pytest.mark.parametrize("seconds", [1, 86_400])
def test_heartbeat__sets_the_lease(house: House, seconds: int) -> None:
    run = house.started()
    before = clock.now()
    answer = act(house.bob, run, "heartbeat", lease_seconds=seconds)
    assert answer.status_code == 200
    lease = datetime.fromisoformat(answer.json()["run"]["lease_until"]) - before
    assert timedelta(seconds=seconds) <= lease < timedelta(seconds=seconds + 10)
    assert count("events_event") == 6


@pytest.mark.parametrize("seconds", [0, -1, 86_401, 1.5, "60", True])
def test_heartbeat__lease_out_of_bounds(house: House, seconds: Any) -> None:
    run = house.started()
    with expect_unchanged():
        answer = act(house.bob, run, "heartbeat", lease_seconds=seconds)
    assert list(faults(answer)) == ["/lease_seconds"]


def test_heartbeat__shortened_lease_ends_in_its_time(house: House) -> None:
    run = house.started()
    act(house.bob, run, "heartbeat", lease_seconds=2)
    fire_due(at=clock.now() + timedelta(seconds=5))
    assert statuses(run.task_id) == ("queued", "queued")


CALLS: list[tuple[str, Callable[[House, Run], Any]]] = [
    ("start", lambda house, run: act(house.bob, run, "start")),
    ("heartbeat", lambda house, run: act(house.bob, run, "heartbeat")),
    ("evidence", lambda house, run: upload(house.bob, run, PNG)),
]


@pytest.mark.parametrize(("verb", "call"), CALLS, ids=[verb for verb, _ in CALLS])
def test_lease__is_extended_by_every_call(
    house: House, verb: str, call: Callable[[House, Run], Any]
) -> None:
    run = house.accepted(at=clock.now() - timedelta(minutes=50))
    assert call(house, run).status_code in (200, 201)
    run.refresh_from_db()
    assert run.lease_until is not None
    assert run.lease_until - clock.now() > timedelta(minutes=59)


def test_release__queues_the_same_run_again(house: House) -> None:
    run = house.started()
    answer = act(house.bob, run, "release", reason="shift ended")
    assert answer.status_code == 200
    assert statuses(run.task_id) == ("queued", "queued")
    assert load(house.bobs_worker) == 0
    again = Run.objects.get(task_id=run.task_id)
    assert (again.id, again.attempt, again.epoch) == (run.id, 1, run.epoch)


def test_release__before_start_is_as_good(house: House) -> None:
    run = house.accepted()
    assert act(house.bob, run, "release").status_code == 200
    assert statuses(run.task_id) == ("queued", "queued")


def test_release__next_holder_gets_a_new_epoch(house: House) -> None:
    run = house.started()
    act(house.bob, run, "release")
    worker_in(house.pool)
    assert match_queued() == 1
    offer = Offer.objects.get(status="open")
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Next",
        scopes=[Scope.WORK],
        worker_id=offer.worker_id,
    )
    shown = Caller(key).post(f"/v1/offers/{offer.id}/accept").json()["run"]
    assert (shown["run_id"], shown["epoch"], shown["attempt"]) == (str(run.id), run.epoch + 1, 1)


@pytest.mark.parametrize("off", [-1, 1, 1000])
@pytest.mark.parametrize(("verb", "body"), VERBS)
def test_stale_epoch__changes_nothing(
    house: House, verb: str, body: dict[str, Any], off: int
) -> None:
    run = house.started()
    Run.objects.filter(id=run.id).update(epoch=5)
    with expect_unchanged():
        answer = house.bob.post(f"/v1/runs/{run.id}/{verb}", {"epoch": 5 + off, **body})
    expect_problem(answer, 409, "lease_lost")


def test_stale_epoch__evidence_is_refused_too(house: House) -> None:
    run = house.started()
    with expect_unchanged():
        expect_problem(upload(house.bob, run, PNG, epoch="2"), 409, "lease_lost")


@pytest.mark.parametrize(("verb", "body"), VERBS)
def test_lapsed_lease__changes_nothing(house: House, verb: str, body: dict[str, Any]) -> None:
    """Refuse calls after the lease has ended, though its timer has not fired yet."""
    run = house.started(at=clock.now() - timedelta(hours=2))
    with expect_unchanged():
        expect_problem(act(house.bob, run, verb, **body), 409, "lease_lost")
    with expect_unchanged():
        expect_problem(upload(house.bob, run, PNG), 409, "lease_lost")


@pytest.mark.parametrize(("verb", "body"), VERBS)
def test_lapsed_lease__after_another_worker_got_the_run(
    house: House, verb: str, body: dict[str, Any]
) -> None:
    run = house.started()
    worker_in(house.pool)
    act(house.bob, run, "release")
    Worker.objects.filter(id=house.bobs_worker.id).update(presence="offline")
    assert match_queued() == 1
    with expect_unchanged():
        expect_problem(act(house.bob, run, verb, **body), 409, "lease_lost")


def test_lease__lapses_by_its_timer_and_uses_no_attempt(house: House) -> None:
    run = house.started()
    assert run.lease_until is not None
    fire_due(at=run.lease_until - timedelta(milliseconds=1))
    assert statuses(run.task_id) == ("started", "running")
    fire_due(at=run.lease_until)
    assert statuses(run.task_id) == ("queued", "queued")
    assert Task.objects.get(id=run.task_id).attempt == 1
    assert load(house.bobs_worker) == 0
    assert count("timers_timer") == 0


@pytest.mark.parametrize(("verb", "body"), VERBS)
def test_run__of_another_worker(house: House, verb: str, body: dict[str, Any]) -> None:
    run = house.started()
    _, carol = worker_in(house.pool)
    with expect_unchanged():
        answer = act(carol, run, verb, **body)
    assert answer.status_code in (404, 409)
    expect_problem(answer, answer.status_code)
    expect_problem(carol.get(f"/v1/runs/{run.id}"), 404, "not_found")


BAD_EPOCHS = [None, 0, -1, "1", 1.5, True, 2**31, 10**30, [1]]


@pytest.mark.parametrize("verb", ["start", "heartbeat", "submit", "release"])
def test_epoch__is_needed_and_a_number(house: House, verb: str) -> None:
    run = house.started()
    for epoch in BAD_EPOCHS:
        with expect_unchanged():
            answer = house.bob.post(f"/v1/runs/{run.id}/{verb}", {"epoch": epoch, "output": OUTPUT})
        assert "/epoch" in faults(answer)
    with expect_unchanged():
        answer = house.bob.post(f"/v1/runs/{run.id}/{verb}", {})
    assert faults(answer)["/epoch"] == "required"


@pytest.mark.parametrize("verb", ["start", "heartbeat", "submit", "release"])
def test_run_call__unknown_field_is_named(house: House, verb: str) -> None:
    run = house.started()
    with expect_unchanged():
        answer = act(house.bob, run, verb, ouput=OUTPUT)
    assert faults(answer)["/ouput"] == "unknown_field"


# --- cancellation, as the worker meets it --------------------------------------------------


@pytest.mark.parametrize("stage", ["created", "queued", "offered", "accepted", "started"])
def test_cancel__before_submission(house: House, stage: str) -> None:
    make = {
        "created": lambda: house.task().id,
        "queued": lambda: house.queued().id,
        "offered": lambda: house.offered().task_id,
        "accepted": lambda: house.accepted().task_id,
        "started": lambda: house.started().task_id,
    }
    task_id = make[stage]()
    answer = house.alice.post(f"/v1/tasks/{task_id}/cancel", {"reason": "solved"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert load(house.bobs_worker) == 0
    assert open_offers(house.bob) == []
    assert house.bob.get("/v1/runs").json()["data"] == []
    with expect_unchanged():
        again = house.alice.post(f"/v1/tasks/{task_id}/cancel", {"reason": "again"})
    assert (again.status_code, again.json()) == (200, answer.json())


def test_cancel__leaves_the_timer_of_its_retention_only(house: House) -> None:
    run = house.started(sla={"target_latency_seconds": 60})
    house.alice.post(f"/v1/tasks/{run.task_id}/cancel")
    fire_due(at=clock.now() + timedelta(days=1))
    assert Task.objects.get(id=run.task_id).status == "cancelled"
    assert count("timers_timer") == 1
    assert count("events_event") == 7


@pytest.mark.parametrize("stage", ["submitted", "completed"])
def test_cancel__too_late(house: House, stage: str) -> None:
    task_id = house.submitted().task_id if stage == "submitted" else house.completed().id
    with expect_unchanged():
        body = expect_problem(
            house.alice.post(f"/v1/tasks/{task_id}/cancel"), 409, "illegal_transition"
        )
    assert body["task_status"] == stage


@pytest.mark.parametrize(("verb", "body"), VERBS)
def test_cancel__ends_the_run(house: House, verb: str, body: dict[str, Any]) -> None:
    run = house.started()
    house.alice.post(f"/v1/tasks/{run.task_id}/cancel")
    with expect_unchanged():
        expect_problem(act(house.bob, run, verb, **body), 409, "lease_lost")


def test_cancel__offer_is_withdrawn(house: House) -> None:
    offer = house.offered()
    house.alice.post(f"/v1/tasks/{offer.task_id}/cancel")
    for verb in ("accept", "decline"):
        with expect_unchanged():
            expect_problem(house.bob.post(f"/v1/offers/{offer.id}/{verb}"), 409, "offer_closed")
    offer.refresh_from_db()
    assert offer.status == "withdrawn"


# --- the worker itself ---------------------------------------------------------------------


def test_me__shows_the_worker(house: House) -> None:
    me = house.bob.get("/v1/workers/me").json()
    assert me["worker_id"] == str(house.bobs_worker.id)
    assert (me["name"], me["presence"]) == ("Bob Ashdown", "available")
    assert (me["capacity"], me["load"]) == (1, 0)


@pytest.mark.parametrize("presence", ["available", "busy", "away", "offline"])
def test_me__presence_is_set(house: House, presence: str) -> None:
    answer = house.bob.patch("/v1/workers/me", {"presence": presence})
    assert (answer.status_code, answer.json()["presence"]) == (200, presence)
    assert house.bob.get("/v1/workers/me").json()["presence"] == presence
    house.queued()
    assert match_queued() == (presence == "available")


BAD_UPDATES: list[tuple[Any, str]] = [
    ({"presence": "asleep"}, "/presence"),
    ({"presence": 5}, "/presence"),
    ({}, "/presence"),
    ({"hours": None, "time_zone": None}, "/presence"),
    ({"hours": {"mon": [["09:00", "08:00"]]}}, "/hours/mon/0"),
    ({"time_zone": "Mars/Olympus"}, "/time_zone"),
    ({"skills": ["surgery"], "presence": "away"}, "/skills"),
    ({"languages": ["de"], "hours": {}}, "/languages"),
    ({"presence": "away", "trust_level": 5}, "/trust_level"),
    ([], ""),
]


@pytest.mark.parametrize(("update", "pointer"), BAD_UPDATES)
def test_me__bad_update(house: House, update: Any, pointer: str) -> None:
    with expect_unchanged():
        answer = house.bob.patch("/v1/workers/me", update)
    assert list(faults(answer)) == [pointer]


def test_me__hours_and_time_zone_set_the_timer(house: House) -> None:
    closed = {"hours": {"mon": [["00:00", "00:01"]]}, "time_zone": "Europe/Berlin"}
    me = house.bob.patch("/v1/workers/me", closed).json()
    assert (me["hours"], me["time_zone"]) == (closed["hours"], closed["time_zone"])
    timer = Timer.objects.get(subject_id=house.bobs_worker.id, kind="availability")
    assert timer.due_at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%a %H:%M") in (
        "Mon 00:00",
        "Mon 00:01",
    )
    house.queued()
    assert match_queued() == me["is_on_shift"]
    entry = AuditEvent.objects.get(action="worker.changed")
    assert (entry.actor_kind, entry.data) == ("worker", {"fields": ["hours", "time_zone"]})
    always = house.bob.patch("/v1/workers/me", {"hours": {}}).json()
    assert (always["hours"], always["is_on_shift"]) == ({}, True)
    assert not Timer.objects.filter(subject_id=house.bobs_worker.id).exists()
    assert always["time_zone"] == "Europe/Berlin"


def test_me__setting_away_keeps_held_runs(house: House) -> None:
    run = house.started()
    house.bob.patch("/v1/workers/me", {"presence": "offline"})
    assert act(house.bob, run, "submit", output=OUTPUT).status_code == 200


def test_runs__lists_held_runs(house: House) -> None:
    assert house.bob.get("/v1/runs").json() == {"data": [], "next_cursor": None}
    run = house.started()
    (shown,) = house.bob.get("/v1/runs").json()["data"]
    assert (shown["run_id"], shown["epoch"]) == (str(run.id), run.epoch)
    assert shown["task"]["task_id"] == str(run.task_id)
    _, carol = worker_in(house.pool)
    assert carol.get("/v1/runs").json()["data"] == []
    act(house.bob, run, "submit", output=OUTPUT)
    assert house.bob.get("/v1/runs").json()["data"] == []
    assert everything()["tasks_run"]
