"""Tell the members of a pool something: `/v1/pools/{id}/notes`, the portal, and notices."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.notices.models import Notice
from apps.pools.models import NoteDismissal, PoolNote, Worker
from apps.pools.selectors import worker_fingerprints
from apps.pools.services import provision_pool, provision_worker
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import Caller, House
from tests.notice_steps import choose_notices, send_all
from tests.portal.steps import EMAIL, Desk, desk_of
from tests.portal.test_home import statements

NOTES = [Scope.POOLS_READ, Scope.POOLS_MANAGE]


@pytest.fixture
def bob(house: House) -> Desk:
    return desk_of(house)


def posted(house: House, text: str = "The hotline is closed today.", **body: Any) -> dict[str, Any]:
    answer = house.alice.post(f"/v1/pools/{house.pool.id}/notes", {"text": text, **body})
    assert answer.status_code == 201, answer.content
    note: dict[str, Any] = answer.json()
    return note


def test_note__is_listed_and_deleted_and_recorded(house: House) -> None:
    path = f"/v1/pools/{house.pool.id}/notes"
    first, second = posted(house), posted(house, "Back again.", expires_at="2999-01-01T00:00:00Z")
    assert house.alice.get(path).json()["data"] == [second, first]
    assert house.alice.delete(f"{path}/{first['note_id']}").status_code == 204
    assert house.alice.get(path).json()["data"] == [second]
    expect_problem(house.alice.delete(f"{path}/{first['note_id']}"), 404, "not_found")
    rows = AuditEvent.objects.filter(action__startswith="pool_note.").order_by("id")
    assert list(rows.values_list("action", "subject_id", "data")) == [
        ("pool_note.created", first["note_id"], {"pool_id": str(house.pool.id)}),
        ("pool_note.created", second["note_id"], {"pool_id": str(house.pool.id)}),
        ("pool_note.deleted", first["note_id"], {"pool_id": str(house.pool.id)}),
    ]


def test_note__repeated_by_its_idempotency_key_is_one(house: House) -> None:
    path = f"/v1/pools/{house.pool.id}/notes"
    for _ in range(2):
        answer = house.alice.post(path, {"text": "Once."}, **{"Idempotency-Key": "n-1"})
        assert answer.status_code == 201
    assert PoolNote.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/text": "required"}),
        ({"text": " "}, {"/text": "blank"}),
        ({"text": "x" * 1001}, {"/text": "too_long"}),
        ({"text": "x", "expires_at": "2020-01-01T00:00:00Z"}, {"/expires_at": "in_the_past"}),
    ],
)
def test_note__with_faults_is_refused(
    house: House, body: dict[str, Any], expected: dict[str, str]
) -> None:
    with expect_unchanged():
        answer = house.alice.post(f"/v1/pools/{house.pool.id}/notes", body)
        assert faults(answer) == expected


def test_note__to_a_closed_pool_or_another_one_is_refused(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Other")
    key = issue_key(
        organisation_id=house.organisation.id, name="P", pool_ids=[house.pool.id], scopes=NOTES
    )
    answer = Caller(key).post(f"/v1/pools/{other.id}/notes", {"text": "x"})
    expect_problem(answer, 404, "not_found")
    house.alice.delete(f"/v1/pools/{other.id}")
    answer = house.alice.post(f"/v1/pools/{other.id}/notes", {"text": "x"})
    expect_problem(answer, 409, "pool_closed")
    assert not PoolNote.objects.exists()


def test_portal__shows_notes_until_they_expire_or_are_dismissed(house: House, bob: Desk) -> None:
    note, other = posted(house, "Closed <today>."), posted(house, "And tomorrow.")
    elsewhere = provision_pool(organisation_id=house.organisation.id, name="Other")
    house.alice.post(f"/v1/pools/{elsewhere.id}/notes", {"text": "For others."})
    text = bob.text()
    assert "Notes to your pools And tomorrow." in text
    assert "Closed <today>. Front desk" in text
    assert "For others." not in text
    for _ in range(2):
        assert bob.post(f"/portal/notes/{note['note_id']}/dismiss/").status_code == 302
    assert "Closed" not in bob.text()
    PoolNote.objects.filter(id=other["note_id"]).update(expires_at=clock.now())
    assert "Notes to your pools" not in bob.text()
    assert NoteDismissal.objects.count() == 1


def test_portal__dismisses_no_note_that_is_not_shown(house: House, bob: Desk) -> None:
    elsewhere = provision_pool(organisation_id=house.organisation.id, name="Other")
    body = {"text": "For others."}
    note = house.alice.post(f"/v1/pools/{elsewhere.id}/notes", body).json()
    for note_id in (note["note_id"], uuid4()):
        assert bob.post(f"/portal/notes/{note_id}/dismiss/").status_code == 404
    assert not NoteDismissal.objects.exists()


def test_portal__costs_no_further_statement(house: House, bob: Desk) -> None:
    before = len(statements(bob))
    for _ in range(12):
        posted(house)
    sent = statements(bob)
    assert len(sent) == before <= 6, sent
    assert bob.text().count("The hotline is closed today.") == 10


def test_stream__learns_of_a_note_by_the_fingerprint(house: House, bob: Desk) -> None:
    def fingerprint() -> str:
        return worker_fingerprints([bob.worker.id])[bob.worker.id]

    before = fingerprint()
    note = posted(house)
    shown = fingerprint()
    assert shown != before
    bob.post(f"/portal/notes/{note['note_id']}/dismiss/")
    assert fingerprint() == before


def test_notice__is_sent_to_members_who_want_messages(house: House, bob: Desk) -> None:
    choose_notices(house.bob.principal, by_email=True)
    posted(house, "The hotline is closed.\nCall the desk.")
    assert send_all() == 2
    (sent,) = mail.outbox
    subject = "A note to your pool: The hotline is closed. Call the desk."
    assert (sent.to, sent.subject) == ([EMAIL], subject)
    assert "The hotline is closed. Call the desk.\n" in sent.body


def test_notice__is_not_sent_where_it_is_not_wanted_or_no_more_true(
    house: House, bob: Desk
) -> None:
    choose_notices(house.bob.principal, by_email=True, messages=False)
    posted(house)
    assert not Notice.objects.exists()
    choose_notices(house.bob.principal, by_email=True)
    deleted, dismissed, expired = (posted(house, text) for text in "abc")
    house.alice.delete(f"/v1/pools/{house.pool.id}/notes/{deleted['note_id']}")
    bob.post(f"/portal/notes/{dismissed['note_id']}/dismiss/")
    at = clock.now() - timedelta(seconds=1)
    PoolNote.objects.filter(id=expired["note_id"]).update(expires_at=at)
    assert send_all() == 3
    assert mail.outbox == []


def test_note__to_many_members_is_as_many_statements(house: House, bob: Desk) -> None:
    def sent() -> int:
        with CaptureQueriesContext(connection) as captured:
            posted(house)
        return len([q for q in captured.captured_queries if "last_used_at" not in q["sql"]])

    choose_notices(house.bob.principal, by_email=True)
    first = sent()
    for number in range(30):
        worker = provision_worker(pools=[house.pool], name=f"W{number}")
        Worker.objects.filter(id=worker.id).update(presence="available")
    assert sent() == first
