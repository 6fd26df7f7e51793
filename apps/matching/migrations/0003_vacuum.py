"""Vacuum in time for rows that are changed or deleted soon after they came."""

from django.db import migrations

from apps.base.sql import vacuumed_often


class Migration(migrations.Migration):
    dependencies = [("matching", "0002_tenancy")]
    operations = [vacuumed_often("matching_offer", "matching_turn")]
