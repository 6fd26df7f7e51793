"""Run the service's real processes, and Chromium, for tests of the pages.

These tests are a pytest run of their own (`python -m pytest tests/browser`): Playwright runs an
event loop, in which Django refuses its database unless `DJANGO_ALLOW_ASYNC_UNSAFE` is set. That is
safe here: nothing else runs in the loop.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from config import embedded
from tests import migrated
from tests.faults.installation import PROJECT, free_port

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
START_SECONDS = 120
PASSWORD = "correct-horse-battery-9"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}


@dataclass
class Person:
    """Hold who signs in."""

    email: str
    name: str = "Mara Lindqvist"
    password: str = PASSWORD


@dataclass
class Site:
    """Hold a running installation."""

    url: str
    home: Path
    demo: dict[str, Any]

    def create_organisation(self, name: str, email: str) -> str:
        """Create an organisation with an admin. Return the output, with a link for a new person."""
        done = subprocess.run(
            [sys.executable, "manage.py", "create_organisation", name, "--admin", email],
            cwd=PROJECT,
            env={
                **os.environ,
                "BIOLAYER_HOME": str(self.home),
                "PORT": self.url.rpartition(":")[2],
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Provide a running installation, as `make run` starts it."""
    home = Path(tempfile.mkdtemp(prefix="biolayer-browser-"))
    migrated.copy_into(home)
    port = free_port()
    command = [sys.executable, "manage.py", "up", "--no-workforce", "--port", str(port)]
    environment = {**os.environ, "BIOLAYER_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    try:
        for line in running.stdout:
            if "Ctrl-C stops everything" in line:
                break
        # It stands still, and starts no killed process again, once its pipe is full.
        threading.Thread(target=_drain, args=(running.stdout,), daemon=True).start()
        demo = json.loads((home / "demo.json").read_text())
        yield Site(f"http://localhost:{port}", home, demo)
    finally:
        running.terminate()
        running.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)


def _drain(output: IO[str]) -> None:
    with output:
        for _ in output:
            pass


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Provide Chromium; skip without one, unless REQUIRE_BROWSER is set."""
    if CHROMIUM is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set, and there is no chromium")
        pytest.skip("there is no chromium; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, chromium_sandbox=os.getuid() != 0
        )
        print(f"Chromium {browser.version}")
        yield browser
        browser.close()


@dataclass
class Windows:
    """Open windows of browsers that share nothing, and collect what they complain of."""

    browser: Browser
    site: Site
    complaints: list[str]
    open_ones: list[BrowserContext]

    def window(self, *, size: Any = None, scheme: Any = "light") -> Page:
        context = self.browser.new_context(
            base_url=self.site.url, viewport=size or DESK, color_scheme=scheme
        )
        self.open_ones.append(context)
        page = context.new_page()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _note(self, kind: str, text: str) -> None:
        # A refused form answers 4xx, which Chromium reports as an error of the page.
        if kind == "error" and "Failed to load resource" not in text:
            self.complaints.append(text)


@pytest.fixture
def windows(chromium: Browser, site: Site) -> Iterator[Windows]:
    """Provide windows. A violation of the policy, or an error of a script, fails the test."""
    # All tests sign in from one address, which may do so 60 times in five minutes.
    with psycopg.connect(embedded.database_url(site.home), autocommit=True) as connection:
        connection.execute("TRUNCATE accounts_signincounter")
    opened = Windows(chromium, site, [], [])
    yield opened
    for context in opened.open_ones:
        context.close()
    assert opened.complaints == []


@pytest.fixture
def mara(site: Site, windows: Windows, request: pytest.FixtureRequest) -> Person:
    """Provide the admin of an organisation of her own, who joined by her invitation's link."""
    name = re.sub(r"\W+", "-", request.node.name)[:40].strip("-")
    person = Person(f"{name}@northwind.example")
    output = site.create_organisation("Northwind Verification", person.email)
    link = re.search(r"http://\S+/accounts/invitations/\S+", output)
    assert link is not None, output
    page = windows.window()
    page.goto(link[0])
    page.get_by_label("Your name").fill(person.name)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Create account and join").click()
    page.wait_for_url("**/accounts/")
    page.context.close()
    return person
