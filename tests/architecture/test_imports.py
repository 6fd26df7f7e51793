"""Check that each import rule fails on a planted breach, with a message that says how to fix it.

`make check` runs lint-imports on the tree itself; here a copy of the tree gets one breach at a
time.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PLANTED = {
    "apps/base/clock.py": "import apps.tasks.models",
    "biolayer/signing.py": "import django",
    "apps/tasks/services/closing.py": "import rest_framework",
    "apps/tasks/selectors/tasks.py": "import apps.tasks.services",
    "apps/tasks/changes.py": "import apps.tasks.services",
    "apps/matching/selectors.py": "import apps.webhooks.services",
    "apps/reviews/services.py": "import apps.tasks.transitions",
    "apps/api/v1/tasks.py": "import apps.tasks.models",
    "apps/pools/services/pools.py": "import celery",
    "config/ticker.py": "import local.supervisor",
    "apps/webhooks/http_client/sender.py": "import django",
    "apps/webhooks/services/keys/__init__.py": "import apps.webhooks.services.pipeline",
    "apps/newcomer/__init__.py": '"""An app without a place."""',
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("apps", "biolayer", "config", "local"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_lint_imports__passes_on_the_tree(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("file", PLANTED)
def test_lint_imports__refuses_a_planted_breach(tree: Path, file: str) -> None:
    target = tree / file
    target.parent.mkdir(exist_ok=True)
    planted = target.read_text() if target.exists() else ""
    target.write_text(f"{planted}\n{PLANTED[file]}\n")
    result = lint(tree)
    assert result.returncode != 0
    assert "Mend:" in result.stdout
    assert Path(file).parts[1].removesuffix(".py") in result.stdout
