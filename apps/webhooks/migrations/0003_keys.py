"""Ids of deliveries that begin with their time, an index less for each attempt, and vacuum in time."""

from django.db import migrations

from apps.base.sql import vacuumed_often

UUID7 = """
CREATE OR REPLACE FUNCTION webhooks_uuid7(at timestamptz) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid
$$
"""
"""Version 7 of RFC 9562: an index of such ids grows at its end. PostgreSQL has its own from 18 on."""

BUILD_KEY = "CREATE UNIQUE INDEX CONCURRENTLY webhooks_attempt_pkey ON webhooks_attempt (id)"
DROP_UNFINISHED = "DROP INDEX CONCURRENTLY IF EXISTS webhooks_attempt_pkey"
ADD_KEY = (
    "ALTER TABLE webhooks_attempt ADD CONSTRAINT webhooks_attempt_pkey"
    " PRIMARY KEY USING INDEX webhooks_attempt_pkey"
)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0002_tenancy")]

    operations = [
        migrations.RunSQL(UUID7, "DROP FUNCTION IF EXISTS webhooks_uuid7(timestamptz)"),
        # An attempt is found by its delivery and number.
        migrations.RunSQL(
            "ALTER TABLE webhooks_attempt DROP CONSTRAINT IF EXISTS webhooks_attempt_pkey",
            [DROP_UNFINISHED, BUILD_KEY, ADD_KEY],
        ),
        vacuumed_often(
            "webhooks_delivery", "webhooks_message", "webhooks_attempt", "webhooks_origin"
        ),
    ]
