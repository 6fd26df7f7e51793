"""Store events, which a trigger protects from UPDATE and DELETE, and their consumers."""

from typing import ClassVar, cast

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from apps.accounts.models import Organisation
from apps.base.fields import JSON, CurrentXid, Xid8
from apps.base.ids import new_id


class Event(models.Model):
    """Store one transition of one task."""

    # Increases over the installation; orders the events of one transaction. It is no key of the
    # table (migration 0004): an event is found by its task and sequence.
    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The task. Its app is above this one: its migration adds the composite foreign key.
    task_id = models.UUIDField()
    # 1, 2, 3 … within the task, without gaps: the task's version.
    sequence = models.PositiveIntegerField()
    type = models.CharField(max_length=40)
    status = models.CharField(max_length=10)
    # Empty at a task's first event.
    previous_status = models.CharField(max_length=10, blank=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=255)
    # Facts of the event (ids, codes, times); never a task's personal content.
    data = JSON(default=dict)
    occurred_at = models.DateTimeField()
    prev_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)
    # The event's position in the feed: the id of the writing transaction, or that of the task's
    # previous event where it is larger (triggers/events_keep_the_tasks_order.sql). The feed shows
    # only rows below the oldest transaction still running, so that it never skips an event that
    # commits late.
    xid = Xid8(db_default=CurrentXid(), editable=False)

    # The words of its `EventNote`, where a query has read them; empty without, or once purged.
    note: str | None = None

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task_id", "sequence"], name="event_sequence_is_unique"
            ),
            # The target of the tasks' foreign key (id, version, status).
            models.UniqueConstraint(
                fields=["task_id", "sequence", "status"], name="event_tells_the_status"
            ),
            models.CheckConstraint(
                condition=models.Q(sequence__gte=1), name="event_sequence_starts_at_1"
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "xid", "id"], name="event_feed"),
            # A few pages: only a failover searches events by time.
            BrinIndex(fields=["occurred_at"], pages_per_range=32, name="event_times"),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.sequence} of {self.task_id}"


class EventNote(models.Model):
    """Store a person's words about an event, which are shown as `reason` in its facts.

    The event's own facts have `reason_hash` instead: a note can be deleted, and the log stays as it
    is.
    """

    pk = models.CompositePrimaryKey("task_id", "sequence")
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The event. The app of tasks is above this one: its migration adds the composite foreign key.
    task_id = models.UUIDField()
    sequence = models.PositiveIntegerField()
    # Its author, as in the event.
    actor_id = models.CharField(max_length=255)
    note = models.TextField()

    def __str__(self) -> str:
        return f"note on #{self.sequence} of {self.task_id}"


class EventConsumerQuerySet(models.QuerySet["EventConsumer"]):
    """Lock consumers."""

    def locked(self) -> "EventConsumerQuerySet":
        """Lock the rows until commit."""
        return self.select_for_update(no_key=True)


class EventConsumer(models.Model):
    """Store the position of a named reader of an organisation's feed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=64)
    # Its creator (`Principal.text`), and the pools of that credential: null is every pool. Empty
    # for a consumer of version 0.1.
    created_by = models.CharField(max_length=300, db_default="")
    pool_ids = ArrayField(models.UUIDField(), null=True)
    # The event types that it reads, by name or by `task.*`; null means all.
    types = ArrayField(models.CharField(max_length=40), null=True)
    # Its position: the last event that it acknowledged. It only increases, except by a failover.
    xid = models.BigIntegerField()
    event_id = models.BigIntegerField()
    created_at = models.DateTimeField()
    # When its position last changed. With the lag it shows a stalled consumer.
    moved_at = models.DateTimeField()

    # What `as_manager` returns has the methods of the query set, which its type does not show.
    objects: ClassVar[EventConsumerQuerySet] = cast(
        "EventConsumerQuerySet", EventConsumerQuerySet.as_manager()
    )

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
    """Store a generation of the cluster: a promoted standby begins a new one.

    Transactions that only the old primary had are lost, and their ids are used again. A cursor of
    an earlier generation may be ahead of new events: it is read from `begins_at_xid` on.
    """

    # 1, 2, 3 …; before the first promotion it is generation 0, which has no row.
    number = models.PositiveSmallIntegerField(primary_key=True)
    # A position up to which both primaries had the same events.
    begins_at_xid = models.BigIntegerField()
    raised_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"generation {self.number} from {self.begins_at_xid} on"
