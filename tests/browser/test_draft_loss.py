"""Test that forced ends of leases, reloads, kills of web and lost networks lose no character.

`DRAFT_LOSS_TROUBLES` sets how often; the suite has thirty. Each trouble strikes while the worker
types. At the end the field has what was typed, and so has the server.
"""

import os
import random
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.complaints import KILLED, OFFLINE
from tests.browser.conftest import Windows
from tests.browser.desk import Desk, eventually
from tests.browser.test_portal_task import enter, notes, path, texts

TROUBLES = int(os.environ.get("DRAFT_LOSS_TROUBLES", "30"))
# A kill takes the service ten seconds to recover from.
KILL_EVERY = 15
PATIENCE_MS = 120_000


class Worker:
    """Type, and know what was typed."""

    def __init__(self, desk: Desk, page: Page) -> None:
        self.desk, self.page = desk, page
        self.run = desk.accepted()
        self.typed = ""
        self.go()

    def go(self) -> None:
        """Open the page, also while the service is away."""

        def is_open() -> bool:
            answer = self.page.goto(path(self.run))
            return answer is not None and answer.status == 200

        eventually(lambda: _quietly(is_open), what="the page opens")
        self.is_ready()

    def is_ready(self) -> None:
        fields = self.page.locator("#fields")
        expect(fields).not_to_have_attribute("inert", "", timeout=PATIENCE_MS)
        expect(notes(self.page)).to_have_value(self.typed, timeout=PATIENCE_MS)

    def type(self, number: int) -> None:
        words = f"{number} " + "".join(
            random.choices("abc \u00fc\U0001f600", k=random.randrange(1, 9))
        )
        notes(self.page).focus()
        notes(self.page).evaluate("e => e.setSelectionRange(e.value.length, e.value.length)")
        self.page.keyboard.insert_text(words)
        self.typed += words

    # --- troubles --------------------------------------------------------------------------------

    def reload(self) -> None:
        self.page.reload()
        self.is_ready()

    def lose_network(self) -> None:
        self.page.context.set_offline(True)
        self.type(0)
        self.page.wait_for_timeout(random.randrange(0, 1500))
        self.page.context.set_offline(False)

    def leave_offline(self) -> None:
        self.page.context.set_offline(True)
        self.type(0)
        self.page.goto("about:blank")
        self.page.context.set_offline(False)
        self.go()

    def lose_lease(self) -> None:
        self.desk.release(self.desk.run(self.run["run_id"]))
        self.type(0)
        self.run = self.desk.accept(self.run["task_id"])
        self.go()

    def kill(self) -> None:
        self.desk.kill_web()
        self.type(0)


def _quietly(call: Callable[[], bool]) -> bool:
    try:
        return call()
    except Exception as error:
        if "ERR_" not in str(error):
            raise
        return False


def test_troubles__lose_no_character(desk: Desk, windows: Windows) -> None:
    windows.provoke(OFFLINE, KILLED)
    random.seed(14)
    page = windows.window()
    enter(page, desk)
    worker = Worker(desk, page)
    usual = [worker.reload, worker.lose_network, worker.leave_offline, worker.lose_lease]
    for number in range(1, TROUBLES + 1):
        worker.type(number)
        page.wait_for_timeout(random.choice((0, 0, 100, 900, 1100)))
        trouble = worker.kill if number % KILL_EVERY == 0 else random.choice(usual)
        trouble()
        expect(notes(page)).to_have_value(worker.typed, timeout=PATIENCE_MS)
        if worker.kill == trouble or number % 10 == 0:
            eventually(
                lambda: texts(desk, worker.run) == worker.typed, what=f"trouble {number} is stored"
            )
            print(f"{number} troubles, {len(worker.typed)} characters", flush=True)
