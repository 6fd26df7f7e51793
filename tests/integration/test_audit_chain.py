"""Test the audit log's chain: what the drain appends, which heads it signs, what is found."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from apps.accounts.models import AuditChain, AuditEvent, AuditHead, AuditKey
from apps.accounts.selectors import Verified, verify_chain
from apps.accounts.selectors.audit_keys import audit_key_place
from apps.accounts.services import (
    audit_chain,
    chain_audit_events,
    create_organisation,
    sign_audit_heads,
)
from apps.base import crypto
from biolayer import signing
from tests import audit_steps
from tests.factories import House

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def ours(database: None) -> UUID:
    return create_organisation(name="Northwind Verification").id


def chained(organisation_id: UUID, count: int, *, at: datetime = NOON) -> None:
    audit_steps.entries(organisation_id, count, at=at)
    while chain_audit_events(at=at):
        pass


def positions(organisation_id: UUID) -> list[int | None]:
    rows = AuditEvent.objects.filter(organisation_id=organisation_id).order_by("id")
    return list(rows.values_list("position", flat=True))


def verified(organisation_id: UUID) -> Verified:
    return verify_chain(organisation_id=organisation_id)


def found(organisation_id: UUID) -> list[tuple[str, int]]:
    return [(fault.what, fault.position) for fault in verified(organisation_id).faults]


# --- appending ------------------------------------------------------------------------------------


def test_chain__gives_positions_by_organisation_and_batch(
    ours: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_chain, "BATCH", 3)
    theirs = create_organisation(name="Contoso Audits").id
    audit_steps.entries(ours, 7, at=NOON, share=0.1, name="Zoë \u2028 €")
    audit_steps.entries(theirs, 2, at=NOON)
    assert [chain_audit_events(at=NOON) for _ in range(4)] == [2, 1, 1, 0]
    assert (positions(ours), positions(theirs)) == ([1, 2, 3, 4, 5, 6, 7], [1, 2])
    assert (found(ours), found(theirs)) == ([], [])
    assert verified(ours).rows == 7


def test_chain__a_row_that_commits_late_gets_a_later_position(ours: UUID) -> None:
    written, ended = threading.Event(), threading.Event()

    def stand_still() -> None:
        with transaction.atomic():
            audit_steps.entries(ours, 1, at=NOON)
            written.set()
            ended.wait(10)
        connection.close()

    other = threading.Thread(target=stand_still)
    other.start()
    assert written.wait(10)
    chained(ours, 2)
    assert positions(ours) == [1, 2]
    ended.set()
    other.join(10)
    assert positions(ours) == [None, 1, 2]
    assert chain_audit_events(at=NOON) == 1
    assert positions(ours) == [3, 1, 2]
    assert found(ours) == []


def test_chain__two_drains_at_once_append_each_row_once(
    ours: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_chain, "BATCH", 5)
    audit_steps.entries(ours, 200, at=NOON)

    def drain() -> None:
        for _ in range(60):
            chain_audit_events(at=NOON)
        connection.close()

    drains = [threading.Thread(target=drain) for _ in range(3)]
    for each in drains:
        each.start()
    for each in drains:
        each.join(30)
    assert sorted(filter(None, positions(ours))) == list(range(1, 201))
    assert found(ours) == []


def test_chain__an_idle_pass_is_one_statement(ours: UUID) -> None:
    from django.test.utils import CaptureQueriesContext

    chained(ours, 1)
    with CaptureQueriesContext(connection) as statements:
        assert chain_audit_events(at=NOON) == 0
    assert len(statements) == 1


def test_rows__accept_their_position_once_and_nothing_else(ours: UUID) -> None:
    chained(ours, 1)
    for change in ({"actor_id": "mallory"}, {"position": 2}):
        with pytest.raises(IntegrityError, match="append-only"):
            AuditEvent.objects.update(**change)
    with pytest.raises(IntegrityError, match="append-only"):
        AuditEvent.objects.all().delete()


# --- heads ----------------------------------------------------------------------------------------


def heads(organisation_id: UUID) -> list[tuple[str, int]]:
    rows = AuditHead.objects.filter(organisation_id=organisation_id).order_by("day")
    return [(str(head.day), head.position) for head in rows]


def test_heads__are_signed_for_each_day_that_is_over(ours: UUID) -> None:
    chained(ours, 2)
    assert (sign_audit_heads(at=NOON), heads(ours)) == (0, [])
    assert sign_audit_heads(at=NOON + 2 * DAY) == 1
    chained(ours, 3, at=NOON + 3 * DAY)
    assert sign_audit_heads(at=NOON + 4 * DAY) == 1
    assert heads(ours) == [
        ("2026-03-01", 2),
        ("2026-03-02", 2),
        ("2026-03-03", 2),
        ("2026-03-04", 5),
    ]
    assert sign_audit_heads(at=NOON + 4 * DAY) == 0
    result = verified(ours)
    assert (result.faults, result.heads, result.late_days) == ([], 4, ["2026-03-01"])


def test_heads__are_kept_by_a_trigger(ours: UUID) -> None:
    chained(ours, 1)
    sign_audit_heads(at=NOON + DAY)
    with pytest.raises(IntegrityError, match="append-only"):
        AuditHead.objects.update(position=0)
    with pytest.raises(IntegrityError, match="append-only"):
        AuditHead.objects.all().delete()


# --- verification ---------------------------------------------------------------------------------


def tails(organisation_id: UUID, after: int) -> None:
    """Cut off the rows after a position, and move the end of the chain there."""
    with audit_steps.tampering() as cursor:
        cursor.execute(
            "DELETE FROM accounts_auditevent WHERE organisation_id = %s AND position > %s",
            [organisation_id, after],
        )
        cursor.execute(
            "UPDATE accounts_auditchain c SET position = e.position, hash = e.hash"
            " FROM accounts_auditevent e WHERE e.organisation_id = c.organisation_id"
            " AND e.position = %s AND c.organisation_id = %s",
            [after, organisation_id],
        )


def rewritten(organisation_id: UUID, position: int) -> None:
    """Change a row, and hash it and all rows after it again, with the end of the chain."""
    audit_steps.change(organisation_id, position)
    from apps.accounts.audit_facts import COLUMNS, Entry, hash_of

    rows = AuditEvent.objects.filter(organisation_id=organisation_id, position__gte=position)
    with audit_steps.tampering() as cursor:
        before = rows.order_by("position").values_list("prev_hash", flat=True)[0]
        prev_hash = bytes(before or b"")
        for place, *columns in rows.order_by("position").values_list("position", *COLUMNS):
            entry = Entry._make(columns)
            hash_ = hash_of(prev_hash, str(organisation_id), place, entry)
            cursor.execute(
                "UPDATE accounts_auditevent SET prev_hash = %s, hash = %s WHERE id = %s",
                [prev_hash, hash_, entry.id],
            )
            prev_hash = hash_
        cursor.execute("UPDATE accounts_auditchain SET hash = %s", [prev_hash])


def rehashed(organisation_id: UUID, position: int) -> None:
    """Change a row and hash it again, but not the rows after it."""
    audit_steps.change(organisation_id, position)
    from apps.accounts.audit_facts import COLUMNS, Entry, hash_of

    row = AuditEvent.objects.filter(organisation_id=organisation_id, position=position)
    prev_hash, *columns = row.values_list("prev_hash", *COLUMNS)[0]
    hash_ = hash_of(bytes(prev_hash or b""), str(organisation_id), position, Entry._make(columns))
    with audit_steps.tampering() as cursor:
        cursor.execute(
            "UPDATE accounts_auditevent SET hash = %s WHERE id = %s", [hash_, columns[0]]
        )


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (lambda ours: audit_steps.change(ours, 1), [("changed", 1)]),
        (lambda ours: audit_steps.change(ours, 6), [("changed", 6)]),
        (lambda ours: audit_steps.change(ours, 10), [("changed", 10)]),
        (lambda ours: rehashed(ours, 6), [("changed", 6)]),
        (lambda ours: audit_steps.delete(ours, 1), [("missing", 1)]),
        (lambda ours: audit_steps.delete(ours, 6), [("missing", 6)]),
        (lambda ours: audit_steps.delete(ours, 10), [("missing", 10)]),
        (lambda ours: audit_steps.insert(ours, 1), [("inserted", 1), ("inserted", 11)]),
        (lambda ours: audit_steps.insert(ours, 6), [("inserted", 6), ("inserted", 11)]),
        (lambda ours: audit_steps.swap(ours, 3, 8), [("swapped", 3)]),
        (lambda ours: audit_steps.swap(ours, 6, 7), [("swapped", 6)]),
        # Cut off today's rows, yesterday's rows; rewrite today's rows, yesterday's rows.
        (lambda ours: tails(ours, 8), [("end", 8)]),
        (lambda ours: tails(ours, 3), [("end", 3), ("head", 5)]),
        (lambda ours: rewritten(ours, 7), [("end", 10)]),
        (lambda ours: rewritten(ours, 2), [("end", 10), ("head", 5)]),
    ],
)  # fmt: skip
def test_verify__names_the_first_bad_row(
    ours: UUID, tamper: Callable[[UUID], None], expected: list[tuple[str, int]]
) -> None:
    chained(ours, 5)
    chained(ours, 5, at=NOON + DAY)
    sign_audit_heads(at=NOON + DAY)
    assert found(ours) == []
    tamper(ours)
    faults = found(ours)
    # The end and the heads are compared with the rows, where these are the first fault already.
    rows = [fault for fault in faults if fault in expected]
    assert rows == expected, faults


def test_verify__a_removed_or_foreign_head_is_found(ours: UUID) -> None:
    chained(ours, 5)
    sign_audit_heads(at=NOON + 3 * DAY)
    with audit_steps.tampering() as cursor:
        cursor.execute("DELETE FROM accounts_audithead WHERE day = '2026-03-02'")
    assert found(ours) == [("head", 5)]
    with audit_steps.tampering() as cursor:
        cursor.execute("DELETE FROM accounts_audithead WHERE day > '2026-03-01'")
    assert found(ours) == [("head", 5)]


@pytest.mark.parametrize("gone", ["day = '2026-03-01'", "day <= '2026-03-02'", "true"])
def test_verify__removed_first_heads_are_found(ours: UUID, gone: str) -> None:
    chained(ours, 5)
    sign_audit_heads(at=NOON + 3 * DAY)
    with audit_steps.tampering() as cursor:
        cursor.execute(f"DELETE FROM accounts_audithead WHERE {gone}")
    assert found(ours) == [("head", 5)]


def test_verify__a_removed_log_is_found_by_its_heads(ours: UUID) -> None:
    chained(ours, 5)
    sign_audit_heads(at=NOON + 3 * DAY)
    with audit_steps.tampering() as cursor:
        cursor.execute("DELETE FROM accounts_auditevent")
        cursor.execute("DELETE FROM accounts_auditchain")
    assert found(ours) == [("end", 0)]
    chained(ours, 2, at=NOON + 4 * DAY)
    assert ("head", 5) in found(ours)


def test_heads__begin_with_the_day_of_the_first_row(ours: UUID) -> None:
    audit_steps.entries(ours, 1, at=NOON)
    assert chain_audit_events(at=NOON + 2 * DAY) == 1
    assert heads(ours) == [("2026-03-01", 0), ("2026-03-02", 0)]
    assert found(ours) == []


def test_verify__a_key_of_the_attacker_does_not_count(ours: UUID) -> None:
    chained(ours, 5)
    sign_audit_heads(at=NOON + DAY)
    from apps.accounts.audit_facts import END, end_facts
    from biolayer.audit_log import signature_of

    audit_steps.delete(ours, 5)
    private = signing.new_private_key()
    foreign = AuditKey.objects.create(
        sealed=b"whatever the attacker has",
        public=signing.public_key(private),
        created_at=NOON + DAY,
    )
    chain = AuditChain.objects.get()
    row = AuditEvent.objects.get(position=4)
    chain.position, chain.hash, chain.key_id = 4, bytes(row.hash or b""), foreign.id
    chain.signature = signature_of(END, end_facts(chain), private)
    chain.save()
    assert ("end", 4) in found(ours)
    # And nothing is appended to it, which would sign the rest.
    audit_steps.entries(ours, 1, at=NOON)
    assert chain_audit_events(at=NOON + DAY) == 0
    assert AuditEvent.objects.filter(position=None).count() == 1


def test_verify__ranges_in_processes_find_the_same(
    ours: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.accounts.selectors import audit_verification

    monkeypatch.setattr(audit_verification, "RANGE", 7)
    monkeypatch.setattr(audit_verification, "PAGE", 3)
    monkeypatch.setattr(
        audit_verification, "ROWS", audit_verification.ROWS.replace("LIMIT 10000", "LIMIT 3")
    )
    chained(ours, 40)
    assert verify_chain(organisation_id=ours, processes=2).faults == []
    # The last row of a range, and the first one of the next.
    for position in (7, 8, 14, 15, 22, 40):
        with pytest.MonkeyPatch.context():
            audit_steps.change(ours, position)
            results = verify_chain(organisation_id=ours, processes=2).faults
            assert ("changed", position) in [(one.what, one.position) for one in results]
            with audit_steps.tampering() as cursor:
                cursor.execute("UPDATE accounts_auditevent SET actor_id = 'test'")
    assert verify_chain(organisation_id=ours, processes=2).faults == []


def test_verify_audit__exits_with_1_and_continues_when_accepted(ours: UUID) -> None:
    chained(ours, 4)
    assert run_command() == f"{ours} intact: 4 rows, 0 heads, 0 rows not yet in the chain\n"
    tails(ours, 3)
    out, errors = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit", str(ours), stdout=out, stderr=errors)
    assert ended.value.code == 1
    assert f"{ours} position 3: end: the end of the chain" in errors.getvalue()
    audit_steps.entries(ours, 1, at=NOON)
    assert chain_audit_events(at=NOON) == 0
    call_command("verify_audit", str(ours), accept=True, stdout=StringIO())
    assert chain_audit_events(at=NOON) == 1
    ours_in_chain = AuditEvent.objects.filter(organisation_id=ours, position__isnull=False)
    assert ours_in_chain.latest("position").action == "audit_chain.accepted"
    assert found(ours) == []


def run_command() -> str:
    out = StringIO()
    call_command("verify_audit", stdout=out, processes=1)
    return out.getvalue()


def test_key__opens_after_a_change_of_the_encryption_keys(ours: UUID, settings: Any) -> None:
    chained(ours, 1)
    old = settings.ENCRYPTION_KEYS[0]
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), old]
    call_command("reencrypt", stdout=StringIO())
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    key = AuditKey.objects.get()
    assert crypto.unseal(bytes(key.sealed), audit_key_place()).startswith("whsk_")
    chained(ours, 1)
    assert found(ours) == []
    assert AuditKey.objects.count() == 1


@pytest.fixture(autouse=True)
def forgotten_reports() -> Iterator[None]:
    yield
    audit_chain._reported.clear()


def test_existing_services__record_what_they_do(house: House) -> None:
    pool = house.alice.post("/v1/pools", {"name": "Night shift"}).json()
    house.alice.patch(f"/v1/pools/{pool['pool_id']}", {"work_seconds": 60})
    worker = house.alice.post("/v1/workers", {"name": "Wendy Ash"}).json()
    house.alice.patch(f"/v1/workers/{worker['worker_id']}", {"trust_level": 2})
    path = f"/v1/pools/{pool['pool_id']}/members"
    house.alice.post(path, {"worker_id": worker["worker_id"]})
    house.alice.call("DELETE", f"{path}/{worker['worker_id']}")
    house.alice.call("DELETE", f"/v1/workers/{worker['worker_id']}")
    house.alice.call("DELETE", f"/v1/pools/{pool['pool_id']}")
    house.alice.post("/v1/webhook-keys/rotate", {"kind": "v1"})
    task = house.task()
    house.alice.post(f"/v1/tasks/{task.id}/cancel", {"reason": "Wendy called back"})
    rows = AuditEvent.objects.order_by("id")
    assert list(rows.values_list("action", flat=True)) == [
        "pool.created",
        "pool.changed",
        "worker.created",
        "worker.changed",
        "pool_member.added",
        "pool_member.removed",
        "worker.deleted",
        "pool.closed",
        "webhook_key.rotated",
        "task.cancelled",
    ]
    changed = rows.get(action="pool.changed")
    assert (changed.subject_id, changed.data) == (pool["pool_id"], {"fields": ["work_seconds"]})
    assert (changed.actor_kind, changed.actor_id) == ("api_key", house.alice.principal.id)
    assert "Wendy" not in str(list(rows.values()))
