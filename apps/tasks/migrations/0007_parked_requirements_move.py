"""What matching remembers of a requirement moves to `matching_parkedrequirement`.

The columns `nobody_at` and `looks_again_at` and the index `requirement_in_vain` stay in the database
for the processes of version 0.2, and are dropped with the version after this one.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tasks", "0006_request_hash")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex("requirement", "requirement_in_vain"),
                migrations.RemoveField("requirement", "nobody_at"),
                migrations.RemoveField("requirement", "looks_again_at"),
            ],
        ),
    ]
