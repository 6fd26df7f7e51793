"""Provide a worker who works in a browser, and the backend that sends the tasks."""

import os
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import psutil

from tests.browser.site import Person, Site
from tests.factories import contract

T = TypeVar("T")
PATIENCE_SECONDS = 60.0


def eventually(look: Callable[[], T], *, what: str) -> T:
    """Return the first true result of `look`."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not (result := look()):
        assert time.monotonic() < ends, f"not within {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.1)
    return result


@dataclass
class Desk:
    """Hold a worker, and the backend of the same organisation."""

    site: Site
    person: Person
    pool_id: str
    webhook_secret: str
    backend: httpx.Client
    worker: httpx.Client

    def task(self, **changes: Any) -> str:
        """Create a task. Return its id."""
        answer = self.backend.post("/v1/tasks", json=contract(**changes))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["task_id"])

    def accepted(self, **changes: Any) -> dict[str, Any]:
        """Return a run of a new task, which the worker has accepted."""
        return self.accept(self.task(**changes))

    def accept(self, task_id: str) -> dict[str, Any]:
        """Wait for the offer of a task, and accept it. Return the run."""
        offer_id = eventually(lambda: self._offer(task_id), what="an offer")
        answer = self.worker.post(f"/v1/offers/{offer_id}/accept")
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()["run"]
        return run

    def _offer(self, task_id: str) -> str | None:
        offers = self.worker.get("/v1/offers", params={"limit": 100}).json()["data"]
        found = [one["offer_id"] for one in offers if one["task"]["task_id"] == task_id]
        return found[0] if found else None

    def run(self, run_id: str) -> dict[str, Any]:
        run: dict[str, Any] = self.worker.get(f"/v1/runs/{run_id}").json()
        return run

    def draft(self, run_id: str) -> dict[str, Any] | None:
        """Return what the server has of the worker's typing; None without a draft."""
        try:
            answer = self.worker.get(f"/v1/runs/{run_id}/draft")
        except httpx.TransportError:  # The service was killed, and starts again.
            return None
        if answer.status_code != 200:
            return None
        found: dict[str, Any] | None = answer.json()
        return found

    def release(self, run: dict[str, Any]) -> None:
        """End the worker's lease: the task is queued again."""
        answer = self.worker.post(f"/v1/runs/{run['run_id']}/release", json={"epoch": run["epoch"]})
        assert answer.status_code == 200, answer.text

    def close(self) -> None:
        self.backend.close()
        self.worker.close()

    def kill_web(self) -> None:
        """Kill the web processes of the installation by SIGKILL; it starts them again."""
        killed = 0
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get("BIOLAYER_HOME") == str(self.site.home)
                if is_ours and any("granian" in word for word in process.cmdline()):
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
            except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
                continue
        assert killed > 0

    def wait_for_web(self) -> None:
        """Wait until killed web processes are back."""
        eventually(self._is_served, what="web is back")

    def _is_served(self) -> bool:
        try:
            return self.worker.get("/v1/offers").status_code == 200
        except httpx.TransportError:
            return False


def desk_of(site: Site) -> Desk:
    """Return a new worker, with an organisation of its own."""
    person = Person(f"desk-{secrets.token_hex(6)}@northwind.example", "Bob Ashdown")
    made = site.make("desk", email=person.email)
    person.session = made["session"]
    return Desk(
        site=site,
        person=person,
        pool_id=made["pool_id"],
        webhook_secret=made["webhook_secret"],
        backend=_client(site, made["backend_key"]),
        worker=_client(site, made["worker_key"]),
    )


def _client(site: Site, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=site.demo["base_url"],
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
        trust_env=False,
        transport=httpx.HTTPTransport(retries=5),
    )
