"""Migrations of reviews that are not atomic can be repeated after an interruption."""

from importlib import import_module

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

BEFORE = ("reviews", "0008_kinds")
NAME = "0009_kinds_indexed"
HAS_CONSTRAINT = "SELECT count(*) FROM pg_constraint WHERE conname = 'review_rounds_count_up'"


def count() -> int:
    with connection.cursor() as cursor:
        cursor.execute(HAS_CONSTRAINT)
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("database")
def test_kinds_indexed__can_be_repeated() -> None:
    module = import_module(f"apps.reviews.migrations.{NAME}")
    migration = module.Migration(NAME, "reviews")
    state = MigrationLoader(connection).project_state(BEFORE)
    # What it builds is there already, and what it drops is gone.
    assert count() == 0
    with connection.schema_editor(atomic=False) as editor:
        after = migration.apply(state.clone(), editor)
    constraints = after.models["reviews", "review"].options["constraints"]
    assert "review_rounds_count_up" not in {one.name for one in constraints}
    dropped = next(
        one for one in migration.operations if one.__class__.__name__ == "SeparateDatabaseAndState"
    )
    try:
        for _ in range(2):
            with connection.schema_editor(atomic=False) as editor:
                dropped.database_backwards("reviews", editor, after, state)
            assert count() == 1
    finally:
        with connection.schema_editor(atomic=False) as editor:
            dropped.database_forwards("reviews", editor, state, after)
    assert count() == 0
