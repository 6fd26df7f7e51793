"""What an invited person is as a worker."""

from django.db import migrations

import apps.base.fields


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_audit_lists"),
    ]

    operations = [
        migrations.AddField(
            model_name="invitation",
            name="worker",
            field=apps.base.fields.JSON(null=True),
        ),
    ]
