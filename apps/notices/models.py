"""Store what workers want to be told, where, and what is still to be told."""

from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.accounts.models import Organisation, User
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.pools.models import Worker

ONLY_KEY = UUID(int=1)
"""The id of the installation's push key: a second one has no place."""


class NoticeKind(models.TextChoices):
    """Name what a worker is told of."""

    OFFER = "offer"  # a task is offered
    DUE_SOON = "due_soon"  # a task that the worker holds is at risk of missing its deadline
    MESSAGE = "message"  # the requester wrote about a task that the worker holds
    POOL_NOTE = "pool_note"  # an operator wrote to the members of a pool
    REVIEW = "review"  # an output waits for a review that the worker, as a member, may give
    TEST = "test"  # the worker asked for one


class Channel(models.TextChoices):
    """Name how a digest is sent."""

    EMAIL = "email"
    PUSH = "push"


class Preference(models.Model):
    """Store what a worker wants to be told. Without a row, or a channel: nothing.

    The row is the mutex of the worker's digests.
    """

    worker = models.OneToOneField(
        Worker, on_delete=models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # Whose chosen they are. Once another person is the worker, or none, they count for nothing.
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    by_email = models.BooleanField(default=False)
    by_push = models.BooleanField(default=False)
    offers = models.BooleanField(default=True)
    due_soon = models.BooleanField(default=True)
    messages = models.BooleanField(default=True)
    # Of outputs that wait for reviews: only members with the role are told.
    reviews = models.BooleanField(default=True, db_default=True)
    # In the worker's time zone, such as "22:00" and "07:00"; empty: no quiet hours. They may span
    # midnight.
    quiet_from = models.CharField(max_length=5, blank=True)
    quiet_until = models.CharField(max_length=5, blank=True)
    # The least minutes between two digests.
    pause_minutes = models.PositiveSmallIntegerField(default=5)
    # Of the digests: that of the page on which the worker last saved its settings.
    language = models.CharField(max_length=10, default="en")
    # No digest is made before: the last one's time and the pause.
    next_at = models.DateTimeField(db_default=Now())
    # When a page of the portal was last visible.
    seen_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from="", quiet_until="")
                | ~Q(quiet_from="") & ~Q(quiet_until="") & ~Q(quiet_from=F("quiet_until")),
                name="quiet_hours_have_both_ends",
            ),
            models.CheckConstraint(
                condition=Q(pause_minutes__range=(1, 240)), name="notices_pause_1_to_240"
            ),
        ]

    def __str__(self) -> str:
        return str(self.worker_id)

    @property
    def is_on(self) -> bool:
        """Return whether the worker has chosen a channel."""
        return self.by_email or self.by_push


class Device(models.Model):
    """Store a browser that shows notices: a push subscription (RFC 8030)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    # Whose browser it is: it shows nothing once another person is the worker, or none.
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    # A keyed hash of the endpoint, to find the browser again.
    endpoint_hash = models.BinaryField(max_length=32)
    # JSON of `endpoint`, `p256dh` and `auth`: with it, a push service accepts messages for the
    # browser, and they can be encrypted.
    sealed = models.BinaryField(editable=False)
    # Such as "Chrome on Android".
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    # Why the last attempt failed; empty once one succeeds.
    problem = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="device_in_its_organisation"
            ),
            models.UniqueConstraint(
                fields=["endpoint_hash", "worker"], name="device_once_for_a_worker"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PushKey(models.Model):
    """Store the key of the installation that signs its calls to push services (RFC 8292).

    There is one row at most: browsers have subscribed for its public half, and a second key would
    end their subscriptions.
    """

    id = models.UUIDField(primary_key=True, default=ONLY_KEY, editable=False)
    # The private key on the curve P-256, as 32 bytes in base64url.
    sealed = models.BinaryField(editable=False)
    # The public half: an uncompressed point in base64url, as browsers take it.
    public = models.CharField(max_length=90)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=ONLY_KEY), name="one_push_key")]

    def __str__(self) -> str:
        return f"push key from {self.created_at}"


class Notice(models.Model):
    """Store one thing to tell a worker. A digest takes all of the worker's rows and deletes them.

    A transition inserts the row, if the worker wants it. It is deleted untold where the worker is
    away, or has seen the portal since.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    kind = models.CharField(max_length=10, choices=NoticeKind)
    # The offer, the run, the note, or the review.
    subject_id = models.UUIDField()
    created_at = models.DateTimeField()
    # When it may be told: after the pause since the last digest, or at the end of quiet hours.
    due_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=NoticeKind.values), name="notice_kind_is_known"
            ),
        ]
        indexes = [models.Index(fields=["due_at", "id"], name="notice_due")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id} for {self.worker_id}"


class Digest(models.Model):
    """Store what to tell a worker, over one channel. Deleted once it is sent, or given up.

    It names rows, not their content: what has ended meanwhile is left out when it is sent.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    channel = models.CharField(max_length=5, choices=Channel)
    # Where a push message goes; null for e-mail.
    device = models.ForeignKey(
        Device, on_delete=models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    # Lists of a kind and a subject: [["offer", "0197…"], …].
    subjects = JSON()
    created_at = models.DateTimeField()
    # A claim by a drain moves it to the claim's end, so that the row is due again if the drain
    # dies.
    due_at = models.DateTimeField()
    # The latest claim; only its drain may write the result.
    claim_token = models.UUIDField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(channel=Channel.EMAIL, device__isnull=True)
                | Q(channel=Channel.PUSH, device__isnull=False),
                name="digest_of_a_push_has_a_device",
            ),
        ]
        indexes = [models.Index(fields=["due_at", "id"], name="digest_due")]

    def __str__(self) -> str:
        return f"digest for {self.worker_id} by {self.channel}"
