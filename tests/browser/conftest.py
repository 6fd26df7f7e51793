"""Run the service's real processes, and Chromium, for tests of the pages.

These tests are a pytest run of their own (`python -m pytest tests/browser`): Playwright runs an
event loop, in which Django refuses its database unless `DJANGO_ALLOW_ASYNC_UNSAFE` is set. That is
safe here: nothing else runs in the loop.
"""

import json
import os
import re
import secrets
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
from tests.browser.complaints import Complaints
from tests.browser.desk import Desk, desk_of
from tests.browser.site import Person, Site
from tests.faults.installation import PROJECT, free_port

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
START_SECONDS = 120
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 800}


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
        site = Site(f"http://localhost:{port}", home, json.loads((home / "demo.json").read_text()))
        threading.Thread(target=_drain, args=(running.stdout, site), daemon=True).start()
        yield site
        site.close()
    finally:
        running.terminate()
        running.wait(timeout=60)
        shutil.rmtree(home, ignore_errors=True)


def _drain(output: IO[str], site: Site) -> None:
    with output:
        for line in output:
            site.output.append(line)


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
    complaints: Complaints
    open_ones: list[BrowserContext]

    def window(self, *, size: Any = None, scheme: Any = "light") -> Page:
        context = self.browser.new_context(
            base_url=self.site.url, viewport=size or DESK, color_scheme=scheme
        )
        self.open_ones.append(context)
        self.complaints.follow(context)
        return context.new_page()

    def provoke(self, *kinds: str) -> None:
        """Expect complaints of requests: this test makes them fail (`complaints.py`)."""
        self.complaints.provoked.update(kinds)


@pytest.fixture
def windows(chromium: Browser, site: Site) -> Iterator[Windows]:
    """Provide windows. A violation of the policy, or an error of the console, fails the test."""
    # All tests sign in from one address, which may do so 60 times in five minutes.
    with psycopg.connect(embedded.database_url(site.home), autocommit=True) as connection:
        connection.execute("TRUNCATE accounts_signincounter")
    opened = Windows(chromium, site, Complaints(), [])
    yield opened
    for context in opened.open_ones:
        context.close()
    assert opened.complaints.unexpected() == []


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    """Provide a worker who works in a browser, with an organisation of its own."""
    desk = desk_of(site)
    yield desk
    desk.close()


@pytest.fixture
def mara(site: Site, request: pytest.FixtureRequest) -> Person:
    """Provide the admin of an organisation of her own."""
    name = re.sub(r"\W+", "-", request.node.name)[:40].strip("-")
    person = Person(f"{name}-{secrets.token_hex(3)}@northwind.example")
    person.session = site.make("admin", email=person.email, name=person.name)["session"]
    return person
