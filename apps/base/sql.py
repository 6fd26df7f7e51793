"""Build migration operations that Django does not have."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddConstraint, RunSQL


def same_organisation(
    table: str, column: str, target: str, *, on_delete: str = "NO ACTION"
) -> RunSQL:
    """Return a composite foreign key: `column` references `target` in the row's own organisation.

    It separates tenants even if every check in the code is forgotten. It is deferred, as Django's
    own keys are, so that rows of one transaction may be written in any order. A row that has one
    needs no key of its own to the organisation: the target's key ensures that it exists.
    """
    name = f"{table}_{column}_in_organisation"
    return RunSQL(
        f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (organisation_id, {column})"
        f" REFERENCES {target} (organisation_id, id) ON DELETE {on_delete}"
        " DEFERRABLE INITIALLY DEFERRED",
        f"ALTER TABLE {table} DROP CONSTRAINT {name}",
    )


def unvalidated_key(
    table: str, column: str, target: str, *, on_delete: str = "NO ACTION"
) -> RunSQL:
    """Return the key of `same_organisation` for a large table: it holds for new rows at once.

    `validated_key`, in a migration of its own, checks the existing rows without blocking writes.
    """
    key = same_organisation(table, column, target, on_delete=on_delete)
    return RunSQL(f"{key.sql} NOT VALID", key.reverse_sql)


def validated_key(table: str, column: str) -> RunSQL:
    """Return the check of existing rows for `unvalidated_key`."""
    name = f"{table}_{column}_in_organisation"
    return RunSQL(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}", RunSQL.noop)


def unique_in_organisation(table: str, name: str) -> RunSQL:
    """Return the unique constraint `name` of (organisation_id, id), built without blocking writes.

    The migration must not be atomic. It can be repeated after an interruption. See `BuildIndex` for
    why it lifts `lock_timeout`.
    """
    saved = "SELECT set_config('biolayer.lock_timeout', current_setting('lock_timeout'), false)"
    restored = "SELECT set_config('lock_timeout', current_setting('biolayer.lock_timeout'), false)"
    dropped = f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
    return RunSQL(
        [
            dropped,
            saved,
            "SET lock_timeout = 0",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name}",
            f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} (organisation_id, id)",
            restored,
            f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}",
        ],
        dropped,
    )


class BuildIndex(AddIndexConcurrently):
    """Build an index without blocking writes.

    Run again after an interruption, it keeps a valid index; an index that PostgreSQL left invalid
    is never used, and is built again.

    It waits for every transaction that is older than itself. `lock_timeout` counts that as a wait
    for a lock, although no other transaction waits behind it: so the timeout is lifted.
    """

    def database_forwards(self, app_label: str, *args: Any) -> None:
        schema_editor: BaseDatabaseSchemaEditor = args[0]
        if schema_editor.collect_sql:
            super().database_forwards(app_label, *args)
            return
        if _is_valid(schema_editor, self.index.name):
            return
        with _without_lock_timeout(schema_editor):
            schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.index.name}"')
            super().database_forwards(app_label, *args)

    def database_backwards(self, app_label: str, *args: Any) -> None:
        schema_editor: BaseDatabaseSchemaEditor = args[0]
        with _without_lock_timeout(schema_editor):
            super().database_backwards(app_label, *args)


class BuildUnique(AddConstraint):
    """Build a unique constraint that has a condition without blocking writes, as `BuildIndex` does.

    PostgreSQL keeps it as a unique index.
    """

    def database_forwards(self, app_label: str, *args: Any) -> None:
        schema_editor: BaseDatabaseSchemaEditor = args[0]
        name = self.constraint.name
        model = args[2].apps.get_model(app_label, self.model_name)
        created = str(self.constraint.create_sql(model, schema_editor))
        assert created.startswith("CREATE UNIQUE INDEX "), "it has a condition"
        concurrent = created.replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX CONCURRENTLY", 1)
        if not schema_editor.collect_sql and _is_valid(schema_editor, name):
            return
        with _without_lock_timeout(schema_editor):
            schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
            schema_editor.execute(concurrent)

    def database_backwards(self, app_label: str, *args: Any) -> None:
        schema_editor: BaseDatabaseSchemaEditor = args[0]
        with _without_lock_timeout(schema_editor):
            schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.constraint.name}"')


IS_VALID = """
SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid)
"""


def _is_valid(schema_editor: BaseDatabaseSchemaEditor, index_name: str) -> bool:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(IS_VALID, [f'"{index_name}"'])
        return bool(cursor.fetchone()[0])


@contextmanager
def _without_lock_timeout(schema_editor: BaseDatabaseSchemaEditor) -> Iterator[None]:
    """Lift `lock_timeout` within the block."""
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
    """Return stricter autovacuum settings for tables whose rows are soon changed or deleted.

    By default autovacuum waits until a fifth of a table is dead. The dead rows of a queue are at
    its head, so that each query of the head would read them: here a hundredth is enough, and the
    vacuum pauses less.
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
