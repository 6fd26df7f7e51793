"""Provide an organisation with workers who sign in, and what happens to them."""

from dataclasses import dataclass
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.browser.site import Person, Site
from tests.browser.steps import be_signed_in
from tests.factories import SCHEMA


@dataclass
class World:
    """Hold an organisation: its backend, and its workers."""

    site: Site
    api_key: str
    organisation_id: str
    workers: list[dict[str, Any]]

    def person(self, number: int = 0) -> Person:
        """Return one of the workers, as who signs in."""
        worker = self.workers[number]
        return Person(worker["email"], session=worker["session"])

    def post(self, title: str, **changes: Any) -> str:
        """Create a task. Return its id."""
        body = {
            "task_type": "verification",
            "domain": "security",
            "title": title,
            "instructions": "Call the owner of the endpoint.",
            "sla": {"urgency": "low"},
            "output": {"schema": SCHEMA},
        }
        answer = self.call("POST", "/v1/tasks", body={**body, **changes})
        return str(answer["task_id"])

    def call(self, method: str, path: str, *, body: Any = None, key: str = "") -> Any:
        """Return the answer of a call by the backend, or with another key."""
        headers = {"Authorization": f"Bearer {key or self.api_key}"}
        answer = httpx.request(
            method, self.site.url + path, json=body, headers=headers, trust_env=False
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def as_worker(self, method: str, path: str, body: Any = None, number: int = 0) -> Any:
        """Return the answer of a call by a worker's own key, as its app makes it."""
        return self.call(method, path, body=body, key=self.workers[number]["api_key"])


def world(site: Site, workers: int = 1, mode: str = "sequential") -> World:
    """Make an organisation in the running installation."""
    return World(site, **site.make("world", workers=workers, mode=mode))


def open_portal(page: Page, person: Person) -> Page:
    """Open the portal as a worker who is signed in, and wait until the page is live."""
    be_signed_in(page, person)
    page.goto("/portal/")
    return is_live(page)


def is_live(page: Page) -> Page:
    """Wait until a page of the portal is told of changes."""
    expect(page.locator("html[data-live=true]")).to_be_attached()
    return page


def card(page: Page, title: str) -> Any:
    """Return the card of an offer or a run."""
    return page.locator(".card").filter(has_text=title)
