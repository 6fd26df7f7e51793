"""The sets of pools of the tasks that were there before."""

from django.db import migrations

HASH = "hash_array_extended(pool_ids, 0)"
FILL = f"""
WITH RECURSIVE known AS (
    (SELECT organisation_id, {HASH} AS hash, pool_ids FROM tasks_task WHERE pool_ids IS NOT NULL
     ORDER BY organisation_id, {HASH} LIMIT 1)
    UNION ALL
    SELECT next.* FROM known CROSS JOIN LATERAL (
        SELECT organisation_id, {HASH}, pool_ids FROM tasks_task
        WHERE pool_ids IS NOT NULL AND (organisation_id, {HASH}) > (known.organisation_id, known.hash)
        ORDER BY organisation_id, {HASH} LIMIT 1) next
)
INSERT INTO tasks_poolset (organisation_id, hash, pool_ids)
SELECT * FROM known WHERE cardinality(pool_ids) > 1 ON CONFLICT DO NOTHING
"""
"""It skips through the index `task_set_list`, so its cost follows the number of sets."""


class Migration(migrations.Migration):
    dependencies = [("tasks", "0004_lists")]
    operations = [migrations.RunSQL(FILL, migrations.RunSQL.noop, elidable=True)]
