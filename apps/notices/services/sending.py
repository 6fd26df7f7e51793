"""Send due digests: claim some, send them outside of any transaction, store the results.

`send_due` runs in one process or in several; rows of `notices_digest` are the queue:

1. Claim: take a few due rows, each with a token and a new due time, `CLAIM_SECONDS` ahead.
2. Send: push messages by the HTTP client of webhooks, all at once; then mails, one by one, by one
   connection. What has ended meanwhile is left out; a digest without anything left is not sent.
3. Store: delete a row that was sent, by its token; put off one that was not.

A process that dies between 2 and 3 leaves rows that are due again: what it had sent and not stored
is sent once more. A mail is stored before the next one is sent, so that a kill repeats one mail at
most; a browser replaces a notice that it shows already.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.mail import get_connection
from django.db import connection
from django.db.models import F, QuerySet

from apps.base import clock
from apps.base.ids import new_id
from apps.base.transactions import raise_if_disconnected
from apps.notices.models import Channel, Device, Digest, Preference
from apps.notices.selectors import reachable_users
from apps.notices.services.composing import compose_due, is_reached
from apps.notices.services.content import Subject, Words, current_subjects, words
from apps.notices.services.mails import MailRefused, send_mail
from apps.notices.services.preferences import refresh_by_push
from apps.notices.services.pushes import PushMessage, PushResult, send_pushes

logger = logging.getLogger(__name__)

PUSHES = 50
MAILS = 20
FOR_A_WORKER = 5
"""Digests that a pass claims at most for one worker: its browsers may all be slow to answer."""

# Longer than a pass takes: pushes 10 s, mails `MAIL_SECONDS` and the last one's.
CLAIM_SECONDS = 180
MAIL_SECONDS = 30.0

BACKOFF_SECONDS = (10, 60, 300, 900)
"""After the first, second … failure; then the digest is given up."""

LONGEST = timedelta(hours=1)
"""A digest that is older is given up: what it tells is old."""

CLAIM = """
WITH due AS MATERIALIZED (
    SELECT digest.id FROM notices_digest digest
    WHERE digest.due_at <= %(at)s AND digest.channel = %(channel)s AND (
        SELECT count(*) FROM (
            SELECT FROM notices_digest earlier
            WHERE earlier.worker_id = digest.worker_id AND earlier.channel = %(channel)s
                AND (earlier.due_at, earlier.id) < (digest.due_at, digest.id)
            LIMIT %(for_a_worker)s
        ) ahead
    ) < %(for_a_worker)s
    ORDER BY digest.due_at, digest.id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE notices_digest SET due_at = %(until)s, claim_token = %(token)s, attempts = attempts + 1
FROM due WHERE notices_digest.id = due.id
RETURNING notices_digest.id
"""


def _preference_of(digest: Digest) -> Preference | None:
    """Return the settings by which a digest is sent; None where their person is no longer reached.

    It is read just before the sending: a person may leave while a digest waits.
    """
    rows = Preference.objects.select_related("worker").filter(worker_id=digest.worker_id)
    preference = rows.first()
    if preference is None:
        return None
    chosen_by = preference.user_id
    is_for = digest.worker.user_id if digest.device is None else digest.device.user_id
    if is_for != chosen_by:
        return None
    reachable = reachable_users([chosen_by], [preference.organisation_id])
    return preference if is_reached(preference, reachable) else None


@dataclass(frozen=True, slots=True)
class Claimed:
    """Hold a digest that this process may send, and what it says now."""

    digest: Digest
    words: Words


def send_due(*, at: datetime | None = None) -> int:
    """Make and send some due digests. Return how many rows were handled.

    `at` replaces the database's time, for tests.
    """
    handled = compose_due(at=at or clock.now())
    handled += _Pass(Channel.PUSH, PUSHES, at).send_pushes()
    return handled + _Pass(Channel.EMAIL, MAILS, at).send_mails()


class _Pass:
    """Send the digests of one claim, all of one channel."""

    def __init__(self, channel: Channel, limit: int, at: datetime | None) -> None:
        self._channel, self._limit, self._at = channel, limit, at
        self._token = new_id()

    def send_pushes(self) -> int:
        claimed = self._claim()
        digests = {one.digest.id: one for one in self._with_words(claimed)}
        messages = [
            PushMessage(one.digest.id, one.digest.device, one.words)
            for one in digests.values()
            if one.digest.device is not None
        ]
        for digest_id, result in send_pushes(messages, at=self._now()):
            self._store_push(digests[digest_id].digest, result)
        return len(claimed)

    def send_mails(self) -> int:
        claimed = self._claim()
        if not claimed:
            return 0
        ends = time.monotonic() + MAIL_SECONDS
        server = get_connection()
        try:
            for one in self._with_words(claimed):
                if time.monotonic() > ends:
                    self._release(one.digest)
                else:
                    self._send_mail(one, server)
        finally:
            server.close()
        return len(claimed)

    def _send_mail(self, one: Claimed, server: Any) -> None:
        try:
            send_mail(one.digest, one.words, server)
        except MailRefused as error:
            logger.warning("a notice was not mailed: %s", error)
            self._delete(one.digest)
        except Exception as error:
            raise_if_disconnected(error)
            # Without the recipient: logs have no personal data.
            logger.warning("a notice was not mailed: %s", type(error).__name__)
            server.close()
            self._put_off(one.digest)
        else:
            self._delete(one.digest)

    # --- rows -------------------------------------------------------------------------------------

    def _claim(self) -> list[Digest]:
        at = self._now()
        params: dict[str, Any] = {
            "at": at,
            "until": at + timedelta(seconds=CLAIM_SECONDS),
            "token": self._token,
            "channel": self._channel.value,
            "limit": self._limit,
            "for_a_worker": FOR_A_WORKER,
        }
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, params)
            ids = [row[0] for row in cursor.fetchall()]
        rows = Digest.objects.filter(id__in=ids).select_related("device", "worker__user")
        return list(rows.order_by("created_at", "id"))

    def _with_words(self, digests: Sequence[Digest]) -> Iterator[Claimed]:
        """Yield the digests that still say something to a person; the others are deleted."""
        for digest in digests:
            at = self._now()
            subjects = [Subject(kind, UUID(text)) for kind, text in digest.subjects]
            found = current_subjects(digest.worker_id, subjects, at=at)
            preference = _preference_of(digest)
            if not found or preference is None or digest.created_at + LONGEST < at:
                self._delete(digest)
                continue
            time_zone = preference.worker.time_zone
            yield Claimed(digest, words(found, language=preference.language, time_zone=time_zone))

    def _store_push(self, digest: Digest, result: PushResult) -> None:
        """Store what became of a push message, and of the device that it was for."""
        assert digest.device_id is not None
        device = Device.objects.filter(id=digest.device_id)
        if result.is_gone:
            device.delete()  # and with it its digests
            refresh_by_push(digest.worker_id)
        elif result.is_sent:
            device.update(sent_at=self._now(), problem="")
            self._delete(digest)
        else:
            device.update(problem=result.problem[:200])
            if result.may_retry:
                self._put_off(digest, result.retry_after)
            else:
                self._delete(digest)

    def _own(self, digest: Digest) -> "QuerySet[Digest]":
        return Digest.objects.filter(id=digest.id, claim_token=self._token)

    def _delete(self, digest: Digest) -> None:
        self._own(digest).delete()

    def _release(self, digest: Digest) -> None:
        """Make a digest that was not tried due at once."""
        self._own(digest).update(due_at=self._now(), claim_token=None, attempts=F("attempts") - 1)

    def _put_off(self, digest: Digest, retry_after: float | None = None) -> None:
        if digest.attempts > len(BACKOFF_SECONDS):
            self._delete(digest)
            return
        seconds = max(BACKOFF_SECONDS[digest.attempts - 1], retry_after or 0.0)
        due_at = self._now() + timedelta(seconds=seconds)
        self._own(digest).update(due_at=due_at, claim_token=None)

    def _now(self) -> datetime:
        return self._at or clock.now()
