"""Test `/v1/certification-claims`: what workers claim, what operators decide, what follows."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.accounts.models import AuditEvent
from apps.base import clock, storage
from apps.matching.services import match_queued
from apps.pools.models import Certification, CertificationClaim
from apps.pools.services import withdraw_claim
from apps.tasks import services as tasks
from apps.tasks.models import StoredFile
from biolayer.errors import ClaimDecided, InvalidInput, NotFound, Unavailable, UnsupportedMedia
from tests.api.expect import expect_problem, expect_unchanged
from tests.claim_steps import PDF, claimed
from tests.factories import House, soon, worker_in

CLAIMS = "/v1/certification-claims"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def files() -> list[str]:
    tasks.delete_due_files(at=soon(minutes=1))
    return [row.path for row in StoredFile.objects.all()]


def test_claim__counts_once_it_is_confirmed(house: House) -> None:
    claim = claimed(house.bob.principal, issuer="Contoso", expires_at=soon(days=9).isoformat())
    house.queued(requirements={"certifications": ["soc-operator"]})
    assert match_queued() == 0
    answer = house.alice.post(f"{CLAIMS}/{claim.id}/confirm")
    assert (answer.status_code, answer.json()["status"]) == (200, "confirmed")
    assert answer.json()["decided_by"] == f"api_key:{house.alice.principal.key_id}"
    held = Certification.objects.get()
    assert (held.code, held.issuer, held.expires_at) == (
        "soc-operator",
        "Contoso",
        claim.expires_at,
    )
    assert match_queued() == 1
    assert len(files()) == 1
    entry = AuditEvent.objects.get(action="certification.confirmed")
    assert (entry.subject_id, entry.data) == (
        str(house.bobs_worker.id),
        {"claim_id": str(claim.id)},
    )


def test_claim__is_rejected_with_a_reason(house: House) -> None:
    claim = claimed(house.bob.principal)
    answer = house.alice.post(f"{CLAIMS}/{claim.id}/reject", {"reason": "Not readable."})
    body = answer.json()
    assert (body["status"], body["reason"]) == ("rejected", "Not readable.")
    assert body["document"]["content_url"] is None
    assert (Certification.objects.count(), files()) == (0, [])
    problem = house.alice.get(f"{CLAIMS}/{claim.id}/document")
    expect_problem(problem, 410, "content_deleted")


@pytest.mark.parametrize("reason", ["", "  ", None, 5, "x" * 1001])
def test_rejection__needs_a_reason(house: House, reason: Any) -> None:
    claim = claimed(house.bob.principal)
    with expect_unchanged():
        answer = house.alice.post(f"{CLAIMS}/{claim.id}/reject", {"reason": reason})
    assert expect_problem(answer, 422)["errors"][0]["pointer"] == "/reason"


@pytest.mark.parametrize("second", ["confirm", "reject"])
def test_decision__is_made_once(house: House, second: str) -> None:
    claim = claimed(house.bob.principal)
    house.alice.post(f"{CLAIMS}/{claim.id}/confirm")
    with expect_unchanged():
        answer = house.alice.post(f"{CLAIMS}/{claim.id}/{second}", {"reason": "Late."})
    expect_problem(answer, 409, "claim_decided")


def test_decision__is_idempotent_by_its_key(house: House) -> None:
    claim = claimed(house.bob.principal)
    key = {"Idempotency-Key": "confirm-1"}
    first = house.alice.post(f"{CLAIMS}/{claim.id}/confirm", **key)
    again = house.alice.post(f"{CLAIMS}/{claim.id}/confirm", **key)
    assert (again.status_code, again.json()) == (200, first.json())


def test_list__is_filtered_and_paged(house: House) -> None:
    _, carol = worker_in(house.pool)
    mine = [claimed(house.bob.principal, f"code-{number}") for number in range(3)]
    hers = claimed(carol.principal)
    house.alice.post(f"{CLAIMS}/{mine[0].id}/confirm")
    listed = house.alice.get(f"{CLAIMS}?limit=2").json()
    assert [row["claim_id"] for row in listed["data"]] == [str(hers.id), str(mine[2].id)]
    rest = house.alice.get(f"{CLAIMS}?limit=2&cursor={listed['next_cursor']}").json()
    assert [row["claim_id"] for row in rest["data"]] == [str(mine[1].id), str(mine[0].id)]
    assert rest["next_cursor"] is None
    pending = house.alice.get(f"{CLAIMS}?status=pending&worker_id={house.bobs_worker.id}").json()
    assert [row["claim_id"] for row in pending["data"]] == [str(mine[2].id), str(mine[1].id)]
    expect_problem(house.alice.get(f"{CLAIMS}?status=open"), 422)
    assert house.charlie.get(CLAIMS).json()["data"] == []


def test_document__is_sent_and_recorded(house: House) -> None:
    claim = claimed(house.bob.principal)
    shown = house.alice.get(f"{CLAIMS}/{claim.id}").json()["document"]
    assert (shown["content_type"], shown["size"]) == ("application/pdf", len(PDF))
    assert shown["sha256"] == hashlib.sha256(PDF).hexdigest()
    answer = house.alice.client.get(shown["content_url"])
    assert b"".join(answer.streaming_content) == PDF
    assert "attachment" in answer["Content-Disposition"]
    assert AuditEvent.objects.filter(action="certificate.read").count() == 1
    expect_problem(house.charlie.get(f"{CLAIMS}/{claim.id}/document"), 404)


def test_claim_of_the_same_code__replaces_the_pending_one(house: House) -> None:
    first = claimed(house.bob.principal)
    house.alice.post(f"{CLAIMS}/{first.id}/confirm")
    claimed(house.bob.principal)
    third = claimed(house.bob.principal, issuer="Contoso")
    statuses = CertificationClaim.objects.order_by("id").values_list("id", "status")
    assert list(statuses) == [(first.id, "confirmed"), (third.id, "pending")]
    assert len(files()) == 2
    house.alice.post(f"{CLAIMS}/{third.id}/confirm")
    assert CertificationClaim.objects.get().id == third.id
    assert Certification.objects.get().issuer == "Contoso"
    assert len(files()) == 1


def test_withdrawn_claim__is_deleted_with_its_document(house: House) -> None:
    bob, at = house.bob.principal, clock.now()
    claim = claimed(bob)
    _, carol = worker_in(house.pool)
    with pytest.raises(NotFound):
        withdraw_claim(actor=carol.principal, claim_id=claim.id, at=at)
    withdraw_claim(actor=bob, claim_id=claim.id, at=at)
    assert (CertificationClaim.objects.count(), files()) == (0, [])
    confirmed = claimed(bob)
    house.alice.post(f"{CLAIMS}/{confirmed.id}/confirm")
    with pytest.raises(ClaimDecided):
        withdraw_claim(actor=bob, claim_id=confirmed.id, at=at)


def test_deleted_worker__leaves_no_document(house: House) -> None:
    claimed(house.bob.principal)
    assert house.alice.delete(f"/v1/workers/{house.bobs_worker.id}").status_code == 204
    assert (CertificationClaim.objects.count(), files()) == (0, [])


def test_claim_with_faults__uses_no_file(house: House) -> None:
    with pytest.raises(InvalidInput) as refused:
        claimed(house.bob.principal, "Not a slug", expires_at="2020-01-01T00:00:00Z")
    found = {fault.pointer: fault.code for fault in refused.value.faults}
    assert found == {"/code": "pattern", "/expires_at": "in_the_past"}
    assert CertificationClaim.objects.count() == 0
    # The pending file is deleted after a day.
    assert StoredFile.objects.get().state == "pending"
    tasks.delete_due_files(at=soon(days=2))
    assert StoredFile.objects.count() == 0


@pytest.mark.parametrize("content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0\1\2"])
def test_document_of_an_unknown_type__is_refused(house: House, content: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        claimed(house.bob.principal, content=content)


def test_file__is_used_once(house: House) -> None:
    bob, at = house.bob.principal, clock.now()
    received = tasks.receive_certificate(actor=bob, file=SimpleUploadedFile("c.pdf", PDF), at=at)
    document = {"code": "first-aid"}
    tasks.claim_certification(actor=bob, received=received, document=document, at=at)
    with pytest.raises(Unavailable):
        tasks.claim_certification(actor=bob, received=received, document=document, at=at)
    row = CertificationClaim.objects.get()
    with storage.open_file(row.path) as file:
        assert file.read() == PDF


def test_confirmed_claim__ends_with_its_certification(house: House) -> None:
    for code in ("soc-operator", "forklift"):
        claim = claimed(house.bob.principal, code)
        house.alice.post(f"{CLAIMS}/{claim.id}/confirm")
    pending = claimed(house.bob.principal, "soc-operator")
    change = {"certifications": [{"code": "forklift"}]}
    assert house.alice.patch(f"/v1/workers/{house.bobs_worker.id}", change).status_code == 200
    left = CertificationClaim.objects.order_by("id")
    assert [(claim.code, claim.status) for claim in left] == [
        ("forklift", "confirmed"),
        ("soc-operator", "pending"),
    ]
    assert left[1].id == pending.id
    assert len(files()) == 2
