"""What `/api` knows of reviews of final runs, the circuits of tasks, and what a review queued."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.fields
from apps.base.sql import same_organisation, unvalidated_key


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_staff_access"),
        ("operations", "0009_bound_sessions"),
        ("reviews", "0009_kinds_indexed"),
    ]

    operations = [
        migrations.AddField(
            model_name="rundetails",
            name="guidance",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="rundetails",
            name="missing_work",
            field=apps.base.fields.JSON(null=True),
        ),
        migrations.AddField(
            model_name="rundetails",
            name="review_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="rundetails",
            name="review_reason",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AddField(
            model_name="rundetails",
            name="review_round",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="rundetails",
            name="reviewed_run_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="taskdetails",
            name="circuit_opened_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="taskdetails",
            name="circuit_reason",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.CreateModel(
            name="RunReview",
            fields=[
                (
                    "review",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="of_run",
                        serialize=False,
                        to="reviews.review",
                    ),
                ),
                ("policy", models.CharField(max_length=10)),
                ("parent_review_id", models.UUIDField(null=True)),
                ("requester_kind", models.CharField(max_length=20)),
                ("requester_ref", models.CharField(max_length=255)),
                ("requester_agent_name", models.CharField(blank=True, max_length=128)),
                ("request_reason", models.TextField(blank=True)),
                ("is_held_back", models.BooleanField(default=False)),
                ("reviewer_session_id", models.CharField(blank=True, max_length=200)),
                ("reviewer_agent_name", models.CharField(blank=True, max_length=128)),
                ("reviewer_peer_id", models.CharField(blank=True, max_length=330)),
                ("reviewer_channel_id", models.CharField(blank=True, max_length=64)),
                ("routed_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("outcome", models.CharField(blank=True, max_length=14)),
                ("confidence", models.FloatField(null=True)),
                ("delivery_id", models.CharField(blank=True, max_length=256)),
                ("reason", models.TextField(blank=True)),
                ("missing_work", apps.base.fields.JSON(default=list)),
                ("guidance", models.TextField(blank=True)),
                ("text", models.TextField(blank=True)),
                ("reviewed_by_kind", models.CharField(blank=True, max_length=20)),
                ("reviewed_by_ref", models.CharField(blank=True, max_length=255)),
                ("continuation_run_id", models.UUIDField(null=True)),
                ("has_opened_circuit", models.BooleanField(default=False)),
                ("updated_at", models.DateTimeField()),
                ("check_at", models.DateTimeField(null=True)),
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
                        condition=models.Q(("check_at__isnull", False)),
                        fields=["check_at"],
                        name="run_review_due",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            models.Q(("reviewer_session_id", ""), _negated=True),
                            ("check_at__isnull", False),
                        ),
                        fields=("organisation", "reviewer_session_id"),
                        name="run_review_one_per_session",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome", ""), ("check_at__isnull", True), _connector="OR"
                        ),
                        name="run_review_recorded_is_done",
                    ),
                ],
            },
        ),
        same_organisation("operations_runreview", "review_id", "reviews_review"),
        same_organisation("operations_runreview", "parent_review_id", "reviews_review"),
        same_organisation("operations_runreview", "continuation_run_id", "tasks_run"),
        unvalidated_key("operations_rundetails", "review_id", "reviews_review"),
        unvalidated_key("operations_rundetails", "reviewed_run_id", "tasks_run"),
    ]
