"""The index of an organisation's log, for lists of the tasks that were active last."""

from django.db import migrations, models

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("operations", "0004_details_keys")]

    operations = [
        BuildIndex(
            "logentry",
            models.Index(fields=["organisation", "sequence"], name="log_of_organisation"),
        ),
    ]
