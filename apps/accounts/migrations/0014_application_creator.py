"""Store who created an OAuth application, as keys do."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_staff_access"),
    ]

    operations = [
        migrations.AddField(
            model_name="oauthapplication",
            name="created_by",
            field=models.CharField(db_default="", editable=False, max_length=300),
        ),
    ]
