"""Store what `/api` knows of tasks and runs, its log, profiles, scheduler and triage."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import apps.base.fields
import apps.operations.models.log

NEXT_SEQUENCE = """
-- Return the next number of the kernel's events: both logs count by one sequence. It is looked up by
-- the name of the table at each call, so that the table may become a partition.
CREATE FUNCTION operations_next_sequence() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN nextval(pg_get_serial_sequence('events_event', 'id'));
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_staff_access"),
        ("operations", "0002_timings_by_measure"),
        ("tasks", "0027_claimable"),
    ]

    operations = [
        migrations.RunSQL(NEXT_SEQUENCE, "DROP FUNCTION operations_next_sequence()"),
        migrations.CreateModel(
            name="SchedulerState",
            fields=[
                (
                    "organisation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.organisation",
                    ),
                ),
                ("paused_at", models.DateTimeField(null=True)),
                ("paused_by_kind", models.CharField(blank=True, max_length=20)),
                ("paused_by_ref", models.CharField(blank=True, max_length=255)),
                ("reason", models.TextField(blank=True)),
            ],
        ),
        migrations.CreateModel(
            name="ExecutionProfile",
            fields=[
                (
                    "task",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="execution_profile",
                        serialize=False,
                        to="tasks.task",
                    ),
                ),
                ("document", apps.base.fields.JSON(default=dict)),
                ("worker_agent", models.CharField(blank=True, max_length=128)),
                (
                    "worker_agents",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                (
                    "participant_agents",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                (
                    "required_capabilities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                (
                    "preferred_capabilities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
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
        ),
        migrations.CreateModel(
            name="TriageState",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "task",
                        "actor_kind",
                        "actor_ref",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("actor_kind", models.CharField(max_length=20)),
                ("actor_ref", models.CharField(max_length=255)),
                ("is_read", models.BooleanField(default=False)),
                ("is_dismissed", models.BooleanField(default=False)),
                ("is_archived", models.BooleanField(default=False)),
                ("last_seen_activity_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
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
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tasks.task",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LogEntry",
            fields=[
                (
                    "sequence",
                    models.BigIntegerField(
                        db_default=apps.operations.models.log.NextSequence(),
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("run_id", models.UUIDField(null=True)),
                ("type", models.CharField(max_length=40)),
                ("actor_kind", models.CharField(max_length=20)),
                ("actor_ref", models.CharField(max_length=255)),
                ("origin_kind", models.CharField(max_length=20)),
                ("origin_ref", models.CharField(max_length=255)),
                ("payload", apps.base.fields.JSON(default=dict)),
                ("occurred_at", models.DateTimeField()),
                (
                    "xid",
                    apps.base.fields.Xid8(db_default=apps.base.fields.CurrentXid(), editable=False),
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
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tasks.task",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["task", "sequence"], name="log_of_task")],
            },
        ),
        migrations.CreateModel(
            name="RunDetails",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="details",
                        serialize=False,
                        to="tasks.run",
                    ),
                ),
                ("failure_kind", models.CharField(blank=True, max_length=20)),
                ("claimed_by_kind", models.CharField(blank=True, max_length=20)),
                ("claimed_by_ref", models.CharField(blank=True, max_length=255)),
                ("session_id", models.CharField(blank=True, max_length=200)),
                ("claim_token_hash", models.CharField(blank=True, max_length=71)),
                ("origin_kind", models.CharField(max_length=20)),
                ("origin_ref", models.CharField(max_length=255)),
                ("idempotency_key", models.CharField(blank=True, max_length=255)),
                ("network_channel", models.CharField(blank=True, max_length=64)),
                ("metadata", apps.base.fields.JSON(null=True)),
                (
                    "required_capabilities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                (
                    "preferred_capabilities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=128), default=list, size=None
                    ),
                ),
                ("starvation_count", models.PositiveSmallIntegerField(default=0)),
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
                    "previous_run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tasks.run",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tasks.task",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("idempotency_key", ""), _negated=True),
                        fields=("organisation", "idempotency_key", "origin_kind", "origin_ref"),
                        name="run_details_key_is_unique",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("previous_run__isnull", False)),
                        fields=("previous_run",),
                        name="run_details_repeated_once",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TaskDetails",
            fields=[
                (
                    "task",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="details",
                        serialize=False,
                        to="tasks.task",
                    ),
                ),
                ("wire_id", models.CharField(max_length=200)),
                ("identifier", models.CharField(blank=True, max_length=200)),
                ("depth", models.PositiveSmallIntegerField(default=1)),
                ("network_channel", models.CharField(blank=True, max_length=64)),
                (
                    "approval_policy",
                    models.CharField(
                        choices=[("none", "None"), ("manual", "Manual")],
                        default="none",
                        max_length=6,
                    ),
                ),
                (
                    "approval_state",
                    models.CharField(
                        choices=[
                            ("not_required", "Not Required"),
                            ("pending", "Pending"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                        ],
                        default="not_required",
                        max_length=12,
                    ),
                ),
                ("owner_kind", models.CharField(blank=True, max_length=20)),
                ("owner_ref", models.CharField(blank=True, max_length=255)),
                ("auto_enqueue_on_ready", models.BooleanField(default=False)),
                ("metadata", apps.base.fields.JSON(null=True)),
                ("creator_kind", models.CharField(max_length=20)),
                ("creator_ref", models.CharField(max_length=255)),
                ("origin_kind", models.CharField(max_length=20)),
                ("origin_ref", models.CharField(max_length=255)),
                ("paused_at", models.DateTimeField(null=True)),
                ("paused_by_kind", models.CharField(blank=True, max_length=20)),
                ("paused_by_ref", models.CharField(blank=True, max_length=255)),
                ("pause_reason", models.TextField(blank=True)),
                ("updated_at", models.DateTimeField()),
                ("deleted_at", models.DateTimeField(null=True)),
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
                    "parent",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="children",
                        to="tasks.task",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("owner_kind", ""), _negated=True),
                        fields=["organisation", "owner_kind", "owner_ref"],
                        name="details_owner",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "wire_id"), name="details_wire_id_is_unique"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("depth__range", (1, 8))),
                        name="details_depth_is_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("task", models.F("parent")), _negated=True),
                        name="details_parent_is_another_task",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approval_policy", "none"),
                            models.Q(("approval_state", "not_required"), _negated=True),
                            _connector="XOR",
                        ),
                        name="details_approval_fits_its_policy",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("owner_kind", ""), ("owner_ref", "")),
                            models.Q(
                                models.Q(("owner_kind", ""), _negated=True),
                                models.Q(("owner_ref", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="details_owner_is_whole",
                    ),
                ],
            },
        ),
    ]
