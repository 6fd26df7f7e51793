"""Provide a reviewer with a browser, and outputs that wait for a verdict."""

import secrets
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.desk import Desk, eventually
from tests.browser.portal_steps import is_live
from tests.browser.site import Person
from tests.browser.steps import be_signed_in

SCHEMA = {
    "type": "object",
    "required": ["reached", "notes"],
    "properties": {
        "reached": {"type": "boolean", "title": "Was the owner reached?"},
        "notes": {"type": "string", "title": "What happened?"},
        "contact": {
            "type": "object",
            "title": "Contact",
            "properties": {
                "name": {"type": "string", "title": "Name"},
                "phone": {"type": "string", "title": "Phone"},
            },
        },
        "photos": {"type": "array", "title": "Photos", "items": {"type": "string"}},
    },
}
OUTPUT = {
    "reached": True,
    "notes": "The owner ran a patch script at 14:05 and sent the ticket.",
    "contact": {"name": "Jonas Weber", "phone": "+49 30 901820"},
    "photos": ["gate.jpg"],
}


@dataclass
class Inbox:
    """Hold a desk whose submissions are reviewed, and who reviews them."""

    desk: Desk
    rita: Person

    def open(self, windows: Windows, **window: Any) -> Page:
        """Open the inbox in a new window."""
        page = windows.window(**window)
        be_signed_in(page, self.rita)
        page.goto("/portal/reviews/")
        return is_live(page)

    def submit(self, title: str, output: Any = None, **changes: Any) -> str:
        """Have the worker submit an output. Return the task's id."""
        run = self.desk.accepted(title=title, output={"schema": SCHEMA}, **changes)
        self.submit_run(run, output)
        return str(run["task_id"])

    def submit_again(self, task_id: str, output: Any) -> None:
        """Have the worker submit an output that was sent back."""
        self.submit_run(self.desk.accept(task_id), output)

    def submit_run(self, run: Any, output: Any = None, files: tuple[Any, ...] = ()) -> None:
        path, epoch = f"/v1/runs/{run['run_id']}", run["epoch"]
        self._worker("POST", f"{path}/start", json={"epoch": epoch})
        evidence = [
            self._worker("POST", f"{path}/evidence", data={"epoch": epoch}, files={"file": file})[
                "evidence_id"
            ]
            for file in files
        ]
        body = {"epoch": epoch, "output": output or OUTPUT, "evidence": evidence}
        self._worker("POST", f"{path}/submit", json=body)

    def _worker(self, method: str, path: str, **parts: Any) -> Any:
        answer: httpx.Response = self.desk.worker.request(method, path, **parts)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def status(self, task_id: str) -> str:
        return str(self.desk.backend.get(f"/v1/tasks/{task_id}").json()["status"])

    def becomes(self, task_id: str, status: str) -> None:
        eventually(lambda: self.status(task_id) == status, what=f"the task is {status}")


def inbox_of(desk: Desk, role: str = "manager", **policy: Any) -> Inbox:
    """Return an inbox of the desk's organisation."""
    person = Person(f"rita-{secrets.token_hex(6)}@northwind.example", "Rita Sommer")
    made = desk.site.make(
        "reviewer",
        email=person.email,
        pool_id=desk.pool_id,
        policy={"mode": "all", **policy},
        role=role,
    )
    person.session = made["session"]
    return Inbox(desk, person)


def row(page: Page, title: str) -> Any:
    return page.locator(".review-row").filter(has_text=title)


def is_open(page: Page, title: str) -> None:
    """Wait until the page of a review is open, and ready for keys."""
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    is_live(page)
