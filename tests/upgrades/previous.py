"""Run the previous version: find it in git, unpack it, and call it beside the present one.

Both versions run with the present interpreter, each with the packages that its own
`requirements.txt` pins: for the previous version, a folder with the packages that differ precedes
the virtual environment's.
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.faults.installation import OURS, PROJECT, eventually, free_port

COMMIT = "PREVIOUS_COMMIT"
"""The environment variable that names the previous version, instead of the history."""

NOT_INHERITED = (*OURS, "PYTHONPATH")
"""Variables of the environment that refer to the present code or to other servers."""

COMMAND_SECONDS = 180.0
START_SECONDS = 180.0
STOP_SECONDS = 15.0
CALL_SECONDS = 10.0
LISTENING = ("web", "stream")

NAMES = """
import json
from config.processes import service_commands
print(json.dumps(list(service_commands(host="", port=1, stream_port=2))))
"""

FOUND = r"""
import contextlib, io, json, re, sys
import django; django.setup()
from django.core.management import call_command, get_commands
from biolayer.events import SILENT

# Version 0.1 calls them otherwise.
is_0_1 = "found" in get_commands()
create_organisation = "found" if is_0_1 else "create_organisation"
create_worker = "enrol" if is_0_1 else "create_worker"

def said(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        call_command(*arguments, stdout=out)
    return dict(re.findall(r"^(\w+) +(\S+)$", out.getvalue(), re.MULTILINE))

workers, *skills = sys.argv[1:]
abilities = [word for skill in skills for word in ("--skill", skill)]
known = said(create_organisation, "Northwind Verification")
known["workers"] = [
    said(create_worker, known["pool_id"], f"Worker {number}", "--capacity", "3",
    *abilities)["api_key"] for number in range(int(workers))
]
print(json.dumps(known | {"silent": sorted(SILENT)}))
"""

MIGRATION = re.compile(r"\d{4}_\w+\.py")


class NoHistory(Exception):
    """Report why the previous version is not available, and how to get it."""


def previous_commit() -> str:
    """Return the commit to upgrade from: `PREVIOUS_COMMIT`, or the one before the present version.

    It is `PREVIOUS_COMMIT`, or the parent of the last change of version.
    """
    if named := os.environ.get(COMMIT):
        return _git("rev-parse", "--verify", "--end-of-options", f"{named}^{{commit}}")
    changed = _git("log", "-1", "--format=%H", "-G^version = ", "--", "pyproject.toml")
    return _git("rev-parse", "--verify", "--end-of-options", f"{changed}^1^{{commit}}")


def unpacked(commit: str, *, into: Path) -> "Tree":
    """Unpack a commit into a new folder and install its requirements. Raise `NoHistory`."""
    packed = _git_bytes("archive", "--format=tar", commit)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into, filter="data")
    packages = into / "packages"
    _install(_differing_pins(into), into=packages)
    return Tree(into, name="previous", packages=packages)


def present() -> "Tree":
    return Tree(PROJECT, name="present")


def _differing_pins(folder: Path) -> list[str]:
    """Return the pinned requirements, with hashes, that the present version does not pin."""
    present_pins = _pins(PROJECT)
    return [block for pin, block in _pins(folder).items() if pin not in present_pins]


def _pins(folder: Path) -> dict[str, str]:
    """Return each `name==version` of `requirements.txt` with its lines."""
    text = (folder / "requirements.txt").read_text()
    blocks = re.findall(r"^\w[^\n]*\\\n(?:    --hash=[^\n]*\n)+", text, re.MULTILINE)
    return {block.partition(" ")[0]: block for block in blocks}


def _install(requirements: list[str], *, into: Path) -> None:
    """Install requirements into a folder, from the index that pip is set up with."""
    into.mkdir()
    if not requirements:
        return
    listed = into / "requirements.txt"
    listed.write_text("".join(requirements))
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--no-input",
    ]
    options = ["--no-deps", "--require-hashes", "--target", str(into), "-r", str(listed)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    names = ", ".join(block.partition(" ")[0] for block in requirements)
    assert done.returncode == 0, f"the previous version needs {names}:\n{done.stderr}"


def _git(*arguments: str) -> str:
    return _git_bytes(*arguments).decode().strip()


def _git_bytes(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, check=True)
    except OSError as error:
        raise NoHistory(f"git does not run: {error}") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise NoHistory(
            f"the previous version is not in this checkout's history ({said}):"
            f" git fetch --unshallow, or name its commit by {COMMIT}"
        ) from error
    return done.stdout


# --- a version of the code ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """Hold the files of one version. `name` names its processes and logs."""

    folder: Path
    name: str
    packages: Path | None = None
    """The packages whose pins differ from the present version."""

    def environment(self, home: Path) -> dict[str, str]:
        """Return the environment of its processes: this home, and none of the caller's servers."""
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        return {
            **inherited,
            "BIOLAYER_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONUNBUFFERED": "1",
            **({"PYTHONPATH": str(self.packages)} if self.packages else {}),
        }

    def manage(self, *arguments: str, home: Path) -> str:
        """Run `manage.py` and return its output, which an assertion shows on a failure."""
        return self._run("manage.py", *arguments, home=home)

    def ask(self, code: str, *arguments: str, home: Path) -> Any:
        """Run Python code in this version's folder, and return its output from JSON."""
        return json.loads(self._run("-c", code, *arguments, home=home))

    def found(self, *, workers: int, skills: Sequence[str], home: Path) -> dict[str, Any]:
        """Create an organisation with workers, by the commands of docs/running.md.

        Return their output, the workers' keys as `workers`, and the `silent` types.
        """
        found: dict[str, Any] = self.ask(FOUND, str(workers), *skills, home=home)
        return found

    def _run(self, *arguments: str, home: Path) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment(home),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        said = f"{self.name} {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert done.returncode == 0, said
        return done.stdout

    def last_migrations(self) -> dict[str, str]:
        """Return the name of each app's last migration, from the files."""
        folders = sorted(self.folder.glob("apps/*/migrations"))
        return {folder.parent.name: _last_of(folder) for folder in folders}


def _last_of(folder: Path) -> str:
    return max(file.stem for file in folder.glob("*.py") if MIGRATION.fullmatch(file.name))


# --- its processes ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Process:
    """Run one process of a version. `url` is None if it does not listen."""

    name: str
    url: str | None
    log: Path
    popen: "subprocess.Popen[bytes]"

    def is_answering(self) -> bool:
        """Return whether it listens. An assertion shows the log if it has ended."""
        assert self.popen.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-4000:]}"
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """Kill it and all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


@dataclass(slots=True)
class Service:
    """Run one of each of a version's processes, by its own command lines."""

    tree: Tree
    home: Path
    processes: dict[str, Process] = field(default_factory=dict)

    @staticmethod
    @contextmanager
    def running(tree: Tree, *, home: Path) -> "Iterator[Service]":
        """Run a version, which listens, until the end of the block or until it is stopped."""
        service = Service(tree, home)
        try:
            for name in tree.ask(NAMES, home=home):
                service.processes[name] = service._started(name)
            for name in LISTENING:
                process = service.processes[name]
                eventually(process.is_answering, seconds=START_SECONDS, what=f"{name} answers")
            yield service
        finally:
            for process in service.processes.values():
                process.kill()

    def _started(self, name: str) -> Process:
        port = free_port()
        log = self.home / "logs" / f"{self.tree.name}-{name}.log"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", "config.processes", name],
                cwd=self.tree.folder,
                env={
                    **self.tree.environment(self.home),
                    "HOST": "127.0.0.1",
                    "PORT": str(port),
                    "STREAM_PORT": str(port),
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}" if name in LISTENING else None
        return Process(f"{self.tree.name} {name}", url, log, popen)

    def url(self, name: str) -> str:
        found = self.processes[name].url
        assert found is not None, f"{name} does not listen"
        return found

    def stop(self) -> None:
        """Stop each process by SIGTERM, and check that it ends within the bound."""
        for process in self.processes.values():
            assert process.popen.poll() is None, f"{process.name} had ended before"
            process.popen.terminate()
        ends = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            try:
                process.popen.wait(max(0.1, ends - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{process.name} goes on after SIGTERM") from None


# --- its callers --------------------------------------------------------------------------------


class Trouble(Exception):
    """Report a failed call, which is recorded already."""


class Refused(Exception):
    """Report a call that was refused in an expected way."""


@dataclass
class Notes:
    """Note each failed call, and for each phase the number of calls and the slowest one."""

    phase: str = "the start"
    troubles: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, tuple[float, str]] = field(default_factory=dict)

    def trouble(self, text: str) -> None:
        self.troubles.append(f"[{datetime.now(UTC):%H:%M:%S.%f}, {self.phase}] {text}")

    def took(self, seconds: float, call: str) -> None:
        self.counted[self.phase] += 1
        self.slowest[self.phase] = max(self.slowest.get(self.phase, (0.0, "")), (seconds, call))


class Balancer:
    """Alternate between the available addresses. A withdrawn address gets no further calls."""

    def __init__(self) -> None:
        self._clients: dict[str, httpx.Client] = {}
        self._busy: Counter[str] = Counter()
        self._turn = 0
        self._changed = threading.Condition()

    def add(self, url: str) -> None:
        with self._changed:
            self._clients[url] = httpx.Client(base_url=url, timeout=CALL_SECONDS, trust_env=False)

    def withdraw(self, url: str) -> None:
        """Return when its last call has returned."""
        with self._changed:
            client = self._clients.pop(url)
            is_idle = self._changed.wait_for(lambda: not self._busy[url], timeout=2 * CALL_SECONDS)
        client.close()
        assert is_idle, f"{url} does not answer its last calls"

    @contextmanager
    def next(self) -> Iterator[httpx.Client]:
        with self._changed:
            self._turn += 1
            url = list(self._clients)[self._turn % len(self._clients)]
            client = self._clients[url]
            self._busy[url] += 1
        try:
            yield client
        finally:
            with self._changed:
                self._busy[url] -= 1
                self._changed.notify_all()

    def close(self) -> None:
        for url in list(self._clients):
            self.withdraw(url)


@dataclass(frozen=True, slots=True)
class Caller:
    """Call with a key, each time the next process."""

    balancer: Balancer
    notes: Notes
    api_key: str

    def call(
        self,
        method: str,
        path: str,
        *,
        expects: int = 200,
        bears: int | None = None,
        key: str = "",
        **content: Any,
    ) -> Any:
        """Return the response's body. A POST has an `Idempotency-Key`, by default a new one.

        Raise `Refused` for the status that it `bears`, `Trouble` for any other than `expects`.
        """
        headers = {"Authorization": f"Bearer {self.api_key}"}
        if method == "POST":
            headers["Idempotency-Key"] = key or str(uuid4())
        response = self._sent(method, path, headers=headers, **content)
        if response.status_code == expects:
            return response.json() if response.content else {}
        said = f"{method} {response.url}: {response.status_code} {response.text[:500]}"
        if response.status_code == bears:
            raise Refused(said)
        self.notes.trouble(said)
        raise Trouble(said)

    def _sent(self, method: str, path: str, **request: Any) -> httpx.Response:
        began = time.monotonic()
        with self.balancer.next() as client:
            try:
                return client.request(method, path, **request)
            except httpx.TransportError as error:
                self.notes.trouble(f"{method} {client.base_url}{path}: {error!r}")
                raise Trouble(path) from error
            finally:
                self.notes.took(time.monotonic() - began, f"{method} {path}")
