"""Origins, messages, recoveries and keys beside what there was; 0004 fills them, 0005 is strict."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.base.fields
import apps.base.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("webhooks", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="Message",
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
                ("subject_id", models.UUIDField()),
                ("sequence", models.PositiveIntegerField()),
                ("event_type", models.CharField(max_length=40)),
                ("body", models.BinaryField()),
                ("thin_body", models.BinaryField()),
                (
                    "pool_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), null=True, size=None
                    ),
                ),
                ("domain", models.CharField(blank=True, max_length=64)),
                ("is_test", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Origin",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("text", models.CharField(max_length=300)),
                ("concurrency", models.FloatField(db_default=4.0)),
                ("timeouts_in_row", models.PositiveSmallIntegerField(db_default=0)),
                (
                    "recent",
                    apps.base.fields.JSON(
                        db_default=models.Value([], output_field=apps.base.fields.JSON()),
                        default=list,
                    ),
                ),
                ("open_until", models.DateTimeField(blank=True, null=True)),
                ("probe_seconds", models.PositiveSmallIntegerField(db_default=0)),
                ("held_until", models.DateTimeField(blank=True, null=True)),
                ("rate_per_minute", models.PositiveIntegerField(blank=True, null=True)),
                ("next_slot_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Recovery",
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
                (
                    "kind",
                    models.CharField(
                        choices=[("failed", "Failed"), ("missed", "Missed"), ("held", "Held")],
                        max_length=10,
                    ),
                ),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("rate_per_minute", models.PositiveIntegerField()),
                ("created_by", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField()),
                ("passed_at", models.DateTimeField(null=True)),
                ("next_slot_at", models.DateTimeField()),
                ("released_count", models.PositiveIntegerField(default=0)),
                ("released_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "recoveries",
            },
        ),
        migrations.RemoveConstraint(
            model_name="signingsecret",
            name="signing_secret_one_without_end",
        ),
        migrations.RenameModel(old_name="SigningSecret", new_name="SigningKey"),
        migrations.AddField(
            model_name="signingkey",
            name="kind",
            field=models.CharField(
                choices=[("v1", "V1"), ("v1a", "V1A")], default="v1", max_length=3
            ),
        ),
        migrations.AddField(
            model_name="signingkey",
            name="public",
            field=models.CharField(blank=True, max_length=60),
        ),
        migrations.AlterField(
            model_name="signingkey",
            name="organisation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="signing_keys",
                to="accounts.organisation",
            ),
        ),
        migrations.RemoveConstraint(
            model_name="delivery",
            name="delivery_status_is_known",
        ),
        migrations.RemoveConstraint(
            model_name="delivery",
            name="delivery_finished_at_iff_final",
        ),
        migrations.RemoveIndex(
            model_name="delivery",
            name="delivery_due",
        ),
        migrations.RenameField(
            model_name="attempt",
            old_name="duration_ms",
            new_name="total_ms",
        ),
        migrations.RenameField(
            model_name="destination",
            old_name="auth_sealed",
            new_name="sealed",
        ),
        migrations.AddField(
            model_name="attempt",
            name="connect_ms",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="dns_ms",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="first_byte_ms",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="peer",
            field=models.CharField(blank=True, max_length=60),
        ),
        migrations.AddField(
            model_name="attempt",
            name="phase",
            field=models.CharField(blank=True, max_length=10),
        ),
        migrations.AddField(
            model_name="attempt",
            name="tls_ms",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="delivery",
            name="forgiven_count",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="delivery",
            name="last_outcome",
            field=models.CharField(blank=True, max_length=20),
        ),
        migrations.AddField(
            model_name="delivery",
            name="last_status_code",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="delivery",
            name="wait",
            field=models.CharField(
                choices=[
                    ("new", "New"),
                    ("retry", "Retry"),
                    ("retry_after", "Retry After"),
                    ("order", "Order"),
                    ("resent", "Resent"),
                ],
                default="new",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="was_exhausted",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="destination",
            name="description",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="destination",
            name="disabled_reason",
            field=models.CharField(blank=True, max_length=10),
        ),
        migrations.AddField(
            model_name="destination",
            name="domains",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64), blank=True, null=True, size=None
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="event_types",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40), default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="failing_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="destination",
            name="failure_count",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="destination",
            name="header_names",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=100), blank=True, default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="is_ordered",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="destination",
            name="is_thin",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="destination",
            name="kind",
            field=models.CharField(
                choices=[("callback", "Callback"), ("endpoint", "Endpoint")],
                default="callback",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="notice_count",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="destination",
            name="pool_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(), blank=True, null=True, size=None
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="rate_per_minute",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="destination",
            name="status",
            field=models.CharField(
                choices=[("enabled", "Enabled"), ("paused", "Paused"), ("disabled", "Disabled")],
                default="enabled",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="timeout_seconds",
            field=models.PositiveSmallIntegerField(default=10),
        ),
        migrations.AddField(
            model_name="destination",
            name="updated_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AddField(
            model_name="destination",
            name="warned_hours",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="destination",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="webhooks.destination",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("held", "Held"),
                    ("succeeded", "Succeeded"),
                    ("exhausted", "Exhausted"),
                    ("expired", "Expired"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="destination",
            name="backoff_seconds",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="destination",
            name="max_retries",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="message",
            name="organisation",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="message",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.message",
            ),
        ),
        migrations.AddField(
            model_name="origin",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="origin",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.origin",
            ),
        ),
        migrations.AddField(
            model_name="destination",
            name="origin",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.origin",
            ),
        ),
        migrations.AddIndex(
            model_name="destination",
            index=models.Index(
                condition=models.Q(("kind", "endpoint")),
                fields=["organisation", "created_at", "id"],
                name="destination_endpoints",
            ),
        ),
        migrations.AddConstraint(
            model_name="destination",
            constraint=models.CheckConstraint(
                condition=models.Q(("timeout_seconds__range", (1, 30))),
                name="destination_waits_1_to_30_s",
            ),
        ),
        migrations.AddConstraint(
            model_name="destination",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("status", "disabled"), models.Q(("disabled_reason", ""), _negated=True)
                    ),
                    models.Q(
                        models.Q(("status", "disabled"), _negated=True), ("disabled_reason", "")
                    ),
                    _connector="OR",
                ),
                name="destination_disabled_iff_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="destination",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("backoff_seconds__isnull", True), ("max_retries__isnull", True)),
                    models.Q(("backoff_seconds__isnull", False), ("max_retries__isnull", False)),
                    _connector="OR",
                ),
                name="destination_retries_whole",
            ),
        ),
        migrations.AddField(
            model_name="recovery",
            name="destination",
            field=models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="webhooks.destination",
            ),
        ),
        migrations.AddField(
            model_name="recovery",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddField(
            model_name="delivery",
            name="recovery",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="webhooks.recovery",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "pending")),
                fields=["origin", "due_at", "id"],
                name="delivery_due",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("claim_token__isnull", False)),
                fields=["origin"],
                name="delivery_under_way",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                fields=["organisation", "created_at", "id"], name="delivery_history"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "succeeded"), _negated=True),
                fields=["destination", "created_at", "id"],
                name="delivery_unsucceeded",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status", "held")),
                fields=["destination", "created_at"],
                name="delivery_held",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("recovery__isnull", False)),
                fields=["recovery", "status"],
                name="delivery_of_recovery",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("status__in", ["pending", "held", "succeeded", "exhausted", "expired"])
                ),
                name="delivery_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("status__in", ("succeeded", "exhausted", "expired")),
                        ("finished_at__isnull", False),
                    ),
                    models.Q(
                        models.Q(
                            ("status__in", ("succeeded", "exhausted", "expired")), _negated=True
                        ),
                        ("finished_at__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="delivery_finished_at_iff_final",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("claim_token__isnull", True), ("status", "pending"), _connector="OR"
                ),
                name="delivery_claimed_only_while_pending",
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.CheckConstraint(
                condition=models.Q(("forgiven_count__lte", models.F("attempt_count"))),
                name="delivery_forgives_what_was_tried",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["organisation", "created_at", "id"], name="message_history"),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("subject_id", "sequence"), name="message_once_per_event"
            ),
        ),
        migrations.AddConstraint(
            model_name="origin",
            constraint=models.UniqueConstraint(fields=("organisation", "text"), name="origin_once"),
        ),
        migrations.AddConstraint(
            model_name="origin",
            constraint=models.UniqueConstraint(
                fields=("organisation", "id"), name="origin_in_its_organisation"
            ),
        ),
        migrations.AddConstraint(
            model_name="origin",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("open_until__isnull", True), ("probe_seconds", 0)),
                    models.Q(("open_until__isnull", False), ("probe_seconds__gt", 0)),
                    _connector="OR",
                ),
                name="origin_probes_iff_open",
            ),
        ),
        migrations.AddIndex(
            model_name="recovery",
            index=models.Index(
                condition=models.Q(("released_at__isnull", True)),
                fields=["id"],
                name="recovery_to_release",
            ),
        ),
        migrations.AddIndex(
            model_name="recovery",
            index=models.Index(
                fields=["organisation", "created_at", "id"], name="recovery_history"
            ),
        ),
        migrations.AddConstraint(
            model_name="signingkey",
            constraint=models.UniqueConstraint(
                condition=models.Q(("expires_at__isnull", True)),
                fields=("organisation", "kind"),
                name="signing_key_one_of_a_kind_without_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="signingkey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "v1"), ("public", "")),
                    models.Q(("kind", "v1a"), models.Q(("public", ""), _negated=True)),
                    _connector="OR",
                ),
                name="signing_key_is_public_iff_v1a",
            ),
        ),
    ]
