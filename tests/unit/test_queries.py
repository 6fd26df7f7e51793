"""Load statements from `queries/`."""

import re
from pathlib import Path

import pytest

from apps.base.queries import load_query

APPS = Path(__file__).resolve().parents[2] / "apps"


def test_load_query__leaves_out_comments_and_indentation() -> None:
    sql = load_query("apps.matching", "past_offers")
    assert sql.startswith("SELECT o.task_id, o.worker_id,")
    assert "--" not in sql
    assert not re.search(r"^\s|\n\s", sql)


def test_load_query__replaces_its_parts() -> None:
    sql = load_query("apps.matching", "heads", queued="status = 'queued'")
    assert sql.count("status = 'queued'") == 2
    assert "{{" not in sql


def test_load_query__refuses_missing_and_unknown_parts() -> None:
    with pytest.raises(KeyError, match="queued"):
        load_query("apps.matching", "heads")
    with pytest.raises(AssertionError, match="does not use other"):
        load_query("apps.matching", "heads", queued="true", other="")


@pytest.mark.parametrize("path", sorted(APPS.glob("*/queries/*.sql")), ids=lambda path: path.stem)
def test_each_statement__begins_with_what_it_does_and_is_loaded(path: Path) -> None:
    assert path.read_text().startswith("-- "), "begin with a comment that says what it does"
    app = path.parents[1]
    modules = "".join(module.read_text() for module in app.rglob("*.py"))
    assert f'"{path.stem}"' in modules, f"no load_query names {path.stem}: delete the file"
