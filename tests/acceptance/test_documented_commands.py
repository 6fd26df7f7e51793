"""Run each command of the README and of docs/running.md as written, by a Python without packages.

A documented command must be in `RUN` or in `NOT_RUN`, or its test fails.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from tests.faults.installation import PROJECT, Installation, free_port

SECONDS = 60
PAGES = ("README.md", "docs/running.md")
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ +)*(?:make|python3?|docker|cd|curl)\b.*")
IN_TEXT = re.compile(r"`([^`]+)`", re.DOTALL)

PLACEHOLDERS = ("POOL_ID", "WORKER_ID", "ORG_ID")

# A part of what a command must print; endless commands are stopped once they have printed it.
RUN = {
    "python3 manage.py create_organisation": "api_key",
    "python3 manage.py create_worker": "worker_id",
    "python3 manage.py create_key": "api_key",
    "python3 manage.py set_weight": "",
    "python3 manage.py migrate": "",
    "python3 manage.py recount": "",
    "python3 manage.py reencrypt": "",
    "python3 manage.py collectstatic": "",
    "python3 manage.py raise_generation": "generation",
    "python3 -m biolayer listen": "Forwarding events to",
    "python3 -c": "=",
    "curl": '"task_id"',
    "python3 -m config.processes": "listens on",
}
ENDLESS = ("python3 -m biolayer listen", "python3 -m config.processes")

NOT_RUN = {
    "make": ".ci/run and the installation of these tests do the same",
    "docker": "the tests have no Docker; its commands are those of the processes",
    "cd docker": "the same",
    "PORT=": "make run on another port: see test_up__reports_in_one_line_why_it_cannot_start",
    "BIOLAYER_HOME=": "the same, with another folder",
}
# These have no port and print nothing that shows that a second process works.
WITHOUT_PORT = ("lifecycle", "matching", "deliveries", "ticker")


def commands(page: str) -> Iterator[str]:
    """Yield the commands of a page: those in blocks, and those in the text."""
    text = (PROJECT / page).read_text()
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("    ") and (block or COMMAND.match(line.strip())):
            block.append(line[4:])
            if not _is_incomplete(block):
                yield "\n".join(block)
                block = []
        elif block:
            yield "\n".join(block)
            block = []
    for quoted in IN_TEXT.findall(re.sub(r"^    .*$", "", text, flags=re.MULTILINE)):
        command = " ".join(quoted.split())
        if COMMAND.fullmatch(command) and " " in command and "…" not in command:
            yield command


def _is_incomplete(block: list[str]) -> bool:
    """Return whether a quotation is open, or the line ends with a backslash."""
    return block[-1].endswith("\\") or "\n".join(block).count("'") % 2 == 1


def all_commands() -> list[str]:
    documented = [command for page in PAGES for command in commands(page)]
    return list(dict.fromkeys(command.partition("    #")[0].rstrip() for command in documented))


def key_of(command: str) -> str:
    bare = re.sub(r"^(?:BIOLAYER_API_KEY=\S+ +)", "", command)
    for known in sorted([*RUN, *NOT_RUN], key=len, reverse=True):
        if bare.startswith(known):
            return known
    return ""


@pytest.fixture(scope="module")
def ids(installation: Installation) -> dict[str, str]:
    access = installation.access
    return {
        "POOL_ID": access["pool_id"],
        "WORKER_ID": access["workers"][0]["worker_id"],
        "ORG_ID": access["org_id"],
        "http://127.0.0.1:8000": access["base_url"],
        "http://127.0.0.1:8002": access["inbox_url"],
        "http://localhost:3000": access["inbox_url"],
    }


@pytest.mark.parametrize("command", all_commands())
def test_command(
    installation: Installation, ids: dict[str, str], command: str, tmp_path: Path
) -> None:
    key = key_of(command)
    assert key, f"`{command}` is documented: add it to RUN or NOT_RUN"
    if key in NOT_RUN or command.endswith(WITHOUT_PORT):
        return
    typed = command
    for written, meant in ids.items():
        typed = re.sub(rf"{re.escape(written)}\b", meant, typed)
    assert not re.search(r"\b(" + "|".join(PLACEHOLDERS) + r")\b", typed)
    shown = run(typed, key, installation, tmp_path)
    assert RUN[key] in shown, shown


def run(typed: str, key: str, installation: Installation, folder: Path) -> str:
    """Return what a command prints when `python3` has none of our packages."""
    os.symlink(Path(sys.base_prefix) / "bin" / "python3", folder / "python3")
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        "BIOLAYER_HOME": str(installation.home),
        "KEY": installation.access["api_key"],
        "BIOLAYER_URL": installation.access["base_url"],
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "STREAM_PORT": str(free_port()),
    }
    with subprocess.Popen(
        ["bash", "-c", typed],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        guard = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        guard.start()
        try:
            assert process.stdout is not None
            shown = "".join(_lines(process.stdout, until=RUN[key] if key in ENDLESS else None))
            if key not in ENDLESS:
                process.wait()
        finally:
            guard.cancel()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert key in ENDLESS or process.returncode == 0, shown
    return shown


def _lines(output: IO[str], *, until: str | None) -> Iterator[str]:
    """Yield the lines of a command to its end, or to the line with `until`."""
    for line in output:
        yield line
        if until is not None and until in line:
            return
