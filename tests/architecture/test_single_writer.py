"""Check that each table has one writer, in the syntax trees and the SQL files.

1. Only apps/tasks/transitions.py writes a task's status. PostgreSQL refuses another write at commit
   (tests/integration/test_promises.py); this test finds it before anything runs.
2. Only the app that owns a table writes it, by SQL or by its models. The prefix of a table's name
   is the label of its app.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TRANSITIONS = Path("apps/tasks/transitions.py")
MEND = (
    "writes a task's status. Mend: call the verb in apps.tasks.services; a new transition is a row"
    " in biolayer/lifecycle.py and a verb that calls transitions.apply."
)
RAW_UPDATE = re.compile(
    r"(update\s+\"?tasks_task\"?\s.*\bstatus\s*=)|(insert\s+into\s+\"?tasks_task)", re.I | re.S
)
WRITERS = {"update", "update_or_create", "create", "get_or_create", "bulk_create", "filter"}


def breaches(source: str) -> Iterator[int]:
    """Yield the lines on which a task's status is written."""
    for node in ast.walk(ast.parse(source)):
        if _is_written(node):
            yield node.lineno  # type: ignore[attr-defined]


def _is_written(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=targets):
            return any(_is_status(target) for target in targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return _is_status(target)
        case ast.Call():
            return _sets_by_name(node) or _writes_task(node)
        case ast.Constant(value=str(text)):
            return bool(RAW_UPDATE.search(text))
        case _:
            return False


def _is_status(target: ast.AST) -> bool:
    """Match `x.status = …`. Offers, runs and deliveries are written as rows, never so."""
    if isinstance(target, ast.Tuple | ast.List):
        return any(_is_status(element) for element in target.elts)
    return isinstance(target, ast.Attribute) and target.attr == "status"


def _sets_by_name(call: ast.Call) -> bool:
    """Match `setattr(task, "status", …)`."""
    return (
        isinstance(call.func, ast.Name)
        and call.func.id == "setattr"
        and len(call.args) == 3
        and isinstance(call.args[1], ast.Constant)
        and call.args[1].value == "status"
    )


def _writes_task(call: ast.Call) -> bool:
    """Match `Task(status=…)`, `Task.objects….update(status=…)`, `Update(Task, …, {"status": …})`"""
    keywords = {keyword.arg for keyword in call.keywords}
    function = call.func
    if isinstance(function, ast.Name) and function.id == "Task":
        return "status" in keywords
    if isinstance(function, ast.Name) and function.id == "Update":
        return _names_task(call.args[:1]) and any(_has_status_key(arg) for arg in call.args[2:])
    if isinstance(function, ast.Attribute) and function.attr in WRITERS - {"filter"}:
        return "status" in keywords and _names_task([function.value])
    return False


def _names_task(nodes: list[ast.expr]) -> bool:
    names = {inner.id for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return "Task" in names


def _has_status_key(node: ast.AST) -> bool:
    keys = [key for inner in ast.walk(node) if isinstance(inner, ast.Dict) for key in inner.keys]
    return any(isinstance(key, ast.Constant) and key.value == "status" for key in keys)


def our_code() -> list[Path]:
    """Return the Python files of the project, without migrations and the transitions."""
    folders = ("apps", "biolayer", "config", "local")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [path for path in files if "migrations" not in path.parts and path != ROOT / TRANSITIONS]


def test_only_transitions_write_a_status() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {MEND}"
        for path in our_code()
        for line in breaches(path.read_text())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted",
    [
        "task.status = 'queued'",
        "self.task.status = Status.QUEUED",
        "task.status, other = 'queued', 1",
        "setattr(task, 'status', 'queued')",
        "Task(status='queued')",
        "Task.objects.filter(id=1).update(status='queued')",
        "Task.objects.create(title='x', status='queued')",
        "Update(Task, {'id': 1}, {'status': 'queued'})",
        "cursor.execute('UPDATE tasks_task SET status = %s')",
        "Statement('update tasks_task set title = 1, status = 2')",
    ],
)
def test_a_planted_status_write__is_found(planted: str) -> None:
    assert list(breaches(planted)) == [1]


@pytest.mark.parametrize(
    "harmless",
    [
        "Task.objects.filter(status='queued')",
        "Update(Offer, {'id': 1}, {'status': 'accepted'})",
        "cursor.execute('SELECT status FROM tasks_task')",
        "print(task.status)",
    ],
)
def test_a_status_read__is_no_breach(harmless: str) -> None:
    assert not list(breaches(harmless))


# --- tables ---------------------------------------------------------------------------------------

APPS = sorted(path.name for path in (ROOT / "apps").iterdir() if (path / "migrations").is_dir())
MEND_TABLE = (
    "writes {table}, a table of apps/{owner}. Mend: describe the row in apps/{owner}/changes.py, or"
    " write it by a verb of apps.{owner}.services."
)
TABLE_WRITE = re.compile(
    r"(?:insert\s+into|update|delete\s+from|merge\s+into|truncate|copy)\s+(?:only\s+|table\s+)?"
    rf"\"?(({'|'.join(APPS)})_[a-z0-9_]+)",
    re.IGNORECASE,
)
MODEL_WRITES = {
    "bulk_create",
    "bulk_update",
    "create",
    "delete",
    "get_or_create",
    "update",
    "update_or_create",
}
CHANGES = {"InsertValues", "Update", "insert"}

# Files that still write a table of another app, and the table.
ALLOWED: set[tuple[str, str]] = set()


def sql_writes(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the lines of an SQL text that write a table, with the table and its app."""
    for match in TABLE_WRITE.finditer(text):
        yield text.count("\n", 0, match.start()), match[1].lower(), match[2].lower()


def table_writes(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield the lines of a module that write a table, with the table (or model) and its app."""
    tree = ast.parse(source)
    owners = dict(_models(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for line, table, owner in sql_writes(node.value):
                yield node.lineno + line, table, owner
        elif isinstance(node, ast.Call):
            for name in _written_models(node):
                if name in owners:
                    yield node.lineno, name, owners[name]


def _models(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the models that a module imports, each with its app."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                parts = module.split(".")
                if parts[:1] == ["apps"] and parts[2:3] == ["models"]:
                    yield from ((name.asname or name.name, parts[1]) for name in names)


def _written_models(call: ast.Call) -> Iterator[str]:
    """Yield the model of `Update(M, …)`, `insert(M, …)`, `Insert(M(…))`, `M.objects….update(…)`."""
    match call:
        case ast.Call(
            func=ast.Name(id=change) | ast.Attribute(attr=change), args=[ast.Name(id=name), *_]
        ) if change in CHANGES:
            yield name
        case ast.Call(
            func=ast.Name(id="Insert") | ast.Attribute(attr="Insert"),
            args=[ast.Call(func=ast.Name(id=name)), *_],
        ):
            yield name
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in MODEL_WRITES:
            if (name := _manager_of(value)) is not None:
                yield name


def _manager_of(node: ast.expr) -> str | None:
    """Return `M` of `M.objects.…`."""
    while True:
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="objects"):
                return name
            case ast.Attribute(value=inner) | ast.Call(func=inner):
                node = inner
            case _:
                return None


def foreign_writes(path: Path) -> Iterator[str]:
    """Yield what a file writes that another app owns."""
    place = path.relative_to(ROOT)
    app = place.parts[1] if place.parts[0] == "apps" else ""
    text = path.read_text()
    writes = table_writes(text) if path.suffix == ".py" else sql_writes(text)
    for line, table, owner in writes:
        if owner != app and (place.as_posix(), table) not in ALLOWED:
            yield f"{place}:{line} {MEND_TABLE.format(table=table, owner=owner)}"


def test_only_its_app_writes_a_table() -> None:
    files = [ROOT / TRANSITIONS, *our_code(), *(ROOT / "apps").glob("*/queries/**/*.sql")]
    found = [breach for path in files for breach in foreign_writes(path)]
    assert not found, "\n".join(found)


def test_the_exceptions__still_exist() -> None:
    """An entry of `ALLOWED` that no file needs is to be removed."""
    for place, table in ALLOWED:
        writes = {name for _, name, _ in table_writes((ROOT / place).read_text())}
        assert table in writes, f"{place} no longer writes {table}. Mend: remove it from ALLOWED."


@pytest.mark.parametrize(
    ("planted", "table"),
    [
        ("SQL = 'INSERT INTO timers_timer (id) SELECT 1'", "timers_timer"),
        ("SQL = 'WITH x AS (\\n UPDATE pools_worker w SET load = 0) SELECT 1'", "pools_worker"),
        ("SQL = f'DELETE FROM \"tasks_run\" WHERE id = {x}'", "tasks_run"),
        ("from apps.tasks.models import Task\nTask.objects.filter(id=1).update(title='')", "Task"),
        ("from apps.tasks.models import Task\nTask.objects.all().delete()", "Task"),
        ("from apps.tasks.models import Task\nUpdate(Task, {}, {'title': ''})", "Task"),
        ("from apps.pools.models import Pool\nInsert(Pool(name=''))", "Pool"),
        ("from apps.pools.models import Pool\nrows.insert(Pool, name='')", "Pool"),
    ],
)
def test_a_planted_table_write__is_found(planted: str, table: str) -> None:
    assert [name for _, name, _ in table_writes(planted)] == [table]


@pytest.mark.parametrize(
    "harmless",
    [
        "SQL = 'SELECT id FROM pools_worker FOR NO KEY UPDATE'",
        "SQL = 'INSERT INTO django_session SELECT 1'",
        "from apps.tasks.models import Task\nTask.objects.filter(id=1).first()",
        "values.update(status=1)",
    ],
)
def test_a_table_read__is_no_breach(harmless: str) -> None:
    assert not list(table_writes(harmless))
