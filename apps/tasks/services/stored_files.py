"""Receive, keep, give up and delete stored files.

1. `receive_file` checks a file, re-encodes an image, inserts a pending row that is due in a day,
   and then writes the file. No transaction is open meanwhile.
2. The transaction that uses the file keeps the row (`keep_file`, `changes.attachment_rows`).
3. What nothing uses any more is doomed (`purge_files`), in the transaction that stops using it.
4. `delete_due_files` dooms what is still pending after a day, deletes the files of doomed rows, and
   then the rows. A process that dies between any two of these steps leaves a row that is due.
"""

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import connection

from apps.base import clock, storage
from apps.base.drains import drain
from apps.base.ids import new_id
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.tasks.filenames import stored_filename
from apps.tasks.images.reencoding import FORMATS, reencode
from apps.tasks.models import FileState, StoredFile
from apps.tasks.services.media import ACCEPTED, NOT_CLEANED, is_markup, media_type
from biolayer.errors import Fault, InvalidInput, TooLarge, Unavailable, UnsupportedMedia

logger = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024

# A file that is not used by then is deleted.
UNUSED = timedelta(hours=24)

# When the deletion of a file is tried again.
RETRY = timedelta(minutes=5)
FILES_PER_PASS = 100

# A storage that fails so often is away: the rest is not tried before `RETRY`.
MAX_FAILURES = 3


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """Describe a file in the storage that nothing uses yet."""

    id: UUID
    # Columns of evidence and attachments alike.
    columns: dict[str, Any]


def receive_file(
    *, organisation_id: UUID, folder: str, file: "UploadedFile[bytes]", at: datetime
) -> ReceivedFile:
    """Check and store a file under `folder`, for a transaction to use within a day.

    Raise `TooLarge` beyond 10 MiB, `UnsupportedMedia` for a type that is not accepted,
    `InvalidInput` for an empty file or an image that cannot be decoded, `Unavailable` where the
    storage does not respond.
    """
    assert not connection.in_atomic_block, "it takes seconds"
    original = _read(file)
    content_type = _type_of(original)
    content = reencode(original, content_type) if content_type in FORMATS else original
    file_id = new_id()
    path = f"{folder}/{organisation_id}/{file_id}"
    row = StoredFile(id=file_id, organisation_id=organisation_id, path=path, due_at=at + UNUSED)
    write([Insert(row)])
    storage.save(path, content)
    columns = {
        "filename": stored_filename(file.name or ""),
        "content_type": content_type,
        "size": len(content),
        "sha256": hashlib.sha256(content).digest(),
        "original_sha256": hashlib.sha256(original).digest(),
        "path": path,
    }
    return ReceivedFile(file_id, columns)


def _read(file: "UploadedFile[bytes]") -> bytes:
    file.seek(0)  # The fingerprint of an idempotency key has read it.
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLarge(f"A file has at most {MAX_BYTES} bytes.")
    if not content:
        raise InvalidInput([Fault("/file", "empty", "the file has no content")])
    assert isinstance(content, bytes)
    return content


def _type_of(content: bytes) -> str:
    """Return the type that the bytes show. Raise `UnsupportedMedia` for one that is not stored."""
    detected = media_type(content)
    if detected in NOT_CLEANED:
        raise UnsupportedMedia(
            "HEIC and HEIF are not stored, since the place and time of the picture cannot be"
            " removed from them: send it as a JPEG."
        )
    if detected is None or is_markup(content):
        accepted = ", ".join(sorted({*ACCEPTED} - NOT_CLEANED))
        raise UnsupportedMedia(f"A file is one of: {accepted}; and no HTML, SVG or XML.")
    return detected


def keep_file(file_id: UUID) -> None:
    """Keep a pending file for good. Raise `Unavailable` where it has been given up meanwhile."""
    pending = StoredFile.objects.filter(id=file_id, state=FileState.PENDING)
    if not pending.update(state=FileState.KEPT, due_at=None):
        raise Unavailable("The upload took too long. Send the same request again.")


def doom_file(file_id: UUID, *, at: datetime) -> None:
    """Have a kept file that nothing uses any more deleted, within the caller's transaction."""
    kept = StoredFile.objects.filter(id=file_id, state=FileState.KEPT)
    kept.update(state=FileState.DOOMED, due_at=at)


def give_up_file(received: ReceivedFile, *, at: datetime) -> None:
    """Have a file that nothing uses deleted by the next pass, instead of in a day."""
    StoredFile.objects.filter(id=received.id, state=FileState.PENDING).update(due_at=at)


