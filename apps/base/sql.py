"""What Django's models and operations cannot say, for migrations."""

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
    """An index that is built while others write. Run again after it was cut off, it begins anew: what
    PostgreSQL left of it is invalid, and serves nobody.
    """

    def database_forwards(self, app_label: str, *args: Any) -> None:
        schema_editor: BaseDatabaseSchemaEditor = args[0]
        if not schema_editor.collect_sql:
            schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.index.name}"')
        super().database_forwards(app_label, *args)


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
