"""`make run`: everything on one machine, in the foreground, until Ctrl-C."""

import contextlib
import fcntl
import http.client
import os
import shlex
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from config import embedded
from config.demo.seed import DemoAccess, seed
from config.processes import CHATTER, QUIET_ROOT, demo_commands, service_commands
from config.supervisor import Program, Supervisor

PROJECT = Path(__file__).resolve().parents[3]
_MIGRATION_LOCK = 0x42494F4C


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the three listening processes of this run are."""

    host: str
    web: int
    stream: int
    inbox: int

    @property
    def reachable_host(self) -> str:
        """The host in URLs: the wildcard address is one to listen on, not one to call."""
        return "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host

    @property
    def base_url(self) -> str:
        return f"http://{self.reachable_host}:{self.web}"

    @property
    def stream_url(self) -> str:
        return f"http://{self.reachable_host}:{self.stream}"

    @property
    def inbox_url(self) -> str:
        return f"http://127.0.0.1:{self.inbox}"


class Command(BaseCommand):
    """Start what is missing, seed the demo organisation, run every process, and stop all of it in
    order.

    1. Refuse early and in one line: the port taken, the home not writable, the home in use by
       another `up`.
    2. Start the embedded servers (those whose URL the environment does not give), side by side.
    3. Migrate, seed.
    4. Supervise the processes until SIGINT, SIGTERM or SIGHUP; the servers stop after everything that uses
       them.
    """

    help = "Run everything on this machine, with a demo organisation and its workforce."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: PORT or 8000")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument(
            "--no-workforce", action="store_true", help="let nobody work on the tasks but you"
        )

    def handle(self, *args: Any, port: int, host: str, no_workforce: bool, **options: Any) -> None:
        home = Path(settings.BIOLAYER_HOME).absolute()
        # Until the supervisor takes over, SIGTERM must stop the servers too.
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGHUP, _interrupt)  # A terminal that is closed.
        try:
            addresses = _choose_addresses(host, port)
            embedded.prepare_home(home)
            with _only_one(home), _servers(home):
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
            home=home,
        )
        # Our own connections would only count against max_connections from here on.
        connection.close()
        programs = _programs(home, addresses, with_workforce=with_workforce)
        supervisor = Supervisor(programs, folder=PROJECT)
        supervisor.run(
            is_ready=_announcement(addresses, _welcome(addresses, access, home), supervisor.say)
        )


# --- before anything runs -------------------------------------------------------------------------


def _choose_addresses(host: str, port: int) -> Addresses:
    if not 1 <= port <= 65535:
        raise CommandError(
            f"{port} is not a port: choose one between 1 and 65535, such as `PORT=8000 make run`"
        )
    if not _is_free(host, port):
        raise CommandError(
            f"port {port} is taken: choose another one, such as `PORT={_free_port(host)} make run`"
        )
    stream = _near(host, port + 1, taken={port})
    return Addresses(
        host=host, web=port, stream=stream, inbox=_near("127.0.0.1", port + 2, taken={port, stream})
    )


def _near(host: str, wanted: int, *, taken: set[int]) -> int:
    while wanted in taken or wanted > 65535 or not _is_free(host, wanted):
        wanted = _free_port(host)
    return wanted


def _is_free(host: str, port: int) -> bool:
    try:
        _bind(host, port).close()
    except PermissionError as error:
        raise CommandError(f"port {port} needs more rights: choose one above 1023") from error
    except OSError:
        return False
    return True


def _free_port(host: str) -> int:
    with _bind(host, 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # create_server sets SO_REUSEADDR: connections of our last run that linger do not make the port
    # taken.
    return socket.create_server((host, port), family=family)


@contextlib.contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Hold the home: whoever stops first would stop the servers of the other."""
    with (home / "up.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(
                f"BioLayer already runs from {home}: stop it, or set another BIOLAYER_HOME"
            ) from error
        yield


@contextlib.contextmanager
def _servers(home: Path) -> Iterator[None]:
    """The embedded servers that this run needs.

    Stopped at the end, whatever happens and whoever presses Ctrl-C.
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
    """Apply what is missing.

    How many. Asking first spares a start with nothing to do the signals of `migrate`.
    """
    with connection.cursor() as cursor:
        # Two starts on one DATABASE_URL must not migrate at the same time.
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            call_command("migrate", verbosity=0, interactive=False)
        cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
    return len(plan)


# --- the processes --------------------------------------------------------------------------------


def _programs(home: Path, addresses: Addresses, *, with_workforce: bool) -> list[Program]:
    environment = {
        **QUIET_ROOT,
        "BIOLAYER_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"],
        "PORT": str(addresses.web),
        "STREAM_URL": addresses.stream_url,
    }
    commands = service_commands(
        host=addresses.host, port=addresses.web, stream_port=addresses.stream
    )
    commands |= demo_commands(
        inbox_port=addresses.inbox, access=home / "demo.json", with_workforce=with_workforce
    )
    return [Program(name, argv, environment, CHATTER) for name, argv in commands.items()]


def _announcement(
    addresses: Addresses, text: str, say: Callable[[str], None]
) -> Callable[[], bool]:
    """Asked at each tick of the supervisor: prints the text once, when the web process answers."""

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
    task = shlex.quote(f"@{_as_typed(home / 'example-task.json')}")
    return f"""
BioLayer is up.
  API                  {base}
  streams              {addresses.stream_url}
  callback inbox       {addresses.inbox_url}   each signed callback as it arrives
  data and logs        {_as_typed(home)}

Post the example task:
  curl -sS -X POST {base}/v1/tasks -H {key} -H 'Content-Type: application/json' -d {task}

Then watch the callback inbox, or list the tasks:
  curl -sS {base}/v1/tasks -H {key}

Ctrl-C stops everything.
"""


def _as_typed(path: Path) -> str:
    """The path as one would type it in the folder one is in."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
