"""Check that migrations suit the previous version, lock briefly, and reverse (docs/adr/0015)."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from apps.base.sql import BuildIndex

OURS = {config.label for config in apps.get_app_configs() if config.name.startswith("apps.")}


def ours() -> dict[str, migrations.Migration]:
    """Return our migrations by name."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return {
        f"{label}.{name}": migration
        for (label, name), migration in loader.disk_migrations.items()
        if label in OURS
    }


def faults(migration: migrations.Migration) -> Iterator[str]:
    """Yield the faults of a migration, each with its remedy."""
    new = {op.name_lower for op in migration.operations if isinstance(op, migrations.CreateModel)}
    for op in migration.operations:
        if not op.reversible:
            yield f"{op.describe()}: give it a reverse"
        if getattr(op, "model_name_lower", None) not in new:
            yield from _faults_on_existing(op)


def _faults_on_existing(op: Operation) -> Iterator[str]:
    match op:
        case migrations.AddField(field=field) if not _is_filled(field):
            yield f"{op.describe()}: make it null, or give it a db_default for the previous version"
        case migrations.AddIndex() if not isinstance(op, BuildIndex):
            yield f"{op.describe()}: build it with apps.base.sql.BuildIndex, beside writes"
        case AddIndexConcurrently() if not isinstance(op, BuildIndex):
            yield f"{op.describe()}: use BuildIndex, which can be repeated after an interruption"
        case migrations.RemoveField() | migrations.RenameField() | migrations.RenameModel():
            yield f"{op.describe()}: the previous version uses it; remove it one version later"


def _is_filled(field: Any) -> bool:
    return bool(field.null or field.has_db_default() or field.many_to_many)


def test_migrations__serve_two_versions() -> None:
    listed = [
        f"{name}: {fault}" for name, migration in ours().items() for fault in faults(migration)
    ]
    assert not listed, "\n".join(listed)


@pytest.mark.parametrize(
    "planted",
    [
        migrations.RunSQL("SELECT 1"),
        migrations.RunPython(lambda apps, editor: None),
        migrations.AddField("task", "colour", models.CharField(max_length=10)),
        migrations.AddField("task", "colour", models.CharField(max_length=10, default="red")),
        migrations.AddIndex("task", models.Index(fields=["title"], name="task_title")),
        AddIndexConcurrently("task", models.Index(fields=["title"], name="task_title")),
        migrations.RemoveField("task", "title"),
        migrations.RenameField("task", "title", "name"),
    ],
    ids=lambda op: op.describe(),
)
def test_a_planted_fault__is_detected(planted: Operation) -> None:
    migration = migrations.Migration("0099_planted", "tasks")
    migration.operations = [planted]
    assert len(list(faults(migration))) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        migrations.AddField("task", "colour", models.CharField(max_length=10, db_default="red")),
        migrations.AddField("task", "colour", models.CharField(max_length=10, null=True)),
        BuildIndex("task", models.Index(fields=["title"], name="task_title")),
    ],
    ids=lambda op: op.describe(),
)
def test_a_compatible_operation__is_no_fault(harmless: Operation) -> None:
    migration = migrations.Migration("0099_harmless", "tasks")
    migration.operations = [harmless]
    assert not list(faults(migration))
