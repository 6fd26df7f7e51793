"""Name the role `worker`. The database checks no role: nothing changes in it."""

from typing import Any

from django.db import migrations, models

ROLES = [
    ("worker", "Worker"),
    ("viewer", "Viewer"),
    ("editor", "Editor"),
    ("manager", "Manager"),
    ("admin", "Admin"),
]


def role(model: str, **default: Any) -> migrations.AlterField:
    field = models.CharField(choices=ROLES, max_length=10, **default)
    return migrations.AlterField(model_name=model, name="role", field=field)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_invited_workers"),
    ]

    operations = [
        role("apikey", default="editor"),
        role("invitation"),
        role("member", default="viewer"),
        role("oauthapplication", default="viewer"),
    ]
