"""An index of evidence by its file, for the deletion of files."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tasks", "0008_evidence")]

    operations = [
        BuildIndex(
            "evidence",
            models.Index(
                condition=Q(("file__isnull", False)), fields=["file"], name="evidence_of_a_file"
            ),
        ),
    ]
