"""Store bridge instances, their subscriptions to tasks, and how far each has been notified.

A bridge instance is sent to by the webhooks' engine: its id is that of its `Destination`.
"""

from django.db import models
from django.db.models import Func, Q
from django.db.models.lookups import LessThanOrEqual

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.pools.models import Pool
from apps.tasks.models import Task

MAX_ERROR_BYTES = 2048


class OctetLength(Func):
    """Count the bytes of a text."""

    function = "octet_length"
    output_field = models.IntegerField()


class BridgeInstance(models.Model):
    """Store a connector to a chat system: global, or of one workspace.

    Its URL, credentials and status are those of its destination.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # Its id on the wire, as its creator chose it; else `brg-` and 16 hexadecimal digits.
    wire_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    # Its workspace; null: it is global.
    pool = models.ForeignKey(
        Pool,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # Its notifications count as delivered, and are not sent.
    is_muted = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "wire_id"], name="bridge_wire_id_is_unique"
            ),
            models.UniqueConstraint(
                fields=["organisation", "id"], name="bridge_in_its_organisation"
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "created_at", "id"], name="bridge_history"),
        ]

    def __str__(self) -> str:
        return self.wire_id


class DeliveryMode(models.TextChoices):
    """Say how a bridge passes a notification on."""

    DIRECT_SEND = "direct-send"  # a new message to the target
    REPLY = "reply"  # an answer inside the target's conversation


class BridgeSubscription(models.Model):
    """Store that a bridge is notified of the end of a task.

    One notification of it is under way at a time. Each change locks the row first.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    bridge = models.ForeignKey(
        BridgeInstance, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    # Its id on the wire, as its creator chose it; else `bts-` and 16 hexadecimal digits.
    wire_id = models.CharField(max_length=200)
    delivery_mode = models.CharField(max_length=11, choices=DeliveryMode)
    peer_id = models.CharField(max_length=255, blank=True)
    group_id = models.CharField(max_length=255, blank=True)
    thread_id = models.CharField(max_length=255, blank=True)
    creator_kind = models.CharField(max_length=20)
    creator_ref = models.CharField(max_length=255)
    # The delivery that is under way, and the number of the event that it tells. Null: none is.
    delivery_id = models.UUIDField(null=True)
    delivery_sequence = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "wire_id"], name="bridge_subscription_id_is_unique"
            ),
            models.CheckConstraint(
                condition=~Q(peer_id="", group_id=""), name="bridge_subscription_has_a_target"
            ),
            models.CheckConstraint(
                condition=Q(delivery_id__isnull=True, delivery_sequence__isnull=True)
                | Q(delivery_id__isnull=False, delivery_sequence__isnull=False),
                name="bridge_subscription_delivery_is_whole",
            ),
        ]
        indexes = [
            # Read by each event that ends a task: see triggers/operations_bridges_are_due.sql.
            models.Index(fields=["task", "updated_at"], name="bridge_subscription_of_task"),
            models.Index(
                fields=["delivery_id"],
                condition=Q(delivery_id__isnull=False),
                name="bridge_subscription_delivery",
            ),
        ]

    def __str__(self) -> str:
        return self.wire_id


class BridgeCursor(models.Model):
    """Store up to which event of a task a subscription has been notified.

    It outlives its subscription, so that one with the same id goes on; it ends with the task.
    """

    pk = models.CompositePrimaryKey("task", "subscription")
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    # The subscription's id on the wire.
    subscription = models.CharField(max_length=200)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The subject of its messages, by which they are purged, and the number of the last one.
    subject_id = models.UUIDField(default=new_id)
    message_count = models.PositiveIntegerField(default=0)
    # Only moves forward: services/bridge_cursors.py writes it.
    last_sequence = models.BigIntegerField(default=0)
    last_delivered_at = models.DateTimeField(null=True)
    # `notif:<subscription>:<sequence>`; empty before the first.
    last_delivery_id = models.CharField(max_length=240, blank=True)
    # Why nothing is delivered, or an event was passed over; empty after a delivery.
    last_error = models.TextField(blank=True)
    # Null: it was never written.
    updated_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(last_sequence__gte=0), name="bridge_cursor_begins_at_0"
            ),
            models.CheckConstraint(
                condition=LessThanOrEqual(OctetLength("last_error"), MAX_ERROR_BYTES),
                name="bridge_cursor_error_is_short",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subscription} at {self.last_sequence}"


class BridgeDue(models.Model):
    """Store that a subscription is to be looked at. A row is only inserted, and then deleted.

    So nothing that finds a subscription due waits for one that looks at it; several rows of one
    are handled together.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    subscription_id = models.UUIDField()
    due_at = models.DateTimeField()
    # Of the next look at what waits or fails: a subscription has one such row.
    is_retry = models.BooleanField(db_default=False)

    class Meta:
        indexes = [
            models.Index(fields=["due_at", "id"], name="bridge_due"),
            models.Index(fields=["subscription_id"], name="bridge_due_of_subscription"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id} at {self.due_at}"
