"""Create the table of stored files, and attachments; evidence knows its file and its original."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

import apps.base.ids
from apps.base.sql import same_organisation


def key(to: str, **options: object) -> models.ForeignKey:
    """Return a foreign key without a constraint of its own: `same_organisation` adds it."""
    return models.ForeignKey(
        **{
            "to": to,
            "on_delete": django.db.models.deletion.PROTECT,
            "related_name": "+",
            "db_index": False,
            "db_constraint": False,
            **options,
        }
    )


def identifier() -> models.UUIDField:
    return models.UUIDField(
        default=apps.base.ids.new_id, editable=False, primary_key=True, serialize=False
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_audit"),
        ("pools", "0004_exact_ratings"),
        ("tasks", "0007_parked_requirements_move"),
    ]

    operations = [
        migrations.CreateModel(
            name="StoredFile",
            fields=[
                ("id", identifier()),
                ("path", models.CharField(max_length=300)),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("kept", "Kept"), ("doomed", "Doomed")],
                        default="pending",
                        max_length=7,
                    ),
                ),
                ("due_at", models.DateTimeField(null=True)),
                ("organisation", key("accounts.organisation", db_constraint=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "id"), name="file_in_its_organisation"
                    ),
                    models.CheckConstraint(
                        condition=Q(("due_at__isnull", True), ("state", "kept"))
                        | Q(("due_at__isnull", False), ("state__in", ["pending", "doomed"])),
                        name="file_is_due_iff_not_kept",
                    ),
                ],
                "indexes": [
                    models.Index(
                        condition=Q(("due_at__isnull", False)), fields=["due_at"], name="file_due"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Attachment",
            fields=[
                ("id", identifier()),
                ("filename", models.CharField(max_length=200)),
                ("content_type", models.CharField(max_length=100)),
                ("size", models.PositiveIntegerField()),
                ("sha256", models.BinaryField(max_length=32)),
                ("original_sha256", models.BinaryField(max_length=32, null=True)),
                ("path", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField(editable=False)),
                (
                    "pool_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), null=True, size=None
                    ),
                ),
                ("created_by", models.CharField(max_length=300)),
                ("organisation", key("accounts.organisation")),
                ("file", key("tasks.storedfile")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organisation", "id"), name="attachment_in_its_organisation"
                    ),
                    models.UniqueConstraint(fields=("file",), name="attachment_of_a_file"),
                ],
            },
        ),
        migrations.CreateModel(
            name="TaskAttachment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("organisation", key("accounts.organisation")),
                ("task", key("tasks.task", related_name="attachments")),
                ("attachment", key("tasks.attachment", related_name="tasks", db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("task", "attachment"), name="attached_once"),
                ],
            },
        ),
        migrations.AddField(
            model_name="evidence",
            name="original_sha256",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="evidence",
            name="purged_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="evidence",
            name="file",
            field=key("tasks.storedfile", null=True),
        ),
        same_organisation("tasks_attachment", "file_id", "tasks_storedfile"),
        same_organisation("tasks_evidence", "file_id", "tasks_storedfile"),
        same_organisation("tasks_taskattachment", "task_id", "tasks_task"),
        same_organisation("tasks_taskattachment", "attachment_id", "tasks_attachment"),
    ]
