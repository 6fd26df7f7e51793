"""Check that no statement in SQL contains a value: values are parameters.

The parts of a statement are constants, files in `queries/`, or names of a model's columns.
Bandit's rule for this (B608) reports every f-string with SQL in it, and is off.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("apps", "config", "local")
STATEMENT = re.compile(
    r"\b(select\b.*\bfrom|insert\s+into|update\b.*\bset|delete\s+from|with\b.*\bas\s*\("
    r"|alter\s+table|where)\b",
    re.IGNORECASE | re.DOTALL,
)
MEND = (
    "puts {expression} into a statement. Mend: pass it as a parameter; a part of a statement is a"
    " constant (UPPER_CASE), a file in queries/, or has its reason in BUILT."
)

# Functions that put together statements from the names of models, or of PostgreSQL's own objects.
BUILT = {
    "apps/base/rows.py": "columns and tables of models",
    "apps/base/together.py": "queries of its callers, and numbered columns",
    "apps/base/sql.py": "migrations: tables and columns that they name",
    "apps/operations/listed.py": "columns of a model, and conditions of its callers' own texts",
    "apps/timers/changes.py": "a statement of the caller's own queries/",
}


def breaches(source: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of f-strings with SQL that contain anything but constants."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr) and STATEMENT.search(_text(node)):
            for part in node.values:
                if isinstance(part, ast.FormattedValue) and not _is_constant(part.value):
                    yield node.lineno, ast.unparse(part.value)


def _text(node: ast.JoinedStr) -> str:
    texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
    return " ".join(str(text) for text in texts)


def _is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.isupper()
        case ast.BinOp(left=left, right=ast.Constant()):
            return _is_constant(left)
        case ast.Call(func=ast.Name(id="load_query" | "load_template" | "fill")):
            return True
        case ast.Call(func=ast.Attribute(value=value, attr="format"), args=[], keywords=keywords):
            return _is_constant(value) and all(
                isinstance(keyword.value, ast.Constant) or _is_constant(keyword.value)
                for keyword in keywords
            )
        case _:
            return False


def files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_statements__contain_no_values() -> None:
    found = [
        f"{place}:{line} {MEND.format(expression=expression)}"
        for path in files()
        if (place := path.relative_to(ROOT).as_posix()) not in BUILT
        for line, expression in breaches(path.read_text())
    ]
    assert not found, "\n".join(found)


def test_the_exceptions__are_needed() -> None:
    for place in BUILT:
        assert list(breaches((ROOT / place).read_text())), f"{place}: remove it from BUILT"


@pytest.mark.parametrize(
    "planted",
    [
        "sql = f'SELECT id FROM tasks_task WHERE title = {title!r}'",
        "sql = f'DELETE FROM {table}'",
        "sql = f'UPDATE tasks_task SET title = {make_title()}'",
        "sql = f'{QUERY} WHERE id = {task.id}'",
    ],
)
def test_a_planted_value__is_found(planted: str) -> None:
    assert len(list(breaches(planted))) == 1


@pytest.mark.parametrize(
    "harmless",
    [
        "sql = f'SELECT id FROM tasks_task WHERE {IS_DUE}'",
        'sql = f\'{load_query("apps.matching", "heads")} SELECT 1 FROM head\'',
        "text = f'{task.title} was updated'",
    ],
)
def test_a_constant_part__is_no_breach(harmless: str) -> None:
    assert not list(breaches(harmless))
