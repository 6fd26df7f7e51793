"""Run everything on one machine, in the foreground, until Ctrl-C: `manage.py up` (`make run`)."""

import contextlib
import fcntl
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from config.processes import QUIET_ROOT, module_command, service_commands
from config.processes import Command as Argv
from local import embedded
from local.demo.seed import ACCESS_FILE, DemoAccess, seed
from local.supervisor import Program, Supervisor

PROJECT = Path(__file__).resolve().parents[3]
_MIGRATION_LOCK = 0x42494F4C
# A worker prints this line at each stop.
_NOISE = ("worker: Warm shutdown",)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Hold the addresses of the three listening processes of this run."""

    host: str
    web: int
    stream: int
    inbox: int

    @property
    def reachable_host(self) -> str:
        """Return the host for URLs: a wildcard address can be listened on, but not called."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host

    @property
    def base_url(self) -> str:
        return f"http://{self.reachable_host}:{self.web}"

    @property
    def stream_url(self) -> str:
        return f"http://{self.reachable_host}:{self.stream}"

    @property
    def sign_in_url(self) -> str:
        """Return the address of the pages: browsers allow passkeys on this name, not on an IP."""
        name = "localhost" if self.reachable_host == "127.0.0.1" else self.reachable_host
        return f"http://{name}:{self.web}/accounts/"

    @property
    def inbox_url(self) -> str:
        return f"http://127.0.0.1:{self.inbox}"


class Command(BaseCommand):
    """Start the servers, create the demo organisation, run every process, and stop all in order.

    1. Refuse early and in one line: the port is in use, the home is not writable, or another `up`
       runs from it.
    2. Start the embedded servers whose URL the environment does not give, in parallel.
    3. Migrate, and create the demo organisation.
    4. Supervise the processes until SIGINT, SIGTERM or SIGHUP; stop the servers last.
    """

    help = "Run everything on this machine, with a demo organisation and its workforce."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: PORT or 8000")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument(
            "--no-workforce", action="store_true", help="do not run the demo's workers"
        )

    def handle(self, *args: Any, port: int, host: str, no_workforce: bool, **options: Any) -> None:
        home = Path(settings.BIOLAYER_HOME).absolute()
        # Until the supervisor sets its own handlers, SIGTERM must stop the servers too.
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGHUP, _interrupt)  # A terminal that is closed.
        try:
            addresses = _choose_addresses(host, port)
            embedded.prepare_home(home)
            with _exclusive(home), _servers(home):
                self._run(home, addresses, with_workforce=not no_workforce)
        except embedded.EmbeddedError as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            raise CommandError(
                f"the database does not answer: {str(error).splitlines()[0]}"
            ) from error
        except KeyboardInterrupt:
            self.stdout.write("stopping…")

    def _run(self, home: Path, addresses: Addresses, *, with_workforce: bool) -> None:
        applied = _migrate()
        if applied:
            self.stdout.write(f"database: {applied} migrations applied")
        access = seed(
            base_url=addresses.base_url,
            inbox_url=addresses.inbox_url,
            stream_url=addresses.stream_url,
            sign_in_url=addresses.sign_in_url,
            home=home,
        )
        # This process needs no connection from here on, and each counts against max_connections.
        connection.close()
        programs = _programs(home, addresses, with_workforce=with_workforce)
        supervisor = Supervisor(programs, folder=PROJECT)
        supervisor.run(
            is_ready=_announce_when_ready(
                addresses, _welcome(addresses, access, home), supervisor.say
            )
        )


# --- before any process runs ----------------------------------------------------------------------


def _choose_addresses(host: str, port: int) -> Addresses:
    if not 1 <= port <= 65535:
        raise CommandError(
            f"{port} is not a port: choose one between 1 and 65535, such as `PORT=8000 make run`"
        )
    if not _is_free(host, port):
        raise CommandError(
            f"port {port} is in use: choose another one, such as `PORT={_free_port(host)} make run`"
        )
    stream = _free_port_near(host, port + 1, used={port})
    inbox = _free_port_near("127.0.0.1", port + 2, used={port, stream})
    return Addresses(host=host, web=port, stream=stream, inbox=inbox)


def _free_port_near(host: str, port: int, *, used: set[int]) -> int:
    while port in used or port > 65535 or not _is_free(host, port):
        port = _free_port(host)
    return port


def _is_free(host: str, port: int) -> bool:
    try:
        _bind(host, port).close()
    except PermissionError as error:
        raise CommandError(f"port {port} needs more privileges: choose one above 1023") from error
    except OSError:
        return False
    return True


