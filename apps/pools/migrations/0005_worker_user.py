"""Link a worker to the person who is it; the unique index is built beside writes."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

UNIQUE = models.UniqueConstraint(
    fields=["user", "organisation"],
    condition=models.Q(user__isnull=False),
    name="one_worker_each",
)
BUILD = """
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS one_worker_each
ON pools_worker (user_id, organisation_id) WHERE user_id IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("accounts", "0003_people"),
        ("pools", "0004_exact_ratings"),
    ]

    operations = [
        migrations.AddField(
            model_name="worker",
            name="user",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="workers",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                # The wait for older transactions counts as a wait for a lock.
                migrations.RunSQL("SET lock_timeout = 0", migrations.RunSQL.noop),
                # What an interruption left invalid is built again.
                migrations.RunSQL(
                    "DROP INDEX CONCURRENTLY IF EXISTS one_worker_each", migrations.RunSQL.noop
                ),
                migrations.RunSQL(BUILD, "DROP INDEX CONCURRENTLY IF EXISTS one_worker_each"),
                migrations.RunSQL("RESET lock_timeout", migrations.RunSQL.noop),
            ],
            state_operations=[migrations.AddConstraint("worker", UNIQUE)],
        ),
    ]
