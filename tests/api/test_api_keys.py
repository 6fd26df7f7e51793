"""Test `/v1/api-keys`: a key never gets more than its creator has, rotates, and ends at once."""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.accounts.keys import parse_key
from apps.accounts.models import ApiKey, AuditEvent
from apps.accounts.scopes import LEAST_ROLE, Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.pools.services import create_api_key, provision_pool
from biolayer.errors import Unauthenticated
from biolayer.times import format_time
from biolayer.values import RoleName, ScopeName
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.concurrency.together import together
from tests.factories import Caller, House, contract, soon, worker_in

KEYS = "/v1/api-keys"
MANAGER_SCOPES = [scope for scope in Scope if scope is not Scope.WORK]
READER = {"name": "Reader", "scopes": ["tasks:read"]}


def manager(house: House, **changes: Any) -> Caller:
    """Return a key that may manage keys, with every scope but `work`."""
    grant = {"name": "Manager", "scopes": MANAGER_SCOPES, "role": Role.MANAGER, **changes}
    return Caller(issue_key(organisation_id=house.organisation.id, **grant))


def created(caller: Caller, **changes: Any) -> tuple[str, Caller]:
    """Create a key. Return its id, and its caller."""
    answer = caller.post(KEYS, {**READER, **changes})
    assert answer.status_code == 201, answer.content
    return answer.json()["key_id"], Caller(answer.json()["api_key"])


def rotated(caller: Caller, key_id: str, **body: Any) -> Caller:
    answer = caller.post(f"{KEYS}/{key_id}/rotate", body)
    assert answer.status_code == 201, answer.content
    return Caller(answer.json()["api_key"])


def missing(answer: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = expect_problem(answer, 403, "grant_exceeded")["missing"]
    return found


def status(caller: Caller) -> int:
    code: int = caller.get("/v1/tasks").status_code
    return code


# --- create ---------------------------------------------------------------------------------------


def test_create__shows_the_secret_once(house: House) -> None:
    boss = manager(house)
    answer = boss.post(KEYS, READER)
    body = answer.json()
    text = body.pop("api_key")
    assert answer["Location"] == f"{KEYS}/{body['key_id']}"
    assert status(Caller(text)) == 200
    read = boss.get(answer["Location"])
    assert text not in read.content.decode()
    used_at = read.json()["last_used_at"]
    assert used_at is not None
    expected = {**body, "last_used_at": used_at}
    expected["secrets"] = [{**body["secrets"][0], "last_used_at": used_at}]
    assert read.json() == expected
    assert body["secrets"][0]["starts_with"] == text.rpartition("_")[0]
    assert body["created_by"] == boss.principal.text


def test_create__of_a_replay_has_no_secret(house: House) -> None:
    boss, key = manager(house), {"Idempotency-Key": "k-1"}
    first, second = (boss.post(KEYS, READER, **key).json() for _ in range(2))
    assert first.pop("api_key").startswith("bl_live_")
    assert second == first
    assert ApiKey.objects.filter(name="Reader").count() == 1


def test_create__the_grant_is_stored_as_requested(house: House) -> None:
    ends = soon(days=30)
    grant = {
        "name": "Desk",
        "scopes": ["tasks:read", "tasks:create", "tasks:read"],
        "role": "editor",
        "pool_ids": [str(house.pool.id)],
        "allowed_networks": ["127.0.0.1", "192.0.2.77/24", "2001:DB8::1/32", "::ffff:10.0.0.0/104"],
        "expires_at": format_time(ends),
    }
    body = manager(house).post(KEYS, grant).json()
    assert {name: body[name] for name in grant} == {
        **grant,
        "scopes": ["tasks:read", "tasks:create"],
        "allowed_networks": ["127.0.0.1/32", "192.0.2.0/24", "2001:db8::/32", "10.0.0.0/8"],
    }
    desk = Caller(body["api_key"])
    assert desk.principal.pool_ids == frozenset([house.pool.id])
    assert desk.principal.role == "editor"


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"name": " "}, "/name", "blank"),
        ({"scopes": []}, "/scopes", "too_short"),
        ({"scopes": ["tasks:fly"]}, "/scopes/0", "not_one_of"),
        ({"scopes": ["credentials:read"]}, "/scopes/0", "role_too_low"),
        ({"role": "owner"}, "/role", "not_one_of"),
        ({"pool_ids": []}, "/pool_ids", "too_short"),
        ({"pool_ids": ["0" * 36]}, "/pool_ids/0", "wrong_type"),
        ({"allowed_networks": ["10.0.0.0/33"]}, "/allowed_networks/0", "invalid_network"),
        ({"allowed_networks": ["fe80::1%eth0"]}, "/allowed_networks/0", "invalid_network"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "in_the_past"),
        ({"colour": "red"}, "/colour", "unknown_field"),
    ],
)
def test_create__refused_for_what_is_invalid(
    house: House, change: dict[str, Any], pointer: str, code: str
) -> None:
    boss = manager(house)
    with expect_unchanged():
        assert faults(boss.post(KEYS, {**READER, **change})) == {pointer: code}


