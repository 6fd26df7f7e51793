"""Ratings are kept and compared as they are: 4.796 is less than 4.8."""

from typing import Any

from django.db import migrations

from apps.base.fields import Numeric
from apps.pools.migrations._functions import RATING, ROUNDED_RATING

FOLLOW = """
UPDATE pools_membership m SET rating = pools_rating(w, m.pool_id)
FROM pools_worker w WHERE w.id = m.worker_id AND m.pool_id = %s
    AND m.rating <> pools_rating(w, m.pool_id)
"""


def follow(apps: Any, schema_editor: Any) -> None:
    """Write the exact rating of each membership, a pool at a time."""
    pool_ids = apps.get_model("pools", "Pool").objects.order_by("id").values_list("id", flat=True)
    for pool_id in list(pool_ids):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(FOLLOW, [pool_id])


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("pools", "0003_vacuum")]

    operations = [
        # A column of its own: another type of the old one would end the prepared statements of the
        # version before.
        migrations.AddField("worker", "exact_rating", Numeric(null=True)),
        migrations.RunSQL(RATING, ROUNDED_RATING),
        migrations.RunPython(follow, follow, elidable=True),
    ]
