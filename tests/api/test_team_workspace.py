"""The team workspace, field for field as its reference has it, and what is refused."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest
from django.test import Client
from openapi_spec_validator import OpenAPIV31SpecValidator

from apps.accounts.models import Tenant
from apps.accounts.scopes import Role
from apps.accounts.services import create_organisation
from apps.api.team_workspace.document import openapi, operations
from apps.base import clock
from apps.pools.models import Pool
from apps.tasks.models import Task
from apps.teams.models import Team
from tests.api.expect import expect_problem
from tests.factories import NO_ID, House, contract
from tests.team_steps import API, Member, agent_in, member_with, propose, team_of

PARAMETER = re.compile(r"<str:\w+>|\{\w+\}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

# Copied from the reference.
TEAM_FIELDS = {
    "name": "Inventory Ops",
    "description": "Handles restock recommendations and PO drafts",
    "status": "active",
    "cadence_minutes": 60,
    "approval_policy": {"required_role": "MANAGER"},
}
TASK_FIELDS = {
    "title": "Draft restock PO for SKU-9982",
    "status": "proposed",
    "priority": "HIGH",
    "input_context": {"sku": "SKU-9982", "current_stock": 4, "reorder_point": 20},
    "proposed_output": {"po_quantity": 200, "supplier_id": "SUP-14"},
    "requires_approval": True,
    "completed_at": "",
}
TEAM_ORDER = [
    "id", "name", "description", "status", "cadence_minutes", "approval_policy", "created_at",
    "updated_at",
]  # fmt: skip
TASK_ORDER = [
    "id", "team_id", "title", "status", "priority", "input_context", "proposed_output",
    "requires_approval", "due_at", "started_at", "completed_at", "created_at", "updated_at",
]  # fmt: skip
TEAM_REQUEST = {
    name: TEAM_FIELDS[name]
    for name in ("name", "description", "cadence_minutes", "approval_policy")
}
TASK_REQUEST = {
    name: TASK_FIELDS[name] for name in ("title", "priority", "input_context", "requires_approval")
}


@pytest.fixture
def manager(house: House) -> Member:
    return member_with(house.organisation, Role.MANAGER)


def made(member: Member, what: str, body: Any) -> dict[str, Any]:
    answer = member.post(f"{API}/{what}", body)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    assert answer["Location"] == f"{API}/{what}/{found['id']}"
    return found


def read(member: Member, path: str = "") -> dict[str, Any]:
    answer = member.get(API + path)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


# --- the page -------------------------------------------------------------------------------------


def test_the_example_of_the_reference(house: House, manager: Member) -> None:
    team = made(manager, "teams", TEAM_REQUEST)
    due_at = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    task = made(manager, "tasks", {**TASK_REQUEST, "team_id": team["id"], "due_at": due_at})
    assert (task["status"], task["proposed_output"], task["started_at"]) == ("pending", {}, "")
    agent = agent_in(Team.objects.select_related("pool").get())
    propose(agent, task["id"], TASK_FIELDS["proposed_output"])

    workspace = read(member_with(house.organisation, Role.VIEWER))
    assert list(workspace) == ["teams", "tasks"]
    ((shown_team,), (shown_task,)) = workspace["teams"], workspace["tasks"]
    assert list(shown_team) == TEAM_ORDER
    assert list(shown_task) == TASK_ORDER
    assert {name: shown_team[name] for name in TEAM_FIELDS} == TEAM_FIELDS
    assert {name: shown_task[name] for name in TASK_FIELDS} == TASK_FIELDS
    assert shown_task["team_id"] == shown_team["id"] == team["id"]
    assert (shown_task["id"], shown_task["due_at"]) == (task["id"], due_at)
    times = [shown_team[name] for name in ("created_at", "updated_at")]
    times += [shown_task[name] for name in ("started_at", "created_at", "updated_at")]
    assert all(map(TIME.fullmatch, times)), times
    # One row in every API.
    assert (Pool.objects.get(name="Inventory Ops").id, Task.objects.get().id) == (
        UUID(team["id"]),
        UUID(task["id"]),
    )
    assert manager.get(f"/v1/pools/{team['id']}").json()["name"] == "Inventory Ops"
    assert manager.get(f"/v1/tasks/{task['id']}").json()["status"] == "submitted"


@pytest.mark.parametrize("cadence", [{}, {"cadence_minutes": 0}])
def test_team__defaults(manager: Member, cadence: dict[str, int]) -> None:
    team = made(manager, "teams", {"name": "Night shift", **cadence})
    expected = {"description": "", "status": "active", "cadence_minutes": 30, "approval_policy": {}}
    assert {name: team[name] for name in expected} == expected
    assert team["created_at"] == team["updated_at"]
    assert read(manager, f"/teams/{team['id']}") == team


def test_task__defaults(house: House, manager: Member) -> None:
    team = team_of(house)
    task = made(manager, "tasks", {"team_id": str(team.pool_id), "title": "Count"})
    assert task == {
        "id": task["id"],
        "team_id": str(team.pool_id),
        "title": "Count",
        "status": "pending",
        "priority": "NORMAL",
        "input_context": {},
        "proposed_output": {},
        "requires_approval": False,
        "due_at": "",
        "started_at": "",
        "completed_at": "",
        "created_at": task["created_at"],
        "updated_at": task["updated_at"],
    }
    assert read(manager, f"/tasks/{task['id']}") == task


def test_unknown_keys_of_a_policy__are_kept(manager: Member) -> None:
    policy = {"required_role": "vIeWer", "escalate_to": {"team": ["a", 1.5]}}
    team = made(manager, "teams", {"name": "Night shift", "approval_policy": policy})
    assert team["approval_policy"] == policy
    assert Pool.objects.get(id=team["id"]).review_policy == {
        "mode": "none",
        "required_role": "viewer",
    }


def test_a_task_of_v1__is_a_task_of_the_team(house: House, manager: Member) -> None:
    team = team_of(house)
    needs = {"worker_pool_id": str(team.pool_id)}
    body = contract(requirements=needs, sla={"urgency": "critical"}, context={"background": "Old"})
    posted = manager.post("/v1/tasks", body).json()
    house.task()  # Of no team.
    (task,) = read(manager)["tasks"]
    assert (task["id"], task["priority"]) == (posted["task_id"], "CRITICAL")
    assert task["input_context"] == {"background": "Old"}


# --- changes --------------------------------------------------------------------------------------


def test_update_team__changes_what_is_named(house: House, manager: Member) -> None:
    team = made(manager, "teams", TEAM_REQUEST)
    path = f"{API}/teams/{team['id']}"
    changed = manager.patch(path, {"name": "Stock", "status": "paused", "cadence_minutes": 15})
    expected = {**team, "name": "Stock", "status": "paused", "cadence_minutes": 15}
    assert {**changed.json(), "updated_at": ""} == {**expected, "updated_at": ""}
    answer = manager.patch(path, {"approval_policy": {"notify_on_proposal": True}})
    assert answer.json()["approval_policy"] == {"notify_on_proposal": True}
    assert Pool.objects.get(id=team["id"]).review_policy == {"mode": "none", "notify": True}


def test_archived_team__is_final(house: House, manager: Member) -> None:
    team = made(manager, "teams", TEAM_REQUEST)
    path = f"{API}/teams/{team['id']}"
    assert manager.patch(path, {"status": "archived"}).json()["status"] == "archived"
    expect_problem(manager.patch(path, {"name": "Again"}), 409, "team_archived")
    body = {"team_id": team["id"], "title": "Count"}
    expect_problem(manager.post(f"{API}/tasks", body), 409, "team_archived")
    assert read(manager, f"/teams/{team['id']}")["name"] == "Inventory Ops"


def test_review_policy_of_v1__keeps_what_the_approval_policy_enforces(manager: Member) -> None:
    team = made(manager, "teams", TEAM_REQUEST)
    path = f"/v1/pools/{team['id']}"
    own = {"mode": "sample", "sample_share": 0.5, "required_role": "editor"}
    shown = manager.patch(path, {"review_policy": own}).json()["review_policy"]
    assert (shown["mode"], shown["required_role"]) == ("sample", "manager")
    shown = manager.patch(path, {"review_policy": None}).json()["review_policy"]
    assert shown["required_role"] == "manager"


# --- lists ----------------------------------------------------------------------------------------


def all_of(member: Member, path: str, limit: int) -> list[str]:
    found, cursor = [], ""
    while True:
        page = read(member, f"{path}?limit={limit}{cursor}")
        found += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_lists__newest_first_by_pages(house: House, manager: Member) -> None:
    start = clock.now()
    teams = [team_of(house, at=start + timedelta(seconds=n), name=f"T{n}") for n in range(7)]
    order = [0, 0, 3, 0, 6, 6, 1, 3, 0, 5, 5, 2, 0]
    tasks = []
    for number, place in enumerate(order):
        needs = {"worker_pool_id": str(teams[place].pool_id)}
        tasks.append(house.task(at=start + timedelta(seconds=number), requirements=needs))
        house.task(at=start + timedelta(seconds=number), domain="other")
    newest = [str(task.id) for task in reversed(tasks)]
    for limit in (1, 2, 5, 13, 50):
        assert all_of(manager, "/tasks", limit) == newest
    assert all_of(manager, "/teams", 3) == [str(team.pool_id) for team in reversed(teams)]
    assert [task["id"] for task in read(manager)["tasks"]] == newest


def test_the_workspace__has_the_newest_100(house: House, manager: Member) -> None:
    start, teams = clock.now(), [team_of(house, name=f"T{n}") for n in range(3)]
    tasks = [
        house.task(
            at=start + timedelta(seconds=number),
            requirements={"worker_pool_id": str(teams[number % 7 % 3].pool_id)},
        )
        for number in range(104)
    ]
    newest = [str(task.id) for task in reversed(tasks[4:])]
    assert [task["id"] for task in read(manager)["tasks"]] == newest


@pytest.mark.parametrize("path", ["/teams", "/tasks"])
def test_lists__refuse_what_they_do_not_take(manager: Member, path: str) -> None:
    answer = manager.get(f"{API}{path}?cursor=x&limit=0&status=open")
    problem = expect_problem(answer, 422, "invalid_input")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/status"]
    problem = expect_problem(manager.get(f"{API}?limit=5"), 422, "invalid_input")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/limit"]


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"name": " "}, ["/name"]),
        ({"name": None, "cadence_minutes": -1}, ["/name", "/cadence_minutes"]),
        ({"cadence_minutes": True}, ["/cadence_minutes"]),
        ({"approval_policy": None}, ["/approval_policy"]),
        ({"approval_policy": {"required_role": 3}}, ["/approval_policy/required_role"]),
        ({"approval_policy": {"required_role": "OWNER"}}, ["/approval_policy/required_role"]),
        ({"approval_policy": {"required_role": "worker"}}, ["/approval_policy/required_role"]),
        (
            {"approval_policy": {"notify_on_proposal": "yes", "auto_approve_after_hours": 1.5}},
            ["/approval_policy/notify_on_proposal", "/approval_policy/auto_approve_after_hours"],
        ),
        (
            {"approval_policy": {"auto_approve_after_hours": 0}},
            ["/approval_policy/auto_approve_after_hours"],
        ),
        ({"approval_policy": {"x": "a\x00"}}, ["/approval_policy/x"]),
        ({"approval_policy": {"x": "a" * 20_000}}, ["/approval_policy"]),
        ({"status": "active"}, ["/status"]),
    ],
)
def test_create_team__refused(manager: Member, change: dict[str, Any], places: list[str]) -> None:
    problem = expect_problem(
        manager.post(f"{API}/teams", {**TEAM_REQUEST, **change}), 422, "invalid_input"
    )
    assert [fault["pointer"] for fault in problem["errors"]] == places
    assert not Team.objects.exists()


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"title": ""}, ["/title"]),
        ({"title": "x" * 201}, ["/title"]),
        ({"priority": "low"}, ["/priority"]),
        ({"priority": []}, ["/priority"]),
        ({"requires_approval": "yes"}, ["/requires_approval"]),
        ({"team_id": "ops"}, ["/team_id"]),
        ({"due_at": "2024-11-20T17:00:00Z"}, ["/due_at"]),
        ({"due_at": "tomorrow"}, ["/due_at"]),
        ({"input_context": []}, ["/input_context"]),
        ({"input_context": {"constraints": "none"}}, ["/input_context/constraints"]),
        ({"input_context": {"x": "y" * 70_000}}, ["/input_context"]),
        (
            {"title": 5, "due_at": "2024-11-20T17:00:00Z", "input_context": {"a": "\x00"}},
            ["/title", "/due_at", "/input_context/a"],
        ),
        ({"status": "proposed"}, ["/status"]),
    ],
)
def test_create_task__refused(
    house: House, manager: Member, change: dict[str, Any], places: list[str]
) -> None:
    body = {**TASK_REQUEST, "team_id": str(team_of(house).pool_id), **change}
    problem = expect_problem(manager.post(f"{API}/tasks", body), 422, "invalid_input")
    assert sorted(fault["pointer"] for fault in problem["errors"]) == sorted(places)
    assert not Task.objects.exists()


# --- who may what ---------------------------------------------------------------------------------

MATRIX = [
    ("GET", "", None, Role.VIEWER),
    ("GET", "/teams", None, Role.VIEWER),
    ("POST", "/teams", {"name": "New"}, Role.MANAGER),
    ("GET", "/teams/{team}", None, Role.VIEWER),
    ("PATCH", "/teams/{team}", {"description": "New"}, Role.MANAGER),
    ("GET", "/tasks", None, Role.VIEWER),
    ("POST", "/tasks", {"team_id": "{team}", "title": "New"}, Role.EDITOR),
    ("GET", "/tasks/{task}", None, Role.VIEWER),
    ("POST", "/tasks/{task}/cancel", {}, Role.EDITOR),
    ("POST", "/tasks/{proposed}/approve", {}, Role.EDITOR),
    ("POST", "/tasks/{proposed}/reject", {"reason": "No."}, Role.EDITOR),
]
ROLES = [Role.WORKER, Role.VIEWER, Role.EDITOR, Role.MANAGER, Role.ADMIN]


class World:
    """A team with a task that waits, and one whose output waits for approval."""

    def __init__(self, house: House) -> None:
        team = team_of(house)
        agent = agent_in(team)
        manager = member_with(house.organisation, Role.MANAGER)
        body = {"team_id": str(team.pool_id), "title": "Count", "requires_approval": True}
        proposed = made(manager, "tasks", body)
        propose(agent, proposed["id"], {"count": 3})
        task = made(manager, "tasks", body)
        self.ids = {"team": str(team.pool_id), "proposed": proposed["id"], "task": task["id"]}

    def call(self, member: Any, method: str, path: str, body: Any, **headers: str) -> Any:
        if body is not None:
            body = {
                name: value.format(**self.ids) if isinstance(value, str) else value
                for name, value in body.items()
            }
        return member.call(method, API + path.format(**self.ids), body, **headers)


def rows() -> tuple[Any, ...]:
    teams = Team.objects.order_by("pool_id").values_list("pool_id", "status", "updated_at")
    return list(teams), list(Task.objects.order_by("id").values_list("id", "version"))


@pytest.mark.parametrize(("method", "path", "body", "least"), MATRIX)
def test_roles(house: House, method: str, path: str, body: Any, least: Role) -> None:
    world = World(house)
    before = rows()
    for role in ROLES:
        answer = world.call(member_with(house.organisation, role), method, path, body)
        if ROLES.index(role) < ROLES.index(least):
            expect_problem(answer, 403, "role_too_low")
            assert rows() == before
        else:
            assert answer.status_code in (200, 201), answer.content
            break
    assert role == least


@pytest.mark.parametrize(("method", "path", "body", "least"), MATRIX)
def test_headers(house: House, method: str, path: str, body: Any, least: Role) -> None:
    world, admin = World(house), member_with(house.organisation, Role.ADMIN)
    sister = create_organisation(name="Sister", tenant=house.organisation.tenant)
    before = rows()
    for headers, status, code in (
        ({"X-Tenant-ID": ""}, 400, "invalid_header"),
        ({"X-Org-ID": "northwind"}, 400, "invalid_header"),
        ({"X-Tenant-ID": NO_ID}, 403, "organisation_mismatch"),
        ({"X-Org-ID": NO_ID}, 403, "organisation_mismatch"),
        ({"X-Org-ID": str(sister.id)}, 403, "organisation_mismatch"),
    ):
        expect_problem(world.call(admin, method, path, body, **headers), status, code)
    expect_problem(world.call(house.alice, method, path, body), 400, "invalid_header")
    assert rows() == before


@pytest.mark.parametrize("is_sister", [True, False])
@pytest.mark.parametrize(("method", "path", "body", "least"), MATRIX)
def test_another_organisation__finds_nothing(
    house: House, *, method: str, path: str, body: Any, least: Role, is_sister: bool
) -> None:
    world = World(house)
    tenant = house.organisation.tenant if is_sister else Tenant.objects.create(name="Other")
    stranger = member_with(create_organisation(name="Stranger", tenant=tenant), Role.ADMIN)
    before = rows()
    answer = world.call(stranger, method, path, body)
    if "{" in path or (body and "team_id" in body):
        expect_problem(answer, 404, "not_found")
        assert rows() == before
    elif method == "GET":
        found = answer.json()
        assert found in ({"teams": [], "tasks": []}, {"data": [], "next_cursor": None})


@pytest.mark.parametrize("path", ["/teams/x", "/tasks/x", f"/teams/{NO_ID}", f"/tasks/{NO_ID}"])
def test_an_unknown_id__is_not_found(manager: Member, path: str) -> None:
    expect_problem(manager.get(API + path), 404, "not_found")


def test_a_task_of_no_team__is_not_found(house: House, manager: Member) -> None:
    task = house.task()
    for method, path, body, _ in MATRIX:
        if "/tasks/" in path:
            place = API + path.format(task=task.id, proposed=task.id)
            expect_problem(manager.call(method, place, body), 404, "not_found")
    body = {"team_id": str(house.pool.id), "title": "Count"}
    expect_problem(manager.post(f"{API}/tasks", body), 404, "not_found")


def test_a_key_for_other_pools__sees_no_team(house: House) -> None:
    world = World(house)
    other = team_of(house, name="Other")
    key = member_with(house.organisation, Role.ADMIN, pool_ids=[other.pool_id])
    assert [team["name"] for team in read(key)["teams"]] == ["Other"]
    assert read(key)["tasks"] == read(key, "/tasks")["data"] == []
    before = rows()
    for method, path, body, _ in MATRIX:
        if "{" in path or (body and "team_id" in body):
            expect_problem(world.call(key, method, path, body), 404, "not_found")
    expect_problem(key.post(f"{API}/teams", {"name": "New"}), 403, "pool_not_granted")
    assert rows() == before
    own = made(key, "tasks", {"team_id": str(other.pool_id), "title": "Count"})
    assert [task["id"] for task in read(key)["tasks"]] == [own["id"]]


def test_every_call_has_a_row() -> None:
    described = {
        (one.method, f"/api/v1/{PARAMETER.sub('', one.route)}")
        for one in operations()
        if one.scope is not None
    }
    rows = {(method.lower(), API + PARAMETER.sub("", path)) for method, path, _, _ in MATRIX}
    assert rows == described, "a new call needs a row in MATRIX"


# --- the document ---------------------------------------------------------------------------------


def test_the_document_is_valid__and_needs_no_credential() -> None:
    assert list(OpenAPIV31SpecValidator(openapi()).iter_errors()) == []
    answer = Client().get(f"{API}/openapi.json")
    assert (answer.status_code, answer.json()) == (200, openapi())


def test_each_call_needs_both_headers__in_the_document() -> None:
    for path, calls in openapi()["paths"].items():
        for method, call in calls.items():
            parts = call.get("parameters", [])
            names = {part.get("$ref", "").rpartition("/")[2] for part in parts}
            assert ({"X-Tenant-ID", "X-Org-ID"} <= names) == bool(call["security"]), (path, method)


@pytest.mark.parametrize(("method", "path", "body", "least"), MATRIX)
def test_answers_are_as_documented(
    house: House, method: str, path: str, body: Any, least: Role
) -> None:
    world, admin = World(house), member_with(house.organisation, Role.ADMIN)
    answer = world.call(admin, method, path, body)
    known = path.replace("{team}", "{team_id}")
    for name in ("{task}", "{proposed}"):
        known = known.replace(name, "{task_id}")
    call = openapi()["paths"][API + known][method.lower()]
    content = call["responses"][str(answer.status_code)]["content"]
    schema = {
        "components": openapi()["components"],
        "allOf": [content["application/json"]["schema"]],
    }
    jsonschema_rs.validate(schema, answer.json())


# --- idempotency ----------------------------------------------------------------------------------


def test_posts__have_one_effect_for_a_key(house: House, manager: Member) -> None:
    world = World(house)
    for number, (method, path, body, _) in enumerate(MATRIX):
        if method != "POST" or path.endswith("/reject"):
            continue
        key = {"Idempotency-Key": f"key-{number}"}
        first, again = (world.call(manager, method, path, body, **key) for _ in range(2))
        assert first.status_code in (200, 201), first.content
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert again["Idempotency-Replayed"] == "true"
    assert (Team.objects.count(), Task.objects.count()) == (2, 3)
