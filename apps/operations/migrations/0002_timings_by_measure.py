"""Read the histograms of a measure without those of the others: the measure precedes the time."""

from django.db import migrations, models

from apps.base.sql import BuildIndex
from apps.tasks.models import SetHash


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("operations", "0001_initial")]

    operations = [
        BuildIndex(
            "tasktiming",
            models.Index(
                models.F("organisation"),
                SetHash(models.F("pool_ids")),
                models.F("granularity"),
                models.F("measure"),
                models.F("begins_at"),
                models.F("bucket"),
                name="timing_of_measure",
            ),
        ),
        migrations.RemoveIndex("tasktiming", "timing_of_set"),
    ]
