"""Know destinations of bridges. Nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0006_console"),
    ]

    operations = [
        migrations.AlterField(
            model_name="destination",
            name="kind",
            field=models.CharField(
                choices=[("callback", "Callback"), ("endpoint", "Endpoint"), ("bridge", "Bridge")],
                max_length=10,
            ),
        ),
    ]