def _free_port(host: str) -> int:
    with _bind(host, 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # create_server sets SO_REUSEADDR: lingering connections of the last run do not block the port.
    return socket.create_server((host, port), family=family)


@contextlib.contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    """Hold the home: of two runs the first to stop would stop the servers of the other."""
    with (home / "up.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(
                f"BioLayer is already running from {home}: stop it, or set another BIOLAYER_HOME"
            ) from error
        yield


@contextlib.contextmanager
def _servers(home: Path) -> Iterator[None]:
    """Run the embedded servers that the environment does not replace, and stop them at the end.

    Signals are ignored while they stop.
    """
    needed: list[tuple[Callable[[Path], None], Callable[[Path], None]]] = []
    if not os.environ.get("REDIS_URL"):
        needed.append((embedded.start_redis, embedded.stop_redis))
    if settings.EMBEDDED:
        needed.append((embedded.start_postgres, embedded.stop_postgres))
    try:
        with ThreadPoolExecutor() as pool:
            for started in [pool.submit(start, home) for start, _ in needed]:
                started.result()
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for _, stop in needed:
            stop(home)


def _migrate() -> int:
    """Apply the missing migrations. Return how many.

    The plan is made first: a start without new migrations saves the time of `migrate`.
    """
    with connection.cursor() as cursor:
        # Two starts with one DATABASE_URL must not migrate at the same time.
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            _run_migrate()
        cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
    return len(plan)


def _run_migrate() -> None:
    """Migrate in a process of its own: this one would keep the 30 MB that the models take.

    Raise `CommandError`.
    """
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--no-input"]
    if subprocess.run(command, cwd=PROJECT, check=False).returncode:
        raise CommandError("the database was not migrated: see the messages above")


# --- the processes --------------------------------------------------------------------------------


def _programs(home: Path, addresses: Addresses, *, with_workforce: bool) -> list[Program]:
    environment = {
        **QUIET_ROOT,
        "BIOLAYER_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "PORT": str(addresses.web),
        "STREAM_PORT": str(addresses.stream),
    }
    commands = service_commands(
        host=addresses.host, port=addresses.web, stream_port=addresses.stream
    )
    commands |= _demo_commands(
        inbox_port=addresses.inbox, access=home / ACCESS_FILE, with_workforce=with_workforce
    )
    return [Program(name, argv, environment, _NOISE) for name, argv in commands.items()]


def _demo_commands(*, inbox_port: int, access: Path, with_workforce: bool) -> dict[str, Argv]:
    inbox = module_command(
        "local.demo.inbox", "--port", str(inbox_port), "--secret-file", str(access)
    )
    workforce = module_command("local.demo.workforce", "--access", str(access))
    return {"inbox": inbox} | ({"workforce": workforce} if with_workforce else {})


def _announce_when_ready(
    addresses: Addresses, text: str, say: Callable[[str], None]
) -> Callable[[], bool]:
    """Return a check for the supervisor, which prints the text once the web process answers."""

    def is_ready() -> bool:
        if not _is_healthy(addresses.reachable_host, addresses.web):
            return False
        say(text)
        return True

    return is_ready


def _is_healthy(host: str, port: int) -> bool:
    link = http.client.HTTPConnection(host, port, timeout=1)
    try:
        link.request("GET", "/readyz")
        return link.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def _welcome(addresses: Addresses, access: DemoAccess, home: Path) -> str:
    base = addresses.base_url
    key = shlex.quote(f"Authorization: Bearer {access.api_key}")
    task = shlex.quote(f"@{_short_path(home / 'example-task.json')}")
    return f"""
BioLayer is up.
  API                  {base}
  streams              {addresses.stream_url}
  callback inbox       {addresses.inbox_url}   shows each signed callback
  work as a person     {access.portal_url}
                       as {access.worker_email}, password {access.worker_password}
  sign in as admin     {access.sign_in_url}
                       as {access.admin_email}, password {access.admin_password}
  data and logs        {_short_path(home)}

Post the example task (simulated workers do it, unless the person is available):
  curl -sS -X POST {base}/v1/tasks -H {key} -H 'Content-Type: application/json' -d {task}

Then open the callback inbox, or list the tasks:
  curl -sS {base}/v1/tasks -H {key}

Ctrl-C stops everything.
"""


def _short_path(path: Path) -> str:
    """Return the path relative to the present folder where it is inside."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
