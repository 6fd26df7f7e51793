"""Change what a worker is told, and in which browsers."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db.models import Q

from apps.accounts.principal import Principal
from apps.base import crypto
from apps.base.erasure import Finding
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.notices.models import Channel, Device, Digest, Notice, NoticeKind, Preference
from apps.notices.selectors import (
    MAX_DEVICES,
    device_place,
    endpoint_hash,
    own_devices,
    own_preference,
)
from apps.notices.services.composing import digests, forget_person
from apps.notices.services.content import Subject
from apps.pools.models import Worker
from apps.webhooks.destination_urls import url_problem
from biolayer.errors import Fault, InvalidInput, NotFound

MAX_ENDPOINT = 2000
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
SEEN_EVERY = timedelta(seconds=10)
"""A page reports more often; no row is written for that."""

NO_SUBJECT = UUID(int=0)


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """Say what a worker wants to be told, and when. Quiet hours are empty, or have both ends."""

    by_email: bool = False
    offers: bool = True
    due_soon: bool = True
    messages: bool = True
    reviews: bool = True
    quiet_from: str = ""
    quiet_until: str = ""
    pause_minutes: int = 5


@atomic()
def save_settings(
    *, actor: Principal, chosen: NoticeSettings, language: str, at: datetime
) -> Preference:
    """Store what the actor's worker wants. What waits for a channel that ends is not told.

    Raise `InvalidInput`, `ScopeMissing`.
    """
    if faults := list(_faults(chosen)):
        raise InvalidInput(faults)
    preference = _lock_preference(actor)
    for name, value in asdict(chosen).items():
        setattr(preference, name, value)
    preference.language = language if language in dict(settings.LANGUAGES) else "en"
    # What waits is due by the new pause, and at the end of the new quiet hours.
    preference.next_at = at
    preference.save()
    Notice.objects.filter(worker_id=preference.worker_id).update(due_at=at)
    _forget_unwanted(preference)
    return preference


def _faults(chosen: NoticeSettings) -> Iterator[Fault]:
    if not 1 <= chosen.pause_minutes <= 240:
        yield Fault("/pause_minutes", "out_of_range", "must be 1 to 240")
    given = {"quiet_from": chosen.quiet_from, "quiet_until": chosen.quiet_until}
    odd = [name for name, text in given.items() if text and not TIME_OF_DAY.fullmatch(text)]
    if odd:
        yield from (Fault(f"/{name}", "pattern", "is a time such as 22:00") for name in odd)
    elif bool(chosen.quiet_from) != bool(chosen.quiet_until):
        missing = "quiet_until" if chosen.quiet_from else "quiet_from"
        yield Fault(f"/{missing}", "required", "quiet hours have a beginning and an end")
    elif chosen.quiet_from and chosen.quiet_from == chosen.quiet_until:
        yield Fault("/quiet_until", "equal", "must differ from the beginning")


def _lock_preference(actor: Principal) -> Preference:
    """Return the locked preference of the actor's worker; a new row where there was none.

    What another person chose, who was the worker before, ends. The worker's row is not locked: a
    transition that holds it never waits for a page.
    """
    fresh = own_preference(actor)
    Preference.objects.bulk_create([fresh], ignore_conflicts=True)
    preference = Preference.objects.select_for_update(no_key=True).get(worker_id=fresh.worker_id)
    user_id = Worker.objects.values_list("user_id", flat=True).get(id=fresh.worker_id)
    if preference.user_id != user_id:
        forget_person(preference)
        for name, value in asdict(NoticeSettings()).items():
            setattr(preference, name, value)
        preference.by_push, preference.user_id = False, user_id
        preference.save()
    return preference


def _forget_unwanted(preference: Preference) -> None:
    worker_id = preference.worker_id
    if not preference.by_email:
        Digest.objects.filter(worker_id=worker_id, channel=Channel.EMAIL).delete()
    if not preference.is_on:
        Notice.objects.filter(worker_id=worker_id).delete()


def follow_language(*, actor: Principal, language: str) -> None:
    """Write what the actor's worker is told in the language that it has chosen for pages."""
    if language in dict(settings.LANGUAGES):
        rows = Preference.objects.filter(worker_id=actor.require_worker())
        rows.update(language=language)


@atomic()
def stop_mails(*, worker_id: UUID) -> None:
    """Stop a worker's mails, as the link in one of them asks."""
    rows = Preference.objects.select_for_update(no_key=True).filter(worker_id=worker_id)
    preference = rows.first()
    if preference is not None:
        preference.by_email = False
        preference.save(update_fields=["by_email"])
        _forget_unwanted(preference)


def mark_seen(*, actor: Principal, at: datetime) -> None:
    """Remember that a page of the portal is visible to the actor's worker."""
    rows = Preference.objects.filter(worker_id=actor.require_worker())
    rows.filter(Q(seen_at=None) | Q(seen_at__lt=at - SEEN_EVERY)).update(seen_at=at)


class SendOutcome(StrEnum):
    """Say what became of a request for a test notice."""

    SENT = "sent"
    NO_CHANNEL = "no_channel"
    # An earlier one is not sent yet.
    PENDING = "pending"


