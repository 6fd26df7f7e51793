"""Check that what code and documents cite exists in this repository.

Read are comments and docstrings of Python files (not of migrations: they are history), and the
whole text of documents, SQL files and build files. Cited are, if not part of a URL or of a longer
path:

1. a path that begins with a top-level folder, such as `apps/base/clock.py` or `docs/adr/`; a `*`
   must match something, an ADR's number is enough (`docs/adr/0001`); `<`, `{` and `…` mark an
   example, which is not checked;
2. a bare file name that ends in `.py`, `.sql` or `.md`, such as `transitions.py`: some file of the
   repository must have it;
3. a module, such as `apps.base.clock` or `config.processes`, as far as its parts are modules;
4. a relative link of a Markdown page, and the heading that its `#anchor` names;
5. the name of a document that is not part of the repository (`OUTSIDE`).
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "apps",
    "bench",
    "biolayer",
    "config",
    "docker",
    "docs",
    "local",
    "requirements",
    "tests",
)
TEXTS = (".md", ".sql", ".toml", ".yaml", ".env", ".in")
OTHER_TEXTS = ("Makefile", ".importlinter", ".ci/run", "docker/Dockerfile")
SKIPPED = {"node_modules", "__pycache__", "migrations", "generated", "json-schema-test-suite"}
# Made by a run, not part of the repository.
GENERATED = (
    "tests/clients/generated",
    "tests/clients/node_modules",
    "tests/verifiers/node_modules",
)

PATH = re.compile(
    rf"(?<![\w/.:\-@~])(?:\./)?((?:{'|'.join(FOLDERS)}|\.ci|specs|contracts)/[\w\-./*<{{…]*)"
)
ADR = re.compile(r"docs/adr/\d{4}")
NAME = re.compile(r"(?<![\w/.\-*<{}>])(\w[\w\-]*\.(?:py|sql|md))\b(?![\w/])")
MODULE = re.compile(r"(?<![\w/.\-@])((?:apps|bench|biolayer|config|local|tests)(?:\.[a-z_]\w*)+)")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(#[^)\s]+)?\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
OUTSIDE = re.compile(r"\b(?:DESIGN|STYLE|BROWSER|LEARNED)\b")
FIX = (
    "Fix: cite what the file is called now, or say in words what it said. What every engineer must"
    " know stands in docs/architecture.md; nothing may cite what a reader of this repository lacks."
)

Line = tuple[int, str]


def files() -> list[Path]:
    found = [ROOT / name for name in OTHER_TEXTS]
    found += [path for path in ROOT.iterdir() if path.suffix in TEXTS or path.name == "manage.py"]
    for folder in FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if _is_read(path)]
    return sorted(path for path in found if path.is_file() and path != Path(__file__))


def _is_read(path: Path) -> bool:
    return path.suffix in (".py", *TEXTS) and not SKIPPED & {*path.relative_to(ROOT).parts}


def lines_of(path: Path) -> Iterator[Line]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield from comments(text)
        yield from docstrings(text)
    else:
        yield from enumerate(text.splitlines(), start=1)


def comments(text: str) -> Iterator[Line]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def docstrings(text: str) -> Iterator[Line]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as words)):
                yield from enumerate(words.splitlines(), start=node.lineno)


NAMES = {path.name for path in files()}


def unknown(path: Path, text: str) -> Iterator[str]:
    """Yield what a line cites although it does not exist."""
    yield from (cited for cited in PATH.findall(text) if not path_exists(cited))
    yield from (cited for cited in NAME.findall(text) if cited not in NAMES)
    yield from (cited for cited in MODULE.findall(text) if not module_exists(cited))
    yield from OUTSIDE.findall(text)
    if path.suffix == ".md":
        yield from (
            f"{target}{anchor}"
            for target, anchor in LINK.findall(text)
            if not link_exists(path, target, anchor)
        )


def path_exists(cited: str) -> bool:
    cited = cited.rstrip(".-")
    if any(mark in cited for mark in "<{…") or cited.rstrip("/").startswith(GENERATED):
        return True
    pattern = f"{cited}-*.md" if ADR.fullmatch(cited) else cited
    return any(ROOT.glob(pattern)) if "*" in pattern else (ROOT / pattern).exists()


def module_exists(cited: str) -> bool:
    """Return whether each part names a module, up to the first that names something in one."""
    package, *parts = cited.split(".")
    folder = ROOT / package
    for part in parts:
        if (folder / f"{part}.py").exists():
            return True
        if not (folder / part).is_dir():
            init = folder / "__init__.py"
            return init.exists() and re.search(rf"\b{part}\b", init.read_text()) is not None
        folder /= part
    return True


def link_exists(page: Path, target: str, anchor: str) -> bool:
    linked = (page.parent / target) if target else page
    if not linked.exists():
        return False
    return not anchor or linked.suffix != ".md" or anchor[1:] in anchors(linked.read_text())


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    words = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {title.strip().replace(" ", "-") for title in words}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_cited_paths__exist(path: Path) -> None:
    missing = [
        f"{path.relative_to(ROOT)}:{number} cites {cited}"
        for number, text in lines_of(path)
        for cited in dict.fromkeys(unknown(path, text))
    ]
    assert not missing, "\n".join([*missing, FIX])


@pytest.mark.parametrize(
    "text",
    [
        "see apps/base/clocks.py",
        "(tests/nowhere/)",
        "docs/*.txt",
        "as in `no_such_module.py`",
        "config.no_such_module",
        "apps.base.no_such_module",
        "docs/adr/9999",
        "(DESIGN 8)",
        "specs/biolayer.md",
    ],
)
def test_unknown__refuses(text: str) -> None:
    assert list(unknown(ROOT / "x.py", text))


@pytest.mark.parametrize(
    "text",
    [
        "see apps/base/clock.py, and docs/adr/.",
        "apps/*/jobs.py",
        "(docs/adr/0001).",
        "docs/events/<type>.schema.json",
        "https://example.com/docs/none.md",
        "POST /v1/apps/none",
        "the module apps.base.clock",
        "apps.tasks.services.create_task",
        "python3 -m config.processes web",
        "transitions.py",
    ],
)
def test_unknown__accepts(text: str) -> None:
    assert not list(unknown(ROOT / "x.py", text))


def test_links__are_checked_with_their_headings() -> None:
    page = ROOT / "docs" / "running.md"
    cited = {*unknown(page, "[x](nowhere.md) [y](running.md#nothing)")}
    assert cited == {"nowhere.md", "running.md#nothing"}
    assert not list(unknown(page, "[x](running.md#upgrades) [y](#pgbouncer)"))
