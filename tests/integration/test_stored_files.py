"""No file is lost, and none stays: whichever step a process dies at, on disk and in S3."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from django.conf import settings as django_settings
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client, override_settings
from moto.server import ThreadedMotoServer

from apps.base import clock, storage
from apps.base.storage import s3
from apps.tasks import services
from apps.tasks.models import Attachment, Evidence, FileState, StoredFile, TaskAttachment
from biolayer.errors import InvalidInput, Unavailable
from config.settings import storage as storage_settings
from config.settings.environment import Environment
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.steps import PDF, PNG, act, upload
from tests.api.test_attachments import naming, sent
from tests.api.test_evidence_reading import body, verified
from tests.factories import OUTPUT, House

ROOT = Path(__file__).resolve().parents[2]
DAY = timedelta(hours=24, minutes=1)


def exists(path: str) -> bool:
    try:
        storage.open_file(path).close()
    except storage.FileMissing:
        return False
    return True


def received(house: House) -> services.ReceivedFile:
    """Return a file that was stored for an attachment, and is not used."""
    file: Any = SimpleUploadedFile("note.txt", b"A note.")
    return services.receive_attachment(actor=house.alice.principal, file=file, at=clock.now())


# --- the life of a file ---------------------------------------------------------------------------


def test_file__is_kept_as_evidence(house: House) -> None:
    evidence_id = verified(house)
    assert services.delete_due_files(at=clock.now() + DAY) == 0
    assert body(house.alice.get(f"/v1/evidence/{evidence_id}/content"))
    (row,) = StoredFile.objects.all()
    assert (row.state, row.due_at) == (FileState.KEPT, None)
    assert Evidence.objects.get().file_id == row.id


def test_attachment__that_no_task_names_is_deleted_after_a_day(house: House) -> None:
    attachment_id = sent(house.alice)
    path = StoredFile.objects.get().path
    assert services.delete_due_files(at=clock.now() + timedelta(hours=23)) == 0
    assert services.delete_due_files(at=clock.now() + DAY) == 1
    assert not exists(path)
    assert (Attachment.objects.count(), StoredFile.objects.count()) == (0, 0)
    expect_problem(house.alice.get(f"/v1/attachments/{attachment_id}"), 404)


def test_file__of_a_refused_upload_is_deleted_by_the_next_pass(house: House) -> None:
    """The run is lost while the file is stored."""
    run = house.started()
    file: Any = SimpleUploadedFile("note.txt", b"A note.")
    of_run: dict[str, Any] = {
        "actor": house.bob.principal, "run_id": run.id, "epoch": run.epoch, "at": clock.now(),
    }  # fmt: skip
    stored = services.receive_evidence(file=file, **of_run)
    act(house.bob, run, "release")
    with expect_unchanged(), pytest.raises(Exception, match="lease ended"):
        services.add_evidence(received=stored, **of_run)
    services.give_up_file(stored, at=clock.now())
    assert services.delete_due_files() == 1
    assert StoredFile.objects.count() == 0


def test_file__that_was_given_up_cannot_be_used(house: House) -> None:
    run = house.started()
    stored = received(house)
    services.delete_due_files(at=clock.now() + DAY)
    with expect_unchanged(), pytest.raises(Unavailable):
        services.add_evidence(
            actor=house.bob.principal,
            run_id=run.id,
            epoch=run.epoch,
            received=stored,
            at=clock.now(),
        )


def test_receive__refuses_to_work_within_a_transaction(house: House) -> None:
    with transaction.atomic(), pytest.raises(AssertionError):
        received(house)


# --- kill -9 --------------------------------------------------------------------------------------

UPLOAD = """
import os, sys
import django
django.setup()
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {database!r}
from django.core.files.uploadedfile import SimpleUploadedFile
from apps.accounts.selectors import authenticate_key
from apps.base import clock, storage
from apps.tasks import services
from apps.tasks.services import stored_files

def stop(*args):
    print("here", flush=True)
    sys.stdin.read()

if {before!r}:
    stored_files.storage.save = stop  # dies after the row, before the file
