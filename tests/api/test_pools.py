"""Test `/v1/pools`: creation, changes, closing, members, and visibility."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from apps.accounts import principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import BACKEND_SCOPES, issue_key
from apps.base import clock
from apps.matching.services import match_queued, schedule_stranded_checks
from apps.pools.models import Membership, Pool
from apps.pools.services import provision_pool, provision_worker
from apps.tasks.models import Task
from apps.tasks.services import reopen_task
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.responses import pools as responses
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import Caller, House, worker_in
from tests.integration.test_budgets import statements

PATH = "/v1/pools"
UNKNOWN_ID = str(UUID(int=7))
DEFAULTS = {
    "description": "",
    "offer_seconds": {},
    "work_seconds": 3600,
    "offer_mode": "sequential",
    "broadcast_to": 5,
    "offers_per_window": None,
    "offer_window_seconds": 3600,
    "misses_until_away": 3,
    "costs": {},
    "escalation": None,
    "review_policy": None,
}
EVERYTHING: dict[str, Any] = {
    "name": "Night desk",
    "description": "Calls at night",
    "offer_seconds": {"critical": 1, "high": 86_400},
    "work_seconds": 2_592_000,
    "offer_mode": "broadcast",
    "broadcast_to": 50,
    "offers_per_window": 1000,
    "offer_window_seconds": 60,
    "misses_until_away": None,
    "costs": {"verification": 100, "shelf.audit_2": 1},
}
EMPTY = {"members": 0, "available_members": 0, "queued_tasks": 0, "open_offers": 0}


def made(caller: Caller, **wanted: Any) -> dict[str, Any]:
    """Create a pool, and return the response."""
    answer = caller.post(PATH, {"name": "Night desk", **wanted})
    assert answer.status_code == 201, answer.content
    return shown(answer)


def shown(answer: Any) -> dict[str, Any]:
    assert answer.status_code in (200, 201), answer.content
    responses.Pool.model_validate_json(answer.content, extra="forbid")
    body: dict[str, Any] = answer.json()
    return body


def path_of(pool: dict[str, Any] | Pool) -> str:
    return f"{PATH}/{pool.id if isinstance(pool, Pool) else pool['pool_id']}"


def restricted(house: House, *pool_ids: UUID) -> Caller:
    """Return a caller of Alice's organisation with a key for some of its pools."""
    return Caller(
        issue_key(
            organisation_id=house.organisation.id,
            name="Lesser",
            scopes=BACKEND_SCOPES,
            pool_ids=list(pool_ids),
        )
    )


# --- founding -------------------------------------------------------------------------------------


def test_create__with_a_name_alone(house: House) -> None:
    answer = house.alice.post(PATH, {"name": "Night desk"})
    pool = shown(answer)
    assert (answer.status_code, answer["Location"]) == (201, path_of(pool))
    row = Pool.objects.get(id=pool["pool_id"])
    assert row.organisation_id == house.organisation.id
    times = {name: pool.pop(name) for name in ("created_at", "updated_at")}
    assert pool == {
        "pool_id": str(row.id),
        "name": "Night desk",
        "status": "active",
        "rating_mean": None,
        "counts": EMPTY,
        **DEFAULTS,
    }
    assert house.alice.get(answer["Location"]).json() == {**pool, **times}


def test_create__with_everything(house: House) -> None:
    widened = {"after_seconds": 60, "widen_to_pools": [str(house.pool.id)]}
    policy = {"steps": [widened, {"after_seconds": 90, "notify": True}], "at_end": "fail"}
    pool = made(house.alice, **EVERYTHING, escalation=policy)
    assert {name: pool[name] for name in EVERYTHING} == EVERYTHING
    steps, at_end = pool["escalation"]["steps"], pool["escalation"]["at_end"]
    assert ({name: steps[0][name] for name in widened}, at_end) == (widened, "fail")
    assert Pool.objects.get(id=pool["pool_id"]).escalation == pool["escalation"]


