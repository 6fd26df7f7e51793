"""Evidence is sniffed, cleaned, bounded and hashed, and required where the contract says so."""

import hashlib
import io
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from apps.base import clock
from apps.pools.models import Worker
from apps.tasks.models import Evidence, StoredFile
from apps.tasks.services import delete_due_files, upload_evidence
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import JPEG, PDF, PNG, act, image, statuses, upload
from tests.factories import OUTPUT, SCHEMA, House

MIB = 1024 * 1024
WANTS_EVIDENCE = {"schema": SCHEMA, "evidence_required": True}

TYPES = [
    ("photo.png", PNG, "image/png"),
    ("lies.txt", JPEG, "image/jpeg"),
    ("report.pdf", PDF, "application/pdf"),
    ("notes.txt", "Called at 3, caf\u00e9.\n".encode(), "text/plain"),
]


@pytest.mark.parametrize(("name", "content", "sniffed"), TYPES)
def test_evidence__type_is_sniffed_and_hash_recorded(
    house: House, name: str, content: bytes, sniffed: str
) -> None:
    run = house.started()
    answer = upload(house.bob, run, content, name)
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    assert (shown["content_type"], shown["filename"]) == (sniffed, name)
    assert shown["original_sha256"] == hashlib.sha256(content).hexdigest()
    stored = file_of(shown["evidence_id"])
    assert shown["sha256"] == hashlib.sha256(stored).hexdigest()
    assert shown["size"] == len(stored)
    if not sniffed.startswith("image/"):
        assert stored == content


def file_of(evidence_id: str) -> bytes:
    """Return the bytes in the storage."""
    with default_storage.open(Evidence.objects.get(id=evidence_id).path) as file:
        content: bytes = file.read()
        return content


def test_evidence__image_is_stored_without_the_place_it_was_taken_at(house: House) -> None:
    taken = Image.Exif()
    taken[0x010F] = "Mara's telephone"
    taken[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    content = image("JPEG", (30, 20), exif=taken)
    shown = upload(house.bob, house.started(), content, "door.jpg").json()
    stored = file_of(shown["evidence_id"])
    with Image.open(io.BytesIO(stored)) as kept:
        assert (kept.size, dict(kept.getexif())) == ((30, 20), {})
    assert b"Mara" in content
    assert b"Mara" not in stored
    assert shown["original_sha256"] == hashlib.sha256(content).hexdigest()
    assert shown["sha256"] == hashlib.sha256(stored).hexdigest() != shown["original_sha256"]
    assert shown["size"] == len(stored)


def test_evidence__files_are_readable_by_the_service_only(house: House) -> None:
    upload(house.bob, house.started(), PDF)
    path = Path(default_storage.path(Evidence.objects.get().path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "content", [PNG[:40], JPEG[:30], b"GIF89a\1\0\1\0", b"RIFF\x24\0\0\0WEBPVP8L"]
)
def test_evidence__image_that_cannot_be_decoded(house: House, content: bytes) -> None:
    run = house.started()
    with expect_unchanged():
        assert faults(upload(house.bob, run, content)) == {"/file": "unreadable"}


def test_evidence__image_of_too_many_pixels(house: House) -> None:
    run = house.started()
    with expect_unchanged():
        answer = upload(house.bob, run, image("PNG", (30_000, 3_000), "1"))
        assert faults(answer) == {"/file": "too_complex"}


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"msf1"])
def test_evidence__image_whose_metadata_cannot_be_removed(house: House, brand: bytes) -> None:
    run = house.started()
    content = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"miaf"
    with expect_unchanged():
        answer = upload(house.bob, run, content, "door.heic")
        assert "JPEG" in expect_problem(answer, 415, "unsupported_media_type")["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0",
        b"\x7fELF\2\1\1\0",
        b"PK\3\4\x14\0\0\0",
        b"\0\1\2\3\xff\xfe\xfd",
    ],
    ids=["exe", "elf", "zip", "noise"],
)
def test_evidence__type_that_is_not_accepted(house: House, content: bytes) -> None:
    run = house.started()
    with expect_unchanged():
        expect_problem(upload(house.bob, run, content, "photo.png"), 415, "unsupported_media_type")


