"""Hold the installation that the tests of the pages use, and who signs in to it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.installation import PROJECT

PASSWORD = "correct-horse-battery-9"


@dataclass
class Person:
    """Hold who signs in. `session` is the cookie of a browser in which they have signed in."""

    email: str
    name: str = "Mara Lindqvist"
    password: str = PASSWORD
    session: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """Hold a running installation."""

    url: str
    home: Path
    demo: dict[str, Any]
    _people: "subprocess.Popen[str] | None" = None

    def make(self, kind: str, **facts: Any) -> Any:
        """Return what `tests/browser/people.py` makes."""
        self._people = self._people or self._start()
        stdin, stdout = self._people.stdin, self._people.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"make": kind, **facts}) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    def _start(self) -> "subprocess.Popen[str]":
        port = self.url.rpartition(":")[2]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.browser.people"],
            cwd=PROJECT,
            env={**os.environ, "BIOLAYER_HOME": str(self.home), "PORT": port},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def create_organisation(self, name: str, email: str) -> str:
        """Create an organisation with an admin. Return the output, with a link for a new person."""
        output: str = self.make("organisation", name=name, email=email)
        return output

    def close(self) -> None:
        """End the process that makes people."""
        if self._people is not None:
            self._people.communicate(timeout=30)
