"""Create the second looks."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.ids
from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0002_appeals"),
    ]

    operations = [
        migrations.CreateModel(
            name="SecondLook",
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
                            ("waiting", "Waiting"),
                            ("agreed", "Agreed"),
                            ("disagreed", "Disagreed"),
                            ("expired", "Expired"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("requested_at", models.DateTimeField()),
                ("decided_by", models.CharField(blank=True, max_length=300)),
                ("decider_member_id", models.UUIDField(null=True)),
                ("decided_at", models.DateTimeField(null=True)),
                ("reason", models.CharField(blank=True, max_length=4000)),
            ],
        ),
        migrations.AddField(
            model_name="secondlook",
            name="decider_worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)s_decisions",
                to="pools.worker",
            ),
        ),
        migrations.AddField(
            model_name="secondlook",
            name="organisation",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddField(
            model_name="secondlook",
            name="review",
            field=models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="second_look",
                to="reviews.review",
            ),
        ),
        migrations.AddField(
            model_name="secondlook",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="pools.worker",
            ),
        ),
        migrations.AddIndex(
            model_name="secondlook",
            index=models.Index(fields=["organisation", "-id"], name="second_look_list"),
        ),
        migrations.AddIndex(
            model_name="secondlook",
            index=models.Index(
                condition=models.Q(("status", "waiting")),
                fields=["organisation", "id"],
                name="second_look_waiting",
            ),
        ),
        migrations.AddIndex(
            model_name="secondlook",
            index=models.Index(
                condition=models.Q(("decider_worker__isnull", False)),
                fields=["decider_worker"],
                name="second_look_by_worker",
            ),
        ),
        migrations.AddConstraint(
            model_name="secondlook",
            constraint=models.UniqueConstraint(
                fields=("organisation", "id"), name="second_look_in_its_organisation"
            ),
        ),
        migrations.AddConstraint(
            model_name="secondlook",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["waiting", "agreed", "disagreed", "expired"])),
                name="second_look_status_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="secondlook",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("decided_at__isnull", True), ("decided_by", ""), ("status", "waiting")
                    ),
                    models.Q(
                        models.Q(("status", "waiting"), _negated=True),
                        ("decided_at__isnull", False),
                        models.Q(("decided_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="second_look_decided_iff_closed",
            ),
        ),
        migrations.AddConstraint(
            model_name="secondlook",
            constraint=models.CheckConstraint(
                condition=models.Q(("decided_by", models.F("verdict_by")), _negated=True),
                name="second_look_by_another_credential",
            ),
        ),
        migrations.AddConstraint(
            model_name="secondlook",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decider_worker__isnull", True),
                    models.Q(
                        models.Q(("decider_worker", models.F("worker")), _negated=True),
                        models.Q(
                            ("verdict_worker_id__isnull", True),
                            models.Q(
                                ("decider_worker", models.F("verdict_worker_id")), _negated=True
                            ),
                            _connector="OR",
                        ),
                    ),
                    _connector="OR",
                ),
                name="second_look_by_another_worker",
            ),
        ),
        migrations.AddConstraint(
            model_name="secondlook",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decider_member_id__isnull", True),
                    ("verdict_member_id__isnull", True),
                    models.Q(("decider_member_id", models.F("verdict_member_id")), _negated=True),
                    _connector="OR",
                ),
                name="second_look_by_another_member",
            ),
        ),
        same_organisation("reviews_secondlook", "review_id", "reviews_review"),
        same_organisation("reviews_secondlook", "worker_id", "pools_worker"),
        same_organisation("reviews_secondlook", "verdict_worker_id", "pools_worker"),
        same_organisation("reviews_secondlook", "decider_worker_id", "pools_worker"),
    ]
