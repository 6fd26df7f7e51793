"""Store the words of people apart from the hashed log, so that they can be deleted.

A table of its own: a further column of `events_event` would end the prepared statements of the previous
version, which select all of its columns.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("events", "0004_keys")]

    operations = [
        migrations.CreateModel(
            name="EventNote",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "task_id",
                        "sequence",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("task_id", models.UUIDField()),
                ("sequence", models.PositiveIntegerField()),
                ("actor_id", models.CharField(max_length=255)),
                ("note", models.TextField()),
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
            ],
        ),
    ]
