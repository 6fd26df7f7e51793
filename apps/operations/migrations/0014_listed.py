"""Create what figures and lists of `/api` read instead of all tasks: docs/adr/0041."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.tasks.models.tasks
from apps.base.sql import vacuumed_often

# Every change of a task writes a row, which is never looked up by its id.
UNKEYED = "ALTER TABLE operations_touchedtask DROP CONSTRAINT operations_touchedtask_pkey"
KEYED = "ALTER TABLE operations_touchedtask ADD PRIMARY KEY (id)"
# A changed count stays on its page: no index has the column.
ROOM = "ALTER TABLE operations_listedcount SET (fillfactor = 50)"
NO_ROOM = "ALTER TABLE operations_listedcount RESET (fillfactor)"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_staff_access"),
        ("operations", "0013_bridges_due"),
        ("pools", "0009_review_policy"),
        ("tasks", "0029_inbox"),
    ]

    operations = [
        migrations.AddField(
            model_name="recount",
            name="listed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="recount",
            name="listed_drift",
            field=models.PositiveIntegerField(db_default=0),
        ),
        migrations.CreateModel(
            name="TouchedTask",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("task_id", models.UUIDField(null=True)),
                ("session_id", models.CharField(max_length=200, null=True)),
                (
                    "touched_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ListedCount",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("pool_id", models.UUIDField(null=True)),
                (
                    "pool_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), size=None
                    ),
                ),
                ("figure", models.CharField(max_length=11)),
                ("name", models.TextField()),
                ("number", models.BigIntegerField()),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("organisation"),
                        apps.tasks.models.tasks.SetHash(models.F("pool_ids")),
                        models.F("figure"),
                        models.F("name"),
                        name="listed_count_of_set",
                    ),
                    models.Index(
                        condition=models.Q(("pool_id__isnull", False)),
                        fields=["organisation", "pool_id", "figure", "name"],
                        name="listed_count_of_pool",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ListedTask",
            fields=[
                (
                    "task",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="listed",
                        serialize=False,
                        to="tasks.task",
                    ),
                ),
                (
                    "pool_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), null=True, size=None
                    ),
                ),
                ("status", models.CharField(max_length=11)),
                ("is_awaiting_approval", models.BooleanField()),
                ("is_dependent", models.BooleanField()),
                ("is_paused", models.BooleanField()),
                ("has_pause", models.BooleanField()),
                ("lane", models.CharField(max_length=11)),
                ("owner_key", models.CharField(max_length=300)),
                ("holder_key", models.CharField(max_length=300)),
                ("urgency_rank", models.PositiveSmallIntegerField(null=True)),
                ("active_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                ("activity_at", models.DateTimeField()),
                ("run_id", models.UUIDField(null=True)),
                ("run_rank", models.PositiveSmallIntegerField(null=True)),
                ("run_latest_at", models.DateTimeField(null=True)),
                ("queued_at", models.DateTimeField(null=True)),
                ("channel", models.CharField(max_length=64)),
                ("stuck_at", models.DateTimeField(null=True)),
                ("is_held", models.BooleanField()),
                ("session_id", models.CharField(max_length=200)),
                ("is_orphan", models.BooleanField()),
                (
                    "run_statuses",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=15), size=None
                    ),
                ),
                (
                    "to_claim",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
                (
                    "to_start",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
                ("longest_to_claim", models.BigIntegerField(null=True)),
                ("longest_to_start", models.BigIntegerField(null=True)),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "pool",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="pools.pool",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("organisation"),
                        models.OrderBy(models.F("active_at"), descending=True),
                        models.OrderBy(models.F("updated_at"), descending=True),
                        models.OrderBy(models.F("created_at"), descending=True),
                        models.OrderBy(models.F("task"), descending=True),
                        name="listed_newest",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.OrderBy(models.F("active_at"), descending=True),
                        models.OrderBy(models.F("updated_at"), descending=True),
                        models.OrderBy(models.F("created_at"), descending=True),
                        models.OrderBy(models.F("task"), descending=True),
                        name="listed_newest_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("status"),
                        models.OrderBy(models.F("active_at"), descending=True),
                        models.OrderBy(models.F("updated_at"), descending=True),
                        models.OrderBy(models.F("created_at"), descending=True),
                        models.OrderBy(models.F("task"), descending=True),
                        name="listed_of_status",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("lane"),
                        models.OrderBy(models.F("activity_at"), descending=True),
                        models.F("urgency_rank"),
                        condition=models.Q(("lane", ""), _negated=True),
                        name="listed_lane",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.F("lane"),
                        models.OrderBy(models.F("activity_at"), descending=True),
                        models.F("urgency_rank"),
                        condition=models.Q(("lane", ""), _negated=True),
                        name="listed_lane_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("owner_key"),
                        models.OrderBy(models.F("activity_at"), descending=True),
                        condition=models.Q(("owner_key", ""), _negated=True),
                        name="listed_owner",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("holder_key"),
                        models.OrderBy(models.F("activity_at"), descending=True),
                        condition=models.Q(("holder_key", ""), _negated=True),
                        name="listed_holder",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("urgency_rank"),
                        models.F("queued_at"),
                        models.F("run_id"),
                        condition=models.Q(("queued_at__isnull", False)),
                        name="listed_queue",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.F("urgency_rank"),
                        models.F("queued_at"),
                        models.F("run_id"),
                        condition=models.Q(("queued_at__isnull", False)),
                        name="listed_queue_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("channel"),
                        models.F("queued_at"),
                        condition=models.Q(("queued_at__isnull", False)),
                        name="listed_channel",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.F("channel"),
                        models.F("queued_at"),
                        condition=models.Q(("queued_at__isnull", False)),
                        name="listed_channel_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("queued_at"),
                        models.F("is_paused"),
                        condition=models.Q(("queued_at__isnull", False)),
                        name="listed_waiting",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.F("queued_at"),
                        models.F("is_paused"),
                        condition=models.Q(("queued_at__isnull", False)),
                        name="listed_waiting_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("run_rank"),
                        models.OrderBy(models.F("run_latest_at"), descending=True),
                        models.OrderBy(models.F("run_id"), descending=True),
                        condition=models.Q(("run_rank__isnull", False)),
                        name="listed_active",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.F("run_rank"),
                        models.OrderBy(models.F("run_latest_at"), descending=True),
                        models.OrderBy(models.F("run_id"), descending=True),
                        condition=models.Q(("run_rank__isnull", False)),
                        name="listed_active_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("stuck_at"),
                        condition=models.Q(("stuck_at__isnull", False)),
                        name="listed_stuck",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.F("stuck_at"),
                        condition=models.Q(("stuck_at__isnull", False)),
                        name="listed_stuck_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.OrderBy(models.F("longest_to_claim"), descending=True),
                        condition=models.Q(("longest_to_claim__isnull", False)),
                        name="listed_to_claim",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.OrderBy(models.F("longest_to_claim"), descending=True),
                        condition=models.Q(("longest_to_claim__isnull", False)),
                        name="listed_to_claim_of_pool",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.OrderBy(models.F("longest_to_start"), descending=True),
                        condition=models.Q(("longest_to_start__isnull", False)),
                        name="listed_to_start",
                    ),
                    models.Index(
                        models.F("organisation"),
                        models.F("pool"),
                        models.OrderBy(models.F("longest_to_start"), descending=True),
                        condition=models.Q(("longest_to_start__isnull", False)),
                        name="listed_to_start_of_pool",
                    ),
                    models.Index(
                        condition=models.Q(("pool__isnull", True), ("pool_ids__isnull", False)),
                        fields=["organisation", "-active_at"],
                        name="listed_of_set",
                    ),
                    models.Index(
                        condition=models.Q(("session_id", ""), _negated=True),
                        fields=["organisation", "session_id"],
                        name="listed_session",
                    ),
                ],
            },
        ),
        migrations.RunSQL(UNKEYED, KEYED),
        migrations.RunSQL(ROOM, NO_ROOM),
        vacuumed_often("operations_touchedtask", "operations_listedtask", "operations_listedcount"),
    ]
