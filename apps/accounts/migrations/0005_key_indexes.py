"""Index the secrets of API keys: one of each key has no successor."""

import django.db.models.functions
from django.db import migrations, models

from apps.base.sql import BuildIndex

# Indexes are built beside writes; one that an interruption left is dropped first.
IN_ORGANISATION = [
    "ALTER TABLE accounts_apikey DROP CONSTRAINT IF EXISTS apikey_in_its_organisation",
    "DROP INDEX CONCURRENTLY IF EXISTS apikey_in_its_organisation",
    """
    CREATE UNIQUE INDEX CONCURRENTLY apikey_in_its_organisation
    ON accounts_apikey (organisation_id, id)
    """,
    """
    ALTER TABLE accounts_apikey ADD CONSTRAINT apikey_in_its_organisation
    UNIQUE USING INDEX apikey_in_its_organisation
    """,
]
NO_ORGANISATION = ["ALTER TABLE accounts_apikey DROP CONSTRAINT apikey_in_its_organisation"]

NO_INDEX = ["DROP INDEX CONCURRENTLY IF EXISTS apikey_has_one_secret_without_successor"]

ONE_SECRET = [
    *NO_INDEX,
    """
    CREATE UNIQUE INDEX CONCURRENTLY apikey_has_one_secret_without_successor
    ON accounts_apikey (COALESCE(original_id, id)) WHERE replaced_at IS NULL
    """,
]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("accounts", "0004_keys"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(IN_ORGANISATION, NO_ORGANISATION)],
            state_operations=[
                migrations.AddConstraint(
                    "apikey",
                    models.UniqueConstraint(
                        fields=("organisation", "id"), name="apikey_in_its_organisation"
                    ),
                ),
            ],
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(ONE_SECRET, NO_INDEX)],
            state_operations=[
                migrations.AddConstraint(
                    "apikey",
                    models.UniqueConstraint(
                        django.db.models.functions.Coalesce("original", "id"),
                        condition=models.Q(("replaced_at__isnull", True)),
                        name="apikey_has_one_secret_without_successor",
                    ),
                ),
            ],
        ),
        BuildIndex(
            "apikey",
            models.Index(
                condition=models.Q(("original__isnull", False)),
                fields=["original"],
                name="apikey_later_secrets",
            ),
        ),
    ]
