"""Callers read evidence once its output is verified, by their credential or by a short link."""

import io
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from apps.accounts.models import (
    AuditEvent,
)
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.matching.services import match_queued
from apps.pools.services import provision_pool
from apps.reviews.services import verify_submitted
from apps.tasks import services
from apps.tasks.models import Evidence, Run
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.steps import PDF, PNG, act, upload
from tests.factories import OUTPUT, Caller, House, worker_in

TEXT = b"Called at 3, no answer; called at 4, reached the owner.\n"


def key(house: House, *scopes: Scope, **more: Any) -> Caller:
    made = issue_key(organisation_id=house.organisation.id, name="Reader", scopes=scopes, **more)
    return Caller(made)


def uploaded(house: House, run: Run, content: bytes = TEXT, name: str = "notes.txt") -> str:
    answer = upload(house.bob, run, content, name)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["evidence_id"])


def verified(house: House, content: bytes = TEXT, name: str = "notes.txt") -> str:
    """Return evidence of a verified output."""
    run = house.started()
    evidence_id = uploaded(house, run, content, name)
    assert act(house.bob, run, "submit", output=OUTPUT, evidence=[evidence_id]).status_code == 200
    assert verify_submitted() == 1
    return evidence_id


def link_to(caller: Caller, evidence_id: str) -> str:
    return str(caller.get(f"/v1/evidence/{evidence_id}").json()["content_url"])


def got(answer: Any) -> Any:
    """Return a response with its content read as `sent`: one that is not read stays open."""
    if answer.streaming:
        answer.sent = b"".join(answer.streaming_content)
        answer.close()
    return answer


def body(answer: Any) -> bytes:
    sent: bytes = got(answer).sent
    return sent


def reads() -> list[tuple[str, str, str]]:
    """Return who read which file."""
    rows = AuditEvent.objects.filter(action="evidence.read").order_by("id")
    return [(row.actor_kind, row.actor_id, row.subject_id) for row in rows]


# --- what is shown, and when ----------------------------------------------------------------------


def test_evidence__is_described(house: House) -> None:
    run = house.started()
    evidence_id = uploaded(house, run)
    act(house.bob, run, "submit", output=OUTPUT, evidence=[evidence_id])
    verify_submitted()
    row = Evidence.objects.get()
    shown = house.alice.get(f"/v1/evidence/{evidence_id}").json()
    assert shown.pop("content_url").startswith(f"/v1/evidence/{evidence_id}/content?access=")
    assert shown.pop("content_url_expires_at")
    assert shown.pop("created_at")
    assert shown == {
        "evidence_id": evidence_id,
        "task_id": str(run.task_id),
        "run_id": str(run.id),
        "worker_id": str(house.bobs_worker.id),
        "filename": "notes.txt",
        "content_type": "text/plain",
        "size": len(TEXT),
        "sha256": bytes(row.sha256).hex(),
        "original_sha256": bytes(row.sha256).hex(),
        "submitted": True,
        "verified": True,
        "purged_at": None,
    }
    listed = house.alice.get(f"/v1/tasks/{run.task_id}/evidence").json()
    assert [one["evidence_id"] for one in listed["data"]] == [evidence_id]


def test_evidence__is_hidden_until_its_output_is_verified(house: House) -> None:
    run = house.started()
    evidence_id, left_out = uploaded(house, run), uploaded(house, run)
    reviewer = key(house, Scope.EVIDENCE_READ, Scope.EVIDENCE_UNVERIFIED)
    path, listed = f"/v1/evidence/{evidence_id}", f"/v1/tasks/{run.task_id}/evidence"

    def expect(*visible: str) -> None:
        assert [one["evidence_id"] for one in house.alice.get(listed).json()["data"]] == [*visible]
        everything = reviewer.get(listed).json()["data"]
        assert [one["evidence_id"] for one in everything] == [evidence_id, left_out]
        assert {one["evidence_id"] for one in everything if one["verified"]} == {*visible}

    def expect_hidden(url: str) -> None:
        with expect_unchanged():
            answer = expect_problem(house.alice.get(url), 403, "scope_missing")
            assert answer["scope"] == "evidence:unverified"

    expect()
    act(house.bob, run, "submit", output=OUTPUT, evidence=[evidence_id])
    expect()
    expect_hidden(path)
    expect_hidden(f"{path}/content")
    assert got(reviewer.get(f"{path}/content")).status_code == 200
    assert verify_submitted() == 1
    expect(evidence_id)
    assert house.alice.get(path).status_code == 200
    assert got(house.alice.get(f"{path}/content")).status_code == 200
    # What the submission does not name is not verified with it.
    expect_hidden(f"/v1/evidence/{left_out}")
    assert reviewer.get(f"/v1/evidence/{left_out}").json()["submitted"] is False


