"""Read what workers want to be told, and where."""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.signing import BadSignature, Signer
from django.db.models import F, QuerySet

from apps.accounts.models import Member
from apps.accounts.principal import Principal
from apps.base import crypto
from apps.notices.models import Device, Preference

INSTALLATION = UUID(int=0)
MAX_DEVICES = 20
DAY = timedelta(days=1)

_stop_links = Signer(salt="notices.stop")


def device_place(organisation_id: UUID) -> crypto.Place:
    """Return what a device's subscription is sealed for."""
    return crypto.Place(organisation_id, "notices_device", "sealed")


def push_key_place(organisation_id: UUID = INSTALLATION) -> crypto.Place:
    """Return what the private half of the push key is sealed for."""
    return crypto.Place(INSTALLATION, "notices_pushkey", "sealed")


def own_preference(actor: Principal) -> Preference:
    """Return what the person who is the actor's worker wants; all off before it has chosen.

    Raise `ScopeMissing`.
    """
    worker_id = actor.require_worker()
    rows = Preference.objects.filter(worker_id=worker_id, organisation_id=actor.organisation_id)
    own = rows.filter(user_id=F("worker__user_id")).first()
    return own or Preference(worker_id=worker_id, organisation_id=actor.organisation_id)


def reachable_users(
    user_ids: Iterable[UUID | None], organisation_ids: Iterable[UUID]
) -> set[tuple[UUID, UUID]]:
    """Return pairs of person and organisation: those who are members and may sign in."""
    rows = Member.objects.filter(
        user_id__in={user_id for user_id in user_ids if user_id is not None},
        organisation_id__in={*organisation_ids},
        user__is_active=True,
    )
    return {*rows.values_list("user_id", "organisation_id")}


def own_devices(actor: Principal) -> "QuerySet[Device]":
    """Return the browsers that show the worker's notices, newest first. Raise `ScopeMissing`."""
    rows = Device.objects.filter(
        worker_id=actor.require_worker(),
        organisation_id=actor.organisation_id,
        user_id=F("worker__user_id"),
    )
    return rows.order_by("-created_at", "-id")


def endpoint_hash(endpoint: str) -> bytes:
    """Return what finds a browser by its endpoint."""
    return crypto.keyed_hash("push-endpoint", hashlib.sha256(endpoint.encode()).digest())


# --- links that stop mails ------------------------------------------------------------------------


def stop_token(worker_id: UUID) -> str:
    """Return the token with which the recipient of a mail stops them, without signing in."""
    return _stop_links.sign(worker_id.hex)


def worker_of_stop_token(token: str) -> UUID | None:
    """Return the worker whose mails a token stops; None for a token that is not ours."""
    try:
        return UUID(_stop_links.unsign(token))
    except (BadSignature, ValueError):
        return None


# --- quiet hours ----------------------------------------------------------------------------------


def quiet_end(
    *, quiet_from: str, quiet_until: str, time_zone: str, at: datetime
) -> datetime | None:
    """Return when the quiet hours end that `at` is within; None outside of them.

    The times are of the worker's clock. Where it skips one, the next that it shows counts; of one
    that it shows twice, the first.
    """
    if not quiet_from:
        return None
    zone = ZoneInfo(time_zone)
    local = at.astimezone(zone)
    begins, ends = (_time(local, text) for text in (quiet_from, quiet_until))
    if begins < ends:
        return _on_the_clock(ends, zone) if begins <= _naive(local) < ends else None
    if _naive(local) >= begins:
        return _on_the_clock(ends + DAY, zone)
    return _on_the_clock(ends, zone) if _naive(local) < ends else None


def _naive(local: datetime) -> datetime:
    return local.replace(tzinfo=None)


def _time(local: datetime, text: str) -> datetime:
    hour, minute = map(int, text.split(":"))
    return _naive(local).replace(hour=hour, minute=minute, second=0, microsecond=0)


def _on_the_clock(naive: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment at which the zone's clock shows a time (PEP 495: `fold` 0)."""
    return naive.replace(tzinfo=zone)