def test_create__refused_for_pools_and_workers_of_others(house: House) -> None:
    admin = manager(house, role=Role.ADMIN)
    stranger, _ = worker_in(house.strangers_pool)
    body = {"pool_ids": [str(house.strangers_pool.id)], "worker_id": str(stranger.id)}
    with expect_unchanged():
        answer = admin.post(KEYS, {**READER, **body})
    assert faults(answer) == {"/pool_ids/0": "unknown_pool", "/worker_id": "unknown_worker"}


# --- not more than one has ------------------------------------------------------------------------


@pytest.mark.parametrize("scope", list(Scope), ids=str)
def test_create__no_scope_that_the_creator_lacks(house: House, scope: Scope) -> None:
    if scope is Scope.CREDENTIALS_MANAGE:
        pytest.skip("without it there is no call")
    others = [one for one in MANAGER_SCOPES if one is not scope]
    boss = manager(house, scopes=others, role=Role.ADMIN)
    body = {**READER, "scopes": [scope.value, "credentials:manage"], "role": "admin"}
    with expect_unchanged():
        assert missing(boss.post(KEYS, body)) == {"scopes": [scope.value]}


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_create__no_higher_role(house: House, role: Role) -> None:
    answer = manager(house).post(KEYS, {**READER, "role": role.value})
    if role is Role.ADMIN:
        assert missing(answer) == {"role": "admin"}
    elif role is Role.WORKER:
        # It has no use for the scope.
        assert faults(answer) == {"/scopes/0": "role_too_low"}
    else:
        assert answer.status_code == 201


