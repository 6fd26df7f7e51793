"""Store what figures and lists of `/api` need of each task, as of the last fold: docs/adr/0041."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from apps.operations.models.figures import Counted
from apps.tasks.models import SetHash

QUEUED = Q(queued_at__isnull=False)
NEWEST = (F("active_at").desc(), F("updated_at").desc(), F("created_at").desc(), F("task").desc())


def _by_pool(*columns: Any, name: str, condition: Q | None = None) -> list[models.Index]:
    """Return an index of the tasks of an organisation, and that of the tasks of a pool."""
    fields = [F(column) if isinstance(column, str) else column for column in columns]
    organisation, pool = F("organisation"), F("pool")
    return [
        models.Index(organisation, *fields, name=name, condition=condition),
        models.Index(organisation, pool, *fields, name=f"{name}_of_pool", condition=condition),
    ]


class TouchedTask(Counted):
    """Store that a transaction changed something that `ListedTask` tells of a task.

    Triggers insert it in the transaction of the change, and a fold deletes it in the statement that
    writes the row of the task again. It has no index: it is as long as what changed since then.
    """

    # No key of the table: the migration drops its index.
    id = models.BigAutoField(primary_key=True)
    # Null: a session began or ended, and touches the tasks whose runs are bound to it.
    task_id = models.UUIDField(null=True)
    session_id = models.CharField(max_length=200, null=True)  # noqa: DJ001
    touched_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.task_id or self.session_id}"


class ListedTask(Counted):
    """Store what one task adds to the figures, and by what it is found in lists.

    Only a fold writes it, after every change of the task (`TouchedTask`): until then readers
    leave the row out, and take what queries/listed_fresh.sql says. It says the same as the tables
    of tasks and runs, and a recount compares them. A task that `/api` has deleted has no row.
    """

    task = models.OneToOneField(
        "tasks.Task",
        # A fold deletes the row, and what it adds to the counts.
        on_delete=models.DO_NOTHING,
        primary_key=True,
        related_name="listed",
        db_constraint=False,
    )
    # As the task has them.
    pool = models.ForeignKey(
        "pools.Pool",
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    pool_ids = ArrayField(models.UUIDField(), null=True)
    # Of `/api`.
    status = models.CharField(max_length=11)
    is_awaiting_approval = models.BooleanField()
    # Blocked, with a dependency.
    is_dependent = models.BooleanField()
    # Above it, or itself.
    is_paused = models.BooleanField()
    has_pause = models.BooleanField()
    # `approvals`, `failed_runs` or `blocked`; empty: in no lane that everyone's inbox has.
    lane = models.CharField(max_length=11)
    # Whose work it is, as `kind/ref`, or `worker/id` where a run of another API is held: of an
    # open task without a lane. The holder is empty where it is the owner.
    owner_key = models.CharField(max_length=300)
    holder_key = models.CharField(max_length=300)
    # 1 for `critical`.
    urgency_rank = models.PositiveSmallIntegerField(null=True)
    # The order of lists, and of inboxes.
    active_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    created_at = models.DateTimeField()
    activity_at = models.DateTimeField()
    # Its open run; null without one.
    run_id = models.UUIDField(null=True)
    # 1 for `running` to 4 for `queued`; null: none of those that the dashboard calls active.
    run_rank = models.PositiveSmallIntegerField(null=True)
    run_latest_at = models.DateTimeField(null=True)
    # Null: not queued. The channel is empty then.
    queued_at = models.DateTimeField(null=True)
    channel = models.CharField(max_length=64)
    # From when on its held run counts as stuck.
    stuck_at = models.DateTimeField(null=True)
    # By what the scheduler hands out.
    is_held = models.BooleanField()
    # That a run is bound to that is starting or running, and whether it has ended.
    session_id = models.CharField(max_length=200)
    is_orphan = models.BooleanField()
    # Of all its runs; how long they waited for a claim and for a start, in microseconds.
    run_statuses = ArrayField(models.CharField(max_length=15))
    to_claim = ArrayField(models.BigIntegerField())
    to_start = ArrayField(models.BigIntegerField())
    longest_to_claim = models.BigIntegerField(null=True)
    longest_to_start = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            *_by_pool(*NEWEST, name="listed_newest"),
            models.Index(F("organisation"), F("status"), *NEWEST, name="listed_of_status"),
            *_by_pool(
                "lane",
                F("activity_at").desc(),
                "urgency_rank",
                name="listed_lane",
                condition=~Q(lane=""),
            ),
            models.Index(
                F("organisation"),
                F("owner_key"),
                F("activity_at").desc(),
                name="listed_owner",
                condition=~Q(owner_key=""),
            ),
            models.Index(
                F("organisation"),
                F("holder_key"),
                F("activity_at").desc(),
                name="listed_holder",
                condition=~Q(holder_key=""),
            ),
            *_by_pool("urgency_rank", "queued_at", "run_id", name="listed_queue", condition=QUEUED),
            *_by_pool("channel", "queued_at", name="listed_channel", condition=QUEUED),
            *_by_pool("queued_at", "is_paused", name="listed_waiting", condition=QUEUED),
            *_by_pool(
                "run_rank",
                F("run_latest_at").desc(),
                F("run_id").desc(),
                name="listed_active",
                condition=Q(run_rank__isnull=False),
            ),
            *_by_pool("stuck_at", name="listed_stuck", condition=Q(stuck_at__isnull=False)),
            *_by_pool(
                F("longest_to_claim").desc(),
                name="listed_to_claim",
                condition=Q(longest_to_claim__isnull=False),
            ),
            *_by_pool(
                F("longest_to_start").desc(),
                name="listed_to_start",
                condition=Q(longest_to_start__isnull=False),
            ),
            # Those that a caller with some pools may see, of those without a pool.
            models.Index(
                fields=["organisation", "-active_at"],
                condition=Q(pool__isnull=True, pool_ids__isnull=False),
                name="listed_of_set",
            ),
            models.Index(
                fields=["organisation", "session_id"],
                condition=~Q(session_id=""),
                name="listed_session",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id}: {self.status}"


class ListedCount(Counted):
    """Store the sum of what the rows of `ListedTask` add to one figure. Several rows add up.

    Besides the rows of each pool and set of pools there are those of all tasks of the organisation
    and of those that name no pool: see queries/listed_fold.sql.
    """

    id = models.BigAutoField(primary_key=True)
    # As in `ListedTask`; the set is empty for every pool, or one of `services.listed`.
    pool_id = models.UUIDField(null=True)
    pool_ids = ArrayField(models.UUIDField())
    # `task`, `run`, `queue` ...: see queries/listed_parts.sql.
    figure = models.CharField(max_length=11)
    # Of the status, channel, bucket ... that is counted; empty where there is one only.
    name = models.TextField()
    number = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(
                F("organisation"),
                SetHash(F("pool_ids")),
                F("figure"),
                F("name"),
                name="listed_count_of_set",
            ),
            models.Index(
                fields=["organisation", "pool_id", "figure", "name"],
                condition=Q(pool_id__isnull=False),
                name="listed_count_of_pool",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.figure} {self.name}"
