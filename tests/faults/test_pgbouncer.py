"""Test the service behind PgBouncer in transaction mode, by the settings of docs/running.md."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from config.embedded import database_url, socket_folder
from config.processes import service_commands
from local import embedded
from tests import migrated
from tests.factories import OUTPUT, contract
from tests.faults.installation import OURS, PROJECT, eventually, free_port, say

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
SERVER_CONNECTIONS = 6
TASKS = 24
SECONDS = 40.0

pytestmark = pytest.mark.skipif(
    PGBOUNCER is None and "REQUIRE_PGBOUNCER" not in os.environ,
    reason="needs PgBouncer: on Debian and Ubuntu, apt install pgbouncer",
)


@dataclass(frozen=True)
class Service:
    """Hold the URL, keys and logs of a running service."""

    base_url: str
    api_key: str
    worker_key: str
    database_url: str
    logs: Path

    def client(self, key: str) -> httpx.Client:
        return httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=15.0,
            trust_env=False,
        )


def documented() -> dict[str, str]:
    """Return the settings of PgBouncer in docs/running.md: section -> its lines."""
    text = (PROJECT / "docs" / "running.md").read_text()
    block = re.search(r"    \[databases\]\n(.*?)    \[pgbouncer\]\n(.*?)\n\n", text, re.S)
    assert block, "docs/running.md names no settings of PgBouncer"
    return {"databases": block.group(1).strip(), "pgbouncer": block.group(2)}


@contextmanager
def pgbouncer(home: Path, folder: Path) -> Iterator[int]:
    """Run PgBouncer in front of the embedded PostgreSQL of a home. Yield its port."""
    port = free_port()
    sections = documented()
    database = sections["databases"].replace("host=…", f"host={socket_folder(home)}")
    ini = folder / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n{database.replace('dbname=biolayer', 'dbname=biolayer user=postgres')}\n"
        f"[pgbouncer]\n{sections['pgbouncer']}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\ndefault_pool_size = {SERVER_CONNECTIONS}\n"
        "max_client_conn = 200\n"
    )
    folder.chmod(0o755)
    # It refuses root; only the account that runs PostgreSQL has access to its socket.
    account = socket_folder(home).stat().st_uid if os.getuid() == 0 else None
    assert PGBOUNCER is not None
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen([PGBOUNCER, str(ini)], stdout=log, stderr=log, user=account)
    try:
        eventually(lambda: _listens(port), seconds=10, what="PgBouncer listens")
        yield port
    finally:
        _end(process)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(15)
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    home = Path(tempfile.mkdtemp(prefix="biolayer-pgbouncer-"))
    home.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.callback(embedded.stop_redis, home)
        stack.callback(embedded.stop_postgres, home)
        migrated.copy_into(home)
        embedded.start_postgres(home, durable=False)
        embedded.start_redis(home)
        direct = database_url(home)
        port = stack.enter_context(pgbouncer(home, home))
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        ours = {**inherited, "BIOLAYER_HOME": str(home)}
        _manage(ours, "migrate", "--verbosity", "0")
        # Both connections to the database use the secrets of the embedded home.
        pooled = {
            **ours,
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{port}/biolayer",
            "BIOLAYER_PGBOUNCER": "true",
            "ALLOWED_HOSTS": "127.0.0.1",
            **_secrets(home),
        }
        api_key, worker_key = _create_organisation(pooled)
        web = free_port()
        logs = home / "logs"
        commands = service_commands(host="127.0.0.1", port=web, stream_port=free_port())
        for name, command in commands.items():
            log = stack.enter_context((logs / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                command, cwd=PROJECT, env=pooled, stdout=log, stderr=log, start_new_session=True
            )
            stack.callback(_end, process)
        eventually(lambda: _listens(web), seconds=60, what="web listens")
        yield Service(f"http://127.0.0.1:{web}", api_key, worker_key, direct, logs)


def _secrets(home: Path) -> dict[str, str]:
    import json

    stored = json.loads((home / "secrets.json").read_text())
    return {"SECRET_KEY": stored["SECRET_KEY"], "ENCRYPTION_KEYS": stored["ENCRYPTION_KEY"]}


def _manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _create_organisation(environment: dict[str, str]) -> tuple[str, str]:
    organisation = _printed(_manage(environment, "create_organisation", "Northwind Verification"))
    worker = _manage(
        environment,
        "create_worker",
        organisation["pool_id"],
        "Mara Lindqvist",
        "--capacity",
        "50",
        "--presence",
        "available",
    )
    return organisation["api_key"], _printed(worker)["api_key"]


def _printed(output: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in output.splitlines() if len(line.split()) == 2)


def test_pgbouncer__tasks_are_posted_completed_and_listed(service: Service) -> None:
    with service.client(service.api_key) as backend, service.client(service.worker_key) as worker:

        def post(number: int) -> str:
            headers = {"Idempotency-Key": f"task-{number}"}
            response = backend.post(
                "/v1/tasks", json=contract(title=f"Call {number}"), headers=headers
            )
            assert response.status_code == 201, response.text
            return str(response.json()["task_id"])

        with ThreadPoolExecutor(8) as threads:
            posted = set(threads.map(post, range(TASKS)))
        ends = time.monotonic() + SECONDS
        while _statuses(backend, posted) != {"completed"}:
            assert time.monotonic() < ends, f"not completed: {_statuses(backend, posted)}"
            _work(worker)
        feed = backend.get("/v1/events", params={"limit": 1000, "types": "task.completed"}).json()
        assert sorted(event["task_id"] for event in feed["data"]) == sorted(posted)
    _expect_logs_without_tracebacks(service)


def _statuses(backend: httpx.Client, posted: set[str]) -> set[str]:
    """Return the statuses of the posted tasks, read from the list page by page."""
    statuses: dict[str, str] = {}
    cursor: dict[str, str] = {}
    while True:
        page = backend.get("/v1/tasks", params={"limit": 10, **cursor}).json()
        statuses |= {task["task_id"]: task["status"] for task in page["data"]}
        if page["next_cursor"] is None:
            assert posted <= set(statuses)
            return {statuses[task_id] for task_id in posted}
        cursor = {"cursor": page["next_cursor"]}


def _work(worker: httpx.Client) -> None:
    for offer in worker.get("/v1/offers").json()["data"]:
        accepted = worker.post(f"/v1/offers/{offer['offer_id']}/accept")
        assert accepted.status_code == 200, accepted.text
        run: dict[str, Any] = accepted.json()["run"]
        started = worker.post(f"/v1/runs/{run['run_id']}/start", json={"epoch": run["epoch"]})
        assert started.status_code == 200, started.text
        body = {"epoch": run["epoch"], "output": OUTPUT}
        submitted = worker.post(f"/v1/runs/{run['run_id']}/submit", json=body)
        assert submitted.status_code == 200, submitted.text


def test_pgbouncer__locked_task_is_unavailable_within_the_documented_bound(
    service: Service,
) -> None:
    """PgBouncer does not forward start-up options: `connect_query` sets the bounds."""
    with (
        service.client(service.api_key) as backend,
        psycopg.connect(service.database_url) as holder,
    ):
        task_id = backend.post("/v1/tasks", json=contract()).json()["task_id"]
        holder.execute("SELECT FROM tasks_task WHERE id = %s FOR UPDATE", [task_id])
        began = time.monotonic()
        response = backend.post(f"/v1/tasks/{task_id}/cancel", json={})
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert time.monotonic() - began < 2
        holder.rollback()
        eventually(
            lambda: backend.post(f"/v1/tasks/{task_id}/cancel", json={}).status_code == 200,
            seconds=10,
            what="the task is cancelled",
        )


def test_pgbouncer__serves_all_processes_by_few_connections(service: Service) -> None:
    with psycopg.connect(service.database_url) as direct:
        row = direct.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND datname = 'biolayer' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    assert 1 <= row[0] <= SERVER_CONNECTIONS


def _expect_logs_without_tracebacks(service: Service) -> None:
    for log in sorted(service.logs.glob("*.log")):
        text = log.read_text(errors="replace")
        if "Traceback" in text:
            say(f"--- {log.name}\n{text[-3000:]}")
        assert "Traceback" not in text, f"{log.name} has a traceback"