def test_create__no_other_pools(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    boss = manager(house, pool_ids=[house.pool.id])
    both = [str(house.pool.id), str(other.id)]
    with expect_unchanged():
        assert missing(boss.post(KEYS, READER)) == {"pool_ids": "every"}
        assert missing(boss.post(KEYS, {**READER, "pool_ids": both})) == {
            "pool_ids": [str(other.id)]
        }
    created(boss, pool_ids=both[:1])


def test_create__no_other_networks(house: House) -> None:
    boss = manager(house, allowed_networks=["127.0.0.0/8", "2001:db8::/32"])
    wider = ["127.0.0.0/7", "2001:db8:1::/48", "10.0.0.1"]
    with expect_unchanged():
        assert missing(boss.post(KEYS, READER)) == {"allowed_networks": ["0.0.0.0/0", "::/0"]}
        assert missing(boss.post(KEYS, {**READER, "allowed_networks": wider})) == {
            "allowed_networks": ["126.0.0.0/7", "10.0.0.1/32"]
        }
    created(boss, allowed_networks=["127.0.0.1", "2001:db8:1::/48"])


def test_create__no_later_end(house: House) -> None:
    ends = soon(days=1)
    boss = manager(house, expires_at=ends)
    later = format_time(ends + timedelta(seconds=1))
    with expect_unchanged():
        assert missing(boss.post(KEYS, READER)) == {"expires_at": None}
        assert missing(boss.post(KEYS, {**READER, "expires_at": later})) == {"expires_at": later}
    created(boss, expires_at=format_time(ends))


def test_create__no_other_worker(house: House) -> None:
    other, _ = worker_in(house.pool)
    own = {"scopes": list(Scope), "worker_id": house.bobs_worker.id}
    body = {**READER, "scopes": ["work"], "worker_id": str(other.id)}
    boss = manager(house, **own)
    with expect_unchanged():
        assert missing(boss.post(KEYS, body)) == {"worker_id": str(other.id)}
    _, bob = created(boss, **{**body, "worker_id": str(house.bobs_worker.id)})
    assert bob.get("/v1/workers/me").json()["worker_id"] == str(house.bobs_worker.id)
    admin = manager(house, **own, role=Role.ADMIN)
    _, caller = created(admin, **body)
    assert caller.principal.worker_id == other.id


def test_create__names_all_that_is_too_much(house: House) -> None:
    ends = soon(days=1)
    boss = manager(
        house,
        scopes=[Scope.CREDENTIALS_MANAGE],
        pool_ids=[house.pool.id],
        allowed_networks=["127.0.0.1"],
        expires_at=ends,
    )
    with expect_unchanged():
        answer = boss.post(KEYS, {**READER, "role": "admin"})
    assert set(missing(answer)) == {"scopes", "role", "pool_ids", "allowed_networks", "expires_at"}


def test_create__needs_the_scope_and_the_role(house: House) -> None:
    editor = manager(house, role=Role.EDITOR)
    with expect_unchanged():
        body = expect_problem(house.alice.post(KEYS, READER), 403, "scope_missing")
        assert body["missing"] == {"scope": "credentials:manage"}
        body = expect_problem(editor.post(KEYS, READER), 403, "role_too_low")
        assert body["missing"] == {"role": "manager"}


def test_create__by_a_key_that_is_revoked_meanwhile_makes_nothing(house: House) -> None:
    boss = manager(house)
    actor = boss.principal
    assert boss.call("DELETE", f"{KEYS}/{actor.key_id}").status_code == 204
    with expect_unchanged(), pytest.raises(Unauthenticated):
        create_api_key(actor=actor, document=READER, at=clock.now())


# --- list -----------------------------------------------------------------------------------------


def test_list__shows_keys_newest_first_with_those_of_workers(house: House) -> None:
    boss = manager(house)
    ids = [created(boss, name=f"Key {number}")[0] for number in range(3)]
    listed = boss.get(KEYS).json()["data"]
    assert [key["key_id"] for key in listed[:4]] == [*reversed(ids), boss.principal.key_id]
    assert {key["name"] for key in listed[4:]} == {"Alice's backend", "Bob Ashdown"}
    workers = [key["worker_id"] for key in listed if key["worker_id"]]
    assert workers == [str(house.bobs_worker.id)]


def test_list__in_pages_counts_a_rotated_key_once(house: House) -> None:
    boss = manager(house)
    key_id, _ = created(boss)
    rotated(boss, key_id)
    first = boss.get(f"{KEYS}?limit=1").json()
    rest = boss.get(f"{KEYS}?limit=100&cursor={first['next_cursor']}").json()
    ids = [key["key_id"] for key in first["data"] + rest["data"]]
    assert (
        len(ids)
        == len(set(ids))
        == ApiKey.objects.filter(organisation=house.organisation, original=None).count()
    )
    assert len(first["data"][0]["secrets"]) == 2


def test_list__forgets_keys_30_days_after_their_end(house: House) -> None:
    boss = manager(house)
    key_id, _ = created(boss)
    boss.call("DELETE", f"{KEYS}/{key_id}")
    assert key_id in boss.get(KEYS).content.decode()
    ApiKey.objects.filter(id=key_id).update(revoked_at=soon(days=-31))
    assert key_id not in boss.get(KEYS).content.decode()


def test_list__of_a_key_for_pools_shows_keys_for_these_only(house: House) -> None:
    boss = manager(house)
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    ours, _ = created(boss, pool_ids=[str(house.pool.id)])
    both, _ = created(boss, pool_ids=[str(house.pool.id), str(other.id)])
    lesser = manager(house, pool_ids=[house.pool.id])
    listed = {key["key_id"] for key in lesser.get(KEYS).json()["data"]}
    assert listed == {ours, lesser.principal.key_id}
    with expect_unchanged():
        for key_id in (both, boss.principal.key_id):
            expect_problem(lesser.get(f"{KEYS}/{key_id}"), 404, "not_found")
            expect_problem(lesser.call("DELETE", f"{KEYS}/{key_id}"), 404, "not_found")
            expect_problem(lesser.post(f"{KEYS}/{key_id}/rotate", {}), 404, "not_found")


@pytest.mark.parametrize("key_id", ["x", "x" * 12, "x" * 13, "%00" * 12, "caf\u00e9" * 3, "_" * 12])
def test_unknown_key__is_not_found(house: House, key_id: str) -> None:
    boss = manager(house)
    with expect_unchanged():
        expect_problem(boss.get(f"{KEYS}/{key_id}"), 404, "not_found")
        expect_problem(boss.call("DELETE", f"{KEYS}/{key_id}"), 404, "not_found")
        expect_problem(boss.post(f"{KEYS}/{key_id}/rotate", {}), 404, "not_found")


# --- rotate ---------------------------------------------------------------------------------------


def test_rotate__both_secrets_are_one_caller(house: House) -> None:
    boss = manager(house)
    key_id, first = created(boss, scopes=["tasks:read", "tasks:create"])
    made = first.post("/v1/tasks", contract(), **{"Idempotency-Key": "k-1"})
    second = rotated(boss, key_id)
    assert first.principal == second.principal
    again = second.post("/v1/tasks", contract(), **{"Idempotency-Key": "k-1"})
    assert (again.json(), again["Idempotency-Replayed"]) == (made.json(), "true")
    secrets = boss.get(f"{KEYS}/{key_id}").json()["secrets"]
    assert [secret["expires_at"] is None for secret in secrets] == [True, False]


def test_rotate__the_earlier_secret_ends_after_its_overlap(house: House) -> None:
    boss = manager(house)
    key_id, first = created(boss)
    rotated(boss, key_id, overlap_seconds=60)
    row = ApiKey.objects.get(id=key_id)
    assert row.expires_at is not None
    assert row.replaced_at is not None
    assert row.expires_at - row.replaced_at == timedelta(seconds=60)
    assert status(first) == 200
    ApiKey.objects.filter(id=key_id).update(expires_at=clock.now())
    assert status(first) == 401


def test_rotate__with_no_overlap_ends_all_earlier_secrets_now(house: House) -> None:
    boss = manager(house)
    key_id, first = created(boss)
    second = rotated(boss, key_id)
    assert status(second) == 200
    third = rotated(boss, key_id, overlap_seconds=0)
    assert [status(caller) for caller in (first, second, third)] == [401, 401, 200]


def test_rotate__refused_while_two_secrets_are_in_use(house: House) -> None:
    boss = manager(house)
    key_id, first = created(boss)
    second = rotated(boss, key_id)
    assert (status(first), status(second)) == (200, 200)
    ends_at = boss.get(f"{KEYS}/{key_id}").json()["secrets"][1]["expires_at"]
    with expect_unchanged():
        body = expect_problem(boss.post(f"{KEYS}/{key_id}/rotate", {}), 409, "api_key_rotating")
    assert body["ends_at"] == ends_at


def test_rotate__replaces_a_secret_that_was_never_used(house: House) -> None:
    """Replace it at once: the response that contained it was lost, most likely."""
    boss = manager(house)
    key_id, first = created(boss)
    assert status(first) == 200
    lost = rotated(boss, key_id)
    third = rotated(boss, key_id)
    assert [status(caller) for caller in (first, lost, third)] == [200, 401, 200]


def test_rotate__keeps_the_end_of_the_key(house: House) -> None:
    boss, ends = manager(house), soon(hours=1)
    key_id, _ = created(boss, expires_at=format_time(ends))
    rotated(boss, key_id)
    body = boss.get(f"{KEYS}/{key_id}").json()
    assert body["expires_at"] == format_time(ends)
    assert [secret["expires_at"] for secret in body["secrets"]] == [format_time(ends)] * 2


def test_rotate__refused_for_a_key_that_has_more(house: House) -> None:
    """Refuse it, since the response contains a secret with all that the key has."""
    boss = manager(house)
    key_id, _ = created(boss, scopes=["tasks:read", "pools:manage"], role="manager")
    lesser = manager(house, scopes=[Scope.CREDENTIALS_MANAGE, Scope.TASKS_READ])
    with expect_unchanged():
        answer = lesser.post(f"{KEYS}/{key_id}/rotate", {})
        assert missing(answer) == {"scopes": ["pools:manage"]}
    assert lesser.call("DELETE", f"{KEYS}/{key_id}").status_code == 204


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_rotate__refused_for_a_key_that_has_ended(house: House, end: str) -> None:
    boss = manager(house)
    key_id, _ = created(boss)
    column = {"expired": "expires_at", "revoked": "revoked_at"}[end]
    ApiKey.objects.filter(id=key_id).update(**{column: clock.now()})
    with expect_unchanged():
        body = expect_problem(boss.post(f"{KEYS}/{key_id}/rotate", {}), 409, "api_key_ended")
    assert body["key_status"] == end


def test_rotate__of_the_key_that_calls(house: House) -> None:
    boss = manager(house)
    after = rotated(boss, boss.principal.key_id, overlap_seconds=0)
    assert (status(boss), status(after)) == (401, 200)


@pytest.mark.parametrize("overlap", [-1, 604_801, 1.5, "1"])
def test_rotate__refused_for_an_invalid_overlap(house: House, overlap: Any) -> None:
    boss = manager(house)
    with expect_unchanged():
        answer = boss.post(f"{KEYS}/{boss.principal.key_id}/rotate", {"overlap_seconds": overlap})
    assert set(faults(answer)) == {"/overlap_seconds"}


def test_rotate__racing_with_itself_leaves_at_most_two_secrets(house: House) -> None:
    boss = manager(house)
    key_id, _ = created(boss)
    path = f"{KEYS}/{key_id}/rotate"
    answers = together(*[lambda: Caller(boss.key).post(path, {}) for _ in range(6)])
    # Each replaces the secret of the one before it, which was never used.
    assert {answer.status_code for answer in answers} == {201}
    working = [status(Caller(answer.json()["api_key"])) for answer in answers]
    assert sorted(working) == [200, 401, 401, 401, 401, 401]
    assert len(boss.get(f"{KEYS}/{key_id}").json()["secrets"]) == 2


# --- revoke ---------------------------------------------------------------------------------------


def test_revoke__ends_both_secrets_at_once(house: House) -> None:
    boss = manager(house)
    key_id, first = created(boss)
    second = rotated(boss, key_id)
    assert boss.call("DELETE", f"{KEYS}/{key_id}").status_code == 204
    assert (status(first), status(second)) == (401, 401)
    body = boss.get(f"{KEYS}/{key_id}").json()
    assert (body["status"], body["secrets"]) == ("revoked", [])
    with expect_unchanged():
        assert boss.call("DELETE", f"{KEYS}/{key_id}").status_code == 204


def test_revoke__racing_with_a_rotation_leaves_no_secret(house: House) -> None:
    boss = manager(house)
    for _ in range(5):
        key_id, first = created(boss)
        path = f"{KEYS}/{key_id}"
        revoked, turned = together(
            lambda path=path: Caller(boss.key).call("DELETE", path),
            lambda path=path: Caller(boss.key).post(f"{path}/rotate", {}),
        )
        assert revoked.status_code == 204
        callers = [first]
        if turned.status_code == 201:
            callers.append(Caller(turned.json()["api_key"]))
        else:
            expect_problem(turned, 409, "api_key_ended")
        assert {status(caller) for caller in callers} == {401}


# --- audit ----------------------------------------------------------------------------------------


def test_audit__records_each_action_once_without_the_secret(house: House) -> None:
    boss = manager(house)
    key_id, first = created(boss)
    second = rotated(boss, key_id)
    boss.call("DELETE", f"{KEYS}/{key_id}")
    boss.call("DELETE", f"{KEYS}/{key_id}")
    entries = list(AuditEvent.objects.order_by("id"))
    assert [entry.action for entry in entries] == [
        "api_key.created",
        "api_key.rotated",
        "api_key.revoked",
    ]
    for entry in entries:
        assert (entry.actor_kind, entry.actor_id) == ("api_key", boss.principal.key_id)
        assert (entry.subject_kind, entry.subject_id) == ("api_key", key_id)
        assert entry.address == "127.0.0.1"
        parsed = [parse_key(caller.key) for caller in (first, second)]
        assert not any(key and key.secret in str(entry.data) for key in parsed)


# --- last use -------------------------------------------------------------------------------------


def last_use(caller: Caller) -> Any:
    return ApiKey.objects.values_list("last_used_at", flat=True).get(id=caller.principal.key_id)


def test_last_use__is_written_once_a_minute(house: House) -> None:
    assert last_use(house.alice) is None
    assert status(house.alice) == 200
    first = last_use(house.alice)
    assert first is not None
    assert status(house.alice) == 200
    assert last_use(house.alice) == first
    ApiKey.objects.update(last_used_at=soon(seconds=-61))
    assert status(house.alice) == 200
    assert last_use(house.alice) >= first


def test_last_use__of_a_refused_call_is_not_written(house: House) -> None:
    key = issue_key(
        organisation_id=house.organisation.id, name="Far", allowed_networks=["192.0.2.0/24"]
    )
    expect_problem(Caller(key).get("/v1/tasks"), 403, "address_not_allowed")
    assert last_use(Caller(key)) is None


def test_last_use__waits_for_no_transaction(house: House) -> None:
    """Skip a row that another transaction holds: the call takes no longer."""

    def timed() -> tuple[int, float]:
        began = time.perf_counter()
        return status(Caller(house.alice.key)), time.perf_counter() - began

    with transaction.atomic():
        ApiKey.objects.select_for_update().get(id=house.alice.principal.key_id)
        ((code, seconds),) = together(timed)
    assert code == 200
    # The lock's own bound is half a second.
    assert seconds < 0.45
    assert last_use(house.alice) is None


def test_last_use__leaves_every_index_alone(house: House) -> None:
    """Update the row in its page (HOT), whatever the number of updates."""

    def counts() -> tuple[int, int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_stat_get_xact_tuples_updated(oid),"
                " pg_stat_get_xact_tuples_hot_updated(oid)"
                " FROM pg_class WHERE relname = 'accounts_apikey'"
            )
            updated, hot = cursor.fetchone()
        return updated, hot

    with transaction.atomic():
        before = counts()
        for number in range(5):
            ApiKey.objects.filter(id=house.alice.principal.key_id).update(
                last_used_at=soon(seconds=-61 - number)
            )
        after = counts()
    assert [late - early for early, late in zip(before, after, strict=True)] == [5, 5]


# --- names ----------------------------------------------------------------------------------------


def test_names__are_those_of_the_service() -> None:
    """Compare the scopes and roles of the API with those that services check."""
    assert list(ScopeName.__args__) == Scope.values
    assert list(RoleName.__args__) == Role.values
    assert set(LEAST_ROLE) == set(Scope)
