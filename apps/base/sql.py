"""Constraints that Django's models cannot say, for migrations."""

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