def test_evidence__of_an_earlier_attempt_is_not_verified(house: House) -> None:
    first = house.started()
    earlier = uploaded(house, first)
    services.fail_run(
        actor=house.bob.principal, run_id=first.id, epoch=first.epoch, error="no", at=clock.now()
    )
    # Not even if its submission named it, as that of an output which a reviewer refused does.
    Run.objects.filter(id=first.id).update(status="completed")
    Evidence.objects.update(is_submitted=True)
    assert match_queued() == 1
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    house.bob.post(f"/v1/offers/{offer['offer_id']}/accept")
    second = Run.objects.get(task_id=first.task_id, attempt=2)
    act(house.bob, second, "start")
    later = uploaded(house, second)
    act(house.bob, second, "submit", output=OUTPUT, evidence=[later])
    assert verify_submitted() == 1
    listed = house.alice.get(f"/v1/tasks/{first.task_id}/evidence").json()["data"]
    assert [one["evidence_id"] for one in listed] == [later]
    expect_problem(house.alice.get(f"/v1/evidence/{earlier}"), 403, "scope_missing")


def test_evidence__unverified_needs_the_role_as_well(house: House) -> None:
    run = house.started()
    evidence_id = uploaded(house, run)
    viewer = key(house, Scope.EVIDENCE_READ, Scope.EVIDENCE_UNVERIFIED, role=Role.VIEWER)
    assert viewer.get(f"/v1/tasks/{run.task_id}/evidence").json()["data"] == []
    expect_problem(viewer.get(f"/v1/evidence/{evidence_id}"), 403, "role_too_low")


def test_worker__sees_the_evidence_of_its_own_runs(house: House) -> None:
    run = house.started()
    evidence_id = uploaded(house, run)
    path = f"/v1/runs/{run.id}/evidence"
    (shown,) = house.bob.get(path).json()["data"]
    assert (shown["evidence_id"], shown["verified"]) == (evidence_id, False)
    assert body(Client().get(shown["content_url"])) == TEXT
    assert reads() == [("worker", str(house.bobs_worker.id), evidence_id)]
    _, dora = worker_in(house.pool)
    expect_problem(dora.get(path), 404, "not_found")
    expect_problem(house.bob.get(f"/v1/evidence/{evidence_id}"), 403, "scope_missing")


def test_list__is_paged(house: House) -> None:
    run = house.started()
    ids = [uploaded(house, run) for _ in range(5)]
    reviewer = key(house, Scope.EVIDENCE_READ, Scope.EVIDENCE_UNVERIFIED)
    path, seen, cursor = f"/v1/tasks/{run.task_id}/evidence?limit=2", [], ""
    while cursor is not None:
        page = reviewer.get(path + (f"&cursor={cursor}" if cursor else "")).json()
        seen += [one["evidence_id"] for one in page["data"]]
        cursor = page["next_cursor"]
    assert seen == ids


# --- how it is served -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "content_type", "disposition"),
    [
        (PDF, "call log.pdf", "application/pdf", 'attachment; filename="call log.pdf"'),
        (TEXT, "page.html", "text/plain; charset=utf-8", 'attachment; filename="page.html.txt"'),
        (PNG, "Tür.png", "image/png", "attachment; filename*=utf-8''T%C3%BCr.png"),
        (PNG, 'a"b\r\nX-Evil: 1.png', "image/png", 'attachment; filename="a_bX-Evil_ 1.png"'),
    ],
)
def test_content__is_never_shown_by_a_browser(
    house: House, content: bytes, name: str, content_type: str, disposition: str
) -> None:
    evidence_id = verified(house, content, name)
    for answer in (
        house.alice.get(f"/v1/evidence/{evidence_id}/content"),
        Client().get(link_to(house.alice, evidence_id)),
    ):
        assert answer.status_code == 200
        assert answer["Content-Type"] == content_type
        assert answer["Content-Disposition"].startswith(disposition.partition(";")[0])
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer["Cache-Control"] == "private, no-store"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert "X-Evil" not in answer
        assert not answer.cookies
        sent = body(answer)
        assert int(answer["Content-Length"]) == len(sent)
        if not content_type.startswith("image/"):
            assert sent == content
            assert answer["Content-Disposition"] == disposition


LARGE = b"0123456789abcdef" * 20_000


def test_content__is_sent_in_chunks(house: House) -> None:
    answer = house.alice.get(f"/v1/evidence/{verified(house, LARGE)}/content")
    chunks = list(answer.streaming_content)
    answer.close()
    assert max(map(len, chunks)) <= 64 * 1024
    assert b"".join(chunks) == LARGE


