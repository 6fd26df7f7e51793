"""Offers stay inside their organisation."""

from django.db import migrations

from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("matching", "0001_initial"),
        ("pools", "0002_tenancy"),
        ("tasks", "0002_promises"),
    ]
    operations = [
        same_organisation("matching_offer", "task_id", "tasks_task"),
        same_organisation("matching_offer", "run_id", "tasks_run"),
        same_organisation("matching_offer", "worker_id", "pools_worker"),
        same_organisation("matching_offer", "pool_id", "pools_pool"),
    ]
