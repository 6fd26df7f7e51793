"""Check the OpenAPI documents by two linters and by generated clients.

The clients post the README's task to a running installation, and wait until it is completed. One
runs a tree of tasks by `/api`.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.installation import PROJECT, Installation

CLIENTS = PROJECT / "tests" / "clients"
GENERATED = CLIENTS / "generated"
DOCUMENT = PROJECT / "docs" / "openapi.json"
OF_OPERATORS = PROJECT / "docs" / "openapi-operations.json"
BODY = re.compile(r"-d '(\{.*?\n +\})'", re.DOTALL)
SECONDS = 120


@pytest.fixture(scope="module")
def tools() -> Path:
    """Return the folder of Node's tools. Without it, skip, or fail if `REQUIRE_NODE` is set."""
    folder = CLIENTS / "node_modules" / ".bin"
    if shutil.which("node") and (folder / "redocly").exists():
        return folder
    lacking = "node with the tools: `npm ci --prefix tests/clients` installs them"
    if os.environ.get("REQUIRE_NODE"):
        pytest.fail(f"needs {lacking}")
    pytest.skip(f"needs {lacking}")


def run(*command: str | Path) -> str:
    done = subprocess.run(
        command, cwd=CLIENTS, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def readme_body(installation: Installation) -> dict[str, Any]:
    """Return the body that the README posts, with the inbox of this installation."""
    match = BODY.search((PROJECT / "README.md").read_text())
    assert match is not None
    body: dict[str, Any] = json.loads(match[1])
    body["handoff"]["callback_url"] = f"{installation.access['inbox_url']}/hook"
    return body


@pytest.mark.parametrize("document", [DOCUMENT, OF_OPERATORS], ids=lambda path: path.stem)
def test_spectral__reports_nothing(tools: Path, document: Path) -> None:
    run(tools / "spectral", "lint", "--fail-severity=hint", "--ruleset=spectral.yaml", document)


@pytest.mark.parametrize("document", [DOCUMENT, OF_OPERATORS], ids=lambda path: path.stem)
def test_redocly__reports_nothing(tools: Path, document: Path) -> None:
    shown = run(tools / "redocly", "lint", "--config=redocly.yaml", "--format=json", document)
    assert json.loads(shown)["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


@pytest.fixture(scope="module")
def compiled(tools: Path, installation: Installation, admin: dict[str, str]) -> Path:
    """Return the folder of the compiled clients."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    run(tools / "openapi-typescript", DOCUMENT, "-o", GENERATED / "schema.ts")
    run(tools / "openapi-typescript", OF_OPERATORS, "-o", GENERATED / "operations.ts")
    settings = {
        "body": readme_body(installation),
        "key": installation.access["api_key"],
        "admin_key": admin["key"],
        "url": installation.access["base_url"],
    }
    # Written out, so that the compiler checks each member of the body.
    typed = 'import type { components } from "./schema.js";\n'
    typed += 'export const body: components["schemas"]["TaskContract"] = '
    typed += f"{json.dumps(settings['body'])};\n"
    typed += "".join(
        f"export const {name} = {json.dumps(settings[name])};\n"
        for name in ("key", "admin_key", "url")
    )
    (GENERATED / "settings.ts").write_text(typed)
    run(tools / "tsc", "--project", "tsconfig.json")
    return GENERATED / "out"


def test_typescript__completes_the_readmes_task(compiled: Path) -> None:
    assert run("node", compiled / "complete.js").split() == ["completed", "1"]


def test_typescript__runs_a_tree_of_tasks(compiled: Path) -> None:
    """The client checks each answer; the dashboard counts what it has done."""
    shown = json.loads(run("node", compiled / "operate.js"))
    assert shown == {
        "tasks_total": 20,
        "completed_tasks": 20,
        # One was rejected by a review, and done again.
        "runs_total": 21,
        "completed_runs": 21,
        "active_runs": 0,
        "shares": [{"status": "completed", "count": 20}],
        "listed": 20,
    }


def test_python__completes_the_readmes_task(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "config.yaml"
    settings.write_text("post_hooks: []\npackage_name_override: made_client\n")
    made = tmp_path / "made"
    generate = [
        Path(sys.executable).with_name("openapi-python-client"),
        "generate",
        "--meta",
        "none",
    ]
    output = run(
        *generate, "--path", DOCUMENT, "--config", settings, "--output-path", made / "made_client"
    )
    assert "warning" not in output.lower(), output
    monkeypatch.syspath_prepend(str(made))

    client_of = importlib.import_module("made_client").AuthenticatedClient
    contract = importlib.import_module("made_client.models").TaskContract
    tasks = "made_client.api.tasks"
    create, read = (
        importlib.import_module(f"{tasks}.{name}") for name in ("create_task", "get_task")
    )
    body = contract.from_dict(readme_body(installation))
    with client_of(
        base_url=installation.access["base_url"], token=installation.access["api_key"]
    ) as client:
        task = create.sync(client=client, body=body)
        ends = time.monotonic() + 30
        while task.status != "completed":
            assert time.monotonic() < ends, task
            time.sleep(0.2)
            task = read.sync(task.task_id, client=client)
