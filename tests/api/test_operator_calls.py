"""Operators put tasks right: change, boost, requeue, reassign, reopen, and cancel many."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.events.models import Event
from apps.matching.models import Offer, OfferStatus
from apps.matching.services import match_queued
from apps.tasks.models import ReturnedRun, Run, Task
from apps.timers.models import Timer
from apps.webhooks.models import Message as WebhookMessage
from biolayer import chain
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import Caller, House, soon, worker_in
from tests.probes import assert_loads_are_true

SKILLS = ["phone_verification"]


@pytest.fixture
def operator(house: House) -> Caller:
    return key_of(house, role=Role.MANAGER)


def key_of(house: House, *, role: Role, **limits: Any) -> Caller:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="The night operator",
        scopes=[Scope.TASKS_READ, Scope.TASKS_CANCEL, Scope.TASKS_MANAGE],
        role=role,
        **limits,
    )
    return Caller(key)


def act(caller: Caller, task: Any, action: str, **body: Any) -> Any:
    return caller.post(f"/v1/tasks/{task.id}/{action}", body)


def etag_of(caller: Caller, task: Any) -> str:
    answer = caller.get(f"/v1/tasks/{task.id}")
    return str(answer["ETag"])


def change(caller: Caller, task: Any, body: Any, etag: str | None = None) -> Any:
    etag = etag or etag_of(caller, task)
    return caller.patch(f"/v1/tasks/{task.id}", body, **{"If-Match": etag})


def last_event(task: Any) -> Event:
    event = Event.objects.filter(task_id=task.id).order_by("-sequence").first()
    assert event is not None
    return event


def assert_chain_holds(caller: Caller, task: Any) -> None:
    log = caller.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert chain.first_broken(log) is None


# --- changes --------------------------------------------------------------------------------------


def test_change__lowers_a_requirement_and_the_task_is_offered(
    house: House, operator: Caller
) -> None:
    worker_in(house.pool, name="Dora Quist", skills=SKILLS, trust_level=1)
    task = house.queued(requirements={"skills": SKILLS, "trust_level": 5})
    match_queued()
    assert Task.objects.get().status == "queued"
    body = {"requirements": {"trust_level": 1}, "reason": "Level 5 is not on duty tonight."}
    answer = change(operator, task, body)
    assert answer.status_code == 200, answer.content
    assert answer.json()["requirements"]["trust_level"] == 1
    assert answer.json()["requirements"]["skills"] == SKILLS
    assert answer["ETag"] == etag_of(operator, task)
    match_queued()
    assert Task.objects.get().status == "offered"
    event = Event.objects.get(type="task.updated")
    assert event.data["changes"] == {"/requirements/trust_level": 1}
    assert_chain_holds(operator, task)


def test_change__is_a_silent_event_and_is_audited(house: House, operator: Caller) -> None:
    callback = {"callback_url": "http://127.0.0.1:9/hook"}
    task = house.queued(handoff=callback)
    before = WebhookMessage.objects.filter(subject_id=task.id).count()
    change(operator, task, {"sla": {"urgency": "critical"}, "reason": "The customer called."})
    assert last_event(task).type == "task.updated"
    assert WebhookMessage.objects.filter(subject_id=task.id).count() == before + 1
    entry = AuditEvent.objects.get(action="task.updated")
    assert entry.data["changes"] == ["/sla/urgency"]
    log = operator.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert log[-1]["data"]["reason"] == "The customer called."


def test_change__extends_a_deadline_and_its_clock(house: House, operator: Caller) -> None:
    task = house.queued(sla={"deadline": soon(minutes=10).isoformat()})
    Task.objects.update(deadline_at_risk_at=clock.now())
    later = soon(hours=5)
    answer = change(operator, task, {"sla": {"deadline": later.isoformat()}})
    assert answer.status_code == 200, answer.content
    row = Task.objects.get()
    assert row.deadline == later
    assert row.deadline_at_risk_at is None
    timer = Timer.objects.get(subject_id=task.id, kind="sla_deadline")
    at_risk = row.created_at + 0.8 * (later - row.created_at)
    assert abs(timer.due_at - at_risk) < timedelta(milliseconds=1)


def test_change__removes_a_deadline(house: House, operator: Caller) -> None:
    task = house.queued(sla={"deadline": soon(minutes=10).isoformat()})
    answer = change(operator, task, {"sla": {"deadline": None}})
    assert answer.json()["sla"]["deadline"] is None


def test_change__of_the_urgency_moves_the_task_by_its_gap(house: House, operator: Caller) -> None:
    task = house.queued()
    before = Task.objects.get().sort_at
    assert before is not None
    act(operator, task, "boost", seconds=60)
    change(operator, task, {"sla": {"urgency": "high"}})
    assert Task.objects.get().sort_at == before - timedelta(seconds=60, minutes=15)


def test_change__to_what_it_is_writes_nothing(house: House, operator: Caller) -> None:
    task = house.queued()
    with expect_unchanged():
        answer = change(operator, task, {"sla": {"urgency": task.urgency}, "reason": "No reason"})
    assert answer.status_code == 200


def test_change__needs_the_version_that_was_read(house: House, operator: Caller) -> None:
    task = house.queued()
    path, body = f"/v1/tasks/{task.id}", {"sla": {"urgency": "critical"}}
    with expect_unchanged():
        expect_problem(operator.patch(path, body), 428, "version_missing")
        stale = operator.patch(path, body, **{"If-Match": '"1"'})
        problem = expect_problem(stale, 412, "version_changed")
        assert problem["version"] == Task.objects.get().version
        for odd in ("7", '"7", "8"', 'W/"7"', '""', '"a"'):
            expect_problem(operator.patch(path, body, **{"If-Match": odd}), 422, "invalid_input")
    assert operator.patch(path, body, **{"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"sla": {"urgency": "soon"}}, ["/sla/urgency"]),
        ({"sla": {"deadline": "2020-01-01T00:00:00Z"}}, ["/sla/deadline"]),
        ({"requirements": {"trust_level": 9, "min_rating": "high"}}, None),
        ({"requirements": {"skill_levels": {"welding": 2}}}, None),
        ({"requirements": {"worker_pool_id": None}}, ["/requirements/worker_pool_id"]),
        ({"title": "Another"}, ["/title"]),
        ({"status": "completed"}, ["/status"]),
        ([], None),
    ],
)
def test_change__names_each_fault(
    house: House, operator: Caller, body: Any, pointers: list[str] | None
) -> None:
    task = house.queued()
    with expect_unchanged():
        found = faults(change(operator, task, body))
    assert found
    assert pointers is None or sorted(found) == pointers


def test_change__keeps_what_escalation_lowered(house: House, operator: Caller) -> None:
    steps = [{"after_seconds": 1, "lower_trust_level_by": 2}]
    needs = {"trust_level": 5, "escalation": {"steps": steps}}
    task = house.queued(requirements=needs)
    Task.objects.update(escalation_step=1)
    change(operator, task, {"requirements": {"trust_level": 4}})
    row = Task.objects.select_related("requirement").get()
    assert row.trust_level == 4
    assert row.requirement is not None
    assert row.requirement.trust_level == 2


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_change__of_a_closed_task_is_refused(
    house: House, operator: Caller, *, is_cancelled: bool
) -> None:
    task = house.queued() if is_cancelled else house.completed()
    if is_cancelled:
        house.alice.post(f"/v1/tasks/{task.id}/cancel")
    with expect_unchanged():
        answer = change(operator, task, {"sla": {"urgency": "low"}})
        expect_problem(answer, 409, "illegal_transition")


# --- the queue ------------------------------------------------------------------------------------


def test_boost__moves_ahead_and_back(house: House, operator: Caller) -> None:
    first, second = house.queued(), house.queued()
    order = Task.objects.order_by("sort_at", "id").values_list("id", flat=True)
    assert list(order) == [first.id, second.id]
    assert act(operator, second, "boost", reason="A VIP").status_code == 200
    assert list(order.all()) == [second.id, first.id]
    assert last_event(second).data["boost_seconds"] == 3600
    act(operator, second, "boost", seconds=-3600)
    assert list(order.all()) == [first.id, second.id]
    for seconds in (604_801, -604_801, "1", None, 1.5):
        with expect_unchanged():
            faults(act(operator, first, "boost", seconds=seconds))


def test_boost__before_it_is_queued_is_refused(house: House, operator: Caller) -> None:
    task = house.task()
    with expect_unchanged():
        expect_problem(act(operator, task, "boost"), 409, "illegal_transition")


def test_requeue__withdraws_the_offer(house: House, operator: Caller) -> None:
    offer = house.offered()
    answer = act(operator, offer.task, "requeue", reason="Wrong shift")
    assert answer.json()["status"] == "queued", answer.content
    assert Offer.objects.get().status == OfferStatus.WITHDRAWN
    assert not Timer.objects.filter(subject_id=offer.id).exists()
    assert_loads_are_true()
    gone = house.bob.post(f"/v1/offers/{offer.id}/accept")
    expect_problem(gone, 409, "offer_closed")
    assert AuditEvent.objects.filter(action="task.requeued").count() == 1
    assert_chain_holds(operator, offer.task)


@pytest.mark.parametrize("state", ["accepted", "started"])
def test_requeue__takes_a_run_back(house: House, operator: Caller, state: str) -> None:
    run: Run = getattr(house, state)()
    answer = act(operator, run.task, "requeue", reason="She went home ill")
    body = answer.json()
    assert (body["status"], body["worker_id"], body["attempt"]) == ("queued", None, 1)
    late = house.bob.post(f"/v1/runs/{run.id}/heartbeat", {"epoch": 1})
    expect_problem(late, 409, "lease_lost")
    assert ReturnedRun.objects.get().way == "recalled"
    assert_loads_are_true()
    statistics = house.bob.get("/v1/workers/me/statistics").json()
    assert (statistics["returned"], statistics["missed_lease"]) == (0, 0)


@pytest.mark.parametrize("state", ["task", "queued", "submitted", "completed"])
def test_requeue__of_a_task_that_no_one_has_is_refused(
    house: House, operator: Caller, state: str
) -> None:
    made = getattr(house, state)()
    task = made.task if state == "submitted" else made
    with expect_unchanged():
        expect_problem(act(operator, task, "requeue"), 409, "illegal_transition")


# --- another worker -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["queued", "offered", "accepted", "started"])
def test_reassign__offers_it_to_the_chosen_worker(
    house: House, operator: Caller, state: str
) -> None:
    made = getattr(house, state)()
    task = made if state == "queued" else made.task
    dora, caller = worker_in(house.pool, name="Dora Quist")
    answer = act(operator, task, "reassign", worker_id=str(dora.id), reason="She knows him")
    assert answer.status_code == 200, answer.content
    assert answer.json()["status"] == "offered"
    (offer,) = caller.get("/v1/offers").json()["data"]
    assert offer["task"]["task_id"] == str(task.id)
    assert house.bob.get("/v1/offers").json()["data"] == []
    assert_loads_are_true()
    assert caller.post(f"/v1/offers/{offer['offer_id']}/accept").status_code == 200
    entry = AuditEvent.objects.get(action="task.reassigned")
    assert entry.data["worker_id"] == str(dora.id)
    assert_chain_holds(operator, task)


def test_reassign__to_the_worker_who_has_it_offers_it_again(house: House, operator: Caller) -> None:
    run = house.started()
    bob = str(run.worker_id)
    answer = act(operator, run.task, "reassign", worker_id=bob)
    assert answer.json()["status"] == "offered", answer.content
    assert len(house.bob.get("/v1/offers").json()["data"]) == 1
    assert_loads_are_true()


@pytest.mark.parametrize("lack", ["skill", "presence", "capacity", "membership"])
def test_reassign__to_a_worker_who_cannot_is_refused_whole(
    house: House, operator: Caller, lack: str
) -> None:
    worker_in(house.pool, name="Emil Sand", skills=SKILLS)
    offer = house.offered(requirements={"skills": SKILLS})
    skills = [] if lack == "skill" else SKILLS
    dora, caller = worker_in(
        house.pool, name="Dora Quist", skills=skills, trust_level=5, capacity=1
    )
    if lack == "presence":
        caller.patch("/v1/workers/me", {"presence": "away"})
    elif lack == "capacity":
        other = house.queued()
        act(operator, other, "reassign", worker_id=str(dora.id))
    elif lack == "membership":
        dora.memberships.all().delete()
    with expect_unchanged():
        answer = act(operator, offer.task, "reassign", worker_id=str(dora.id))
        expect_problem(answer, 409, "worker_not_eligible")
    assert Offer.objects.get(id=offer.id).status == OfferStatus.OPEN


def test_reassign__to_an_unknown_worker(house: House, operator: Caller) -> None:
    task = house.queued()
    for worker_id in (house.organisation.id, "x", None):
        with expect_unchanged():
            answer = act(operator, task, "reassign", worker_id=worker_id and str(worker_id))
            assert answer.status_code in (404, 422)


# --- reopening, cancelling many -------------------------------------------------------------------


def test_reopen__is_for_admins(house: House, operator: Caller) -> None:
    task = house.completed()
    with expect_unchanged():
        expect_problem(act(operator, task, "reopen"), 403, "role_too_low")
    admin = key_of(house, role=Role.ADMIN)
    answer = act(admin, task, "reopen", reason="The phone number was wrong")
    assert (answer.json()["status"], answer.json()["attempt"]) == ("queued", 2)
    assert AuditEvent.objects.filter(action="task.reopened").count() == 1
    with expect_unchanged():
        expect_problem(act(admin, task, "reopen"), 409, "illegal_transition")


def test_cancel_many__has_a_result_for_each(house: House, operator: Caller) -> None:
    done, offered, waiting = house.completed(), house.offered().task, house.queued()
    unknown = house.organisation.id
    ids = [str(one) for one in (done.id, waiting.id, unknown, offered.id)]
    body = {"task_ids": [*ids, ids[1]], "reason": "A false alarm"}
    answer = operator.post("/v1/tasks/cancel", body)
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert [row["task_id"] for row in found["data"]] == ids
    assert [row["status"] for row in found["data"]] == [409, 200, 404, 200]
    assert (found["cancelled"], found["refused"]) == (2, 2)
    assert found["data"][0]["problem"]["code"] == "illegal_transition"
    assert {Task.objects.get(id=one).status for one in (waiting.id, offered.id)} == {"cancelled"}
    assert_loads_are_true()


def test_cancel_many__is_the_same_when_it_is_sent_again(house: House, operator: Caller) -> None:
    tasks = [house.completed(), *(house.queued() for _ in range(2))]
    ids = [str(house.organisation.id), *(str(task.id) for task in tasks)]
    body = {"task_ids": ids}
    first = operator.post("/v1/tasks/cancel", body, **{"Idempotency-Key": "night-1"})
    with expect_unchanged():
        again = operator.post("/v1/tasks/cancel", body, **{"Idempotency-Key": "night-1"})
    assert [row["status"] for row in first.json()["data"]] == [404, 409, 200, 200]
    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"


def test_cancel_many__refuses_a_list_without_bounds(house: House, operator: Caller) -> None:
    for ids in ([], ["x"], [str(house.organisation.id)] * 501, "all", None):
        faults(operator.post("/v1/tasks/cancel", {"task_ids": ids}))


# --- who may --------------------------------------------------------------------------------------


def test_calls__need_a_manager_and_the_scope(house: House) -> None:
    offer = house.offered()
    editor = key_of(house, role=Role.EDITOR)
    calls = [
        lambda caller: act(caller, offer.task, "requeue"),
        lambda caller: act(caller, offer.task, "boost"),
        lambda caller: act(caller, offer.task, "reopen"),
        lambda caller: act(caller, offer.task, "reassign", worker_id=str(offer.worker_id)),
        lambda caller: change(caller, offer.task, {"sla": {"urgency": "low"}}, '"1"'),
    ]
    for call in calls:
        with expect_unchanged():
            assert call(editor).status_code == 403
            assert call(house.alice).status_code == 403
            assert call(house.bob).status_code == 403
