"""Define destinations, and the origins that they belong to."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.base.ids import new_id


class Origin(models.Model):
    """Store a scheme, host and port that an organisation sends to, and the host's health.

    Its row is the mutex of its deliveries: a transaction that claims, records or releases any of
    them locks it. So no two senders together exceed its limits or advance one order twice.
    """

    # Computed from organisation and text (see origins.py), so that no query is needed to find it.
    id = models.UUIDField(primary_key=True, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # `https://example.com:443`
    text = models.CharField(max_length=300)
    # How many attempts may be under way at once: up by one for each round of successes, halved by a
    # timeout or a 429. The default is FIRST_CONCURRENCY of services/pipeline/origin_health.py.
    concurrency = models.FloatField(db_default=4.0)
    timeouts_in_row = models.PositiveSmallIntegerField(db_default=0)
    # The last five minutes: [[minute, attempts, failures], …], minutes counted since 1970.
    recent = JSON(default=list, db_default=models.Value([], output_field=JSON()))
    # The breaker. Null: closed. Then nothing is sent before this time, and one probe after it.
    open_until = models.DateTimeField(null=True, blank=True)
    # How long the breaker stays open next; 0 while it is closed.
    probe_seconds = models.PositiveSmallIntegerField(db_default=0)
    # Nothing is sent before: a `Retry-After` requested it. No delivery's status changes to `held`
    # for it, as it does while a destination is paused or disabled.
    held_until = models.DateTimeField(null=True, blank=True)
    # The least of its endpoints' limits; null is no limit.
    rate_per_minute = models.PositiveIntegerField(null=True, blank=True)
    # When the rate's next slot is (the theoretical arrival time of GCRA); null: at once.
    next_slot_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "text"], name="origin_once"),
            models.UniqueConstraint(
                fields=["organisation", "id"], name="origin_in_its_organisation"
            ),
            models.CheckConstraint(
                condition=Q(open_until__isnull=True, probe_seconds=0)
                | Q(open_until__isnull=False, probe_seconds__gt=0),
                name="origin_probes_iff_open",
            ),
        ]

    def __str__(self) -> str:
        return self.text


class DestinationKind(models.TextChoices):
    CALLBACK = "callback"  # of one task, created with it
    ENDPOINT = "endpoint"  # of the organisation, which manages it
    # A bridge instance (apps/operations): it gets notifications, and no event by fan-out.
    BRIDGE = "bridge"


class DestinationStatus(models.TextChoices):
    ENABLED = "enabled"
    PAUSED = "paused"  # by its owner; deliveries are held
    DISABLED = "disabled"  # by us, see `disabled_reason`; deliveries are held


class Destination(models.Model):
    """Store a URL that events are sent to: which events, in what form, how fast, with what auth."""

    # A callback has its task's id, so that the task's events find it without a query.
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=10, choices=DestinationKind)
    origin = models.ForeignKey(
        Origin, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    url = models.CharField(max_length=2048)
    description = models.CharField(max_length=500, blank=True)
    # An endpoint's types, or patterns such as `task.*`. A callback receives all of its task's.
    event_types = ArrayField(models.CharField(max_length=40), default=list)
    # Only tasks whose candidate pools are all among these; null is any.
    pool_ids = ArrayField(models.UUIDField(), null=True, blank=True)
    domains = ArrayField(models.CharField(max_length=64), null=True, blank=True)
    auth_type = models.CharField(max_length=10)
    # Credentials and custom headers as JSON, encrypted; empty without any.
    sealed = models.BinaryField(blank=True, editable=False)
    # The names of the custom headers; their values are never shown again.
    header_names = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    is_thin = models.BooleanField(default=False)
    # Per-task order; without it events may overtake each other.
    is_ordered = models.BooleanField(default=True)
    # Both null: the default schedule (see retry_schedule.py).
    max_retries = models.PositiveSmallIntegerField(null=True, blank=True)
    backoff_seconds = models.PositiveSmallIntegerField(null=True, blank=True)
    timeout_seconds = models.PositiveSmallIntegerField(default=10)
    rate_per_minute = models.PositiveIntegerField(null=True, blank=True)
    status = models.CharField(
        max_length=10, choices=DestinationStatus, default=DestinationStatus.ENABLED
    )
    # `gone` (it answered 410) or `failing` (for five days).
    disabled_reason = models.CharField(max_length=10, blank=True)
    # The present streak of failures without a success between them; of endpoints only.
    failing_since = models.DateTimeField(null=True, blank=True)
    failure_count = models.PositiveIntegerField(default=0)
    # The last warning of this streak: 0, 1, 24 or 72 hours.
    warned_hours = models.PositiveSmallIntegerField(default=0)
    # How many operational events about it were emitted: the sequence of the last.
    notice_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="destination_in_its_organisation"
            ),
            models.CheckConstraint(
                condition=Q(timeout_seconds__range=(1, 30)), name="destination_waits_1_to_30_s"
            ),
            models.CheckConstraint(
                condition=(Q(status="disabled") & ~Q(disabled_reason=""))
                | (~Q(status="disabled") & Q(disabled_reason="")),
                name="destination_disabled_iff_reason",
            ),
            models.CheckConstraint(
                condition=Q(max_retries__isnull=True, backoff_seconds__isnull=True)
                | Q(max_retries__isnull=False, backoff_seconds__isnull=False),
                name="destination_retries_whole",
            ),
        ]
        indexes = [
            # Read by each event's fan-out: callbacks are many, endpoints few.
            models.Index(
                fields=["organisation", "created_at", "id"],
                condition=Q(kind="endpoint"),
                name="destination_endpoints",
            ),
        ]

    def __str__(self) -> str:
        return self.url
