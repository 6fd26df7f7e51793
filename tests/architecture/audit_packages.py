"""Look for known vulnerabilities of the installed packages: `make check` runs it by pip-audit.

The advisories are those of the Python index. Where it does not serve them (a mirror, no network), a
line says so and the check passes; with `REQUIRE_AUDIT=1` it fails.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "requirements-embedded.txt")
SECONDS = 120

# Advisories that do not concern us, each with its reason.
IGNORED: dict[str, str] = {}


def main() -> int:
    dependencies = _audit()
    audited = [entry for entry in dependencies if "vulns" in entry]
    faults = [
        f"{entry['name']} {entry['version']}: {fault['id']}, fixed in {fault['fix_versions']}"
        for entry in audited
        for fault in entry["vulns"]
        if fault["id"] not in IGNORED
    ]
    if faults:
        print("\n".join([*faults, "Mend: make lock ARGS=--upgrade, or a reason in IGNORED."]))
        return 1
    if len(audited) < len(dependencies) or not dependencies:
        print("pip-audit: the Python index serves no advisories here; the packages are not audited")
        return int(os.environ.get("REQUIRE_AUDIT") == "1")
    return 0


def _audit() -> list[dict[str, object]]:
    """Return what pip-audit knows of each package; nothing where the index is not reachable."""
    requirements = [part for lock in LOCKS for part in ("-r", str(ROOT / lock))]
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "-f", "json"]
    try:
        result = subprocess.run(
            [*command, *requirements], capture_output=True, timeout=SECONDS, check=False
        )
        found: list[dict[str, object]] = json.loads(result.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return []
    return found


if __name__ == "__main__":
    sys.exit(main())
