"""Notices of outputs that wait for reviews."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notices", "0003_notes")]

    operations = [
        migrations.AddField(
            model_name="preference",
            name="reviews",
            field=models.BooleanField(db_default=True, default=True),
        ),
        migrations.RemoveConstraint(model_name="notice", name="notice_kind_is_known"),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("offer", "Offer"),
                    ("due_soon", "Due Soon"),
                    ("message", "Message"),
                    ("pool_note", "Pool Note"),
                    ("review", "Review"),
                    ("test", "Test"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["offer", "due_soon", "message", "pool_note", "review", "test"])
                ),
                name="notice_kind_is_known",
            ),
        ),
    ]
