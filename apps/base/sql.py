"""What Django's models and operations cannot say, for migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunSQL


def same_organisation(
    table: str, column: str, target: str, *, on_delete: str = "NO ACTION"
) -> RunSQL:
    """A composite foreign key: `column` points into `target`, inside the row's own organisation.

    This is what keeps tenants apart even if every check above it were forgotten. It is deferred, as
    Django's own keys are, so that rows of one transaction may come in any order. A row that has one
    needs no key of its own to the organisation: the target's says that it exists.
    """
    name = f"{table}_{column}_in_organisation"
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (organisation_id, {column})"
        f" REFERENCES {target} (organisation_id, id) ON DELETE {on_delete}"
        " DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


class BuildIndex(AddIndexConcurrently):
    """An index that is built while others write. Run again after it was cut off, it keeps what is whole:
    an index that PostgreSQL left invalid serves nobody, and is built anew.

    It waits for every transaction that is older than itself, which `lock_timeout` counts as a wait for a
    lock although nobody waits behind it: the bound does not hold for it.
    """

    def database_forwards(self, app_label: str, *args: Any) -> None:
        schema_editor: BaseDatabaseSchemaEditor = args[0]
        if schema_editor.collect_sql:
            super().database_forwards(app_label, *args)
            return
        if _is_valid(schema_editor, self.index.name):
            return
        with _waiting_for_older(schema_editor):
            schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.index.name}"')
            super().database_forwards(app_label, *args)

    def database_backwards(self, app_label: str, *args: Any) -> None:
        schema_editor: BaseDatabaseSchemaEditor = args[0]
        with _waiting_for_older(schema_editor):
            super().database_backwards(app_label, *args)


IS_VALID = """
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid)
"""


def _is_valid(schema_editor: BaseDatabaseSchemaEditor, index_name: str) -> bool:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(IS_VALID, [f'"{index_name}"'])
        return bool(cursor.fetchone()[0])


@contextmanager
def _waiting_for_older(schema_editor: BaseDatabaseSchemaEditor) -> Iterator[None]:
    """Lift `lock_timeout`, and set it again."""
    if schema_editor.collect_sql:
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        (before,) = cursor.fetchone()
        cursor.execute("SET lock_timeout = 0")
    try:
        yield
    finally:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])


def vacuumed_often(*tables: str) -> RunSQL:
    """Autovacuum for tables whose rows are changed or deleted soon after they came.

    By its defaults it waits until a fifth of a table is dead. The dead rows of a queue lie where its
    head is looked for, so each look would go through them: here a hundredth is enough, and the vacuum
    pauses less.
    """
    settings = {
        "autovacuum_vacuum_scale_factor": "0.01",
        "autovacuum_vacuum_threshold": "1000",
        "autovacuum_vacuum_insert_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.02",
        "autovacuum_vacuum_cost_delay": "1",
    }
    on = ", ".join(f"{name} = {value}" for name, value in settings.items())
    off = ", ".join(settings)
    return RunSQL(
        [f"ALTER TABLE {table} SET ({on})" for table in tables],
        [f"ALTER TABLE {table} RESET ({off})" for table in tables],
    )
