"""Define the command line of each process, for `make run`, the Docker image and the documents.

`python3 -m config.processes web` becomes that process, with HOST and PORT from the environment.
"""

import os
import socket
import sys

from config.drains import queues_of

Command = tuple[str, ...]

# Celery warns at each start as root; in a container that is intended.
QUIET_ROOT = {"PYTHONWARNINGS": "ignore:You're running the worker"}


def web_command(*, host: str, port: int, processes: int = 1) -> Command:
    """Return the command of the API.

    Each process has eight threads: more would wait for the interpreter, not for PostgreSQL.
    """
    return (
        *module_command("granian", "--interface", "wsgi", "--host", host, "--port", str(port)),
        *("--workers", str(processes), "--blocking-threads", "8"),
        *("--backlog", "1024", "--no-ws"),
        # At `warning` each start logs advice about the number of threads.
        *("--log-level", "error", "config.wsgi:application"),
    )


def stream_command(*, host: str, port: int) -> Command:
    """Return the command of the streams. A stop ends open streams; their clients reconnect."""
    return (
        *module_command(
            "uvicorn", "--host", host, "--port", str(port), "--timeout-graceful-shutdown", "2"
        ),
        # By default it takes the address and the scheme from headers of callers on this machine.
        # Only `apps.base.addresses` reads these, and counts the proxies.
        "--no-proxy-headers",
        *("--log-level", "warning", "--no-access-log", "config.asgi:application"),
    )


def worker_command(*, name: str, queues: str) -> Command:
    """Return the command of a Celery worker, without the events and reports that we do not use.

    It does one job at a time. `queues` are groups of drains, such as `lifecycle,bulk`.
    """
    return (
        *module_command("celery", "--quiet", "-A", "config.celery", "worker", "--pool", "solo"),
        *("-Q", ",".join(queues_of(*queues.split(","))), "-n", f"{name}@%h"),
        *("--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )


def ticker_command() -> Command:
    """Return the command of the ticker, which wakes the drains."""
    return (sys.executable, "manage.py", "tick")


def service_commands(
    *, host: str, port: int, stream_port: int, web_processes: int = 1
) -> dict[str, Command]:
    """Return the command of each process of the service, in production as on one machine."""
    return {
        "web": web_command(host=host, port=port, processes=web_processes),
        "stream": stream_command(host=host, port=stream_port),
        "lifecycle": worker_command(name="lifecycle", queues="lifecycle,bulk"),
        # Matching may be busy for long: with a process of its own, timers need not wait for it.
        "matching": worker_command(name="matching", queues="matching"),
        "deliveries": worker_command(name="deliveries", queues="deliveries"),
        "ticker": ticker_command(),
    }


def module_command(name: str, *arguments: str) -> Command:
    """Return the command that runs a module by this process's interpreter."""
    return (sys.executable, "-m", name, *arguments)


def main() -> None:
    """Replace this process by the one named on the command line."""
    # Imported here, since it loads Django's settings: a caller that only needs a command line may
    # set the environment later.
    from config.settings.environment import read

    settings = read()
    host = os.environ.get("HOST", "0.0.0.0")
    ports = {"web": settings.PORT, "stream": settings.STREAM_PORT or settings.PORT + 1}
    commands = service_commands(
        host=host,
        port=ports["web"],
        stream_port=ports["stream"],
        web_processes=settings.WEB_PROCESSES,
    )
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
    """Exit if another process listens there: the servers would share the port without an error."""
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
