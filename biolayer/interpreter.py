"""Run a command by the checkout's own Python, where the one that was called has not what it needs.

`make run` installs everything into `.venv`; `python3 manage.py …` is what people type.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

OWN = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"


def require(package: str) -> None:
    """Go on if a package is installed; else start again by `.venv`, or exit and say what to do."""
    if find_spec(package) is not None:
        return
    if OWN.exists() and Path(sys.prefix).resolve() != OWN.parents[1].resolve():
        os.execv(OWN, [str(OWN), *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
    sys.exit(
        f"The Python package {package} is missing. In a checkout `make run` installs all that BioLayer"
        f" needs into .venv; elsewhere: pip install {package}"
    )
