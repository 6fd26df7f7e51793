"""Store when a member last opened a lane of the inbox."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_staff_access"),
        ("reviews", "0004_decided_reviews"),
    ]

    operations = [
        migrations.CreateModel(
            name="LaneVisit",
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
                ("lane", models.CharField(max_length=10)),
                ("seen_at", models.DateTimeField()),
                (
                    "member",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("member", "lane"), name="one_visit_per_lane")
                ],
            },
        ),
    ]
