"""What happened to every task: appended, never changed (a trigger refuses UPDATE and DELETE); and how
far those who read it along have come."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from apps.accounts.models import Organisation
from apps.base.fields import JSON, CurrentXid, Xid8
from apps.base.ids import new_id


class Event(models.Model):
    """One transition of one task, as it happened."""

    # Counts up over the installation; orders events that one transaction made. It is no key of the table
    # (migration 0004): an event is found by its task and sequence.
    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The task. It stands above this room: tasks' migration adds the composite foreign key.
    task_id = models.UUIDField()
    # 1, 2, 3 … within the task, without a gap: the task's version.
    sequence = models.PositiveIntegerField()
    type = models.CharField(max_length=40)
    status = models.CharField(max_length=10)
    # Empty at a task's first event.
    previous_status = models.CharField(max_length=10, blank=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=255)
    # Facts of this event (ids, reasons, times); never a task's personal content.
    data = JSON(default=dict)
    occurred_at = models.DateTimeField()
    prev_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)
    # The event's place in the feed: the writing transaction's id, or that of the task's event before
    # where it is larger (a trigger sees to that, see migration 0002). A feed shows only rows below
    # the oldest transaction still running, so that it never skips an event that commits late.
    xid = Xid8(db_default=CurrentXid(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task_id", "sequence"], name="event_sequence_is_unique"
            ),
            # What tasks' foreign key (id, version, status) points to.
            models.UniqueConstraint(
                fields=["task_id", "sequence", "status"], name="event_tells_the_status"
            ),
            models.CheckConstraint(
                condition=models.Q(sequence__gte=1), name="event_sequence_starts_at_1"
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "xid", "id"], name="event_feed"),
            # A few pages: what happened since a time is looked for after a failover alone.
            BrinIndex(fields=["occurred_at"], pages_per_range=32, name="event_times"),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.sequence} of {self.task_id}"


class EventConsumerQuerySet(models.QuerySet["EventConsumer"]):
    def locked(self) -> "EventConsumerQuerySet":
        """Rows that nobody else moves until we commit."""
        return self.select_for_update(no_key=True)


class EventConsumer(models.Model):
    """A reader of an organisation's feed whose place we remember, under a name it chose."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=64)
    # Who made it (`Principal.text`), and for which pools that credential was: null is every pool. Empty
    # for a consumer of a version that did not keep it.
    created_by = models.CharField(max_length=300, db_default="")
    pool_ids = ArrayField(models.UUIDField(), null=True)
    # The event types that it wants, by name or by `task.*`; null means every one.
    types = ArrayField(models.CharField(max_length=40), null=True)
    # Its place: what it has dealt with ends here. Two columns that only ever grow together.
    xid = models.BigIntegerField()
    event_id = models.BigIntegerField()
    created_at = models.DateTimeField()
    # When the place last changed: a consumer that stands still is told by this and its lag.
    moved_at = models.DateTimeField()

    objects: ClassVar[EventConsumerQuerySet] = EventConsumerQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"], name="consumer_name_is_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9_.-]{1,64}$"), name="consumer_name_is_slug"
            ),
            models.CheckConstraint(
                condition=models.Q(types__isnull=True) | models.Q(types__len__gte=1),
                name="consumer_types_is_null_or_some",
            ),
            models.CheckConstraint(
                condition=models.Q(xid__gte=0, event_id__gte=0), name="consumer_place_is_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.organisation_id}"


class Generation(models.Model):
    """A life of the cluster: a standby that was promoted begins a new one.

    Transactions that the old primary had and the standby had not are gone, and their ids are given out
    again. A cursor from before may so be ahead of events that come: it is read from `begins_at_xid` on.
    """

    # 1, 2, 3 …; what was before the first promotion is generation 0, which has no row.
    number = models.PositiveSmallIntegerField(primary_key=True)
    # A place that both primaries had told of.
    begins_at_xid = models.BigIntegerField()
    raised_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"generation {self.number} from {self.begins_at_xid} on"
