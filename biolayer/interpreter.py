"""Restart a command with the Python of `.venv` if the present one lacks a package.

`make run` installs all packages into `.venv`, but users type `python3 manage.py …`.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

OWN = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"


def require(package: str) -> None:
    """Return if a package is installed. Else restart with `.venv`, or exit with instructions."""
    if find_spec(package) is not None:
        return
    if OWN.exists() and Path(sys.prefix).resolve() != OWN.parents[1].resolve():
        os.execv(OWN, [str(OWN), *sys.orig_argv[1:]])  # noqa: S606 - no shell is needed
    sys.exit(
        f"The Python package {package} is missing. In a checkout, `make run` installs all packages"
        f" into .venv. Elsewhere, run: pip install {package}"
    )
