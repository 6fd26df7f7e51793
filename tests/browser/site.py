"""Hold the installation that the tests of the pages use, and who signs in to it."""

import json
import os
import re
import subprocess
import sys
from collections import deque
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
    """Hold a running installation, and the last lines that it printed: mails are among them."""

    url: str
    home: Path
    demo: dict[str, Any]
    output: deque[str] = field(default_factory=lambda: deque(maxlen=20_000))
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

    def invitation_link(self, email: str) -> str | None:
        """Return the link of the newest mail that invites the address; None without a mail yet."""
        _, found, mail = "".join([*self.output]).rpartition(f"To: {email}")
        link = re.search(r"http://\S+/accounts/invitations/\S+", mail)
        return link[0] if found and link else None

    def close(self) -> None:
        """End the process that makes people."""
        if self._people is not None:
            self._people.communicate(timeout=30)