@atomic()
def send_test(*, actor: Principal, at: datetime) -> SendOutcome:
    """Send a test to every channel at once, unless an earlier one is still on its way.

    A test heeds no pause: without that limit, one worker could fill the queue of all.
    """
    preference = _lock_preference(actor)
    test = Subject(NoticeKind.TEST, NO_SUBJECT)
    waiting = Digest.objects.filter(worker_id=preference.worker_id)
    if [[test.kind, str(test.id)]] in waiting.values_list("subjects", flat=True):
        return SendOutcome.PENDING
    changes = digests(preference, [test], at)
    write(changes)
    wake("notices")
    return SendOutcome.SENT if changes else SendOutcome.NO_CHANNEL


# --- devices --------------------------------------------------------------------------------------


@atomic()
def add_device(*, actor: Principal, subscription: Any, name: str, at: datetime) -> Device:
    """Store a browser's push subscription; of one that is known, the new keys.

    Another person's use of the same browser ends. Beyond `MAX_DEVICES` the oldest is removed. Raise
    `InvalidInput`, `ScopeMissing`.
    """
    document = _checked(subscription)
    preference = _lock_preference(actor)
    digest = endpoint_hash(document["endpoint"])
    same_browser = Device.objects.filter(endpoint_hash=digest)
    others = same_browser.exclude(user=preference.user)
    for worker_id in list(others.values_list("worker_id", flat=True)):
        Device.objects.filter(endpoint_hash=digest, worker_id=worker_id).delete()
        refresh_by_push(worker_id)
    sealed = crypto.seal(orjson.dumps(document).decode(), device_place(actor.organisation_id))
    device, _ = Device.objects.update_or_create(
        endpoint_hash=digest,
        worker_id=preference.worker_id,
        defaults={
            "organisation_id": actor.organisation_id,
            "user_id": preference.user_id,
            "sealed": sealed,
            "name": name[:100],
            "problem": "",
        },
        create_defaults={
            "organisation_id": actor.organisation_id,
            "user_id": preference.user_id,
            "sealed": sealed,
            "name": name[:100],
            "created_at": at,
        },
    )
    oldest = own_devices(actor).values_list("id", flat=True)[MAX_DEVICES:]
    Device.objects.filter(id__in=list(oldest)).delete()
    refresh_by_push(preference.worker_id)
    return device


@atomic()
def remove_device(*, actor: Principal, device_id: UUID) -> None:
    """Remove a browser of the actor's worker. Raise `NotFound`, `ScopeMissing`."""
    preference = _lock_preference(actor)
    deleted, _ = own_devices(actor).filter(id=device_id).delete()
    if not deleted:
        raise NotFound("device")
    refresh_by_push(preference.worker_id)


def refresh_by_push(worker_id: UUID) -> None:
    """Store whether a worker has browsers."""
    has_any = Device.objects.filter(worker_id=worker_id).exists()
    Preference.objects.filter(worker_id=worker_id).update(by_push=has_any)


def _checked(subscription: Any) -> dict[str, Any]:
    """Return the endpoint and the keys of a subscription. Raise `InvalidInput`."""
    endpoint = _text(subscription, "endpoint")
    keys = subscription.get("keys") if isinstance(subscription, Mapping) else None
    public, auth = _decoded(_text(keys, "p256dh")), _decoded(_text(keys, "auth"))
    faults = []
    problem = url_problem(endpoint) if 0 < len(endpoint) <= MAX_ENDPOINT else None
    if not 0 < len(endpoint) <= MAX_ENDPOINT:
        faults.append(Fault("/endpoint", "required", "is the URL of a push service"))
    elif problem is not None:
        faults.append(Fault("/endpoint", problem.code, problem.detail))
    if not _is_point(public):
        faults.append(Fault("/keys/p256dh", "invalid_key", "is a point on the curve P-256"))
    if len(auth) != 16:
        faults.append(Fault("/keys/auth", "invalid_key", "has 16 bytes"))
    if faults:
        raise InvalidInput(faults)
    return {
        "endpoint": endpoint,
        "keys": {"p256dh": _text(keys, "p256dh"), "auth": _text(keys, "auth")},
    }


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else ""


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_point(content: bytes) -> bool:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), content)
    except ValueError:
        return False
    return len(content) == 65


# --- erasure --------------------------------------------------------------------------------------


@atomic()
def erase_notices(
    *, organisation_id: UUID, worker_id: UUID | None = None, email: str | None = None, apply: bool
) -> list[Finding]:
    """Erase the settings and browsers of a worker, or of the workers that a person is.

    Without `apply` nothing is changed. Return what was found.
    """
    named = Q(id=worker_id) if worker_id is not None else Q(user__email__iexact=email)
    workers = Worker.objects.filter(named, organisation_id=organisation_id)
    ids = list(workers.values_list("id", flat=True))
    found = []
    for place, rows in (
        (
            "notices: what the worker is told, and when",
            Preference.objects.filter(worker_id__in=ids),
        ),
        ("notices: the worker's browsers", Device.objects.filter(worker_id__in=ids)),
    ):
        if count := rows.count():
            found.append(Finding(place, count))
        if apply:
            rows.delete()
    if apply:
        Notice.objects.filter(worker_id__in=ids).delete()
        Digest.objects.filter(worker_id__in=ids).delete()
    return found