@pytest.mark.parametrize(
    ("asked", "first", "after"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=319990-", 319_990, 320_000),
        ("bytes=-5", 319_995, 320_000),
        ("bytes=5-999999999", 5, 320_000),
        ("bytes=-999999999", 0, 320_000),
    ],
)
def test_range__is_a_part(house: House, asked: str, first: int, after: int) -> None:
    path = f"/v1/evidence/{verified(house, LARGE)}/content"
    answer = house.alice.get(path, Range=asked)
    assert answer.status_code == 206
    assert answer["Content-Range"] == f"bytes {first}-{after - 1}/320000"
    assert int(answer["Content-Length"]) == after - first
    assert body(answer) == LARGE[first:after]


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=-", "bytes=5-4", "bytes=\u0661-", "x"]
)
def test_range__of_another_form_is_ignored(house: House, asked: str) -> None:
    answer = house.alice.get(f"/v1/evidence/{verified(house)}/content", Range=asked)
    assert (answer.status_code, body(answer)) == (200, TEXT)


@pytest.mark.parametrize("asked", ["bytes=56-", "bytes=999-1000", "bytes=-0"])
def test_range__that_is_not_in_the_file(house: House, asked: str) -> None:
    assert len(TEXT) == 56
    answer = house.alice.get(f"/v1/evidence/{verified(house)}/content", Range=asked)
    expect_problem(answer, 416, "range_not_satisfiable")
    assert answer["Content-Range"] == "bytes */56"


def test_range__of_the_same_file_only(house: House) -> None:
    path = f"/v1/evidence/{verified(house)}/content"
    etag = got(house.alice.get(path))["ETag"]
    part = {"Range": "bytes=0-3"}
    assert body(house.alice.get(path, **part, **{"If-Range": etag})) == TEXT[:4]
    assert body(house.alice.get(path, **part, **{"If-Range": '"other"'})) == TEXT


def test_head__has_no_body(house: House) -> None:
    answer = house.alice.call("HEAD", f"/v1/evidence/{verified(house)}/content")
    assert (answer.status_code, answer["Content-Length"]) == (200, "56")
    assert body(answer) == b""


def test_content__that_the_storage_lost_is_unavailable(house: House) -> None:
    evidence_id = verified(house)
    default_storage.delete(Evidence.objects.get().path)
    with expect_unchanged():
        answer = house.alice.get(f"/v1/evidence/{evidence_id}/content")
        expect_problem(answer, 503, "unavailable")


def test_content__that_was_purged_is_gone(house: House) -> None:
    evidence_id = verified(house)
    link = link_to(house.alice, evidence_id)
    row = Evidence.objects.select_related("run").get()
    assert services.purge_files(task_ids=[row.run.task_id], at=clock.now()) == 1
    for answer in (house.alice.get(f"/v1/evidence/{evidence_id}/content"), Client().get(link)):
        expect_problem(answer, 410, "content_deleted")
    shown = house.alice.get(f"/v1/evidence/{evidence_id}").json()
    assert (shown["filename"], shown["content_url"]) == ("", None)
    assert shown["purged_at"]
    assert shown["sha256"] == bytes(row.sha256).hex()


# --- who read it ----------------------------------------------------------------------------------


def test_content__each_read_is_recorded(house: House) -> None:
    evidence_id = verified(house)
    link = link_to(house.alice, evidence_id)
    house.alice.get(f"/v1/evidence/{evidence_id}")
    assert reads() == []
    got(Client().get(link))
    got(Client().get(link))
    got(house.alice.get(f"/v1/evidence/{evidence_id}/content"))
    assert reads() == [("api_key", house.alice.principal.id, evidence_id)] * 3
    row = AuditEvent.objects.first()
    assert row is not None
    assert row.data == {"task_id": str(Evidence.objects.get().run.task_id)}
    assert row.address == "127.0.0.1"


# --- pools ----------------------------------------------------------------------------------------


def test_pools__of_the_credential_hold(house: House) -> None:
    run = house.started(requirements={"worker_pool_id": str(house.pool.id)})
    evidence_id = uploaded(house, run)
    act(house.bob, run, "submit", output=OUTPUT, evidence=[evidence_id])
    verify_submitted()
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    ours = key(house, Scope.EVIDENCE_READ, pool_ids=[house.pool.id])
    theirs = key(house, Scope.EVIDENCE_READ, pool_ids=[other.id])
    for path in (
        f"/v1/tasks/{run.task_id}/evidence",
        f"/v1/evidence/{evidence_id}",
        f"/v1/evidence/{evidence_id}/content",
    ):
        assert got(ours.get(path)).status_code == 200
        with expect_unchanged():
            expect_problem(theirs.get(path), 404, "not_found")


def test_upload__is_read_as_it_was_sent(house: House) -> None:
    """A file above the size at which Django moves uploads to disk."""
    content = b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(5 * 1024 * 1024)
    answer = house.alice.get(f"/v1/evidence/{verified(house, content, 'a.webm')}/content")
    assert answer["Content-Type"] == "video/webm"
    assert io.BytesIO(body(answer)).getvalue() == content
