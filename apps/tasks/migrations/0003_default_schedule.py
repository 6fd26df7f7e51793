from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0002_promises"),
    ]

    operations = [
        migrations.AlterField(
            model_name="task",
            name="backoff_seconds",
            field=models.PositiveSmallIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="task",
            name="max_retries",
            field=models.PositiveSmallIntegerField(null=True),
        ),
    ]
