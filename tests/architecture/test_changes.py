"""The result of a function that only describes rows is never discarded: read off the syntax trees.

A function of `apps/*/changes.py` writes nothing. A call whose result is dropped looks like a write
and has no effect.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("apps", "config", "local", "tests", "bench")
CHANGES = {"Change", "Insert", "InsertValues", "Update", "Statement", "BulkStatement"}
SEQUENCES = {"Iterable", "Iterator", "Sequence", "list", "tuple"}


def modules() -> list[Path]:
    """Return every `changes.py` of an app."""
    return sorted((ROOT / "apps").glob("*/**/changes.py"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the functions that a module defines."""
    yield from (node for node in tree.body if isinstance(node, ast.FunctionDef))


def described() -> set[str]:
    """Return the names of the functions whose result is a change, or several."""
    trees = [ast.parse(path.read_text()) for path in modules()]
    return {node.name for tree in trees for node in functions(tree) if is_change(node.returns)}


def is_change(annotation: ast.expr | None) -> bool:
    """Return whether an annotation is a change, or a sequence of changes."""
    match annotation:
        case ast.Name(id=name):
            return name in CHANGES
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return is_change(left) and is_change(right)
        case ast.Subscript(value=ast.Name(id=name), slice=item) if name in SEQUENCES:
            return is_change(item)
        case _:
            return False


def discarded(source: str, names: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines on which the result of one of the functions is discarded, and its name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Call(func=function)):
                pass
            case ast.Assign(targets=[ast.Name(id="_")], value=ast.Call(func=function)):
                pass
            case _:
                continue
        name = _called(function)
        if name in names:
            yield node.lineno, name


def _called(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def test_changes__are_never_discarded() -> None:
    names = described()
    found = [
        f"{path.relative_to(ROOT)}:{line} discards {name}(), which only describes rows. Mend: give"
        " its result to `transitions.apply(also=…)`, return it, or write it by `rows.write`."
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        for line, name in discarded(path.read_text(), names)
    ]
    assert not found, "\n".join(found)


def test_changes__say_what_they_return() -> None:
    """Each public function of a `changes.py` returns changes, or the columns of one."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}() has no return type that is a change."
        " Mend: return a `Change` or a list of them, or move it to another module."
        for path in modules()
        for node in functions(ast.parse(path.read_text()))
        if not node.name.startswith("_")
        and not node.name.endswith("_columns")
        and not is_change(node.returns)
    ]
    assert not found, "\n".join(found)


def test_changes__have_names_of_their_own() -> None:
    """No other function has the name of one, so that a name in a call is enough to find it."""
    names, own = described(), set(modules())
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} defines {node.name}, as a changes.py does. Mend:"
        " rename one of them."
        for path in (ROOT / "apps").rglob("*.py")
        if path not in own
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in names
    ]
    assert not found, "\n".join(found)


def test_the_apps_have_changes() -> None:
    """Without this, a renamed folder would make the tests above pass for nothing."""
    assert {path.parent.name for path in modules()} >= {"timers", "pools", "tasks"}
    assert {"timer_upsert", "capacity_release", "gate_opening", "dependency_rows"} <= described()


@pytest.mark.parametrize(
    "planted",
    [
        "timer_upsert(subject_id=1)",
        "changes.timer_upsert(subject_id=1)",
        "apps.timers.changes.timer_upsert(subject_id=1)",
        "_ = timer_upsert(subject_id=1)",
        "if late: timer_upsert(subject_id=1)",
        "def close(): timer_upsert(subject_id=1)",
    ],
)
def test_a_discarded_change__is_found(planted: str) -> None:
    assert list(discarded(planted, {"timer_upsert"})) == [(1, "timer_upsert")]


@pytest.mark.parametrize(
    "harmless",
    [
        "write([timer_upsert(subject_id=1)])",
        "def close(): return timer_upsert(subject_id=1)",
        "def close(): yield timer_upsert(subject_id=1)",
        "also = timer_upsert(subject_id=1)",
        "other(subject_id=1)",
    ],
)
def test_a_used_change__is_no_breach(harmless: str) -> None:
    assert not list(discarded(harmless, {"timer_upsert"}))