MARKUP = [
    b"<svg><script>1</script></svg>",
    b"<!DOCTYPE html><html>",
    b"\xef\xbb\xbf \r\n<HTML>",
    b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    b"<!-- a comment --><script>1</script>",
    b"<script\n>1</script>",
    b"<iframe src=x>",
]


@pytest.mark.parametrize("content", MARKUP)
@pytest.mark.parametrize("name", ["page.html", "photo.png"])
def test_evidence__markup_is_refused(house: House, content: bytes, name: str) -> None:
    run = house.started()
    with expect_unchanged():
        expect_problem(upload(house.bob, run, content, name), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content", [b"< 5 minutes", b"<aside> no tag of theirs", b"They sent <script>1</script>."]
)
def test_evidence__text_with_an_angle_bracket_is_text(house: House, content: bytes) -> None:
    answer = upload(house.bob, house.started(), content, "notes.txt")
    assert (answer.status_code, answer.json()["content_type"]) == (201, "text/plain")


def test_evidence__as_large_as_it_may_be(house: House) -> None:
    run = house.started()
    assert upload(house.bob, run, PNG.ljust(10 * MIB, b"\0")).status_code == 201


@pytest.mark.parametrize("size", [10 * MIB + 1, 11 * MIB])
def test_evidence__too_large(house: House, size: int) -> None:
    run = house.started()
    with expect_unchanged():
        expect_problem(upload(house.bob, run, PNG.ljust(size, b"\0")), 413, "too_large")


def test_evidence__twenty_and_no_more(house: House) -> None:
    run = house.started()
    answers = [upload(house.bob, run, PNG) for _ in range(20)]
    assert [answer.status_code for answer in answers] == [201] * 20
    with expect_unchanged():
        assert list(faults(upload(house.bob, run, PNG))) == ["/file"]


BAD_FORMS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["/epoch", "/file"]),
    ({"epoch": "1"}, ["/file"]),
    ({"epoch": "1", "file": "a text, no file"}, ["/file"]),
    ({"epoch": "1", "file": io.BytesIO(b"")}, ["/file"]),
    ({"epoch": "", "file": io.BytesIO(PNG)}, ["/epoch"]),
    ({"epoch": "\u0661", "file": io.BytesIO(PNG)}, ["/epoch"]),
    ({"epoch": "0", "file": io.BytesIO(PNG)}, ["/epoch"]),
    ({"epoch": str(2**31), "file": io.BytesIO(PNG)}, ["/epoch"]),
    ({"epoch": "9" * 30, "file": io.BytesIO(PNG)}, ["/epoch"]),
    ({"epoch": "1", "file": [io.BytesIO(PNG), io.BytesIO(PNG)]}, ["/file"]),
]


@pytest.mark.parametrize(("form", "pointers"), BAD_FORMS)
def test_evidence__form_is_incomplete(
    house: House, form: dict[str, Any], pointers: list[str]
) -> None:
    run = house.started()
    with expect_unchanged():
        answer = house.bob.client.post(
            f"/v1/runs/{run.id}/evidence",
            form,
            headers={"Authorization": f"Bearer {house.bob.key}"},
        )
    assert sorted(faults(answer)) == pointers


def test_evidence__json_is_not_a_form(house: House) -> None:
    run = house.started()
    with expect_unchanged():
        expect_problem(act(house.bob, run, "evidence"), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\r\nb.png", "n" * 5000 + ".png", "\u202egnp"]
)
def test_evidence__hostile_name_leads_nowhere(house: House, name: str) -> None:
    run = house.started()
    answer = upload(house.bob, run, PNG, name)
    assert answer.status_code in (201, 422), answer.content
    if answer.status_code == 201:
        (kept,) = Evidence.objects.all()
        assert "/" not in kept.filename
        assert not {"\r", "\n"} & set(kept.filename)
        assert ".." not in kept.path


