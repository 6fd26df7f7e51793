"""Nothing in the log's keys stands in the way of a partition by time any more.

Each unique key begins with the task, whose id begins with its time; the number of an event orders, and
finds nothing. An index less for each event.
"""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations

from apps.base.sql import BuildIndex

BUILD_KEY = "CREATE UNIQUE INDEX CONCURRENTLY events_event_pkey ON events_event (id)"
DROP_UNFINISHED = "DROP INDEX CONCURRENTLY IF EXISTS events_event_pkey"
ADD_KEY = "ALTER TABLE events_event ADD CONSTRAINT events_event_pkey PRIMARY KEY USING INDEX events_event_pkey"


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("events", "0003_consumers")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE events_event DROP CONSTRAINT IF EXISTS events_event_pkey",
            [DROP_UNFINISHED, BUILD_KEY, ADD_KEY],
        ),
        BuildIndex(
            "event", BrinIndex(fields=["occurred_at"], pages_per_range=32, name="event_times")
        ),
    ]
