"""Vacuum in time for rows that are changed or deleted soon after they came."""

from django.db import migrations

from apps.base.sql import vacuumed_often


class Migration(migrations.Migration):
    dependencies = [("timers", "0001_initial")]
    operations = [vacuumed_often("timers_timer")]
