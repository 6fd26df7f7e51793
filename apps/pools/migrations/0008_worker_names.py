"""Index the words of workers' names, by which the console searches; built beside writes."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import migrations

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("pools", "0007_notes")]

    operations = [
        BuildIndex(
            "worker",
            GinIndex(SearchVector("name", config="simple"), name="worker_name_words"),
        ),
    ]
