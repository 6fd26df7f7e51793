"""Store the end of each organisation's audit chain, the heads of its days, and the signing key."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.ids

APPEND_ONLY = """
CREATE FUNCTION accounts_audit_heads_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'heads of the audit log are append-only: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER accounts_audithead_append_only
    BEFORE UPDATE OR DELETE ON accounts_audithead
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_heads_stay();
"""

NOT_APPEND_ONLY = """
DROP TRIGGER accounts_audithead_append_only ON accounts_audithead;
DROP FUNCTION accounts_audit_heads_stay();
"""


def foreign_key(to: str) -> "models.ForeignKey[object, object]":
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        to=to,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_oauth"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.base.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("sealed", models.BinaryField()),
                ("public", models.CharField(max_length=60)),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="AuditChain",
            fields=[
                (
                    "organisation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.organisation",
                    ),
                ),
                ("position", models.BigIntegerField(default=0)),
                ("hash", models.BinaryField(max_length=32)),
                ("changed_at", models.DateTimeField()),
                ("key", foreign_key("accounts.auditkey")),
                ("signature", models.BinaryField(max_length=64)),
                ("next_day", models.DateField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("position__gte", 0)), name="audit_chain_from_0"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditHead",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("organisation", foreign_key("accounts.organisation")),
                ("day", models.DateField()),
                ("position", models.BigIntegerField()),
                ("hash", models.BinaryField(max_length=32)),
                ("signed_at", models.DateTimeField()),
                ("key", foreign_key("accounts.auditkey")),
                ("signature", models.BinaryField(max_length=64)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "day"), name="audit_head_once_a_day"
                    ),
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, NOT_APPEND_ONLY),
    ]
