"""Let API keys be rotated and limited to networks, and record their last use."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_people"),
    ]

    operations = [
        migrations.AddField(
            "apikey",
            "original",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="later_secrets",
                to="accounts.apikey",
            ),
        ),
        migrations.AddField(
            "apikey",
            "allowed_networks",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=50), blank=True, null=True, size=None
            ),
        ),
        migrations.AddField(
            "apikey", "created_by", models.CharField(db_default="", max_length=300)
        ),
        migrations.AddField(
            "apikey", "replaced_at", models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddField(
            "apikey", "last_used_at", models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddConstraint(
            "apikey",
            models.CheckConstraint(
                condition=models.Q(
                    ("replaced_at__isnull", True), ("expires_at__isnull", False), _connector="OR"
                ),
                name="apikey_replaced_secret_ends",
            ),
        ),
        # Room in each page, so that `last_used_at` is written without an entry in any index.
        migrations.RunSQL(
            "ALTER TABLE accounts_apikey SET (fillfactor = 70)",
            "ALTER TABLE accounts_apikey RESET (fillfactor)",
        ),
    ]
