"""Make digests of due notices: one for each device and address of a worker.

1. Delete due notices of workers without a preference: it was erased while they were inserted.
2. Lock the preferences of the workers whose notices are due first, by SKIP LOCKED.
3. Decide on each worker (`_decide`): leave its notices out, put them off, or tell them.
4. Of the notices that are told, take those whose subject still stands, insert a digest for each
   channel, and delete them all. The next digest is due after the worker's pause.

One transaction does 1 to 4: a notice is in digests, or it is still due.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef

from apps.base.rows import Change, Insert, write
from apps.base.transactions import atomic
from apps.notices.models import Channel, Device, Digest, Notice, NoticeKind, Preference
from apps.notices.selectors import quiet_end, reachable_users
from apps.notices.services.content import Subject, current_subjects
from apps.pools.models import Presence

WORKERS = 200
LOOKED_AT = 5_000
"""Due notices that one call reads, the oldest, however many are due after an outage."""

LOCK = f"""
SELECT preference.worker_id
FROM (
    SELECT worker_id, min(due_at) AS first_due_at FROM (
        SELECT worker_id, due_at FROM notices_notice
        WHERE due_at <= %s ORDER BY due_at, id LIMIT {LOOKED_AT}
    ) oldest GROUP BY worker_id
) due JOIN notices_preference preference USING (worker_id)
ORDER BY due.first_due_at, worker_id LIMIT %s
FOR NO KEY UPDATE OF preference SKIP LOCKED
"""

MAX_SUBJECTS = 50
"""Subjects that a digest names at most, the newest; its text names fewer."""

SEEN_FOR = timedelta(seconds=30)
"""How long a page that was visible counts as open."""

SHOWN_AFTER = timedelta(seconds=5)
"""A page that was visible so long after a notice was made has shown its task."""


UNAVAILABLE = [Presence.AWAY, Presence.OFFLINE]


@dataclass(frozen=True, slots=True)
class Decision:
    """Say what happens to a worker's notices: told, put off until a time, or else left out."""

    is_sent: bool = False
    postponed_to: datetime | None = None


DROPPED = Decision()
SENT_NOW = Decision(is_sent=True)


@atomic()
def compose_due(*, at: datetime) -> int:
    """Make the digests of some due notices. Return how many notices were handled."""
    handled = _delete_orphans(at)
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [at, WORKERS])
        worker_ids = [row[0] for row in cursor.fetchall()]
    if not worker_ids:
        return handled
    rows = Preference.objects.filter(worker_id__in=worker_ids).select_related("worker")
    preferences = list(rows.order_by("worker_id"))
    reachable = reachable_users(
        (preference.user_id for preference in preferences),
        (preference.organisation_id for preference in preferences),
    )
    by_worker: dict[UUID, list[Notice]] = {worker_id: [] for worker_id in worker_ids}
    for notice in Notice.objects.filter(worker_id__in=worker_ids).order_by("id"):
        by_worker[notice.worker_id].append(notice)
    for preference in preferences:
        notices = by_worker[preference.worker_id]
        handled += len(notices)
        if is_reached(preference, reachable):
            _handle(preference, notices, at)
        else:
            forget_person(preference)
    return handled


def _delete_orphans(at: datetime) -> int:
    """Delete due notices that no preference can make a digest of. Return how many."""
    due = Notice.objects.filter(due_at__lte=at).order_by("due_at", "id")
    oldest = due.values("id")[:LOOKED_AT]
    preferences = Preference.objects.filter(worker_id=OuterRef("worker_id"))
    ids = list(
        Notice.objects.filter(~Exists(preferences), id__in=oldest).values_list("id", flat=True)
    )
    return Notice.objects.filter(id__in=ids).delete()[0] if ids else 0


def is_reached(preference: Preference, reachable: Collection[tuple[UUID, UUID]]) -> bool:
    """Return whether the person who chose is still the worker, and a member (`reachable_users`)."""
    user_id = preference.user_id
    if user_id is None or user_id != preference.worker.user_id:
        return False
    return (user_id, preference.organisation_id) in reachable


def forget_person(preference: Preference) -> None:
    """Delete what a person chose who is the worker no more, or no member."""
    worker_id = preference.worker_id
    rows = Preference.objects.filter(worker_id=worker_id)
    rows.update(by_email=False, by_push=False, user_id=None)
    Device.objects.filter(worker_id=worker_id).delete()
    Digest.objects.filter(worker_id=worker_id).delete()
    Notice.objects.filter(worker_id=worker_id).delete()


def _handle(preference: Preference, notices: Sequence[Notice], at: datetime) -> None:
    told: list[Notice] = []
    gone: list[Notice] = []
    for notice in notices:
        decision = _decide(preference, notice, at)
        if decision.postponed_to is not None:
            Notice.objects.filter(id=notice.id).update(due_at=decision.postponed_to)
            continue
        gone.append(notice)
        if decision.is_sent:
            told.append(notice)
    subjects = [Subject(notice.kind, notice.subject_id) for notice in told[-MAX_SUBJECTS:]]
    worker_id = preference.worker_id
    subjects = [one.subject for one in current_subjects(worker_id, dict.fromkeys(subjects), at=at)]
    if subjects:
        write(digests(preference, subjects, at))
        next_at = at + timedelta(minutes=preference.pause_minutes)
        Preference.objects.filter(worker_id=worker_id).update(next_at=next_at)
    Notice.objects.filter(id__in=[notice.id for notice in gone]).delete()


def _decide(preference: Preference, notice: Notice, at: datetime) -> Decision:
    """Return what happens to a notice; the order of the conditions counts.

    What comes while the worker is away is not told later: the pages show it when it returns.
    """
    worker, seen_at = preference.worker, preference.seen_at
    # A member reviews without being available for tasks.
    is_review = notice.kind == NoticeKind.REVIEW
    silent = [Presence.AWAY] if is_review else UNAVAILABLE
    if not preference.is_on or worker.presence in silent:
        return DROPPED
    # The worker's pages show its tasks, and no review that waits: those are in the inbox.
    is_shown = seen_at is not None and seen_at >= notice.created_at + SHOWN_AFTER
    if is_shown and not is_review:
        return DROPPED
    if seen_at is not None and seen_at + SEEN_FOR > at:
        return Decision(postponed_to=seen_at + SEEN_FOR)
    quiet_until = quiet_end(
        quiet_from=preference.quiet_from,
        quiet_until=preference.quiet_until,
        time_zone=worker.time_zone,
        at=at,
    )
    if quiet_until is not None:
        return Decision(postponed_to=quiet_until)
    return Decision(postponed_to=preference.next_at) if preference.next_at > at else SENT_NOW


def digests(preference: Preference, subjects: Iterable[Subject], at: datetime) -> list[Change]:
    """Return a digest for each channel that the worker has chosen."""
    worker_id = preference.worker_id
    devices: list[UUID | None] = []
    if preference.by_push:
        own = Device.objects.filter(worker_id=worker_id, user=preference.user)
        devices += own.values_list("id", flat=True)
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
