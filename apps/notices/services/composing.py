"""Make digests of due notices: one for each device and address of a worker.

1. Read the first due notices, without a lock, and lock their workers' preferences by SKIP LOCKED.
2. Decide on each worker (`_fate`): leave its notices out, put them off, or tell them.
3. Of the notices that are told, take those whose subject still stands, insert a digest for each
   channel, and delete them all. The next digest is due after the worker's pause.

One transaction does 1 to 3: a notice is in digests, or it is still due.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from apps.base.rows import Change, Insert, write
from apps.base.transactions import atomic
from apps.notices.models import Channel, Device, Digest, Notice, Preference
from apps.notices.selectors import quiet_end
from apps.notices.services.content import Subject, standing
from apps.pools.models import Presence

BATCH = 500

MAX_SUBJECTS = 50
"""Subjects that a digest names at most, the newest; its text names fewer."""

SEEN_FOR = timedelta(seconds=30)
"""How long a page that was visible counts as open."""

SHOWN_AFTER = timedelta(seconds=5)
"""A page that was visible so long after a notice was made has shown its subject."""


@dataclass(frozen=True, slots=True)
class Fate:
    """Say what happens to a worker's notices: told, put off until a time, or else left out."""

    is_told: bool = False
    put_off_to: datetime | None = None


LEFT_OUT = Fate()
TOLD = Fate(is_told=True)


@atomic()
def compose_due(*, at: datetime) -> int:
    """Make the digests of some due notices. Return how many notices were handled."""
    due = Notice.objects.filter(due_at__lte=at).order_by("due_at", "id")
    workers = {*due.values_list("worker_id", flat=True)[:BATCH]}
    if not workers:
        return 0
    preferences = Preference.objects.filter(worker_id__in=workers).order_by("worker_id")
    locked = list(
        preferences.select_related("worker").select_for_update(
            no_key=True, skip_locked=True, of=("self",)
        )
    )
    by_worker: dict[UUID, list[Notice]] = {preference.worker_id: [] for preference in locked}
    for notice in Notice.objects.filter(worker_id__in=by_worker.keys()).order_by("id"):
        by_worker[notice.worker_id].append(notice)
    return sum(_handle(preference, by_worker[preference.worker_id], at) for preference in locked)


def _handle(preference: Preference, notices: Sequence[Notice], at: datetime) -> int:
    told: list[Notice] = []
    gone: list[Notice] = []
    for notice in notices:
        fate = _fate(preference, notice, at)
        if fate.put_off_to is not None:
            Notice.objects.filter(id=notice.id).update(due_at=fate.put_off_to)
            continue
        gone.append(notice)
        if fate.is_told:
            told.append(notice)
    subjects = [Subject(notice.kind, notice.subject_id) for notice in told[-MAX_SUBJECTS:]]
    worker_id = preference.worker_id
    subjects = [one.subject for one in standing(worker_id, dict.fromkeys(subjects), at=at)]
    if subjects:
        write(digests(preference, subjects, at))
        next_at = at + timedelta(minutes=preference.pause_minutes)
        Preference.objects.filter(worker_id=worker_id).update(next_at=next_at)
    Notice.objects.filter(id__in=[notice.id for notice in gone]).delete()
    return len(notices)


def _fate(preference: Preference, notice: Notice, at: datetime) -> Fate:
    """Return what happens to a notice; the order of the conditions counts.

    What comes while the worker is away is not told later: the pages show it when it returns.
    """
    worker, seen_at = preference.worker, preference.seen_at
    if not preference.is_on or worker.presence in (Presence.AWAY, Presence.OFFLINE):
        return LEFT_OUT
    if seen_at is not None and seen_at >= notice.created_at + SHOWN_AFTER:
        return LEFT_OUT
    if seen_at is not None and seen_at + SEEN_FOR > at:
        return Fate(put_off_to=seen_at + SEEN_FOR)
    quiet_until = quiet_end(
        quiet_from=preference.quiet_from,
        quiet_until=preference.quiet_until,
        time_zone=worker.time_zone,
        at=at,
    )
    if quiet_until is not None:
        return Fate(put_off_to=quiet_until)
    return Fate(put_off_to=preference.next_at) if preference.next_at > at else TOLD


def digests(preference: Preference, subjects: Iterable[Subject], at: datetime) -> list[Change]:
    """Return a digest for each channel that the worker has chosen."""
    worker_id = preference.worker_id
    devices: list[UUID | None] = []
    if preference.by_push:
        devices += Device.objects.filter(worker_id=worker_id).values_list("id", flat=True)
    if preference.by_email:
        devices.append(None)
    stored = [[subject.kind, str(subject.id)] for subject in subjects]
    return [
        Insert(
            Digest(
                organisation_id=preference.organisation_id,
                worker_id=worker_id,
                channel=Channel.EMAIL if device_id is None else Channel.PUSH,
                device_id=device_id,
                subjects=stored,
                created_at=at,
                due_at=at,
            )
        )
        for device_id in devices
    ]