file = SimpleUploadedFile("note.txt", b"A note.")
actor = authenticate_key({key!r}).principal
services.receive_attachment(actor=actor, file=file, at=clock.now())
stop()  # dies after the file, before its use
"""


@pytest.mark.parametrize("before", [True, False], ids=["before the file", "after the file"])
def test_kill__between_the_file_and_its_row_leaves_nothing(house: House, *, before: bool) -> None:
    script = UPLOAD.format(
        database=connection.settings_dict["NAME"], key=house.alice.key, before=before
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGKILL)
    (row,) = StoredFile.objects.all()
    assert row.state == FileState.PENDING
    assert exists(row.path) is not before
    assert services.delete_due_files() == 0
    assert services.delete_due_files(at=clock.now() + DAY) == 1
    assert not exists(row.path)
    assert StoredFile.objects.count() == 0


def test_kill__within_a_deletion_is_made_good(house: House) -> None:
    """The file is gone, and its row is not: the next pass finds the row."""
    sent(house.alice)
    row = StoredFile.objects.get()
    at = clock.now() + DAY
    StoredFile.objects.update(state=FileState.DOOMED, due_at=at)
    Attachment.objects.all().delete()
    storage.delete(row.path)
    assert services.delete_due_files(at=at) == 1
    assert StoredFile.objects.count() == 0


# --- two at once ----------------------------------------------------------------------------------


def test_sweep__skips_a_file_that_a_create_is_just_keeping(house: House) -> None:
    attachment_id = UUID(sent(house.alice))
    results: list[int] = []
    with transaction.atomic():
        from apps.tasks.services.attachments import lock_attachments

        assert lock_attachments([attachment_id]) == {attachment_id}
        sweep = threading.Thread(target=lambda: results.append(_sweep()))
        sweep.start()
        sweep.join()
    assert results == [0]
    assert Attachment.objects.count() == 1


def _sweep() -> int:
    try:
        return services.delete_due_files(at=clock.now() + DAY)
    finally:
        connection.close()


def test_create__after_the_sweep_is_refused(house: House) -> None:
    """The check saw the attachment, and the lock does not."""
    from apps.tasks.services.attachments import lock_attachments, require_attachments

    attachment_id = UUID(sent(house.alice))
    _ = services.delete_due_files(at=clock.now() + DAY)
    with transaction.atomic(), pytest.raises(InvalidInput) as refused:
        require_attachments([attachment_id], lock_attachments([attachment_id]))
    assert [fault.pointer for fault in refused.value.faults] == ["/context/attachments/0"]


def test_creates__at_the_same_time_share_new_attachments(house: House) -> None:
    ids = [sent(house.alice) for _ in range(5)]
    statuses: list[int] = []

    def create(order: list[str]) -> None:
        try:
            statuses.append(house.alice.post("/v1/tasks", naming(*order)).status_code)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=create, args=[ids if number % 2 else ids[::-1]])
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [201] * 8
    assert TaskAttachment.objects.count() == 40
    assert set(StoredFile.objects.values_list("state", flat=True)) == {"kept"}


# --- retention ------------------------------------------------------------------------------------


def test_purge__deletes_the_files_and_keeps_the_rest(house: House) -> None:
    run = house.started()
    first = upload(house.bob, run, PDF, "Mara's account.pdf").json()["evidence_id"]
    act(house.bob, run, "submit", output=OUTPUT, evidence=[first])
    before = Evidence.objects.get()
    assert services.purge_files(task_ids=[run.task_id], at=clock.now()) == 1
    after = Evidence.objects.get()
    assert (after.filename, after.file_id) == ("", None)
    assert after.purged_at is not None
    kept = ("id", "run_id", "worker_id", "size", "sha256", "original_sha256", "is_submitted")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert exists(before.path)
    assert services.delete_due_files() == 1
    assert not exists(before.path)
    assert services.purge_files(task_ids=[run.task_id], at=clock.now()) == 0


def test_purge__of_evidence_of_an_earlier_version(house: House) -> None:
    """A row without that of its file, as version 0.2 writes it."""
    run = house.started()
    storage.save("evidence/old", PDF)
    Evidence.objects.create(
        organisation=house.organisation, run=run, worker=house.bobs_worker, filename="a.pdf",
        content_type="application/pdf", size=len(PDF), sha256=bytes(32), path="evidence/old",
        created_at=clock.now(),
    )  # fmt: skip
    listed = house.bob.get(f"/v1/runs/{run.id}/evidence").json()["data"]
    assert listed[0]["original_sha256"] is None
    services.purge_files(task_ids=[run.task_id], at=clock.now())
    assert services.delete_due_files() == 1
    assert not exists("evidence/old")


def test_purge__that_is_rolled_back_deletes_nothing(house: House) -> None:
    verified(house)
    evidence = Evidence.objects.select_related("run").get()
    with expect_unchanged(), transaction.atomic():
        services.purge_files(task_ids=[evidence.run.task_id], at=clock.now())
        transaction.set_rollback(True)
    assert services.delete_due_files() == 0
    assert exists(evidence.path)


# --- S3 -------------------------------------------------------------------------------------------


def environment(**variables: Any) -> Environment:
    return Environment.model_validate(variables)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator["Bucket"]:
    """Provide a bucket of a real server with S3's API on loopback, and store files there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # Its buckets outlive the server in this process, so each test has its own.
    name, endpoint = f"evidence-{uuid4()}", f"http://127.0.0.1:{port}"
    server = serve_s3(port)
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=name)
    settings = storage_settings.storages(
        environment(
            BIOLAYER_S3_BUCKET=name,
            BIOLAYER_S3_PREFIX="live/files",
            BIOLAYER_S3_ENDPOINT=endpoint,
            BIOLAYER_S3_REGION="us-east-1",
            BIOLAYER_S3_ENCRYPTION="AES256",
        )
    )
    try:
        with override_settings(STORAGES={**django_settings.STORAGES, **settings}):
            assert isinstance(storages["default"], s3.BoundedS3Storage)
            yield Bucket(name, client, server)
    finally:
        stop_s3(server)
        client.close()


