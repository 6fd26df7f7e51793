"""Execution profiles: read, replaced and deleted, and what they change for claims."""

from typing import Any

import pytest

from apps.accounts.scopes import Role, Scope
from apps.operations.models import ExecutionProfile
from apps.operations.requirements import agent_word, session_word
from apps.tasks.requirements import UNKNOWN_ABILITY
from tests.agent_steps import Agent
from tests.api.expect import expect_unchanged
from tests.api.operator_expect import expect, logged, refused, strangers_desk
from tests.factories import Caller, House
from tests.operator_steps import Desk, desk_of

NO_TIME = "0001-01-01T00:00:00Z"
DEFAULTS: dict[str, Any] = {
    "coordinator": {"mode": "inherit"},
    "worker": {"mode": "inherit"},
    "participants": {},
    "review": {},
    "runtime": {"mode": "default"},
    "sandbox": {"mode": "inherit"},
}
WHOLE: dict[str, Any] = {
    "coordinator": {
        "mode": "guided",
        "agent_name": "planner",
        "guidance": "Ask first.",
        "model": "large-1",
        "provider": "acme",
    },
    "worker": {
        "mode": "select",
        "agent_name": "drafter",
        "allowed_agent_names": ["drafter", "editor"],
        "model": "large-1",
        "preferred_agent_names": ["drafter"],
        "preferred_capabilities": ["french"],
        "provider": "acme",
        "required_capabilities": ["search"],
    },
    "participants": {
        "allowed_agent_names": ["drafter"],
        "allowed_channel_ids": ["ops"],
        "allowed_peer_ids": ["drafter.s-1"],
        "preferred_agent_names": ["drafter"],
        "preferred_capabilities": ["german"],
        "preferred_channel_ids": ["ops"],
        "preferred_peer_ids": ["drafter.s-1"],
        "required_capabilities": ["email"],
    },
    "review": {
        "agent_name": "editor",
        "allowed_agent_names": ["editor"],
        "allowed_channel_ids": ["ops"],
        "allowed_peer_ids": ["editor.s-2"],
        "model": "large-1",
        "preferred_agent_names": ["editor"],
        "preferred_capabilities": ["law"],
        "preferred_channel_ids": ["ops"],
        "preferred_peer_ids": ["editor.s-2"],
        "provider": "acme",
        "required_capabilities": ["law"],
    },
    "runtime": {"mode": "evidence"},
    "sandbox": {"mode": "ref", "sandbox_ref": "python-3"},
}


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def path(task_id: str) -> str:
    return f"/tasks/{task_id}/execution-profile"


def stored(desk: Desk, task_id: str, /, **profile: Any) -> dict[str, Any]:
    """Return the profile that a call has stored."""
    answer = expect("setTaskExecutionProfile", desk.put(path(task_id), **profile))
    shown: dict[str, Any] = answer["profile"]
    return shown


