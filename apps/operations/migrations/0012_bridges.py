"""Bridge instances, their subscriptions to tasks, and how far each has been notified."""

import django.db.models.deletion
import django.db.models.lookups
from django.db import migrations, models

import apps.base.ids
import apps.operations.models.bridges
from apps.base.sql import same_organisation, vacuumed_often


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_application_creator"),
        ("operations", "0011_run_reviews_validated"),
        ("pools", "0009_review_policy"),
        ("tasks", "0029_inbox"),
        ("webhooks", "0007_bridges"),
    ]

    operations = [
        migrations.CreateModel(
            name="BridgeInstance",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("wire_id", models.CharField(max_length=200)),
                ("name", models.CharField(max_length=200)),
                ("is_muted", models.BooleanField(default=False)),
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
                (
                    "pool",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="pools.pool",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BridgeSubscription",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.base.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("wire_id", models.CharField(max_length=200)),
                (
                    "delivery_mode",
                    models.CharField(
                        choices=[("direct-send", "Direct Send"), ("reply", "Reply")], max_length=11
                    ),
                ),
                ("peer_id", models.CharField(blank=True, max_length=255)),
                ("group_id", models.CharField(blank=True, max_length=255)),
                ("thread_id", models.CharField(blank=True, max_length=255)),
                ("creator_kind", models.CharField(max_length=20)),
                ("creator_ref", models.CharField(max_length=255)),
                ("delivery_id", models.UUIDField(null=True)),
                ("delivery_sequence", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "bridge",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="operations.bridgeinstance",
                    ),
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
        ),
        migrations.CreateModel(
            name="BridgeCursor",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "task",
                        "subscription",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("subscription", models.CharField(max_length=200)),
                ("subject_id", models.UUIDField(default=apps.base.ids.new_id)),
                ("message_count", models.PositiveIntegerField(default=0)),
                ("last_sequence", models.BigIntegerField(default=0)),
                ("last_delivered_at", models.DateTimeField(null=True)),
                ("last_delivery_id", models.CharField(blank=True, max_length=240)),
                ("last_error", models.TextField(blank=True)),
                ("updated_at", models.DateTimeField(null=True)),
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
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("last_sequence__gte", 0)),
                        name="bridge_cursor_begins_at_0",
                    ),
                    models.CheckConstraint(
                        condition=django.db.models.lookups.LessThanOrEqual(
                            apps.operations.models.bridges.OctetLength("last_error"), 2048
                        ),
                        name="bridge_cursor_error_is_short",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BridgeDue",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("subscription_id", models.UUIDField()),
                ("due_at", models.DateTimeField()),
                ("is_retry", models.BooleanField(db_default=False)),
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
                    models.Index(fields=["due_at", "id"], name="bridge_due"),
                    models.Index(fields=["subscription_id"], name="bridge_due_of_subscription"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="bridgeinstance",
            index=models.Index(fields=["organisation", "created_at", "id"], name="bridge_history"),
        ),
        migrations.AddConstraint(
            model_name="bridgeinstance",
            constraint=models.UniqueConstraint(
                fields=("organisation", "wire_id"), name="bridge_wire_id_is_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="bridgeinstance",
            constraint=models.UniqueConstraint(
                fields=("organisation", "id"), name="bridge_in_its_organisation"
            ),
        ),
        migrations.AddIndex(
            model_name="bridgesubscription",
            index=models.Index(fields=["task", "updated_at"], name="bridge_subscription_of_task"),
        ),
        migrations.AddIndex(
            model_name="bridgesubscription",
            index=models.Index(
                condition=models.Q(("delivery_id__isnull", False)),
                fields=["delivery_id"],
                name="bridge_subscription_delivery",
            ),
        ),
        migrations.AddConstraint(
            model_name="bridgesubscription",
            constraint=models.UniqueConstraint(
                fields=("organisation", "wire_id"), name="bridge_subscription_id_is_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="bridgesubscription",
            constraint=models.CheckConstraint(
                condition=models.Q(("group_id", ""), ("peer_id", ""), _negated=True),
                name="bridge_subscription_has_a_target",
            ),
        ),
        migrations.AddConstraint(
            model_name="bridgesubscription",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("delivery_id__isnull", True), ("delivery_sequence__isnull", True)),
                    models.Q(("delivery_id__isnull", False), ("delivery_sequence__isnull", False)),
                    _connector="OR",
                ),
                name="bridge_subscription_delivery_is_whole",
            ),
        ),
        same_organisation("operations_bridgeinstance", "id", "webhooks_destination"),
        same_organisation("operations_bridgeinstance", "pool_id", "pools_pool"),
        same_organisation("operations_bridgesubscription", "task_id", "tasks_task"),
        same_organisation(
            "operations_bridgesubscription", "bridge_id", "operations_bridgeinstance"
        ),
        same_organisation("operations_bridgecursor", "task_id", "tasks_task"),
        vacuumed_often("operations_bridgedue"),
    ]