def serve_s3(port: int) -> ThreadedMotoServer:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    return server


def stop_s3(server: ThreadedMotoServer) -> None:
    """Stop the server, and refuse connections to its port."""
    server.stop()
    assert server._server is not None
    server._server.server_close()


@dataclass
class Bucket:
    name: str
    client: Any
    server: ThreadedMotoServer

    def keys(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return [item["Key"] for item in listed]

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server within the block."""
        stop_s3(self.server)
        yield
        self.server.start()


def test_s3__stores_serves_and_deletes(house: House, bucket: Bucket) -> None:
    evidence_id = verified(house, PDF, "a.pdf")
    row = Evidence.objects.select_related("run").get()
    assert bucket.keys() == [f"live/files/{row.path}"]
    stored = bucket.client.head_object(Bucket=bucket.name, Key=f"live/files/{row.path}")
    assert stored["ServerSideEncryption"] == "AES256"
    path = f"/v1/evidence/{evidence_id}/content"
    assert body(house.alice.get(path)) == PDF
    assert body(house.alice.get(path, Range="bytes=1-3")) == PDF[1:4]
    services.purge_files(task_ids=[row.run.task_id], at=clock.now())
    assert services.delete_due_files() == 1
    assert bucket.keys() == []


def test_s3__missing_object_is_unavailable(house: House, bucket: Bucket) -> None:
    evidence_id = verified(house)
    bucket.client.delete_object(Bucket=bucket.name, Key=bucket.keys()[0])
    expect_problem(house.alice.get(f"/v1/evidence/{evidence_id}/content"), 503, "unavailable")


def test_s3__while_it_is_away_nothing_is_lost(house: House, bucket: Bucket) -> None:
    run = house.started()
    kept = upload(house.bob, run, PDF).json()["evidence_id"]
    (shown,) = house.bob.get(f"/v1/runs/{run.id}/evidence").json()["data"]
    with bucket.away():
        # Uploads and reads are refused, …
        began = time.monotonic()
        expect_problem(upload(house.bob, run, PNG), 503, "unavailable")
        assert time.monotonic() - began < 10
        # … at once, for the next seconds, …
        began = time.monotonic()
        expect_problem(Client().get(shown["content_url"]), 503, "unavailable")
        assert time.monotonic() - began < 0.5
        assert [str(row.id) for row in Evidence.objects.all()] == [kept]
        # … and deletions are kept for later.
        services.purge_files(task_ids=[run.task_id], at=clock.now())
        assert services.delete_due_files() == 0
        states = StoredFile.objects.values_list("state", flat=True)
        assert sorted(states) == [FileState.DOOMED, FileState.PENDING]
    assert len(bucket.keys()) == 1
    time.sleep(s3.PAUSE_SECONDS)
    at = clock.now() + services.stored_files.RETRY + timedelta(seconds=1)
    assert services.delete_due_files(at=at) == 1
    assert bucket.keys() == []
    assert upload(house.bob, run, PNG).status_code == 201


# --- settings -------------------------------------------------------------------------------------


def test_settings__without_a_bucket_files_are_local() -> None:
    backend = storage_settings.storages(environment())["default"]["BACKEND"]
    assert backend == "apps.base.storage.local.LocalStorage"
    assert type(storages["default"]).__name__ == "LocalStorage"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"BIOLAYER_S3_REGION": "eu-west-1"}, "BIOLAYER_S3_REGION"),
        ({"BIOLAYER_S3_BUCKET": "evidence", "BIOLAYER_S3_KMS_KEY": "k"}, "BIOLAYER_S3_KMS_KEY"),
    ],
)
def test_settings__that_contradict_each_other_are_refused(
    variables: dict[str, str], named: str
) -> None:
    with pytest.raises(SystemExit, match=named):
        storage_settings.storages(environment(**variables))


@pytest.mark.parametrize(
    "variables",
    [
        {"BIOLAYER_S3_BUCKET": "Not_A_Bucket"},
        {"BIOLAYER_S3_BUCKET": "ok-bucket", "BIOLAYER_S3_ENDPOINT": "minio:9000"},
        {"BIOLAYER_S3_BUCKET": "ok-bucket", "BIOLAYER_S3_ENDPOINT": "https://minio:9000/path"},
        {"BIOLAYER_S3_BUCKET": "ok-bucket", "BIOLAYER_S3_PREFIX": "/live"},
        {"BIOLAYER_S3_BUCKET": "ok-bucket", "BIOLAYER_S3_ENCRYPTION": "yes"},
    ],
)
def test_settings__are_parsed_strictly(variables: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="BIOLAYER_S3_"):
        environment(**variables)