def test_create__twice_with_one_key_is_one_pool(house: House) -> None:
    first, again = (
        house.alice.post(PATH, {"name": "Once"}, **{"Idempotency-Key": "k"}) for _ in range(2)
    )
    assert (again["Idempotency-Replayed"], again.json()) == ("true", first.json())
    assert Pool.objects.filter(name="Once").count() == 1


BAD: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"name": None}, {"/name": "wrong_type"}),
    ({"name": " "}, {"/name": "blank"}),
    ({"name": "a" * 201}, {"/name": "too_long"}),
    ({"name": "a\0b"}, {"/name": "nul_character"}),
    ({"description": "a" * 2001}, {"/description": "too_long"}),
    ({"offer_seconds": {"soon": 5}}, {"/offer_seconds/soon": "not_one_of"}),
    ({"offer_seconds": {"low": 0}}, {"/offer_seconds/low": "too_small"}),
    ({"offer_seconds": {"low": 86_401}}, {"/offer_seconds/low": "too_large"}),
    ({"offer_seconds": {"low": True}}, {"/offer_seconds/low": "wrong_type"}),
    ({"offer_seconds": []}, {"/offer_seconds": "wrong_type"}),
    ({"work_seconds": 0}, {"/work_seconds": "too_small"}),
    ({"work_seconds": 2_592_001}, {"/work_seconds": "too_large"}),
    ({"offer_mode": "auction"}, {"/offer_mode": "not_one_of"}),
    ({"broadcast_to": 1}, {"/broadcast_to": "too_small"}),
    ({"broadcast_to": 51}, {"/broadcast_to": "too_large"}),
    ({"offers_per_window": 0}, {"/offers_per_window": "too_small"}),
    ({"offers_per_window": 1001}, {"/offers_per_window": "too_large"}),
    ({"offer_window_seconds": 59}, {"/offer_window_seconds": "too_small"}),
    ({"offer_window_seconds": None}, {"/offer_window_seconds": "wrong_type"}),
    ({"misses_until_away": 0}, {"/misses_until_away": "too_small"}),
    ({"misses_until_away": 101}, {"/misses_until_away": "too_large"}),
    ({"costs": {"Not A Slug": 1}}, {"/costs/Not A Slug": "pattern"}),
    ({"costs": {"call": 0, "visit": 101}},
    {"/costs/call": "too_small", "/costs/visit": "too_large"}),
    ({"costs": {f"t{n}": 1 for n in range(201)}}, {"/costs": "too_long"}),
    ({"escalation": []}, {"/escalation": "wrong_type"}),
    ({"escalation": {"at_end": "cry"}}, {"/escalation/at_end": "not_one_of"}),
    ({"escalation": {"steps": [{"after_seconds": 0, "notify": True}]}},
    {"/escalation/steps/0/after_seconds": "too_small"}),
    (
        {"escalation": {"steps": [{"after_seconds": 5, "widen_to_pools": [UNKNOWN_ID, "desk"]}]}},
        {
            "/escalation/steps/0/widen_to_pools/0": "unknown_pool",
            "/escalation/steps/0/widen_to_pools/1": "wrong_type",
        },
    ),
    (
        {"escalation": {"steps": [{"after_seconds": 5, "drop_certifications": True,
                        "lower_trust_level_by": 1}]}},
        {
            "/escalation/steps/0/drop_certifications": "not_for_pools",
            "/escalation/steps/0/lower_trust_level_by": "not_for_pools",
        },
    ),
    ({"status": "closed"}, {"/status": "unknown_field"}),
    ({"rating_mean": 5}, {"/rating_mean": "unknown_field"}),
    ({"work_seconds": 0, "costs": {"call": 0}, "nane": 1},
        {"/work_seconds": "too_small", "/costs/call": "too_small", "/nane": "unknown_field"}),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "found"), BAD, ids=str)
