"""Check that `apps/<app>/triggers/` has the current source of each database function and trigger.

Migrations are never edited, so the latest text of a function may be in any of them. A file contains
one function and the triggers that call it; this test compares it with the migrated database.
White space and comments do not count.
"""

import re
from pathlib import Path

import pytest
from django.db import connection, transaction

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem: path for path in sorted((ROOT / "apps").glob("*/triggers/*.sql"))}
PREFIXES = sorted(path.name for path in (ROOT / "apps").iterdir() if (path / "migrations").is_dir())
MEND = (
    "Mend: change the file, and write a migration that replaces the function by the same text"
    " (CREATE OR REPLACE); existing migrations stay as they are."
)

FUNCTIONS = """
SELECT p.proname, pg_get_functiondef(p.oid) FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = current_schema() AND p.proname ~ %s
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""
TRIGGERS = """
SELECT t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND NOT t.tgisinternal
"""


def definitions() -> dict[str, str]:
    """Return the definition of each function and trigger of ours, by its name."""
    with connection.cursor() as cursor:
        cursor.execute(FUNCTIONS, [f"^({'|'.join(PREFIXES)})_"])
        rows = cursor.fetchall()
        cursor.execute(TRIGGERS)
        rows += cursor.fetchall()
    return {name: _normalised(text) for name, text in rows}


def _normalised(text: str) -> str:
    return " ".join(re.sub(r"--[^\n]*", "", text).split())


def after_applying(*texts: str) -> dict[str, str]:
    """Return the definitions that the database would have after these statements."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            for text in texts:
                cursor.execute(text)
        result = definitions()
        transaction.set_rollback(True)
    return result


def test_every_function__has_a_file(database: None) -> None:
    functions = {name for name, text in definitions().items() if "FUNCTION public." in text[:60]}
    missing, stale = functions - FILES.keys(), FILES.keys() - functions
    assert not missing, f"{sorted(missing)} have no file in apps/<app>/triggers. {MEND}"
    assert not stale, f"{sorted(stale)} are in no migration. {MEND}"


def test_every_file__is_what_the_database_has(database: None) -> None:
    before = definitions()
    for path in FILES.values():
        place = path.relative_to(ROOT)
        after = after_applying(path.read_text())
        different = [name for name in after if after[name] != before.get(name)]
        assert not different, f"{place} differs from the database in {different}. {MEND}"


def test_every_trigger__is_in_a_file(database: None) -> None:
    texts = " ".join(path.read_text() for path in FILES.values())
    triggers = [name for name, text in definitions().items() if text.startswith("CREATE TRIGGER")]
    missing = [name for name in triggers if not re.search(rf"TRIGGER {name}\b", texts)]
    assert triggers
    assert not missing, f"{missing} are in no file of apps/<app>/triggers. {MEND}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("greatest(w.capacity - w.load, 0)", "greatest(w.capacity - w.load, 1)"),
        ("IMMUTABLE", "STABLE"),
    ],
)
def test_a_planted_difference__is_found(database: None, old: str, new: str) -> None:
    text = FILES["pools_free"].read_text()
    assert old in text
    after = after_applying(text.replace(old, new))
    assert after["pools_free"] != definitions()["pools_free"]
