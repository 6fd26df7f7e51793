"""Put into words what a worker is told: title, skill and deadline of what still stands."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext

from apps.base.local_times import local_time
from apps.base.wording import humanised
from apps.matching.models import Offer, OfferStatus
from apps.notices.models import NoticeKind
from apps.pools.selectors import current_notes
from apps.reviews.models import Review
from apps.tasks.models import Run, Task
from apps.tasks.models.runs import RUN_HELD

NAMED_LINES = 5
"""Subjects that a mail names; of the others it says how many there are."""

TITLE_LENGTH = 120


class Subject(NamedTuple):
    """Name what a notice is about: an offer, a run, a note, or a review."""

    kind: str
    id: UUID


@dataclass(frozen=True, slots=True)
class CurrentSubject:
    """Hold a subject that still stands.

    It is an open offer, a run that the worker holds, a note, or a review without a reviewer.
    """

    subject: Subject
    task: Task | None = None
    # When an offer ends.
    expires_at: datetime | None = None
    # When a review is overdue.
    due_at: datetime | None = None
    # What an operator wrote to the worker's pool.
    note: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """Hold what a digest says, in the worker's language and time zone.

    `url` leads to the subject where there is one, else to the portal's first page.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    more: str
    url: str
    # How long it is worth telling.
    expires_at: datetime | None

    @property
    def body(self) -> str:
        """Return the text for a small space."""
        return "\n".join([*(line for line, _ in self.lines), *filter(None, [self.more])])


def current_subjects(
    worker_id: UUID, subjects: Iterable[Subject], *, at: datetime
) -> list[CurrentSubject]:
    """Return those of the subjects that still stand, in their order."""
    wanted = list(subjects)
    offers = {
        offer.id: offer
        for offer in Offer.objects.select_related("task").filter(
            id__in=_ids(wanted, NoticeKind.OFFER),
            worker_id=worker_id,
            status=OfferStatus.OPEN,
            expires_at__gt=at,
        )
    }
    run_ids = _ids(wanted, NoticeKind.DUE_SOON) + _ids(wanted, NoticeKind.MESSAGE)
    held = Run.objects.select_related("task").filter(
        id__in=run_ids, worker_id=worker_id, status__in=RUN_HELD
    )
    runs = {run.id: run for run in held}
    note_ids = _ids(wanted, NoticeKind.POOL_NOTE)
    shown = current_notes(worker_id=worker_id, at=at).filter(id__in=note_ids) if note_ids else ()
    notes = {note.id: note.text for note in shown}
    review_ids = _ids(wanted, NoticeKind.REVIEW)
    free = Review.objects.free(at).select_related("task").filter(id__in=review_ids)
    reviews = {review.id: review for review in free} if review_ids else {}
    return list(_current(wanted, offers, runs, notes, reviews))


def _current(
    wanted: Collection[Subject],
    offers: dict[UUID, Offer],
    runs: dict[UUID, Run],
    notes: dict[UUID, str],
    reviews: dict[UUID, Review],
) -> Iterator[CurrentSubject]:
    for subject in wanted:
        if subject.kind == NoticeKind.TEST:
            yield CurrentSubject(subject)
        elif subject.id in offers:
            offer = offers[subject.id]
            yield CurrentSubject(subject, offer.task, offer.expires_at)
        elif subject.id in runs:
            yield CurrentSubject(subject, runs[subject.id].task)
        elif subject.id in notes:
            yield CurrentSubject(subject, note=notes[subject.id])
        elif subject.id in reviews:
            review = reviews[subject.id]
            yield CurrentSubject(subject, review.task, due_at=review.due_at)


def _ids(subjects: Collection[Subject], kind: str) -> list[UUID]:
    return [subject.id for subject in subjects if subject.kind == kind]


def words(found: Collection[CurrentSubject], *, language: str, time_zone: str) -> Words:
    """Return what a digest of one or more subjects says."""
    with translation.override(language), timezone.override(ZoneInfo(time_zone)):
        # What ends first is named first.
        first = sorted(found, key=_urgency)
        named = first[:NAMED_LINES]
        rest = len(first) - len(named)
        more = ngettext("and %(count)s more", "and %(count)s more", rest) % {"count": rest}
        ends = [one.expires_at for one in found]
        return Words(
            title=_title(first),
            lines=tuple((_line(one), _url(one.subject)) for one in named),
            more=more if rest else "",
            url=_url(first[0].subject) if len(first) == 1 else f"{settings.BASE_URL}/portal/",
            expires_at=max(filter(None, ends)) if all(ends) else None,
        )


def _urgency(one: CurrentSubject) -> tuple[bool, float]:
    return one.expires_at is None, one.expires_at.timestamp() if one.expires_at else 0.0


def _title(found: Collection[CurrentSubject]) -> str:
    count = len(found)
    match [*{one.subject.kind for one in found}]:
        case [NoticeKind.TEST]:
            text = gettext("Notices work")
        case [NoticeKind.OFFER]:
            text = ngettext("A task is offered to you", "%(count)s tasks are offered to you", count)
        case [NoticeKind.DUE_SOON]:
            text = ngettext("Your task is due soon", "%(count)s of your tasks are due soon", count)
        case [NoticeKind.MESSAGE]:
            text = ngettext(
                "A message about your task", "Messages about %(count)s of your tasks", count
            )
        case [NoticeKind.POOL_NOTE]:
            text = ngettext("A note to your pool", "%(count)s notes to your pools", count)
        case [NoticeKind.REVIEW]:
            text = ngettext(
                "An output waits for your review", "%(count)s outputs wait for reviews", count
            )
        case _:
            text = gettext("%(count)s things wait for you")
    return text % {"count": count}


def _line(one: CurrentSubject) -> str:
    """Return title, skills and deadline of a task, or a note, in one line."""
    task = one.task
    if one.note:
        return shortened(one.note)
    if task is None:
        return gettext("This is the test notice that you asked for.")
    parts = [shortened(task.title)]
    if task.skills:
        parts.append(", ".join(map(humanised, task.skills[:3])))
    is_review = one.subject.kind == NoticeKind.REVIEW
    due_at = one.due_at if is_review else task.deadline_due_at or task.latency_due_at
    if due_at is not None:
        parts.append(gettext("due %(time)s") % {"time": _moment(due_at)})
    if one.expires_at is not None:
        parts.append(gettext("answer until %(time)s") % {"time": _clock(one.expires_at)})
    if one.subject.kind == NoticeKind.MESSAGE:
        parts.append(gettext("new message"))
    if is_review:
        parts.append(gettext("to review"))
    return " · ".join(parts)


def _moment(at: datetime) -> str:
    return date_format(local_time(at), "DATETIME_FORMAT")


def _clock(at: datetime) -> str:
    return date_format(local_time(at), "TIME_FORMAT")


def shortened(text: str) -> str:
    """Return a title in one line, without control characters, cut where it is very long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= TITLE_LENGTH else f"{line[: TITLE_LENGTH - 1]}…"


def _url(subject: Subject) -> str:
    match subject.kind:
        case NoticeKind.OFFER:
            return f"{settings.BASE_URL}/portal/offers/{subject.id}/"
        case NoticeKind.DUE_SOON | NoticeKind.MESSAGE:
            return f"{settings.BASE_URL}/portal/runs/{subject.id}/"
        case NoticeKind.REVIEW:
            return f"{settings.BASE_URL}/portal/reviews/{subject.id}/"
        case NoticeKind.POOL_NOTE:
            return f"{settings.BASE_URL}/portal/"
        case _:
            return f"{settings.BASE_URL}/portal/profile/notices/"
