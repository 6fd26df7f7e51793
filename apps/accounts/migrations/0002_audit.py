"""Create the audit log, append-only by a trigger."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.fields

APPEND_ONLY = """
CREATE FUNCTION accounts_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
        AND to_jsonb(NEW) - '{position,prev_hash,hash}'::text[]
            = to_jsonb(OLD) - '{position,prev_hash,hash}'::text[]
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER accounts_auditevent_append_only
    BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_is_append_only();
"""

NOT_APPEND_ONLY = """
DROP TRIGGER accounts_auditevent_append_only ON accounts_auditevent;
DROP FUNCTION accounts_audit_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(null=True)),
                ("action", models.CharField(max_length=60)),
                ("actor_kind", models.CharField(max_length=20)),
                ("actor_id", models.CharField(max_length=255)),
                ("address", models.CharField(blank=True, max_length=45)),
                ("subject_kind", models.CharField(max_length=40)),
                ("subject_id", models.CharField(max_length=255)),
                ("data", apps.base.fields.JSON(default=dict)),
                ("occurred_at", models.DateTimeField()),
                ("prev_hash", models.BinaryField(max_length=32, null=True)),
                ("hash", models.BinaryField(max_length=32, null=True)),
                (
                    "organisation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("position__isnull", True)),
                        fields=["organisation", "id"],
                        name="audit_unchained",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "position"), name="audit_position_is_unique"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("hash__isnull", True),
                                ("position__isnull", True),
                                ("prev_hash__isnull", True),
                            ),
                            models.Q(
                                ("hash__isnull", False),
                                ("position__gte", 1),
                                ("prev_hash__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="audit_position_has_hashes",
                    ),
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
