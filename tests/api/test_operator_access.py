"""Every call of `/api` with each kind of credential: without one, without its scope, of others."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from apps.accounts.scopes import LEAST_ROLE, Role, Scope
from apps.accounts.services import issue_key
from apps.api.http.operations import Operation
from apps.api.operations.document import operations
from tests.bridge_steps import bridge, subscribed
from tests.factories import NO_ID, Caller, House
from tests.operator_steps import desk_of

# The stream process serves the stream: tests/api/test_operator_stream.py tests who may read it.
CALLS = [one for one in operations() if one.scope is not None and one.name != "streamTask"]
OF_OPERATORS = [one for one in CALLS if not one.route.startswith("agent/")]
OF_AN_OBJECT = [one for one in OF_OPERATORS if "<" in one.route]
PARAMETER = re.compile(r"<str:(\w+)>")


@dataclass
class Ids:
    """Hold what a path of the house's own objects names."""

    task_id: str
    run_id: str
    subscription_id: str = NO_ID


@pytest.fixture
def ids(house: House) -> Ids:
    desk = desk_of(house)
    task_id = desk.task()["id"]
    own = subscribed(desk, task_id, bridge(desk))["subscription_id"]
    return Ids(task_id, desk.started(task_id)["id"], own)


def called(one: Operation) -> str:
    return one.name


def path_of(one: Operation, ids: Ids) -> str:
    def value(match: re.Match[str]) -> str:
        return str(getattr(ids, match[1], NO_ID))

    return "/api/" + PARAMETER.sub(value, one.route)


BODIES: dict[str, dict[str, Any]] = {
    "createTask": {"scope": "global", "title": "Draft the reply"},
    "createChildTask": {"scope": "global", "title": "Draft the reply"},
    "updateTask": {"title": "Draft it"},
    "addTaskDependency": {"depends_on_task_id": NO_ID},
    "pauseTask": {"reason": "Wait"},
    "forceFailTaskRun": {"reason": "Stalled"},
    "bulkForceFailTaskRuns": {"run_ids": [NO_ID], "reason": "Stalled"},
    "bulkForceReleaseTaskRuns": {"run_ids": [NO_ID]},
    "attachTaskRunSession": {"session_id": "s-1"},
    "failTaskRun": {"error": "No line"},
    "submitTaskRunReviewVerdict": {
        "run_id": NO_ID,
        "verdict": {"outcome": "error", "confidence": 1, "reason": "None", "delivery_id": "d-1"},
    },
    "createTaskBridgeNotificationSubscription": {
        "bridge_instance_id": NO_ID,
        "scope": "global",
        "delivery_mode": "reply",
        "peer_id": "drafter.s-1",
    },
}
"""The bodies of calls that need one."""


def call(caller: Caller, one: Operation, ids: Ids) -> Any:
    body = BODIES.get(one.name, {}) if one.body is not None else None
    return caller.call(one.method.upper(), path_of(one, ids), body)


def key_of(house: House, **grant: Any) -> Caller:
    scopes = [scope for scope in Scope if scope is not Scope.WORK]
    every = {"organisation_id": house.organisation.id, "role": Role.MANAGER, "scopes": scopes}
    return Caller(issue_key(name="Probe", **{**every, **grant}))


@pytest.mark.parametrize("one", CALLS, ids=called)
def test_call__without_a_credential_is_401(one: Operation) -> None:
    answer = Client().generic(one.method.upper(), path_of(one, Ids(NO_ID, NO_ID)))
    assert answer.status_code == 401
    assert "error" in answer.json()


@pytest.mark.parametrize("one", OF_OPERATORS, ids=called)
def test_call__without_its_scope_is_403(house: House, ids: Ids, one: Operation) -> None:
    scopes = [scope for scope in Scope if scope not in (one.scope, Scope.WORK)]
    answer = call(key_of(house, scopes=scopes), one, ids)
    assert answer.status_code == 403, answer.content


@pytest.mark.parametrize("one", OF_OPERATORS, ids=called)
def test_call__with_too_low_a_role_is_403(house: House, ids: Ids, one: Operation) -> None:
    assert one.scope is not None
    roles = list(Role)
    for role in roles[: roles.index(LEAST_ROLE[one.scope])]:
        answer = call(key_of(house, role=role), one, ids)
        assert answer.status_code == 403, (role, answer.content)


@pytest.mark.parametrize("one", OF_AN_OBJECT, ids=called)
def test_call__of_another_organisation_is_404(house: House, ids: Ids, one: Operation) -> None:
    stranger = key_of(house, organisation_id=house.strangers_pool.organisation_id)
    answer = call(stranger, one, ids)
    assert answer.status_code == 404, answer.content
    assert ids.task_id not in answer.content.decode()
