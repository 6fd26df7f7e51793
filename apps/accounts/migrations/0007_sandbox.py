"""Tie a sandbox to its live organisation."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.lookups import Exact

from apps.base.fields import OfVersion


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_keys_in_organisation"),
    ]

    operations = [
        migrations.AddField(
            "organisation",
            "sandbox_of",
            models.ForeignKey(
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddConstraint(
            "organisation",
            models.CheckConstraint(
                condition=Q(sandbox_of__isnull=True)
                | Q(
                    Exact(F("id"), OfVersion(F("sandbox_of"), version=8)),
                    Exact(F("sandbox_of"), OfVersion(F("id"), version=7)),
                ),
                name="organisation_sandbox_has_its_id",
            ),
        ),
        migrations.AddConstraint(
            "organisation",
            models.CheckConstraint(
                condition=Q(sandbox_of__isnull=False)
                | ~Q(Exact(F("id"), OfVersion(F("id"), version=8))),
                name="organisation_live_has_no_sandbox_id",
            ),
        ),
    ]