def test_a_bad_field__is_named(
    house: House, changes: dict[str, Any], found: dict[str, str]
) -> None:
    with expect_unchanged():
        assert faults(house.alice.post(PATH, {"name": "Night desk", **changes})) == found
        assert faults(house.alice.patch(path_of(house.pool), changes)) == found


def test_create__needs_a_name(house: House) -> None:
    assert faults(house.alice.post(PATH, {})) == {"/name": "required"}
    assert faults(house.alice.post(PATH, [])) == {"": "wrong_type"}


def test_escalation__widens_to_open_pools_of_the_organisation_alone(house: House) -> None:
    closed = provision_pool(organisation_id=house.organisation.id, name="Closed")
    house.alice.call("DELETE", path_of(closed))
    named = [str(house.strangers_pool.id), str(closed.id), str(house.pool.id)]
    policy = {"steps": [{"after_seconds": 5, "widen_to_pools": named}]}
    found = faults(house.alice.post(PATH, {"name": "Night desk", "escalation": policy}))
    place = "/escalation/steps/0/widen_to_pools"
    assert found == {f"{place}/0": "unknown_pool", f"{place}/1": "unknown_pool"}


# --- changing -------------------------------------------------------------------------------------


def test_update__changes_the_sent_fields(house: House) -> None:
    path = path_of(house.pool)
    before = shown(house.alice.get(path))
    after = shown(house.alice.patch(path, {"name": "Day desk", "costs": {"verification": 2}}))
    assert after["updated_at"] > before["updated_at"]
    changed = {"name": "Day desk", "costs": {"verification": 2}, "updated_at": after["updated_at"]}
    assert after == {**before, **changed}
    nothing = shown(house.alice.patch(path, {}))
    assert nothing == {**after, "updated_at": nothing["updated_at"]}


@pytest.mark.parametrize("name", ["offers_per_window", "misses_until_away", "escalation"])
def test_update__null_takes_a_limit_away(house: House, name: str) -> None:
    pool = made(house.alice, offers_per_window=3, escalation={"at_end": "fail"})
    assert pool[name] is not None
    assert shown(house.alice.patch(path_of(pool), {name: None}))[name] is None


def test_update__lets_a_task_in_that_was_too_large(house: House) -> None:
    """Its members could not take the task; a lower cost opens them again, and wakes the matcher."""
    house.alice.patch(path_of(house.pool), {"costs": {"verification": 2}})
    house.queued()
    assert match_queued() == 0
    opened = Membership.objects.get().opened_in
    house.alice.patch(path_of(house.pool), {"description": "x", "costs": {"verification": 2}})
    assert Membership.objects.get().opened_in == opened
    house.alice.patch(path_of(house.pool), {"costs": {}})
    assert Membership.objects.get().opened_in > opened
    assert match_queued() == 1


# --- closing --------------------------------------------------------------------------------------


