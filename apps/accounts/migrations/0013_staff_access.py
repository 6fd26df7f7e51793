"""The accesses of the installation's staff to organisations."""

from datetime import timedelta

from django.conf import settings
from django.db import migrations, models
from django.db.models import CASCADE, F, Q

from apps.base.ids import new_id


def owner(to: str) -> models.ForeignKey:  # type: ignore[type-arg]
    return models.ForeignKey(to, on_delete=CASCADE, related_name="staff_accesses")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0012_worker_role"),
    ]

    operations = [
        migrations.CreateModel(
            name="StaffAccess",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("session_id", models.UUIDField()),
                ("reason", models.CharField(max_length=500)),
                ("opened_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("organisation", owner("accounts.organisation")),
                ("user", owner(settings.AUTH_USER_MODEL)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["session_id"],
                        condition=Q(closed_at__isnull=True),
                        name="staffaccess_one_of_a_session",
                    ),
                    models.CheckConstraint(
                        condition=Q(expires_at__gt=F("opened_at"))
                        & Q(expires_at__lte=F("opened_at") + timedelta(hours=1)),
                        name="staffaccess_ends_within_an_hour",
                    ),
                ],
            },
        ),
    ]
