"""Create the claims of certifications, with a key to their stored documents."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.ids
from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_audit_lists"),
        ("pools", "0005_worker_user"),
        # Of the table that the documents are in; its app does not depend on this migration.
        ("tasks", "0008_evidence"),
    ]

    operations = [
        migrations.CreateModel(
            name="CertificationClaim",
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
                ("code", models.CharField(max_length=64)),
                ("issuer", models.CharField(blank=True, max_length=200)),
                ("expires_at", models.DateTimeField(null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("confirmed", "Confirmed"),
                            ("rejected", "Rejected"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=1000)),
                ("file_id", models.UUIDField(null=True)),
                ("filename", models.CharField(blank=True, max_length=200)),
                ("content_type", models.CharField(max_length=100)),
                ("size", models.PositiveIntegerField()),
                ("sha256", models.BinaryField(max_length=32)),
                ("path", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
                ("decided_by", models.CharField(blank=True, max_length=300)),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "worker",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="claims",
                        to="pools.worker",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organisation", "status", "-id"], name="claims_of_status"),
                    models.Index(fields=["organisation", "-id"], name="claims_newest"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("worker", "code", "status"), name="claim_once_in_a_status"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at__isnull", True), ("status", "pending")),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("status__in", ["confirmed", "rejected"]),
                            ),
                            _connector="OR",
                        ),
                        name="claim_is_decided_iff_not_pending",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("file_id__isnull", True), ("status", "rejected")),
                            models.Q(
                                models.Q(("status", "rejected"), _negated=True),
                                ("file_id__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="claim_has_a_document_unless_rejected",
                    ),
                ],
            },
        ),
        same_organisation("pools_certificationclaim", "worker_id", "pools_worker"),
        same_organisation("pools_certificationclaim", "file_id", "tasks_storedfile"),
    ]
