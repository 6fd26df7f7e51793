"""Imports in ES modules: each is rewritten to the address with the hash of its file."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(ROOT.glob("apps/*/static/**/*.js"))
STATIC_IMPORT = re.compile(
    r"^(?:import|export)\b[^;\n(]*?['\"](\./|\.\./)[^'\"]*['\"](.*)$", re.MULTILINE
)


def without_semicolon(text: str) -> list[str]:
    return [found[0] for found in STATIC_IMPORT.finditer(text) if not found[2].startswith(";")]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_import__ends_with_a_semicolon(module: Path) -> None:
    """Without one, Django's storage leaves the address, and the module is loaded twice."""
    assert without_semicolon(module.read_text()) == [], "Mend: add a semicolon."


def test_check__finds_what_it_must() -> None:
    assert without_semicolon("import { a } from './b.js'\n") == ["import { a } from './b.js'"]
    assert without_semicolon("import { a } from './b.js';\nimport(x)\nimport '../c.js';") == []
