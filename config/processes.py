"""The command line of each process, once: `make run`, the Docker image and the docs all use these.

`python3 -m config.processes web` becomes that process, with HOST and PORT from the environment.
"""

import os
import socket
import sys
from pathlib import Path

from apps.base.wake import queues_of

Command = tuple[str, ...]

# Celery warns each time that it runs as root; in a container that is how it is meant to be.
QUIET_ROOT = {"PYTHONWARNINGS": "ignore:You're running the worker"}

# Said at each stop, whatever one does.
CHATTER = ("worker: Warm shutdown",)


def web_command(*, host: str, port: int) -> Command:
    """The API.

    Eight threads: more of them wait for the interpreter, not for PostgreSQL.
    """
    return (
        *_module("granian", "--interface", "wsgi", "--host", host, "--port", str(port)),
        *("--workers", "1", "--blocking-threads", "8", "--backlog", "1024", "--no-ws"),
        # At `warning` each start begins with its thoughts about the number of threads.
        *("--log-level", "error", "config.wsgi:application"),
    )


def stream_command(*, host: str, port: int) -> Command:
    """The streams. An open stream ends when we stop; its client comes back by itself."""
    return (
        *_module(
            "uvicorn", "--host", host, "--port", str(port), "--timeout-graceful-shutdown", "2"
        ),
        *("--log-level", "warning", "--no-access-log", "config.asgi:application"),
    )


def worker_command(*, name: str, queues: str) -> Command:
    """A Celery worker without what nobody listens to.

    It does one job at a time and reports to no other worker. `queues` are groups of drains, such as
    `lifecycle,bulk`.
    """
    return (
        *_module("celery", "--quiet", "-A", "config.celery", "worker", "--pool", "solo"),
        *("-Q", ",".join(queues_of(*queues.split(","))), "-n", f"{name}@%h"),
        *("--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )


def ticker_command() -> Command:
    """The clock: it wakes what is due."""
    return (sys.executable, "manage.py", "tick")


def service_commands(*, host: str, port: int, stream_port: int) -> dict[str, Command]:
    """What makes up the service, in production as on one machine."""
    return {
        "web": web_command(host=host, port=port),
        "stream": stream_command(host=host, port=stream_port),
        "lifecycle": worker_command(name="lifecycle", queues="lifecycle,bulk"),
        # Matching is the one drain that may be busy for long: timers need not wait for it.
        "matching": worker_command(name="matching", queues="matching"),
        "deliveries": worker_command(name="deliveries", queues="deliveries"),
        "ticker": ticker_command(),
    }


def demo_commands(*, inbox_port: int, access: Path, with_workforce: bool) -> dict[str, Command]:
    """What plays the world around the service.

    The receiver of callbacks and, if wanted, the workers.
    """
    inbox = _module("config.demo.inbox", "--port", str(inbox_port), "--secret-file", str(access))
    workforce = _module("config.demo.workforce", "--access", str(access))
    return {"inbox": inbox} | ({"workforce": workforce} if with_workforce else {})


def _module(name: str, *arguments: str) -> Command:
    return (sys.executable, "-m", name, *arguments)


def main() -> None:
    """Become the process named on the command line."""
    # Here, since it brings Django's settings along: who only asks for a command line may set them later.
    from config.settings.environment import read

    settings = read()
    host = os.environ.get("HOST", "0.0.0.0")
    ports = {"web": settings.PORT, "stream": settings.STREAM_PORT or settings.PORT + 1}
    commands = service_commands(host=host, port=ports["web"], stream_port=ports["stream"])
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"usage: python3 -m config.processes {'|'.join(commands)}")
    name = sys.argv[1]
    if name in ports:
        _check_port(host, ports[name], name)
        print(f"{name} listens on http://{host}:{ports[name]}", flush=True)
    else:
        print(f"{name} runs", flush=True)
    command = commands[name]
    os.execve(command[0], command, {**QUIET_ROOT, **os.environ})


def _check_port(host: str, port: int, name: str) -> None:
    """Exit where another process listens there: the servers share a port without a word."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        variable = "PORT" if name == "web" else "STREAM_PORT"
        sys.exit(
            f"{name} cannot listen on {host}:{port} ({error.strerror}): set another {variable}"
        )


if __name__ == "__main__":
    main()
