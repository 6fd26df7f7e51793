"""Store the roll-ups of tasks, and the processes that run."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.tasks.models import SetHash


class Stage(models.TextChoices):
    """Name the stages of an open task: what operators count, coarser than its status."""

    GATED = "gated"  # at `created` with a closed gate
    WAITING = "waiting"  # at `created` without one, `queued`, or `matched`
    OFFERED = "offered"
    ACTIVE = "active"  # from `accepted` to `verified`


class Measure(models.TextChoices):
    """Name the durations that are kept in histograms. Each ends with an event of a task."""

    QUEUE_TO_OFFER = "queue_to_offer"  # since it was queued last
    OFFER_TO_ACCEPT = "offer_to_accept"
    ACCEPT_TO_SUBMIT = "accept_to_submit"
    CREATE_TO_COMPLETE = "create_to_complete"


class Flow(models.TextChoices):
    """Name what is counted for each period of time."""

    CREATED = "created"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    BREACHED = "breached"  # its first SLA clock ran out


class Granularity(models.TextChoices):
    """Name the lengths of the periods of histograms. All periods begin by UTC."""

    MINUTE = "minute"  # kept for 3 hours
    HOUR = "hour"  # kept for 8 days
    DAY = "day"  # kept for 400 days


class Counted(models.Model):
    """Say of whose tasks a figure is."""

    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        # A key would lock the organisation's row: a transaction that holds it would stop the fold.
        db_constraint=False,
    )

    class Meta:
        abstract = True


class TaskChange(Counted):
    """Store how one transition changes the figures: a row that only waits to be folded.

    The transition's own transaction inserts it, and `services.fold_changes` deletes it in the
    statement that adds it to the counts. Figures are read from both, so that a fold changes none.
    It has no index, and its columns are null where they say nothing: every transition pays for
    them. It is read as a whole, and is as long as what changed since the last fold.
    """

    # No key of the table: the migration drops its index.
    id = models.BigAutoField(primary_key=True)
    # The candidate pools of the task; null: every pool.
    pool_ids = ArrayField(models.UUIDField(), null=True)
    domain = models.CharField(max_length=64)
    # Where the task was counted, and where it is; null: it was or is not open.
    left_stage = models.CharField(max_length=7, null=True)  # noqa: DJ001
    left_sla = models.CharField(max_length=8, null=True)  # noqa: DJ001
    stage = models.CharField(max_length=7, null=True)  # noqa: DJ001
    sla = models.CharField(max_length=8, null=True)  # noqa: DJ001
    # How many tasks; a recount corrects by more than one, or by less than none.
    number = models.IntegerField(db_default=1)
    flow = models.CharField(max_length=9, null=True)  # noqa: DJ001
    measure = models.CharField(max_length=18, null=True)  # noqa: DJ001
    # Of the measured duration: see buckets.py.
    bucket = models.PositiveSmallIntegerField(null=True)
    occurred_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.left_stage} to {self.stage}"


class TaskCount(Counted):
    """Store how many open tasks are alike. Several rows of one kind add up.

    No unique key: a fold that finds a row locked adds another one instead of waiting. The sweep
    joins them, and deletes those of 0.
    """

    id = models.BigAutoField(primary_key=True)
    # The candidate pools of the tasks, sorted; empty: every pool of the organisation.
    pool_ids = ArrayField(models.UUIDField(), default=list)
    domain = models.CharField(max_length=64)
    stage = models.CharField(max_length=7, choices=Stage)
    # The worse of its SLA clocks: `none`, `at_risk` or `breached`.
    sla = models.CharField(max_length=8)
    # Negative for a moment where two rows add up.
    number = models.IntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(stage__in=Stage.values), name="count_stage_is_known"
            ),
        ]
        indexes = [
            models.Index(
                F("organisation"), SetHash(F("pool_ids")), F("domain"), name="count_of_set"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.stage}"


class TaskTiming(Counted):
    """Store how many events of a period had a duration: one bucket of a histogram.

    Besides the rows of each set of pools there are rows of all tasks of the organisation
    (`pool_ids` is `buckets.ALL_TASKS`): the reader of an organisation reads few rows, however many
    pools it has. Flows are stored as the bucket 0 of a measure of their name. Several rows of one
    kind add up, as those of `TaskCount`.
    """

    id = models.BigAutoField(primary_key=True)
    # As in `TaskCount`, or `buckets.ALL_TASKS`.
    pool_ids = ArrayField(models.UUIDField(), default=list)
    # A `Measure`, or a `Flow`.
    measure = models.CharField(max_length=18)
    granularity = models.CharField(max_length=6, choices=Granularity)
    begins_at = models.DateTimeField()
    bucket = models.PositiveSmallIntegerField()
    number = models.IntegerField()

    class Meta:
        indexes = [
            models.Index(
                F("organisation"),
                SetHash(F("pool_ids")),
                F("granularity"),
                F("measure"),
                F("begins_at"),
                F("bucket"),
                name="timing_of_measure",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} in {self.bucket} of {self.measure}"


class Recount(models.Model):
    """Store the result of the latest recount: one row, made by the first."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    ran_at = models.DateTimeField()
    due_at = models.DateTimeField()
    # Of the process that ran it: after an upgrade it is run again.
    version = models.CharField(max_length=40)
    # By how many tasks the figures were wrong, counted for each kind of task.
    drift = models.PositiveIntegerField()
    # How many tasks were listed wrongly (`ListedTask`), and how many counts of these were wrong.
    listed_drift = models.PositiveIntegerField(db_default=0)
    # When all tasks were listed for the first time; null: readers of `/api` count the tasks.
    listed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="recount_is_one_row")]

    def __str__(self) -> str:
        return f"drift {self.drift} at {self.ran_at}"


class Process(models.Model):
    """Store that a process runs: it updates its row every three seconds.

    A clean stop deletes the row. One that is not updated any more is of a process that died.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # As in config/processes.py.
    name = models.CharField(max_length=100)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=40)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    # Empty: it has run none.
    last_drain = models.CharField(max_length=40, blank=True)
    last_drain_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "processes"

    def __str__(self) -> str:
        return f"{self.name} on {self.host}"
