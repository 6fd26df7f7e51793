"""Notices of notes to a pool."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_audit_lists"),
        ("notices", "0002_preference_user"),
        ("pools", "0006_certification_claims"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="notice",
            name="notice_kind_is_known",
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("offer", "Offer"),
                    ("due_soon", "Due Soon"),
                    ("message", "Message"),
                    ("pool_note", "Pool Note"),
                    ("test", "Test"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("kind__in", ["offer", "due_soon", "message", "pool_note", "test"])
                ),
                name="notice_kind_is_known",
            ),
        ),
    ]