def test_evidence__is_needed_if_the_contract_requires_it(house: House) -> None:
    run = house.started(output=WANTS_EVIDENCE)
    with expect_unchanged():
        answer = act(house.bob, run, "submit", output=OUTPUT)
    assert faults(answer) == {"/evidence": "required"}
    evidence_id = upload(house.bob, run, PNG).json()["evidence_id"]
    answer = act(house.bob, run, "submit", output=OUTPUT, evidence=[evidence_id])
    assert answer.status_code == 200
    assert statuses(run.task_id) == ("submitted", "completed")


def test_evidence__of_another_run_does_not_count(house: House) -> None:
    Worker.objects.update(capacity=2)
    first = house.started(output=WANTS_EVIDENCE)
    other_id = upload(house.bob, first, PNG).json()["evidence_id"]
    second = house.started(output=WANTS_EVIDENCE)
    with expect_unchanged():
        answer = act(house.bob, second, "submit", output=OUTPUT, evidence=[other_id])
    assert list(faults(answer)) == ["/evidence/0"]


@pytest.mark.parametrize("evidence", ["x", ["x"], [5], {"0": "x"}, ["0" * 36] * 21])
def test_evidence__ids_of_a_submission_are_checked(house: House, evidence: Any) -> None:
    run = house.started()
    with expect_unchanged():
        answer = act(house.bob, run, "submit", output=OUTPUT, evidence=evidence)
    assert all(pointer.startswith("/evidence") for pointer in faults(answer))


def test_evidence__is_removed_before_submitting(house: House) -> None:
    run = house.started()
    evidence_id = upload(house.bob, run, PDF).json()["evidence_id"]
    path = f"/v1/runs/{run.id}/evidence/{evidence_id}"
    assert house.bob.delete(f"{path}?epoch={run.epoch}").status_code == 204
    assert not Evidence.objects.exists()
    assert [file.state for file in StoredFile.objects.all()] == ["doomed"]
    assert delete_due_files() == 1
    assert not StoredFile.objects.exists()
    expect_problem(house.bob.delete(f"{path}?epoch={run.epoch}"), 404, "not_found")
    answer = act(house.bob, run, "submit", output=OUTPUT, evidence=[evidence_id])
    assert faults(answer) == {"/evidence/0": "unknown_evidence"}


def test_evidence__is_not_removed_by_an_old_epoch(house: House) -> None:
    run = house.started()
    path = f"/v1/runs/{run.id}/evidence/{upload(house.bob, run, PDF).json()['evidence_id']}"
    with expect_unchanged():
        expect_problem(house.bob.delete(f"{path}?epoch={run.epoch + 1}"), 409, "lease_lost")
        expect_problem(house.bob.delete(path), 422, "invalid_input")


def test_evidence__is_not_removed_after_submitting(house: House) -> None:
    run = house.started()
    evidence_id = upload(house.bob, run, PDF).json()["evidence_id"]
    act(house.bob, run, "submit", output=OUTPUT, evidence=[evidence_id])
    path = f"/v1/runs/{run.id}/evidence/{evidence_id}?epoch={run.epoch}"
    with expect_unchanged():
        expect_problem(house.bob.delete(path), 409, "lease_lost")


def test_upload__of_the_same_file_is_one_file(house: House) -> None:
    """A sender whose connection broke sends again; the file may have arrived, or not."""
    run = house.started()

    def send(name: str, content: bytes) -> Evidence:
        return upload_evidence(
            actor=house.bob.principal,
            run_id=run.id,
            epoch=run.epoch,
            file=SimpleUploadedFile(name, content),
            at=clock.now(),
        )

    first, again = send("door.jpg", JPEG), send("door.jpg", JPEG)
    assert first.id == again.id
    assert send("door.jpg", PNG).id != first.id
    assert send("gate.jpg", JPEG).id != first.id
    assert Evidence.objects.count() == StoredFile.objects.filter(state="kept").count() == 3
