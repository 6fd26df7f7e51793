"""Create the appeals; who the reviewer is, and when a review was claimed."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.ids
from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="review",
            name="claimed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="review",
            name="reviewer_member_id",
            field=models.UUIDField(null=True),
        ),
        migrations.CreateModel(
            name="Appeal",
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
                ("verdict_by", models.CharField(max_length=300)),
                ("verdict_worker_id", models.UUIDField(null=True)),
                ("verdict_member_id", models.UUIDField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "Open"),
                            ("upheld", "Upheld"),
                            ("overturned", "Overturned"),
                            ("expired", "Expired"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("reason", models.CharField(blank=True, max_length=4000)),
                ("opened_at", models.DateTimeField()),
                ("decided_by", models.CharField(blank=True, max_length=300)),
                ("decider_member_id", models.UUIDField(null=True)),
                ("decided_at", models.DateTimeField(null=True)),
                ("decision_reason", models.CharField(blank=True, max_length=4000)),
                ("rating", models.PositiveSmallIntegerField(null=True)),
                (
                    "decider_worker",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="%(class)s_decisions",
                        to="pools.worker",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "review",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="appeal",
                        to="reviews.review",
                    ),
                ),
                (
                    "worker",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="pools.worker",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organisation", "-id"], name="appeal_list"),
                    models.Index(
                        condition=models.Q(("status", "open")),
                        fields=["organisation", "id"],
                        name="appeal_open",
                    ),
                    models.Index(fields=["worker"], name="appeal_of_worker"),
                    models.Index(
                        condition=models.Q(("decider_worker__isnull", False)),
                        fields=["decider_worker"],
                        name="appeal_decided_by_worker",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "id"), name="appeal_in_its_organisation"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("status__in", ["open", "upheld", "overturned", "expired"])
                        ),
                        name="appeal_status_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at__isnull", True), ("decided_by", ""), ("status", "open")
                            ),
                            models.Q(
                                models.Q(("status", "open"), _negated=True),
                                ("decided_at__isnull", False),
                                models.Q(("decided_by", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="appeal_decided_iff_closed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("decided_by", models.F("verdict_by")), _negated=True),
                        name="appeal_decided_by_another_credential",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decider_worker__isnull", True),
                            models.Q(
                                models.Q(("decider_worker", models.F("worker")), _negated=True),
                                models.Q(
                                    ("verdict_worker_id__isnull", True),
                                    models.Q(
                                        ("decider_worker", models.F("verdict_worker_id")),
                                        _negated=True,
                                    ),
                                    _connector="OR",
                                ),
                            ),
                            _connector="OR",
                        ),
                        name="appeal_decided_by_another_worker",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decider_member_id__isnull", True),
                            ("verdict_member_id__isnull", True),
                            models.Q(
                                ("decider_member_id", models.F("verdict_member_id")), _negated=True
                            ),
                            _connector="OR",
                        ),
                        name="appeal_decided_by_another_member",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("rating__isnull", True),
                            models.Q(("rating__range", (1, 5)), ("status", "overturned")),
                            _connector="OR",
                        ),
                        name="appeal_rating_1_to_5_if_overturned",
                    ),
                ],
            },
        ),
        same_organisation("reviews_appeal", "review_id", "reviews_review"),
        same_organisation("reviews_appeal", "worker_id", "pools_worker"),
        same_organisation("reviews_appeal", "verdict_worker_id", "pools_worker"),
        same_organisation("reviews_appeal", "decider_worker_id", "pools_worker"),
    ]
