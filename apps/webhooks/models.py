"""Where to tell, what to tell, and every time we tried. This room knows events, not tasks."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.base.ids import new_id


class SigningSecret(models.Model):
    """What an organisation's deliveries are signed with. Several may be active while one rotates."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="signing_secrets"
    )
    sealed = models.BinaryField(editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # Null: until it is replaced.
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation"],
                condition=Q(expires_at__isnull=True),
                name="signing_secret_one_without_end",
            ),
        ]

    def __str__(self) -> str:
        return f"secret of {self.organisation_id} from {self.created_at}"


class Destination(models.Model):
    """A URL that events are sent to, how it authenticates us, and how long we try."""

    # A task's callback has the task's id, so that its events find it without asking.
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    url = models.CharField(max_length=2048)
    auth_type = models.CharField(max_length=10)
    # The credentials as JSON, sealed; empty for `none`.
    auth_sealed = models.BinaryField(blank=True, editable=False)
    max_retries = models.PositiveSmallIntegerField()
    backoff_seconds = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="destination_in_its_organisation"
            ),
        ]

    def __str__(self) -> str:
        return self.url


class DeliveryStatus(models.TextChoices):
    PENDING = "pending"  # due at `due_at`; leaves by a 2xx, or when the retries are used up
    SUCCEEDED = "succeeded"
    EXHAUSTED = "exhausted"


class Delivery(models.Model):
    """One event for one destination. Its id is the `webhook-id` of every attempt."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    destination = models.ForeignKey(
        Destination, on_delete=models.CASCADE, related_name="deliveries", db_constraint=False
    )
    # Whose event it is, and which: the order in which a receiver may rely on them.
    subject_id = models.UUIDField()
    sequence = models.PositiveIntegerField()
    event_type = models.CharField(max_length=40)
    # The bytes that are signed and sent, made once.
    body = models.BinaryField()
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    # When to try (again). A claim moves it to the claim's end, so that a sender that dies with it
    # hands it on; the first sender's late result is then refused by the token.
    due_at = models.DateTimeField()
    claim_token = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["destination", "subject_id", "sequence"], name="delivery_once_per_event"
            ),
            models.CheckConstraint(
                condition=Q(status__in=DeliveryStatus.values), name="delivery_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status="pending", finished_at__isnull=True)
                | (~Q(status="pending") & Q(finished_at__isnull=False)),
                name="delivery_finished_at_iff_final",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at", "id"], condition=Q(status="pending"), name="delivery_due"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} #{self.sequence} ({self.status})"


class Attempt(models.Model):
    """One request that was made, or that was refused before it could be."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    # A word of `delivery.Outcome`.
    outcome = models.CharField(max_length=20)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True)
    response_headers = JSON(default=dict)
    response_excerpt = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempts_count_up"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}: {self.outcome}"
