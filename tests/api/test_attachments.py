"""Callers send files for workers, and contracts name them in `context.attachments`."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.pools.services import provision_pool
from apps.tasks import services
from apps.tasks.models import Attachment, StoredFile, Task, TaskAttachment
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import PDF, image
from tests.api.test_evidence_reading import body
from tests.factories import Caller, House, contract

NOTE = b"The door is at the back.\n"


def send(caller: Caller, content: bytes = NOTE, name: str = "note.txt", **headers: str) -> Any:
    form = {"file": SimpleUploadedFile(name, content)}
    headers = {"Authorization": f"Bearer {caller.key}", **headers}
    return caller.client.post("/v1/attachments", form, headers=headers)


def sent(caller: Caller, content: bytes = NOTE, name: str = "note.txt") -> str:
    answer = send(caller, content, name)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["attachment_id"])


def naming(*ids: Any, **changes: Any) -> dict[str, Any]:
    return contract(context={"attachments": [*ids]}, **changes)


def key(house: House, *pools: UUID) -> Caller:
    return Caller(
        issue_key(organisation_id=house.organisation.id, name="Some pools", pool_ids=pools)
    )


# --- sending --------------------------------------------------------------------------------------


def test_attachment__is_stored_and_described(house: House) -> None:
    answer = send(house.alice, PDF, "plan.pdf")
    shown = answer.json()
    attachment_id = shown["attachment_id"]
    assert answer["Location"] == f"/v1/attachments/{attachment_id}"
    row = Attachment.objects.get()
    assert (shown["filename"], shown["content_type"], shown["size"]) == (
        "plan.pdf", "application/pdf", len(PDF),
    )  # fmt: skip
    assert shown["sha256"] == shown["original_sha256"] == hashlib.sha256(PDF).hexdigest()
    assert row.created_by == house.alice.principal.text
    due_at = StoredFile.objects.get().due_at
    assert due_at is not None
    assert timedelta(hours=23) < due_at - row.created_at <= timedelta(hours=24)
    found = house.alice.get(f"/v1/attachments/{attachment_id}").json()
    assert {name: found[name] for name in shown} == shown
    assert body(Client().get(found["content_url"])) == PDF
    assert body(house.alice.get(f"/v1/attachments/{attachment_id}/content")) == PDF
    assert AuditEvent.objects.filter(action="attachment.read").count() == 2


def test_attachment__image_is_cleaned(house: House) -> None:
    content = image("JPEG", comment=b"Mara's telephone")
    attachment_id = sent(house.alice, content)
    stored = body(house.alice.get(f"/v1/attachments/{attachment_id}/content"))
    assert b"Mara" in content
    assert b"Mara" not in stored


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 422), (b"MZ\x90\0\3\0", 415), (b"<svg/>", 415), (PDF.ljust(10 * 2**20 + 1), 413)],
    ids=["empty", "exe", "svg", "large"],
)
def test_attachment__is_bounded_like_evidence(house: House, content: bytes, status: int) -> None:
    with expect_unchanged():
        expect_problem(send(house.alice, content), status)


def test_attachment__form_without_a_file(house: House) -> None:
    headers = {"Authorization": f"Bearer {house.alice.key}"}
    with expect_unchanged():
        answer = house.alice.client.post("/v1/attachments", {"other": "1"}, headers=headers)
        assert faults(answer) == {"/file": "required"}


def test_attachment__is_sent_once_for_each_key(house: House) -> None:
    first = send(house.alice, **{"Idempotency-Key": "a-1"})
    with expect_unchanged():
        again = send(house.alice, **{"Idempotency-Key": "a-1"})
        assert again["Idempotency-Replayed"] == "true"
        assert again.json() == first.json()
        other = send(house.alice, PDF, **{"Idempotency-Key": "a-1"})
        expect_problem(other, 422, "idempotency_key_reused")
    assert (Attachment.objects.count(), StoredFile.objects.count()) == (1, 1)


# --- naming ---------------------------------------------------------------------------------------


def test_contract__gives_its_attachments_to_the_worker(house: House) -> None:
    ids = [sent(house.alice, NOTE, "note.txt"), sent(house.alice, PDF, "plan.pdf")]
    answer = house.alice.post("/v1/tasks", naming(*ids))
    assert answer.status_code == 201, answer.content
    assert answer.json()["context"]["attachments"] == ids
    assert set(StoredFile.objects.values_list("state", "due_at")) == {("kept", None)}
    assert house.alice.get(f"/v1/attachments/{ids[0]}").json()["expires_at"] is None
    run = started(house, answer.json()["task_id"])
    for briefing in (run["task"], house.bob.get("/v1/runs").json()["data"][0]["task"]):
        assert [one["attachment_id"] for one in briefing["attachments"]] == ids
        assert [one["filename"] for one in briefing["attachments"]] == ["note.txt", "plan.pdf"]
        assert body(Client().get(briefing["attachments"][1]["content_url"])) == PDF
    reader = AuditEvent.objects.filter(action="attachment.read").latest("id")
    assert (reader.actor_kind, reader.subject_id) == ("worker", ids[1])


def started(house: House, task_id: str) -> Any:
    """Return the run of a task that Bob starts, as he sees it."""
    assert services.queue_created() == 1
    from apps.matching.services import match_queued

    assert match_queued() == 1
    (offer,) = house.bob.get("/v1/offers").json()["data"]
    assert offer["task"]["task_id"] == task_id
    assert len(offer["task"]["attachments"]) == TaskAttachment.objects.count()
    return house.bob.post(f"/v1/offers/{offer['offer_id']}/accept").json()


def test_contract__several_tasks_have_the_same_attachment(house: House) -> None:
    attachment_id = sent(house.alice)
    for _ in range(2):
        assert house.alice.post("/v1/tasks", naming(attachment_id)).status_code == 201
    assert TaskAttachment.objects.count() == 2


def test_contract__with_dependencies_and_attachments(house: House) -> None:
    first = house.task()
    attachment_id = sent(house.alice)
    body_ = naming(attachment_id, depends_on=[str(first.id)])
    assert house.alice.post("/v1/tasks", body_).status_code == 201
    assert TaskAttachment.objects.count() == 1


def test_batch__gives_attachments_to_its_tasks(house: House) -> None:
    shared, own = sent(house.alice), sent(house.alice, PDF)
    unknown = str(uuid4())
    batch = [naming(shared), naming(shared, own), naming(unknown), contract()]
    answer = house.alice.post("/v1/tasks/batch", batch).json()
    assert [one["status"] for one in answer["data"]] == [201, 201, 422, 201]
    assert answer["data"][2]["problem"]["errors"][0]["pointer"] == "/context/attachments/0"
    assert TaskAttachment.objects.count() == 3
    assert set(StoredFile.objects.values_list("state", flat=True)) == {"kept"}


def test_batch__that_is_refused_keeps_no_attachment(house: House) -> None:
    batch = [naming(sent(house.alice)), naming(str(uuid4()))]
    with expect_unchanged("tasks_requirement"):
        assert house.alice.post("/v1/tasks/batch?atomic=true", batch).status_code == 422
        assert house.alice.post("/v1/tasks/batch", batch[1:]).json()["refused"] == 1


def test_contract__that_is_refused_keeps_no_attachment(house: House) -> None:
    refused = naming(sent(house.alice), requirements={"worker_pool_id": str(uuid4())})
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", refused)
        assert list(faults(answer)) == ["/requirements/worker_pool_id"]


def test_contract__sent_again_is_the_same_task(house: House) -> None:
    body_ = naming(sent(house.alice), origin={"request_id": "IR-1"})
    first = house.alice.post("/v1/tasks", body_).json()["task_id"]
    # Even after the attachment has ended with its tasks.
    services.purge_files(task_ids=[UUID(first)], at=clock.now())
    again = house.alice.post("/v1/tasks", body_)
    assert (again.status_code, again.json()["task_id"]) == (200, first)


def test_contract__names_what_it_may_only(house: House) -> None:
    theirs = sent(house.charlie)
    ours = sent(house.alice)
    for ids, expected in [
        ([str(uuid4())], {"/context/attachments/0": "unknown_attachment"}),
        ([ours, theirs], {"/context/attachments/1": "unknown_attachment"}),
        ([ours, ours], {"/context/attachments/1": "duplicate"}),
        ([ours] * 21, {"/context/attachments": "too_long"}),
    ]:
        with expect_unchanged():
            assert faults(house.alice.post("/v1/tasks", naming(*ids))) == expected


@pytest.mark.parametrize(
    "value", [[], ["plan.pdf"], "plan.pdf", {"a": 1}, [5], [str(UUID(int=7)), 5], [UUID(int=7).hex]]
)
def test_contract__a_member_of_another_form_is_the_callers_own(house: House, value: Any) -> None:
    answer = house.alice.post("/v1/tasks", contract(context={"attachments": value}))
    assert (answer.status_code, answer.json()["context"]["attachments"]) == (201, value)
    run = started(house, answer.json()["task_id"])
    assert run["task"]["attachments"] == []


def test_pools__decide_who_names_and_reads(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    front, back, both = key(house, house.pool.id), key(house, other.id), key(
        house, house.pool.id, other.id
    )  # fmt: skip
    attachment_id = sent(front)
    path = f"/v1/attachments/{attachment_id}"
    assert house.alice.get(path).status_code == 200
    assert both.get(path).status_code == 200
    for url in (path, f"{path}/content"):
        expect_problem(back.get(url), 404, "not_found")
    with expect_unchanged():
        assert list(faults(back.post("/v1/tasks", naming(attachment_id)))) == [
            "/context/attachments/0"
        ]
    # A task that a credential sees shows it the attachment, too.
    needs = {"worker_pool_id": str(other.id)}
    assert both.post("/v1/tasks", naming(attachment_id, requirements=needs)).status_code == 201
    assert back.get(path).status_code == 200
    assert sent(house.alice)
    whole = sent(house.alice)
    expect_problem(front.get(f"/v1/attachments/{whole}"), 404, "not_found")


def test_worker__reads_by_its_task_only(house: House) -> None:
    attachment_id = sent(house.alice)
    expect_problem(house.bob.get(f"/v1/attachments/{attachment_id}"), 403, "scope_missing")
    assert Scope.TASKS_READ.value not in house.bob.principal.scopes


def test_attachment__ends_with_its_last_task(house: House) -> None:
    attachment_id = sent(house.alice)
    path = default_storage.path(StoredFile.objects.get().path)
    tasks = [house.alice.post("/v1/tasks", naming(attachment_id)).json()["task_id"] for _ in "ab"]
    services.purge_files(task_ids=[UUID(tasks[0])], at=clock.now())
    assert services.delete_due_files() == 0
    assert house.alice.get(f"/v1/attachments/{attachment_id}").status_code == 200
    services.purge_files(task_ids=[UUID(tasks[1])], at=clock.now())
    assert services.delete_due_files() == 1
    assert (Attachment.objects.count(), StoredFile.objects.count()) == (0, 0)
    assert not default_storage.exists(path)
    assert Task.objects.count() == 2