def read(desk: Desk, task_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = expect("getTaskExecutionProfile", desk.get(path(task_id)))["profile"]
    return shown


def queued(desk: Desk, **profile: Any) -> tuple[str, str]:
    """Return a task with a profile, and its queued run."""
    task_id = desk.task()["id"]
    if profile:
        stored(desk, task_id, **profile)
    return task_id, desk.started(task_id)["id"]


def claims(agent: Agent, **body: Any) -> str:
    """Return the run that a session claims, and gives back at once; empty for none."""
    answer = agent.claim(**body)
    if answer.status_code == 204:
        return ""
    run_id: str = answer.json()["claim"]["run"]["id"]
    assert agent.on(run_id, "release").status_code == 200
    return run_id


# --- reading and storing --------------------------------------------------------------------------


def test_get__without_a_profile_shows_the_defaults(desk: Desk) -> None:
    task_id = desk.task()["id"]
    times = {"created_at": NO_TIME, "updated_at": NO_TIME}
    with expect_unchanged():
        assert read(desk, task_id) == {"task_id": task_id, **DEFAULTS, **times}


def test_get__of_a_task_of_another_api_shows_the_defaults(house: House, desk: Desk) -> None:
    task_id = str(house.queued().id)
    assert read(desk, task_id)["worker"] == {"mode": "inherit"}
    with expect_unchanged():
        refused(desk.put(path(task_id)), 409, "not one of this API")
        refused(desk.delete(path(task_id)), 409, "not one of this API")


def test_put__stores_the_whole_profile(desk: Desk) -> None:
    task_id = desk.task()["id"]
    ignored = {"created_at": "2019-08-24T14:15:22Z", "updated_at": "never", "unknown": 1}
    shown = stored(desk, task_id, task_id=task_id, **WHOLE, **ignored)
    assert {name: shown[name] for name in WHOLE} == WHOLE
    assert shown["created_at"] == shown["updated_at"] > "2020"
    assert read(desk, task_id) == shown
    row = ExecutionProfile.objects.get()
    assert (row.worker_agent, row.worker_agents) == ("drafter", ["drafter", "editor"])
    assert row.participant_agents == ["drafter"]
    assert row.required_capabilities == ["email", "search"]
    assert row.preferred_capabilities == ["french"]


def test_put__replaces_all_of_it_but_when_it_was_created(desk: Desk) -> None:
    task_id = desk.task()["id"]
    first = stored(desk, task_id, **WHOLE)
    second = stored(desk, task_id)
    assert {name: second[name] for name in DEFAULTS} == DEFAULTS
    assert second["created_at"] == first["created_at"]
    assert second["updated_at"] > first["updated_at"]
    assert ExecutionProfile.objects.get().required_capabilities == []


def test_put__trims_and_sorts(desk: Desk) -> None:
    task_id = desk.task()["id"]
    shown = stored(
        desk,
        task_id,
        worker={
            "mode": " SELECT ",
            "agent_name": " b ",
            "allowed_agent_names": [" c", "b", "", "  ", "b ", "a"],
            "required_capabilities": ["z", " a ", "z"],
            "preferred_capabilities": None,
        },
        coordinator={"mode": " ", "guidance": " Ask. "},
        review=None,
        task_id="",
    )
    assert shown["worker"] == {
        "mode": "select",
        "agent_name": "b",
        "allowed_agent_names": ["a", "b", "c"],
        "required_capabilities": ["a", "z"],
    }
    assert shown["coordinator"] == {"mode": "inherit", "guidance": "Ask."}
    assert shown["review"] == {}


LONG = "é" * 64 + "x"


@pytest.mark.parametrize(
    "profile",
    [
        {"task_id": "another"},
        {"coordinator": {"mode": "free"}},
        {"coordinator": {"guidance": "x" * 8193}},
        {"coordinator": {"agent_name": LONG}},
        {"coordinator": []},
        {"worker": {"mode": "guided"}},
        {"worker": {"agent_name": "a", "allowed_agent_names": ["b"]}},
        {"worker": {"agent_name": "a\tb"}},
        {"worker": {"model": "a\nb"}},
        {"worker": {"provider": LONG}},
        {"worker": {"allowed_agent_names": "a"}},
        {"worker": {"allowed_agent_names": [LONG]}},
        {"worker": {"required_capabilities": ["a b"]}},
        {"worker": {"required_capabilities": ["a,b"]}},
        {"worker": {"required_capabilities": [LONG]}},
        {"worker": {"preferred_capabilities": ["a\u00a0b"]}},
        {"worker": {"preferred_capabilities": [1]}},
        {"participants": {"allowed_channel_ids": ["a\tb"]}},
        {"participants": {"allowed_peer_ids": ["a\0b"]}},
        {"participants": {"preferred_agent_names": [str(n) for n in range(501)]}},
        {"review": {"agent_name": "a", "allowed_agent_names": ["b"]}},
        {"sandbox": {"mode": "ref"}},
        {"sandbox": {"mode": "none", "sandbox_ref": "python-3"}},
        {"sandbox": {"sandbox_ref": "python-3"}},
        {"sandbox": {"mode": "ref", "sandbox_ref": "  "}},
        {"runtime": {"mode": "inherit"}},
    ],
    ids=lambda profile: str(profile)[:80],
)
def test_put__refuses_what_is_out_of_bounds(desk: Desk, profile: dict[str, Any]) -> None:
    task_id = desk.task()["id"]
    with expect_unchanged():
        refused(desk.put(path(task_id), **profile), 400)


def test_put__accepts_what_is_within_bounds(desk: Desk) -> None:
    task_id = desk.task()["id"]
    stored(
        desk,
        task_id,
        coordinator={"guidance": "x" * 8192, "model": LONG[:-1]},
        worker={"agent_name": "a", "required_capabilities": [LONG[:-1], "#odd"]},
        sandbox={"mode": "none"},
    )


def test_put__refuses_what_the_settings_forbid(desk: Desk, settings: Any) -> None:
    task_id = desk.task()["id"]
    settings.PROFILE_MAY_NAME_MODELS = False
    settings.PROFILE_MAY_OMIT_SANDBOX = False
    for part in ("coordinator", "worker", "review"):
        for name in ("model", "provider"):
            with expect_unchanged():
                answer = desk.put(path(task_id), **{part: {name: "large-1"}})
                refused(answer, 400, f"{part}.{name}")
    with expect_unchanged():
        refused(desk.put(path(task_id), sandbox={"mode": "none"}), 400, "sandbox.mode")
    stored(desk, task_id, sandbox={"mode": "ref", "sandbox_ref": "python-3"})


def test_put__refuses_a_body_that_is_no_object(desk: Desk) -> None:
    task_id = desk.task()["id"]
    with expect_unchanged():
        refused(desk.caller.put(f"/api{path(task_id)}", []), 400)
        answer = desk.caller.client.put(
            f"/api{path(task_id)}",
            "{",
            "application/json",
            headers={"Authorization": f"Bearer {desk.caller.key}"},
        )
        refused(answer, 400)


def test_delete__removes_it(desk: Desk) -> None:
    task_id = desk.task()["id"]
    with expect_unchanged():
        refused(desk.delete(path(task_id)), 404, "execution profile")
    stored(desk, task_id, **WHOLE)
    answer = desk.delete(path(task_id))
    assert (answer.status_code, answer.content) == (204, b"")
    assert read(desk, task_id)["created_at"] == NO_TIME
    refused(desk.delete(path(task_id)), 404)


def test_changes__are_logged(desk: Desk) -> None:
    task_id = desk.task()["id"]
    stored(desk, task_id, **WHOLE)
    desk.delete(path(task_id))
    updated, deleted = logged(
        task_id, "task.execution_profile_updated", "task.execution_profile_deleted"
    )
    assert updated.payload == deleted.payload
    assert updated.payload == {
        "task_status": "ready",
        "task_id": task_id,
        "coordinator_mode": "guided",
        "worker_mode": "select",
        "sandbox_mode": "ref",
    }
    assert (updated.actor_kind, updated.origin_ref) == ("human", "tasks.set_execution_profile")
    assert deleted.origin_ref == "tasks.delete_execution_profile"


@pytest.mark.parametrize("status", ["claimed", "starting", "running"])
def test_changes__are_refused_while_a_run_is_held(desk: Desk, status: str) -> None:
    task_id, run_id = queued(desk, **WHOLE)
    desk.agent()
    desk.post(f"/task-runs/{run_id}/claim")
    if status != "claimed":
        desk.post(f"/task-runs/{run_id}/attach-session", session_id="s-1")
    if status == "running":
        desk.post(f"/task-runs/{run_id}/start")
    with expect_unchanged():
        refused(desk.put(path(task_id)), 409, "claimed, starting or running")
        refused(desk.delete(path(task_id)), 409)
    assert read(desk, task_id)["worker"] == WHOLE["worker"]
    desk.post(f"/task-runs/{run_id}/cancel")
    assert desk.put(path(task_id)).status_code == 200


def test_calls__on_tasks_of_another_organisation_are_404(house: House, desk: Desk) -> None:
    task_id = desk.task()["id"]
    stored(desk, task_id)
    stranger = strangers_desk(house)
    for unknown in (task_id, "none"):
        with expect_unchanged():
            refused(stranger.get(path(unknown)), 404)
            refused(stranger.put(path(unknown)), 404)
            refused(stranger.delete(path(unknown)), 404)


def test_calls__on_a_deleted_task_are_404(desk: Desk) -> None:
    task_id = desk.task()["id"]
    assert desk.delete(f"/tasks/{task_id}").status_code == 204
    refused(desk.get(path(task_id)), 404)
    refused(desk.put(path(task_id)), 404)


def test_calls__need_their_scope_and_role(house: House, desk: Desk) -> None:
    task_id = desk.task()["id"]
    stored(desk, task_id)
    reader = desk_of(house, scopes=[Scope.TASKS_READ], role=Role.VIEWER)
    editor = desk_of(house, scopes=[Scope.TASKS_CREATE], role=Role.EDITOR)
    viewer = desk_of(house, scopes=[Scope.TASKS_CREATE], role=Role.VIEWER)
    with expect_unchanged():
        assert reader.get(path(task_id)).status_code == 200
        refused(editor.get(path(task_id)), 403)
        for caller in (reader, viewer):
            refused(caller.put(path(task_id)), 403)
            refused(caller.delete(path(task_id)), 403)
        assert Caller("none").get(f"/api{path(task_id)}").status_code == 401
    assert editor.put(path(task_id)).status_code == 200


def test_calls__by_an_agent_are_logged_as_its_own(desk: Desk) -> None:
    task_id, agent = desk.task()["id"], desk.agent()
    identity = {"X-AGH-Session-ID": agent.session_id, "X-AGH-Agent": agent.name}
    answer = desk.caller.put(f"/api{path(task_id)}", {}, **identity)
    expect("setTaskExecutionProfile", answer)
    (entry,) = logged(task_id, "task.execution_profile_updated")
    assert (entry.actor_kind, entry.actor_ref) == ("agent_session", "s-1")


# --- what they change for claims ------------------------------------------------------------------


@pytest.mark.parametrize(
    "profile",
    [
        {"worker": {"agent_name": "drafter"}},
        {"worker": {"mode": "inherit", "allowed_agent_names": ["drafter", "editor"]}},
        {"participants": {"allowed_agent_names": ["drafter"]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_late", [False, True])
def test_claim__is_for_the_agents_that_are_allowed(
    desk: Desk, profile: dict[str, Any], *, is_late: bool
) -> None:
    drafter = desk.agent()
    other = desk.agent(session_id="s-2", name="writer")
    task_id, run_id = queued(desk, **({} if is_late else profile))
    if is_late:
        assert claims(other) == run_id
        stored(desk, task_id, **profile)
    assert claims(other) == ""
    # No capability stands for an agent.
    assert claims(other, required_capabilities=["drafter", "#agent:drafter"]) == ""
    assert claims(drafter) == run_id
    assert desk.delete(path(task_id)).status_code == 204
    assert claims(other) == run_id


def test_claim__needs_both_lists_of_agents(desk: Desk) -> None:
    drafter = desk.agent()
    editor = desk.agent(session_id="s-2", name="editor")
    _, run_id = queued(
        desk,
        worker={"allowed_agent_names": ["drafter", "editor"]},
        participants={"allowed_agent_names": ["editor"]},
    )
    assert claims(drafter) == ""
    assert claims(editor) == run_id


def test_claim__needs_the_capabilities_of_worker_and_participants(desk: Desk) -> None:
    agent = desk.agent(capabilities=["search"])
    _, run_id = queued(
        desk,
        worker={"required_capabilities": ["search"]},
        participants={"required_capabilities": ["email"]},
    )
    assert claims(agent) == ""
    assert claims(agent, required_capabilities=["email"]) == run_id


def test_claim__needs_what_the_profile_requires_now_and_what_was_copied(desk: Desk) -> None:
    agent = desk.agent()
    task_id, run_id = queued(desk, worker={"required_capabilities": ["search"]})
    stored(desk, task_id, worker={"required_capabilities": ["email"]})
    assert claims(agent, required_capabilities=["search"]) == ""
    assert claims(agent, required_capabilities=["email"]) == ""
    assert claims(agent, required_capabilities=["email", "search"]) == run_id
    # The run keeps what was copied to it when it was queued.
    desk.delete(path(task_id))
    assert claims(agent, required_capabilities=["email"]) == ""
    assert claims(agent, required_capabilities=["search"]) == run_id


def test_claim__of_the_run_with_most_preferred_capabilities_first(desk: Desk) -> None:
    _, plain = queued(desk)
    _, one = queued(desk, worker={"preferred_capabilities": ["french"]})
    _, two = queued(desk, worker={"preferred_capabilities": ["french", "law"]})
    agent = desk.agent()
    assert claims(agent) == plain
    assert claims(agent, required_capabilities=["french"]) == one
    assert claims(agent, required_capabilities=["law", "french"]) == two
    urgent = desk.task(priority="urgent")["id"]
    first = desk.started(urgent)["id"]
    assert claims(agent, required_capabilities=["law", "french"]) == first


@pytest.mark.parametrize(
    ("kind", "ref", "claimant"),
    [
        ("pool", "drafter", "s-1"),
        ("pool", "editor", "s-2"),
        ("agent_session", "s-2", "s-2"),
        ("human", "drafter", ""),
        ("automation", "drafter", ""),
        ("extension", "drafter", ""),
        ("network_peer", "drafter", ""),
    ],
)
def test_claim__is_for_the_owner(desk: Desk, kind: str, ref: str, claimant: str) -> None:
    agents = [desk.agent(), desk.agent(session_id="s-2", name="editor")]
    task_id, run_id = queued(desk)
    desk.patch(f"/tasks/{task_id}", owner={"kind": kind, "ref": ref})
    for agent in agents:
        assert claims(agent) == (run_id if agent.session_id == claimant else "")
    desk.patch(f"/tasks/{task_id}", clear_owner=True)
    assert claims(agents[0]) == run_id


def test_claim__no_session_offers_the_word_of_an_owner_as_a_capability(desk: Desk) -> None:
    words = [agent_word("editor"), session_word("s-9"), UNKNOWN_ABILITY]
    agent = desk.agent(capabilities=words)
    for kind, ref in (("pool", "editor"), ("agent_session", "s-9"), ("human", "drafter")):
        task_id, _ = queued(desk)
        desk.patch(f"/tasks/{task_id}", owner={"kind": kind, "ref": ref})
    assert claims(agent, required_capabilities=words) == ""
