"""Nobody but apps/tasks/transitions.py writes a task's status: read off the syntax trees.

PostgreSQL refuses such a write at commit (see tests/integration/test_promises.py); this test finds
it before anything runs, and says how to mend it.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAND = Path("apps/tasks/transitions.py")
MEND = (
    "writes a task's status. Mend: call the verb in apps.tasks.services; a new move is a row in"
    " biolayer/lifecycle.py and a verb that calls transitions.apply."
)
RAW_UPDATE = re.compile(
    r"(update\s+\"?tasks_task\"?\s.*\bstatus\s*=)|(insert\s+into\s+\"?tasks_task)", re.I | re.S
)
WRITERS = {"update", "update_or_create", "create", "get_or_create", "bulk_create", "filter"}


def breaches(source: str) -> Iterator[int]:
    """The lines on which a task's status is written."""
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
    """`something.status = …`. Offers, runs and deliveries are written as rows, never so."""
    if isinstance(target, ast.Tuple | ast.List):
        return any(_is_status(element) for element in target.elts)
    return isinstance(target, ast.Attribute) and target.attr == "status"


def _sets_by_name(call: ast.Call) -> bool:
    """`setattr(task, "status", …)`."""
    return (
        isinstance(call.func, ast.Name)
        and call.func.id == "setattr"
        and len(call.args) == 3
        and isinstance(call.args[1], ast.Constant)
        and call.args[1].value == "status"
    )


def _writes_task(call: ast.Call) -> bool:
    """`Task(status=…)`, `Task.objects….update(status=…)`, `Update(Task, …, {"status": …})`."""
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
    folders = ("apps", "biolayer", "config")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return [path for path in files if "migrations" not in path.parts and path != ROOT / HAND]


def test_only_the_hand_writes_a_status() -> None:
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
def test_a_planted_breach_is_found(planted: str) -> None:
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
def test_reading_a_status_is_no_breach(harmless: str) -> None:
    assert not list(breaches(harmless))
