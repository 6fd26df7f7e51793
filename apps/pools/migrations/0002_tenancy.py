"""Workers, pools and keys stay inside their organisation; memberships follow their workers."""

from django.db import migrations

from apps.base.sql import same_organisation
from apps.pools.migrations._functions import NO_SEATS, SEATS


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("pools", "0001_initial"),
    ]
    operations = [
        same_organisation("pools_membership", "pool_id", "pools_pool", on_delete="CASCADE"),
        same_organisation("pools_membership", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("pools_certification", "worker_id", "pools_worker", on_delete="CASCADE"),
        same_organisation("accounts_apikey", "worker_id", "pools_worker", on_delete="CASCADE"),
        migrations.RunSQL(SEATS, NO_SEATS),
    ]
