"""Evidence is sniffed, bounded and hashed, and required where the contract says so."""

import hashlib
import io
from typing import Any

import pytest

from apps.pools.models import Worker
from apps.tasks.models import Evidence
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import JPEG, PDF, PNG, act, statuses, upload
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
    assert shown["content_type"] == sniffed
    assert shown["sha256"] == hashlib.sha256(content).hexdigest()
    assert (shown["size"], shown["filename"]) == (len(content), name)
    assert Evidence.objects.count() == 1


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


@pytest.mark.parametrize("content", [b"<svg><script>1</script></svg>", b"<!DOCTYPE html><html>"])
def test_evidence__markup_is_stored_as_text(house: House, content: bytes) -> None:
    answer = upload(house.bob, house.started(), content, "page.html")
    assert answer.status_code in (201, 415)
    assert answer.status_code == 415 or answer.json()["content_type"] == "text/plain"


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