def test_delete__closes_it_once(house: House) -> None:
    path = path_of(house.pool)
    answer = house.alice.call("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    closed = shown(house.alice.get(path))
    assert closed["status"] == "closed"
    with expect_unchanged():
        assert house.alice.call("DELETE", path).status_code == 204


def test_a_closed_pool__makes_no_offers_and_keeps_open_ones(house: House) -> None:
    offer = house.offered(requirements={"worker_pool_id": str(house.pool.id)})
    _, carol = worker_in(house.pool)
    waiting = house.task(requirements={"worker_pool_id": str(house.pool.id)})
    house.alice.call("DELETE", path_of(house.pool))
    assert house.bob.post(f"/v1/offers/{offer.id}/accept").status_code == 200
    assert match_queued() == 0
    assert carol.get("/v1/offers").json()["data"] == []
    waiting.refresh_from_db()
    assert waiting.status in ("created", "queued")


def test_a_closed_pool__refuses_changes_and_members(house: House) -> None:
    worker = provision_worker(pools=[house.pool], name="Dora")
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    house.alice.call("DELETE", path_of(other))
    body = {"worker_id": str(worker.id)}
    with expect_unchanged():
        expect_problem(house.alice.patch(path_of(other), {"name": "x"}), 409, "pool_closed")
        expect_problem(house.alice.post(f"{path_of(other)}/members", body), 409, "pool_closed")


# --- members --------------------------------------------------------------------------------------


def test_members__come_and_go(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    path, body = f"{path_of(other)}/members", {"worker_id": str(house.bobs_worker.id)}
    bob = {
        "worker_id": str(house.bobs_worker.id),
        "name": "Bob Ashdown",
        "kind": "human",
        "presence": "available",
        "free": 1,
        "load": 0,
        "capacity": 1,
    }
    added = house.alice.post(path, body)
    assert (added.status_code, added.json()) == (201, bob)
    with expect_unchanged():
        again = house.alice.post(path, body)
    assert (again.status_code, again.json()) == (200, bob)
    assert house.alice.get(path).json() == {"data": [bob], "next_cursor": None}
    gone = house.alice.call("DELETE", f"{path}/{house.bobs_worker.id}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert house.alice.get(path).json()["data"] == []
    with expect_unchanged():
        answer = house.alice.call("DELETE", f"{path}/{house.bobs_worker.id}")
    expect_problem(answer, 404, "not_found")


def test_members__are_paged_the_longest_enrolled_first(house: House) -> None:
    ids = [str(house.bobs_worker.id)]
    ids += [str(provision_worker(pools=[house.pool], name=f"W{n}").id) for n in range(2)]
    path = f"{path_of(house.pool)}/members"
    first = house.alice.get(f"{path}?limit=2")
    responses.MemberPage.model_validate_json(first.content, extra="forbid")
    second = house.alice.get(f"{path}?limit=2&cursor={first.json()['next_cursor']}").json()
    found = [one["worker_id"] for page in (first.json(), second) for one in page["data"]]
    assert (found, second["next_cursor"]) == (sorted(ids), None)
    assert faults(house.alice.get(f"{path}?presence=away")) == {"/presence": "unknown_parameter"}


def test_members__worker_of_another_organisation_is_refused(house: House) -> None:
    path = f"{path_of(house.pool)}/members"
    stranger = provision_worker(pools=[house.strangers_pool], name="Charlie's worker")
    with expect_unchanged():
        for worker_id in (str(stranger.id), UNKNOWN_ID):
            answer = house.alice.post(path, {"worker_id": worker_id})
            assert faults(answer) == {"/worker_id": "unknown_worker"}
        assert faults(house.alice.post(path, {})) == {"/worker_id": "required"}
        expect_problem(house.alice.call("DELETE", f"{path}/{stranger.id}"), 404, "not_found")
        expect_problem(house.alice.call("DELETE", f"{path}/bob"), 404, "not_found")


def test_a_removed_member__keeps_open_offers_and_gets_no_new_ones(house: House) -> None:
    offer = house.offered()
    house.alice.call("DELETE", f"{path_of(house.pool)}/members/{house.bobs_worker.id}")
    assert house.bob.post(f"/v1/offers/{offer.id}/decline").status_code == 200
    assert house.bobs_worker.memberships.count() == 0
    assert match_queued(at=offer.expires_at) == 0


def test_a_new_member__gets_offers(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    house.queued(requirements={"worker_pool_id": str(other.id)})
    assert match_queued() == 0
    body = {"worker_id": str(house.bobs_worker.id)}
    house.alice.post(f"{path_of(other)}/members", body)
    assert match_queued() == 1


# --- reading --------------------------------------------------------------------------------------


def test_counts(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    named = {"requirements": {"worker_pool_id": str(house.pool.id)}}
    provision_worker(pools=[house.pool, other], name="Offline")
    house.offered(**named)
    for _ in range(2):
        house.queued(**named)
    house.queued(requirements={"worker_pool_id": str(other.id)})
    house.queued()  # for any pool
    counts = shown(house.alice.get(path_of(house.pool)))["counts"]
    assert counts == {"members": 2, "available_members": 0, "queued_tasks": 2, "open_offers": 1}
    worker_in(other, capacity=3)
    listed = {one["pool_id"]: one["counts"] for one in house.alice.get(PATH).json()["data"]}
    assert listed == {
        str(house.pool.id): counts,
        str(other.id): {"members": 2, "available_members": 1, "queued_tasks": 1, "open_offers": 0},
    }


def test_list__is_paged_newest_first_and_knows_no_other_parameter(house: House) -> None:
    ids = [str(house.pool.id), *(made(house.alice)["pool_id"] for _ in range(2))]
    made(house.charlie)
    first = house.alice.get(f"{PATH}?limit=2")
    responses.PoolPage.model_validate_json(first.content, extra="forbid")
    second = house.alice.get(f"{PATH}?limit=2&cursor={first.json()['next_cursor']}").json()
    found = [one["pool_id"] for page in (first.json(), second) for one in page["data"]]
    assert (found, second["next_cursor"]) == (sorted(ids, reverse=True), None)
    wrong = faults(house.alice.get(f"{PATH}?status=active&name=x"))
    assert wrong == {"/status": "unknown_parameter", "/name": "unknown_parameter"}
    elsewhere = house.alice.get(f"/v1/workers?cursor={first.json()['next_cursor']}")
    assert faults(elsewhere) == {"/cursor": "invalid_cursor"}


def test_reading__needs_few_statements(house: House) -> None:
    provision_pool(organisation_id=house.organisation.id, name="Back office")
    path = path_of(house.pool)
    assert len(statements(lambda: house.alice.get(path), answered=200)) == 3
    assert len(statements(lambda: house.alice.get(PATH), answered=200)) == 3
    assert len(statements(lambda: house.alice.get(f"{path}/members"), answered=200)) == 3


# --- who may --------------------------------------------------------------------------------------


def test_a_credential_for_some_pools__sees_and_manages_these_alone(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    front = restricted(house, house.pool.id)
    listed = front.get(PATH).json()["data"]
    assert [one["pool_id"] for one in listed] == [str(house.pool.id)]
    assert shown(front.patch(path_of(house.pool), {"name": "Ours"}))["name"] == "Ours"
    with expect_unchanged():
        for method in ("GET", "PATCH", "DELETE"):
            expect_problem(front.call(method, path_of(other)), 404, "not_found")
        members = f"{path_of(other)}/members"
        expect_problem(front.get(members), 404, "not_found")
        expect_problem(front.post(members, {"worker_id": UNKNOWN_ID}), 404, "not_found")
        expect_problem(front.post(PATH, {"name": "Mine"}), 403, "pool_not_granted")
        policy = {"steps": [{"after_seconds": 5, "widen_to_pools": [str(other.id)]}]}
        widened = front.patch(path_of(house.pool), {"escalation": policy})
        assert list(faults(widened)) == ["/escalation/steps/0/widen_to_pools/0"]


def test_a_credential_for_some_pools__adds_workers_that_it_sees(house: House) -> None:
    mine, other = (
        provision_pool(organisation_id=house.organisation.id, name=name) for name in "AB"
    )
    hidden = provision_worker(pools=[other], name="Of the other")
    front = restricted(house, house.pool.id, mine.id)
    path = f"{path_of(mine)}/members"
    with expect_unchanged():
        answer = front.post(path, {"worker_id": str(hidden.id)})
        assert faults(answer) == {"/worker_id": "unknown_worker"}
    assert front.post(path, {"worker_id": str(house.bobs_worker.id)}).status_code == 201


def with_key(house: House, *scopes: Scope, role: Role = Role.EDITOR) -> Caller:
    key = issue_key(organisation_id=house.organisation.id, name="Lesser", scopes=scopes, role=role)
    return Caller(key)


def test_a_credential_that_may_only_manage__is_answered_but_reads_nothing(house: House) -> None:
    caller = with_key(house, Scope.POOLS_MANAGE)
    pool = made(caller)
    assert shown(caller.patch(path_of(pool), {"name": "Mine"}))["name"] == "Mine"
    expect_problem(caller.get(path_of(pool)), 403, "scope_missing")


def test_a_viewer__changes_nothing(house: House) -> None:
    viewer = with_key(house, Scope.POOLS_READ, Scope.POOLS_MANAGE, role=Role.VIEWER)
    assert viewer.get(PATH).status_code == 200
    with expect_unchanged():
        expect_problem(viewer.post(PATH, {"name": "x"}), 403, "role_too_low")


# --- tasks that wait for a pool that was closed ---------------------------------------------------


def closing(house: House) -> datetime:
    assert house.alice.call("DELETE", path_of(house.pool)).status_code == 204
    return clock.now()


def close_reasons() -> dict[str, str | None]:
    return dict(Task.objects.values_list("title", "close_reason"))


def test_tasks_that_no_pool_is_left_for__fail_and_say_why(house: House) -> None:
    named = {"requirements": {"worker_pool_id": str(house.pool.id), "skills": ["welsh"]}}
    waiting = house.queued(title="waiting", **named)
    house.queued(title="any pool", requirements={"skills": ["welsh"]})
    assert fire_due(at=closing(house)) == 1
    assert close_reasons() == {"waiting": "pool_closed", "any pool": ""}
    shown = house.alice.get(f"/v1/tasks/{waiting.id}").json()
    assert (shown["status"], shown["close_reason"]) == ("failed", "pool_closed")
    assert Timer.objects.exclude(kind="retention").count() == 0


def test_tasks_that_come_back_to_a_closed_pool__fail_as_well(house: House) -> None:
    run = house.accepted(requirements={"worker_pool_id": str(house.pool.id)})
    at = closing(house)
    fire_due(at=at)
    assert Task.objects.get().status == "accepted"
    house.bob.post(f"/v1/runs/{run.id}/release", {"epoch": run.epoch})
    assert fire_due(at=at + timedelta(seconds=30)) == 1
    assert Task.objects.get().close_reason == "pool_closed"


def test_tasks_that_come_after_the_last_look_at_a_closed_pool__fail_as_well(house: House) -> None:
    task = house.completed(requirements={"worker_pool_id": str(house.pool.id)})
    fire_due(at=closing(house))
    assert schedule_stranded_checks() == 0
    actor = principal.system("operator", house.organisation.id)
    reopen_task(actor=actor, task_id=task.id, reason="again", at=clock.now())
    assert schedule_stranded_checks() == 1
    assert fire_due(at=clock.now()) == 1
    assert Task.objects.get().close_reason == "pool_closed"


def test_tasks_that_a_policy_may_open_to_another_pool__wait_for_it(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    step = {"after_seconds": 60, "widen_to_pools": [str(other.id)]}
    requirements = {
        "worker_pool_id": str(house.pool.id),
        "skills": ["welsh"],
        "escalation": {"steps": [step], "at_end": "wait"},
    }
    house.queued(requirements=requirements)
    at = closing(house)
    for seconds in (0, 30, 90):
        fire_due(at=at + timedelta(seconds=seconds))
        assert Task.objects.get().status == "queued"
    worker_in(other, skills=["welsh"])
    assert match_queued() == 1


# --- a dry run is a POST like any other -----------------------------------------------------------


def test_dry_run__with_an_idempotency_key_is_answered_once(house: House) -> None:
    path = f"{path_of(house.pool)}/dry-run"
    headers = {"Idempotency-Key": "look"}
    first = house.alice.post(path, {"name": "Ours"}, **headers)
    house.queued()
    again = house.alice.post(path, {"name": "Ours"}, **headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    other = house.alice.post(path, {"name": "Theirs"}, **headers)
    expect_problem(other, 422, "idempotency_key_reused")
    assert Pool.objects.get(id=house.pool.id).name == "Front desk"
