"""Test `/v1/audit-events`, their export, `/v1/audit-heads` and the public keys."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import audit_export, chain_audit_events, issue_key, sign_audit_heads
from biolayer import audit_log, signing
from tests import audit_steps
from tests.api.expect import expect_problem, faults
from tests.factories import Caller, House

EVENTS = "/v1/audit-events"
EXPORT = f"{EVENTS}/export"
HEADS = "/v1/audit-heads"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def reviewer(house: House, **key: Any) -> Caller:
    """Return a caller who may read the audit log."""
    made = {"role": Role.MANAGER, "scopes": [Scope.AUDIT_READ], **key}
    return Caller(issue_key(organisation_id=house.organisation.id, name="Reviews", **made))


def listed(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(EVENTS + query)
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def exported(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(EXPORT + query)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]


def pools(house: House, count: int) -> list[str]:
    made = [house.alice.post("/v1/pools", {"name": f"Pool {n}"}).json() for n in range(count)]
    return [pool["pool_id"] for pool in made]


def test_events__newest_first_by_pages(house: House) -> None:
    made = pools(house, 5)
    caller = reviewer(house)
    seen, path = [], f"{EVENTS}?limit=2"
    while path:
        answer = caller.get(path).json()
        seen += [row["subject"]["id"] for row in answer["data"]]
        cursor = answer["next_cursor"]
        path = f"{EVENTS}?limit=2&cursor={cursor}" if cursor else ""
    assert seen == made[::-1]


def test_events__show_who_did_what(house: House) -> None:
    (pool_id,) = pools(house, 1)
    (row,) = listed(reviewer(house))
    assert {name: row[name] for name in ("action", "actor", "subject", "data", "position")} == {
        "action": "pool.created",
        "actor": {"kind": "api_key", "id": house.alice.principal.id},
        "subject": {"kind": "pool", "id": pool_id},
        "data": {},
        "position": None,
    }
    assert chain_audit_events() == 1
    assert listed(reviewer(house))[0]["position"] == 1


def test_events__filters(house: House) -> None:
    first, second = pools(house, 2)
    house.alice.patch(f"/v1/pools/{first}", {"work_seconds": 60})
    caller, alice = reviewer(house), house.alice.principal.id
    middle = AuditEvent.objects.get(subject_id=second).occurred_at.isoformat()[:26] + "Z"

    def subjects(query: str) -> list[str]:
        return [row["subject"]["id"] for row in listed(caller, query)]

    assert subjects("?action=pool.changed") == [first]
    assert subjects(f"?actor={alice}") == [first, second, first]
    assert subjects("?actor=unknown") == []
    assert subjects(f"?subject={first}") == [first, first]
    assert subjects(f"?since={middle}") == [first, second]
    assert subjects(f"?until={middle}") == [first]
    assert subjects(f"?subject={first}&action=pool.created&actor={alice}") == [first]
    assert faults(caller.get(f"{EVENTS}?action=pool.painted&since=today")) == {
        "/action": "not_one_of",
        "/since": "wrong_type",
    }


def test_events__another_organisation_sees_none(house: House) -> None:
    pools(house, 1)
    key = issue_key(
        organisation_id=house.charlie.principal.organisation_id,
        name="Charlie's reviews",
        role=Role.MANAGER,
        scopes=[Scope.AUDIT_READ],
    )
    chain_audit_events()
    assert listed(Caller(key)) == []
    assert exported(Caller(key)) == []


@pytest.mark.parametrize("path", [EVENTS, EXPORT, HEADS])
def test_reads__need_scope_role_and_every_pool(house: House, path: str) -> None:
    expect_problem(house.alice.get(path), 403, "scope_missing")
    expect_problem(reviewer(house, role=Role.EDITOR).get(path), 403, "role_too_low")
    expect_problem(reviewer(house, pool_ids=[house.pool.id]).get(path), 403, "pool_not_granted")


@pytest.mark.parametrize(
    "query",
    ["", "&action=pool.changed", "&actor=test", "&subject=7", "&until=2027-01-01T00:00:00Z"],
)
def test_events__are_read_from_an_index(house: House, query: str) -> None:
    audit_steps.entries(house.organisation.id, 500, at=NOON)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_auditevent")
    caller = reviewer(house)
    with CaptureQueriesContext(connection) as statements:
        caller.get(f"{EVENTS}?limit=5{query}")
    (statement,) = [one["sql"] for one in statements if 'FROM "accounts_auditevent"' in one["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Scan" in plan, plan
    assert "Seq Scan" not in plan, plan


def test_export__is_the_chain_and_recorded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "PAGE", 2)
    pools(house, 5)
    chain_audit_events()
    caller = reviewer(house)
    rows = exported(caller)
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5]
    assert audit_log.first_broken(rows) is None
    assert audit_log.first_broken([*rows[:2], *rows[3:]]) == 3
    assert audit_log.first_broken([{**rows[0], "address": "192.0.2.1"}]) == 1
    assert [row["position"] for row in exported(caller, "?after=3")] == [4, 5]
    recorded = AuditEvent.objects.filter(action="export.created").order_by("id")
    assert list(recorded.values_list("data", flat=True)) == [
        {"of": "audit_events", "after": 0},
        {"of": "audit_events", "after": 3},
    ]
    assert faults(caller.get(f"{EXPORT}?after=-1")) == {"/after": "wrong_type"}


def test_export__holds_no_transaction(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_export, "PAGE", 2)
    pools(house, 5)
    chain_audit_events()
    answer = reviewer(house).get(EXPORT)
    lines = iter(answer.streaming_content)
    next(lines)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            " AND datname = current_database()"
        )
        assert cursor.fetchone() == (0,)
    assert len(list(lines)) == 4


def test_heads__verify_by_the_published_key(house: House) -> None:
    audit_steps.entries(house.organisation.id, 3, at=NOON)
    chain_audit_events(at=NOON)
    sign_audit_heads(at=NOON + 2 * DAY)
    newest, oldest = reviewer(house).get(HEADS).json()["data"]
    assert (oldest["day"], newest["day"]) == ("2026-03-01", "2026-03-02")
    assert (oldest["position"], oldest["hash"]) == (3, newest["hash"])
    answer = Client().get("/v1/audit-jwks.json")
    (key,) = signing.keys_from_jwks(answer.json())
    assert answer.json()["keys"][0]["kid"] == oldest["key_id"]
    assert audit_log.is_signed(oldest, key)
    assert audit_log.is_signed(newest, key)
    assert not audit_log.is_signed({**oldest, "position": 2}, key)
    assert not audit_log.is_signed({**oldest, "signature": newest["signature"]}, key)
