"""Test `/v1/legal-holds`: who may place, read and release them."""

from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.tasks.models import LegalHold
from tests.api.expect import expect_problem, faults
from tests.factories import Caller, House

HOLDS = "/v1/legal-holds"
BOTH = [Scope.ORGANISATION_READ, Scope.ORGANISATION_MANAGE]


def lawyer(house: House, **key: Any) -> Caller:
    made = {"role": Role.ADMIN, "scopes": BOTH, **key}
    return Caller(issue_key(organisation_id=house.organisation.id, name="Legal", **made))


def test_a_hold__is_placed_listed_and_released(house: House) -> None:
    caller, task = lawyer(house), house.task()
    made = caller.post(HOLDS, {"task_id": str(task.id), "reason": "Case 1"})
    assert made.status_code == 201
    path = f"{HOLDS}/{made.json()['hold_id']}"
    assert made["Location"] == path
    caller.post(HOLDS, {"reason": "Case 2"})
    listed = caller.get(HOLDS).json()["data"]
    assert [(hold["task_id"], hold["reason"]) for hold in listed] == [
        (None, "Case 2"),
        (str(task.id), "Case 1"),
    ]
    released = caller.post(f"{path}/release").json()
    assert released["released_by"] == f"api_key:{caller.principal.id}"
    assert caller.get(path).json() == released
    assert caller.post(f"{path}/release").json() == released


def test_a_hold__needs_an_administrator_of_all_pools(house: House) -> None:
    body = {"reason": "Case 1"}
    expect_problem(house.alice.post(HOLDS, body), 403, "scope_missing")
    expect_problem(lawyer(house, role=Role.MANAGER).post(HOLDS, body), 403, "role_too_low")
    restricted = lawyer(house, pool_ids=[house.pool.id])
    expect_problem(restricted.post(HOLDS, body), 403, "pool_not_granted")
    expect_problem(restricted.get(HOLDS), 403, "pool_not_granted")
    assert LegalHold.objects.count() == 0


def test_a_hold__on_what_is_not_theirs_is_unknown(house: House) -> None:
    theirs = Caller(
        issue_key(
            organisation_id=house.charlie.principal.organisation_id,
            name="Theirs",
            role=Role.ADMIN,
            scopes=BOTH,
        )
    )
    ours = lawyer(house).post(HOLDS, {"reason": "Case 1"}).json()["hold_id"]
    for task_id in (house.task().id, uuid4()):
        body = {"task_id": str(task_id), "reason": "Case 1"}
        assert faults(theirs.post(HOLDS, body)) == {"/task_id": "unknown_task"}
    expect_problem(theirs.get(f"{HOLDS}/{ours}"), 404, "not_found")
    expect_problem(theirs.post(f"{HOLDS}/{ours}/release"), 404, "not_found")
    assert theirs.get(HOLDS).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/reason": "required"}),
        ({"reason": ""}, {"/reason": "too_short"}),
        ({"reason": "x" * 1001}, {"/reason": "too_long"}),
        ({"reason": "Case 1", "until": "2027"}, {"/until": "unknown_field"}),
    ],
)
def test_a_hold__refuses_a_body_with_faults(
    house: House, body: Any, expected: dict[str, str]
) -> None:
    assert faults(lawyer(house).post(HOLDS, body)) == expected
