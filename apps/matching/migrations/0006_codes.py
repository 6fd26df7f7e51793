"""Store why a worker cannot do a task, by a code."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("matching", "0005_recheck_requests")]

    operations = [
        migrations.AddField(
            "offer", "code", models.CharField(blank=True, db_default="", max_length=20)
        ),
    ]