# --- the end of files -----------------------------------------------------------------------------

# Evidence of version 0.2 or before has no row of its file.
PURGE_EVIDENCE = """
WITH purged AS MATERIALIZED (
    SELECT e.id, e.organisation_id, e.file_id, e.path
    FROM tasks_evidence e JOIN tasks_run r ON r.id = e.run_id
    WHERE r.task_id = ANY(%(task_ids)s) AND e.purged_at IS NULL
    ORDER BY e.id FOR NO KEY UPDATE OF e
), doomed AS (
    UPDATE tasks_storedfile f SET state = 'doomed', due_at = %(at)s
    FROM purged WHERE f.id = purged.file_id
), found AS (
    INSERT INTO tasks_storedfile (id, organisation_id, path, state, due_at)
    SELECT gen_random_uuid(), organisation_id, path, 'doomed', %(at)s
    FROM purged WHERE file_id IS NULL
)
UPDATE tasks_evidence e SET filename = '', file_id = NULL, purged_at = %(at)s
FROM purged WHERE e.id = purged.id
"""
# A create that names one of them locks it, too: it is before this purge, or finds it gone.
LOCK_ATTACHMENTS = """
SELECT a.id FROM tasks_attachment a
WHERE a.id IN (SELECT attachment_id FROM tasks_taskattachment WHERE task_id = ANY(%s))
ORDER BY a.id FOR UPDATE
"""
DETACH = "DELETE FROM tasks_taskattachment WHERE task_id = ANY(%s)"
PURGE_ATTACHMENTS = """
WITH purged AS (
    DELETE FROM tasks_attachment a WHERE a.id = ANY(%s)
        AND NOT EXISTS (SELECT FROM tasks_taskattachment t WHERE t.attachment_id = a.id)
    RETURNING a.file_id
)
UPDATE tasks_storedfile f SET state = 'doomed', due_at = %s FROM purged WHERE f.id = purged.file_id
"""


@atomic()
def purge_files(*, task_ids: Collection[UUID], at: datetime) -> int:
    """Give up the files of some locked tasks. Return how many.

    Within a caller's transaction it takes part in it. Of evidence the names are deleted, and the
    ids, hashes, sizes and times stay. An attachment is deleted with its last task.
    `delete_due_files` deletes the bytes after the commit.
    """
    ids = list(task_ids)
    with connection.cursor() as cursor:
        cursor.execute(PURGE_EVIDENCE, {"task_ids": ids, "at": at})
        count = int(cursor.rowcount)
        cursor.execute(LOCK_ATTACHMENTS, [ids])
        attachment_ids = [row[0] for row in cursor.fetchall()]
        if attachment_ids:
            cursor.execute(DETACH, [ids])
            cursor.execute(PURGE_ATTACHMENTS, [attachment_ids, at])
            count += int(cursor.rowcount)
    return count


CLAIM = """
UPDATE tasks_storedfile SET state = 'doomed', due_at = %s WHERE id IN (
    SELECT id FROM tasks_storedfile WHERE due_at <= %s
    ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
) RETURNING id, path
"""
DELETE_UNUSED = "DELETE FROM tasks_attachment WHERE file_id = ANY(%s)"
DELETE = "DELETE FROM tasks_storedfile WHERE id = ANY(%s) AND state = 'doomed'"


def delete_due_files(*, at: datetime | None = None) -> int:
    """Delete files that nothing uses, with their rows. Return how many, of all passes.

    A file that the storage does not delete is tried again in five minutes.
    """
    return drain(lambda: _delete_some(at or clock.now()))


def _delete_some(at: datetime) -> int:
    deleted, failures = [], 0
    for file_id, path in _claim(at):
        try:
            storage.delete(path)
        except Unavailable:
            failures += 1
            if failures == MAX_FAILURES:
                break
        else:
            deleted.append(file_id)
    if deleted:
        with connection.cursor() as cursor:
            cursor.execute(DELETE, [deleted])
    return len(deleted)


@atomic()
def _claim(at: datetime) -> list[tuple[UUID, str]]:
    """Doom due files, so that nothing can use them any more. Return their ids and paths."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [at + RETRY, at, FILES_PER_PASS])
        claimed: list[tuple[UUID, str]] = cursor.fetchall()
        cursor.execute(DELETE_UNUSED, [[file_id for file_id, _ in claimed]])
    return claimed
