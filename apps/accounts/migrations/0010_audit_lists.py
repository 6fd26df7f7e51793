"""An index for the list of the audit log, and for each of its filters."""

from django.db import migrations, models

from apps.base.sql import BuildIndex


def of_organisation(*columns: str, name: str) -> BuildIndex:
    fields = ["organisation", *columns, "-occurred_at", "-id"]
    return BuildIndex("auditevent", models.Index(fields=fields, name=name))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("accounts", "0009_audit_heads"),
    ]

    operations = [
        of_organisation(name="audit_list"),
        of_organisation("action", name="audit_action"),
        of_organisation("actor_id", name="audit_actor"),
        of_organisation("subject_id", name="audit_subject"),
    ]
