"""Define messages, their deliveries, and the attempts."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.webhooks.models.destinations import Destination, Origin
from apps.webhooks.models.recoveries import Recovery


class Message(models.Model):
    """Store one event as it is sent: the signed bytes, made once for all destinations.

    Kept 30 days even without any destination, so that an endpoint created later can receive what it
    missed.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The task, endpoint or delivery that the event is about, and its number within that.
    subject_id = models.UUIDField()
    sequence = models.PositiveIntegerField()
    event_type = models.CharField(max_length=40)
    body = models.BinaryField()
    # The same event with its ids only.
    thin_body = models.BinaryField()
    # What filters compare: the candidate pools (null is any), and the domain.
    pool_ids = ArrayField(models.UUIDField(), null=True)
    domain = models.CharField(max_length=64, blank=True)
    # An example, sent to test an endpoint.
    is_test = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject_id", "sequence"], name="message_once_per_event"
            ),
            # The target of the deliveries' foreign key.
            models.UniqueConstraint(fields=["organisation", "id"], name="message_in_organisation"),
        ]
        indexes = [
            models.Index(fields=["organisation", "created_at", "id"], name="message_history"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} #{self.sequence} of {self.subject_id}"


class DeliveryStatus(models.TextChoices):
    PENDING = "pending"  # due at `due_at`; ends by a 2xx, or when the retries are used up
    HELD = "held"  # its destination is paused or disabled; pending again when that is enabled
    SUCCEEDED = "succeeded"
    EXHAUSTED = "exhausted"  # every retry failed; a resend or a recovery makes it pending again
    EXPIRED = "expired"  # not delivered within 30 days


class WaitReason(models.TextChoices):
    """Name why a pending delivery is due when it is. Delays of its whole origin are not here."""

    NEW = "new"  # at once
    RETRY = "retry"
    RETRY_AFTER = "retry_after"  # as the receiver requested
    # Parked until the event before it is final, for 15 minutes; longer while that one is due or
    # being sent.
    ORDER = "order"
    RESENT = "resent"  # by a person, by a recovery, or after its destination was held


FINAL = ("succeeded", "exhausted", "expired")

NOTIFICATION = "task.notification"
"""The type of messages to bridges. Their subject is a cursor of
operations; no endpoint receives them."""


class Delivery(models.Model):
    """Store one event for one destination. Its id is the `webhook-id` of every attempt.

    The deliveries of one subject to one destination are in per-task order: each waits for the one
    before.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    destination = models.ForeignKey(
        Destination,
        on_delete=models.CASCADE,
        related_name="deliveries",
        db_constraint=False,
        db_index=False,
    )
    # The destination's, repeated here because the queue is read by origin.
    origin = models.ForeignKey(
        Origin, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    message = models.ForeignKey(
        Message, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    # The message's: the position in per-task order, and what lists filter by.
    subject_id = models.UUIDField()
    sequence = models.PositiveIntegerField()
    event_type = models.CharField(max_length=40)
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    # Attempts that no longer count against the retry budget: those before the last resend.
    forgiven_count = models.PositiveSmallIntegerField(default=0)
    # When to try (again). A claim moves it to the claim's end, so that a dead sender's delivery
    # becomes due again; the first sender's late result is then refused by the token.
    due_at = models.DateTimeField()
    wait = models.CharField(max_length=12, choices=WaitReason, default=WaitReason.NEW)
    claim_token = models.UUIDField(null=True, blank=True)
    # The last attempt's result; empty before the first.
    last_outcome = models.CharField(max_length=20, blank=True)
    last_status_code = models.PositiveSmallIntegerField(null=True)
    # It was given up at least once: its success is a `delivery.recovered`.
    was_exhausted = models.BooleanField(default=False)
    recovery = models.ForeignKey(
        Recovery,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            # Also finds the delivery before it in per-task order.
            models.UniqueConstraint(
                fields=["destination", "subject_id", "sequence"], name="delivery_once_per_event"
            ),
            models.CheckConstraint(
                condition=Q(status__in=DeliveryStatus.values), name="delivery_status_is_known"
            ),
            models.CheckConstraint(
                condition=(Q(status__in=FINAL) & Q(finished_at__isnull=False))
                | (~Q(status__in=FINAL) & Q(finished_at__isnull=True)),
                name="delivery_finished_at_iff_final",
            ),
            models.CheckConstraint(
                condition=Q(claim_token__isnull=True) | Q(status="pending"),
                name="delivery_claimed_only_while_pending",
            ),
            models.CheckConstraint(
                condition=Q(forgiven_count__lte=F("attempt_count")),
                name="delivery_forgives_what_was_tried",
            ),
        ]
        indexes = [
            models.Index(
                fields=["origin", "due_at", "id"],
                condition=Q(status="pending"),
                name="delivery_due",
            ),
            models.Index(
                fields=["origin"],
                condition=Q(claim_token__isnull=False),
                name="delivery_under_way",
            ),
            models.Index(fields=["organisation", "created_at", "id"], name="delivery_history"),
            models.Index(
                fields=["destination", "created_at", "id"],
                condition=~Q(status="succeeded"),
                name="delivery_unsucceeded",
            ),
            # The history of an endpoint: a callback has its task's id, which is the subject, too.
            models.Index(
                fields=["destination", "created_at", "id"],
                condition=~Q(destination=F("subject_id")),
                name="delivery_of_endpoint",
            ),
            models.Index(
                fields=["organisation", "created_at", "id"],
                condition=~Q(status="succeeded"),
                name="delivery_to_look_at",
            ),
            models.Index(
                fields=["destination", "created_at"],
                condition=Q(status="held"),
                name="delivery_held",
            ),
            models.Index(
                fields=["recovery", "status"],
                condition=Q(recovery__isnull=False),
                name="delivery_of_recovery",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} #{self.sequence} ({self.status})"


class Attempt(models.Model):
    """Store one request that was made, or refused before it could be made."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    # An `http_client.Outcome`.
    outcome = models.CharField(max_length=20)
    # Where a failed one ended: dns, connect, tls, request, headers or body.
    phase = models.CharField(max_length=10, blank=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)
    # Milliseconds. The first three are null where a connection was reused.
    dns_ms = models.PositiveIntegerField(null=True)
    connect_ms = models.PositiveIntegerField(null=True)
    tls_ms = models.PositiveIntegerField(null=True)
    first_byte_ms = models.PositiveIntegerField(null=True)
    total_ms = models.PositiveIntegerField()
    # The address that was connected to, with its port.
    peer = models.CharField(max_length=60, blank=True)
    response_headers = JSON(default=dict)
    response_excerpt = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempts_count_up"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome}"
