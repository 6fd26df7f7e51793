"""The version that processes report is the package's."""

import tomllib
from pathlib import Path

from biolayer import VERSION


def test_version__is_that_of_the_package() -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()
    assert tomllib.loads(text)["project"]["version"] == VERSION
