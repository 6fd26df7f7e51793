from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0027_claimable")]

    operations = [
        migrations.AddField("dependency", "added_at", models.DateTimeField(null=True)),
    ]
