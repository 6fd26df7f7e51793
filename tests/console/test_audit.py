"""Test the audit log in the console: the list, the search, the chain, the files."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.audit import AuditAction
from apps.accounts.scopes import Role
from apps.accounts.services import chain_audit_events, change_role, invite, sign_audit_heads
from apps.accounts.texts import ACTION_TEXTS
from apps.base import clock
from biolayer.audit_log import first_broken
from tests.audit_steps import TABLE, entries, tampering
from tests.console.steps import Console, console_of
from tests.factories import House, admin_key, member_of

JO = "jo@northwind.example"


@pytest.fixture
def mara(house: House) -> Console:
    """Provide a manager."""
    return console_of(house, Role.MANAGER)


def change(house: House) -> Any:
    """Change a member's role, and return the member."""
    member = member_of(house.organisation, JO)
    actor = admin_key(house.organisation).principal
    change_role(actor=actor, member_id=member.id, role=Role.EDITOR, at=clock.now())
    return member


def test_audit__says_who_did_what(
    house: House, mara: Console, django_assert_max_num_queries: Any
) -> None:
    member = change(house)
    with django_assert_max_num_queries(6):
        text = mara.text("accounts/auditevent/")
    assert "Role changed" in text
    assert f"Member {member.id}" in text
    assert "Role editor Role before viewer" in text
    assert "Admin API key" in text


def test_every_action__has_words() -> None:
    missing = set(AuditAction) - set(ACTION_TEXTS)
    assert not missing, "Mend: an entry in ACTION_TEXTS of apps/accounts/texts.py."


def test_audit__is_searched(house: House, mara: Console) -> None:
    member, at = change(house), clock.now()
    actor = admin_key(house.organisation).principal
    invite(actor=actor, email="kim@northwind.example", role=Role.VIEWER, at=at)
    hit = "Role changed"
    path = "accounts/auditevent/?"
    begins = (at - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    for query, is_found in [
        (f"subject={member.id}", True),
        ("action=member.changed", True),
        ("action=invitation.created", False),
        (f"actor={mara.member.id}", False),
        (f"since={begins}", True),
        (f"until={begins}", False),
        ("since=nonsense", True),
        ("after=nonsense", True),
        ("subject=a%00b", True),
    ]:
        answer = mara.get(path + query)
        assert answer.status_code == 200, query
        rows = answer.content.decode().partition("<tbody>")[2]
        assert (hit in rows) == is_found, query


def test_audit__is_paged(house: House, mara: Console) -> None:
    entries(house.organisation.id, 120, at=clock.now())
    seen: list[str] = []
    path = "accounts/auditevent/?action=pool.changed"
    for _ in range(3):
        answer = mara.get(path)
        seen += [one["row"].subject_id for one in answer.context["entries"]]
        following = answer.context["following"]
        path = f"accounts/auditevent/?action=pool.changed&after={following.replace('+', '%2B')}"
    assert following == ""
    assert sorted(map(int, seen)) == list(range(120))


def test_audit__of_others_is_not_shown(house: House, mara: Console) -> None:
    stranger = house.strangers_pool.organisation
    entries(stranger.id, 1, at=clock.now())
    assert "Pool changed" not in mara.text("accounts/auditevent/").partition("Facts")[2]


def test_chain__is_intact_until_it_is_changed(house: House, mara: Console) -> None:
    entries(house.organisation.id, 3, at=clock.now())
    assert "Entries that are not in the chain yet" in mara.text("accounts/auditevent/chain/")
    chain_audit_events()
    sign_audit_heads(at=clock.now() + timedelta(days=1))
    text = mara.text("accounts/auditevent/chain/")
    assert "is what was signed" in text
    assert "not what was signed" not in text
    with tampering() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE position = (SELECT max(position) FROM {TABLE})")
    assert "The chain is not what was signed" in mara.text("accounts/auditevent/chain/")


def test_export__is_verified_elsewhere(house: House, mara: Console) -> None:
    entries(house.organisation.id, 3, at=clock.now())
    chain_audit_events()
    answer = mara.get("accounts/auditevent/export.ndjson")
    assert answer["Content-Disposition"] == 'attachment; filename="audit.ndjson"'
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [one["position"] for one in lines] == list(range(1, len(lines) + 1))
    assert len(lines) >= 3
    assert first_broken(lines) is None
    lines[1]["data"] = {"fields": ["name"]}
    assert first_broken(lines) is not None


def test_export__as_csv_has_no_formulas(house: House, mara: Console) -> None:
    entries(house.organisation.id, 1, at=clock.now())
    with tampering() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET subject_id = '=1+1'")
    chain_audit_events()
    answer = mara.get("accounts/auditevent/export.csv")
    text = b"".join(answer.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["subject_id"] for row in rows} == {"'=1+1"}
    assert "Export made" in mara.text("accounts/auditevent/").partition("Facts")[2]
