"""Send the requests that Schemathesis makes from the OpenAPI document to a running installation.

All its phases (examples, coverage, fuzzing, stateful) and all its checks: no server error, nothing
that the document does not say. `SCHEMATHESIS_SECONDS` makes the run longer than here.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.faults.installation import PROJECT, Installation

SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "60"))
# Of a busy machine. A long run has many times as many.
LEAST_CASES = 300
HOOKS = "tests.acceptance.schemathesis_hooks"
# It never ends, and is served by another process: tests/api/test_streams.py.
STREAM = "/v1/events/stream"


def test_requests_made_from_the_document__get_documented_responses(
    installation: Installation, admin: dict[str, str], tmp_path: Path
) -> None:
    command: list[str | Path] = [
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{installation.access['base_url']}/v1/openapi.json",
        f"--header=Authorization: Bearer {admin['key']}",
        "--checks=all",
        f"--exclude-path={STREAM}",
        f"--max-time={SECONDS}",
        "--continue-on-failure",
        "--request-timeout=30",
        "--warnings=off",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **hooks(admin)},
        capture_output=True,
        text=True,
        timeout=SECONDS + 240,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None
    assert int(generated[1]) >= LEAST_CASES
    assert_still_allowed(installation, admin)


def hooks(admin: dict[str, str]) -> dict[str, str]:
    """Return the environment that loads the hooks, and tells them which credential to keep."""
    return {
        "PYTHONPATH": str(PROJECT),
        "SCHEMATHESIS_HOOKS": HOOKS,
        "SCHEMATHESIS_KEY": admin["key"],
        "SCHEMATHESIS_WORKER": admin["worker_id"],
    }


def assert_still_allowed(installation: Installation, admin: dict[str, str]) -> None:
    """Fail if the run ended its own credential: its other requests were refused for that alone."""
    headers: Any = {"Authorization": f"Bearer {admin['key']}"}
    with installation.backend() as client:
        for path in ("/v1/workers/me", "/v1/organisation"):
            assert client.get(path, headers=headers).status_code == 200
