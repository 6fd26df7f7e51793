"""Agents propose, people approve: who may, what follows, and what is told when."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.scopes import Role, Scope
from apps.base import clock
from apps.events.models import Event
from apps.reviews import services as reviews
from apps.reviews.models import Review
from apps.tasks.models import Run, Task
from apps.teams.models import Team
from apps.timers.services import fire_due
from tests.api.expect import expect_problem
from tests.factories import Caller, House, worker_in
from tests.team_steps import API, TEAM_SCOPES, Member, may_be_claimed, member_with, propose, team_of

OUTPUT = {"po_quantity": 200, "supplier_id": "SUP-14"}
BETTER = {"po_quantity": 120, "supplier_id": "SUP-12"}
REASON = "The supplier is SUP-12."


class Desk:
    """A team with one agent, and tasks that need approval."""

    def __init__(self, house: House, **policy: Any) -> None:
        self.organisation = house.organisation
        self.team: Team = team_of(house, approval_policy=policy)
        self.worker, self.agent = worker_in(self.team.pool, kind="agent")
        self.manager = self.member(Role.MANAGER)

    def member(self, role: Role, **more: Any) -> Member:
        return member_with(self.organisation, role, **more)

    def task(self, **fields: Any) -> str:
        body = {
            "team_id": str(self.team.pool_id),
            "title": "Draft restock PO",
            "requires_approval": True,
            **fields,
        }
        answer = self.manager.post(f"{API}/tasks", body)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])

    def proposed(self, output: Any = OUTPUT, **fields: Any) -> str:
        task_id = self.task(**fields)
        propose(self.agent, task_id, output)
        return task_id

    def shown(self, task_id: str) -> Any:
        return self.manager.get(f"{API}/tasks/{task_id}").json()


def approve(member: Caller, task_id: str, body: Any = None) -> Any:
    return member.post(f"{API}/tasks/{task_id}/approve", body)


def reject(member: Caller, task_id: str, reason: str = REASON) -> Any:
    return member.post(f"{API}/tasks/{task_id}/reject", {"reason": reason})


def told(task_id: str) -> list[str]:
    types = Event.objects.filter(task_id=task_id).order_by("sequence")
    return list(types.values_list("type", flat=True))


# --- the story ------------------------------------------------------------------------------------


def test_the_story_of_a_proposal(house: House) -> None:
    desk = Desk(house, required_role="MANAGER")
    task_id = desk.task(priority="HIGH")
    agents_key = desk.member(
        Role.ADMIN, scopes=[*TEAM_SCOPES, Scope.WORK], worker_id=desk.worker.id
    )

    first = propose(desk.agent, task_id, OUTPUT)
    shown = desk.shown(task_id)
    assert (shown["status"], shown["proposed_output"]) == ("proposed", OUTPUT)
    expect_problem(approve(desk.member(Role.VIEWER), task_id), 403, "role_too_low")
    expect_problem(approve(desk.member(Role.EDITOR), task_id), 403, "role_too_low")
    expect_problem(approve(agents_key, task_id), 403, "own_work")
    expect_problem(reject(agents_key, task_id), 403, "own_work")
    assert desk.shown(task_id) == shown
    assert "task.verified" not in told(task_id)

    rejected = reject(desk.manager, task_id)
    assert rejected.status_code == 200
    body = rejected.json()
    assert (body["status"], body["proposed_output"], body["started_at"]) == ("pending", {}, "")
    assert told(task_id)[-1] == "task.queued"

    second = propose(desk.agent, task_id, BETTER)
    assert (second.attempt, second.id != first.id) == (2, True)
    sent_back = desk.agent.get(f"/v1/runs/{second.id}").json()["task"]["sent_back"]
    assert (sent_back["reason"], sent_back["output"]) == (REASON, OUTPUT)

    done = approve(desk.manager, task_id).json()
    assert (done["status"], done["proposed_output"]) == ("completed", BETTER)
    assert done["completed_at"] == done["updated_at"] != ""
    assert told(task_id)[-3:] == ["review.decided", "task.verified", "task.completed"]
    assert manager_of_v1(desk, task_id)["output"] == BETTER
    expect_problem(approve(desk.manager, task_id), 409, "nothing_proposed")
    expect_problem(reject(desk.manager, task_id), 409, "nothing_proposed")


def manager_of_v1(desk: Desk, task_id: str) -> Any:
    return desk.manager.get(f"/v1/tasks/{task_id}").json()


def test_rejected_until_no_attempt_is_left__fails(house: House) -> None:
    desk = Desk(house)
    task_id = desk.task()
    statuses = []
    for number in range(3):
        propose(desk.agent, task_id, {"number": number})
        statuses.append(reject(desk.manager, task_id).json()["status"])
    assert statuses == ["pending", "pending", "failed"]
    shown = desk.shown(task_id)
    assert (shown["completed_at"], shown["proposed_output"]) == ("", {"number": 2})
    assert Task.objects.get(id=task_id).close_reason == "attempts_exhausted"


def test_auto_approval_after_24_hours(house: House) -> None:
    desk = Desk(house, auto_approve_after_hours=24)
    at = clock.now()
    task_id = desk.task()
    propose(desk.agent, task_id, OUTPUT, at=at)
    fire_due(at=at + timedelta(hours=23, minutes=59))
    assert desk.shown(task_id)["status"] == "proposed"
    for _ in range(2):
        fire_due(at=at + timedelta(hours=24))
    reviews.verify_submitted(at=at + timedelta(hours=24))
    shown = desk.shown(task_id)
    assert (shown["status"], shown["proposed_output"]) == ("completed", OUTPUT)
    review = Review.objects.get(task_id=task_id)
    assert (review.status, review.decided_by) == ("auto_approved", "system:policy")
    assert told(task_id).count("task.completed") == told(task_id).count("review.decided") == 1


def test_auto_approval__not_after_a_person_decided(house: House) -> None:
    desk = Desk(house, auto_approve_after_hours=24)
    at = clock.now()
    task_id = desk.task()
    propose(desk.agent, task_id, OUTPUT, at=at)
    assert reject(desk.manager, task_id).json()["status"] == "pending"
    fire_due(at=at + timedelta(hours=25))
    assert desk.shown(task_id)["status"] == "pending"
    assert told(task_id).count("review.decided") == 1


def test_without_approval__straight_to_completed(house: House) -> None:
    desk = Desk(house, required_role="ADMIN", notify_on_proposal=True)
    task_id = desk.proposed(requires_approval=False)
    shown = desk.shown(task_id)
    assert (shown["status"], shown["proposed_output"]) == ("in_progress", {})
    assert reviews.verify_submitted() == 1
    shown = desk.shown(task_id)
    assert (shown["status"], shown["proposed_output"]) == ("completed", OUTPUT)
    assert not Review.objects.exists()


# --- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("required", "least"),
    [
        (None, Role.EDITOR),
        ("viewer", Role.VIEWER),
        ("Editor", Role.EDITOR),
        ("MANAGER", Role.MANAGER),
        ("ADMIN", Role.ADMIN),
    ],
)
@pytest.mark.parametrize("decision", [approve, reject])
def test_required_role(house: House, required: str | None, least: Role, decision: Any) -> None:
    desk = Desk(house, **({} if required is None else {"required_role": required}))
    task_id = desk.proposed()
    roles = [Role.WORKER, Role.VIEWER, Role.EDITOR, Role.MANAGER, Role.ADMIN]
    for role in roles[: roles.index(least)]:
        expect_problem(decision(desk.member(role), task_id), 403, "role_too_low")
    assert desk.shown(task_id)["status"] == "proposed"
    assert decision(desk.member(least), task_id).status_code == 200


def test_a_viewer__reads_the_reviews_that_it_may_decide(house: House) -> None:
    for_viewers = Desk(house, required_role="VIEWER")
    for_editors = Desk(house)
    open_to = Review.objects.get(task_id=for_viewers.proposed()).id
    closed_to = Review.objects.get(task_id=for_editors.proposed()).id
    viewer, editor = for_viewers.member(Role.VIEWER), for_viewers.member(Role.EDITOR)
    assert [row["review_id"] for row in viewer.get("/v1/reviews").json()["data"]] == [str(open_to)]
    assert len(editor.get("/v1/reviews").json()["data"]) == 2
    assert viewer.get(f"/v1/reviews/{open_to}").json()["output"] == OUTPUT
    expect_problem(viewer.get(f"/v1/reviews/{closed_to}"), 403, "role_too_low")
    expect_problem(viewer.post(f"/v1/reviews/{closed_to}/claim"), 403, "role_too_low")
    assert editor.get(f"/v1/reviews/{closed_to}").json()["output"] == OUTPUT


def test_a_viewer__sees_the_second_looks_that_it_may_decide(house: House) -> None:
    for_viewers, for_editors = Desk(house, required_role="VIEWER"), Desk(house)
    looks = []
    for desk in (for_viewers, for_editors):
        path = f"/v1/pools/{desk.team.pool_id}"
        drawn = {"review_policy": {"mode": "none", "second_look_share": 1}}
        assert desk.manager.patch(path, drawn).status_code == 200
        assert approve(desk.manager, desk.proposed()).status_code == 200
        found = desk.manager.get("/v1/second-looks").json()["data"]
        looks.append(found[-1]["second_look_id"])
    viewer = for_viewers.member(Role.VIEWER)
    seen = viewer.get("/v1/second-looks").json()["data"]
    assert [row["second_look_id"] for row in seen] == looks[:1]
    assert viewer.get(f"/v1/second-looks/{looks[0]}").json()["output"] == OUTPUT
    expect_problem(viewer.get(f"/v1/second-looks/{looks[1]}"), 404, "not_found")


def test_another_reviewers_claim__is_respected(house: House) -> None:
    desk = Desk(house)
    task_id = desk.proposed()
    review = Review.objects.get(task_id=task_id)
    desk.member(Role.ADMIN).post(f"/v1/reviews/{review.id}/claim")
    expect_problem(approve(desk.manager, task_id), 409, "review_claimed")


# --- bodies ---------------------------------------------------------------------------------------


def test_version__of_another_reading_is_refused(house: House) -> None:
    desk = Desk(house)
    task_id = desk.proposed()
    expect_problem(approve(desk.manager, task_id, {"version": 2}), 409, "review_changed")
    assert approve(desk.manager, task_id, {"version": 1}).status_code == 200


@pytest.mark.parametrize("body", [None, {}, {"reason": " "}, {"reason": 5}])
def test_reject__needs_a_reason(house: House, body: Any) -> None:
    desk = Desk(house)
    task_id = desk.proposed()
    answer = desk.manager.post(f"{API}/tasks/{task_id}/reject", body)
    problem = expect_problem(answer, 422, "invalid_input")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/reason"]
    assert Review.objects.get().status == "waiting"


def test_nothing_proposed(house: House) -> None:
    desk = Desk(house)
    task_id = desk.task()
    expect_problem(approve(desk.manager, task_id), 409, "nothing_proposed")
    expect_problem(reject(desk.manager, task_id), 409, "nothing_proposed")
    assert desk.shown(task_id)["status"] == "pending"


def test_cancel(house: House) -> None:
    desk = Desk(house)
    task_id = desk.task()
    cancel = f"{API}/tasks/{task_id}/cancel"
    assert desk.manager.post(cancel, {"reason": "By hand."}).json()["status"] == "cancelled"
    assert desk.manager.post(cancel).json()["status"] == "cancelled"
    assert Task.objects.get(id=task_id).close_reason == "By hand."
    proposed = desk.proposed()
    answer = desk.manager.post(f"{API}/tasks/{proposed}/cancel")
    expect_problem(answer, 409, "illegal_transition")


# --- the policy at the submission -----------------------------------------------------------------


def test_a_changed_policy__changes_no_open_review(house: House) -> None:
    desk = Desk(house, required_role="ADMIN")
    task_id = desk.proposed()
    path = f"{API}/teams/{desk.team.pool_id}"
    assert desk.manager.patch(path, {"approval_policy": {}}).status_code == 200
    expect_problem(approve(desk.manager, task_id), 403, "role_too_low")
    later = desk.proposed()
    assert approve(desk.manager, later).status_code == 200


def test_a_laxer_review_of_v1__is_refused(house: House) -> None:
    desk = Desk(house, required_role="ADMIN")
    body = {
        "task_type": "restock",
        "domain": "stock",
        "title": "Draft",
        "instructions": "Draft it.",
        "output": {"schema": {"type": "object"}},
        "requirements": {"worker_pool_id": str(desk.team.pool_id)},
        "review": {"mode": "all", "required_role": "viewer"},
    }
    problem = expect_problem(desk.manager.post("/v1/tasks", body), 422, "invalid_input")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/review/required_role"]


def test_runs_of_a_rejected_task__wait_for_the_next_window(house: House) -> None:
    desk = Desk(house)
    task_id = desk.proposed()
    opened_at = clock.now() + timedelta(minutes=31)
    fire_due(at=opened_at)
    reviews.decide_task(
        actor=desk.manager.principal,
        task_id=Task.objects.get().id,
        verdict="rework",
        reason=REASON,
        at=opened_at + timedelta(minutes=1),
    )
    run = Run.objects.get(task_id=task_id, attempt=2)
    assert run.queued_at > opened_at
    assert not may_be_claimed(task_id=run.task_id)
    fire_due(at=opened_at + timedelta(minutes=30))
    assert may_be_claimed(task_id=run.task_id)
