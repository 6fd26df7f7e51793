"""Store attachments: files that tasks give to their workers, named in `context.attachments`.

An attachment that no task names is deleted after a day, and else with its last task. Of a create
that names it and the transaction that deletes it, one waits for the other: `lock_attachments`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import new_id
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.tasks.files import named_attachments, visible_attachments
from apps.tasks.models import Attachment
from apps.tasks.services.stored_files import ReceivedFile, receive_file
from biolayer.contract import Check, TaskContract, dig
from biolayer.errors import Fault, InvalidInput, pointer
from biolayer.requests.attachments import MAX_ATTACHMENTS_PER_TASK

PLACE = ("context", "attachments")
UNKNOWN = "is no attachment that this credential may use"


def receive_attachment(
    *, actor: Principal, file: "UploadedFile[bytes]", at: datetime
) -> ReceivedFile:
    """Store a file for `add_attachment`. Raise `ScopeMissing`, and the errors of `receive_file`."""
    actor.require(Scope.TASKS_CREATE)
    return receive_file(
        organisation_id=actor.organisation_id, folder="attachments", file=file, at=at
    )


@atomic()
def add_attachment(*, actor: Principal, received: ReceivedFile, at: datetime) -> Attachment:
    """Make an attachment of a received file, for tasks to name within a day."""
    actor.require(Scope.TASKS_CREATE)
    attachment = Attachment(
        id=new_id(),
        organisation_id=actor.organisation_id,
        file_id=received.id,
        pool_ids=None if actor.pool_ids is None else sorted(actor.pool_ids),
        created_by=actor.text[:300],
        created_at=at,
        **received.columns,
    )
    write([Insert(attachment)])
    return attachment


def attachment_check(actor: Principal) -> Check:
    """Return a check for attachments that the actor cannot name. It asks only if some are named."""

    def check(document: Any) -> Iterable[Fault]:
        ids = named_attachments(dig(document, *PLACE))
        if len(ids) > MAX_ATTACHMENTS_PER_TASK:
            text = f"must have at most {MAX_ATTACHMENTS_PER_TASK} attachments"
            yield Fault(pointer(*PLACE), "too_long", text)
        elif ids:
            yield from _faults(ids, visible_attachments(actor=actor, ids=ids))

    return check


def _faults(ids: Sequence[UUID], known: Collection[UUID]) -> Iterator[Fault]:
    for index, attachment_id in enumerate(ids):
        place = pointer(*PLACE, index)
        if attachment_id not in known:
            yield Fault(place, "unknown_attachment", UNKNOWN)
        elif attachment_id in ids[:index]:
            yield Fault(place, "duplicate", "must not contain duplicates")


def attachments_of_contract(contract: TaskContract) -> list[UUID]:
    """Return the ids that a contract names; [] for nearly all of them."""
    extra = contract.context.model_extra
    return named_attachments(extra.get(PLACE[-1])) if extra else []


# Pending files are updated: their rows are locked for that, in one order. A file that
# `delete_due_files` has claimed is not pending any more.
LOCK_PENDING = """
SELECT f.id FROM tasks_storedfile f JOIN tasks_attachment a ON a.file_id = f.id
WHERE a.id = ANY(%s) AND f.state = 'pending' ORDER BY f.id FOR NO KEY UPDATE OF f
"""
LOCK = "SELECT id FROM tasks_attachment WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"


def lock_attachments(ids: Collection[UUID]) -> set[UUID]:
    """Lock attachments against deletion until commit. Return those that exist.

    After the tasks that a contract depends on: the transaction that purges a task holds it, and
    waits for its attachments.
    """
    if not ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(LOCK_PENDING, [list(ids)])
        cursor.execute(LOCK, [list(ids)])
        return {row[0] for row in cursor.fetchall()}


def require_attachments(ids: Sequence[UUID], locked: Collection[UUID]) -> None:
    """Raise `InvalidInput` where one was deleted since the document was checked."""
    faults = list(_faults(ids, locked))
    if faults:
        raise InvalidInput(faults)
