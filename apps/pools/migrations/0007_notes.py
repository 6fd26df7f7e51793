"""Notes to the members of a pool, and who has dismissed them."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.ids
from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_audit_lists"),
        ("pools", "0006_certification_claims"),
    ]

    operations = [
        migrations.CreateModel(
            name="PoolNote",
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
                ("text", models.CharField(max_length=1000)),
                ("created_by", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(null=True)),
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
                    "pool",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="pools.pool",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="NoteDismissal",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
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
                        related_name="+",
                        to="pools.worker",
                    ),
                ),
                (
                    "note",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="dismissals",
                        to="pools.poolnote",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="poolnote",
            index=models.Index(fields=["pool", "-id"], name="pool_notes_newest"),
        ),
        migrations.AddConstraint(
            model_name="poolnote",
            constraint=models.UniqueConstraint(
                fields=("organisation", "id"), name="pool_note_in_its_organisation"
            ),
        ),
        migrations.AddConstraint(
            model_name="notedismissal",
            constraint=models.UniqueConstraint(
                fields=("note", "worker"), name="note_dismissed_once"
            ),
        ),
        same_organisation("pools_poolnote", "pool_id", "pools_pool", on_delete="CASCADE"),
        same_organisation("pools_notedismissal", "note_id", "pools_poolnote", on_delete="CASCADE"),
        same_organisation("pools_notedismissal", "worker_id", "pools_worker", on_delete="CASCADE"),
    ]
