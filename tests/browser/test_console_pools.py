"""Test the console's pages of pools and workers in Chromium, as a manager uses them from nothing.

Axe finds nothing, nothing is cut off. With SCREENSHOTS=<folder> each page is stored as a picture.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import axe_faults
from tests.browser.conftest import Person, Windows
from tests.browser.steps import be_signed_in
from tests.browser.test_appearance import SCHEMES, SIZES


def check(page: Page, name: str) -> None:
    """Assert that the page is accessible and fits, in both schemes, and store its pictures."""
    folder = os.environ.get("SCREENSHOTS")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
        assert axe_faults(page) == "", f"{name} {scheme}"
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, f"{name} is {width} px wider than the window"


@pytest.mark.parametrize("size", SIZES)
def test_manager__sets_up_a_pool_and_its_workers(mara: Person, windows: Windows, size: str) -> None:
    page = windows.window(size=SIZES[size])
    be_signed_in(page, mara)
    page.goto("/admin/pools/pool/")
    check(page, f"console-pools-empty-{size}")
    _open_pool(page, size)
    # A redirect keeps the fragment of the address before.
    pool = page.url.partition("#")[0]
    check(page, f"console-pool-empty-{size}")
    _change_policy(page, size)
    _create_agent(page, size)
    _add_to_pool(page, pool, size)
    page.get_by_role("link", name="Crate Agent").click()
    check(page, f"console-worker-{size}")
    _change_worker(page, size)
    page.goto("/admin/pools/worker/invite/")
    page.get_by_label("E-mail address").fill("ida@northwind.example")
    page.get_by_label("Name").fill("Ida Holm")
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_role("alert")).to_be_focused()
    check(page, f"console-invite-problem-{size}")
    page.get_by_label("Front desk").check()
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_role("button", name="Send again")).to_be_visible()
    check(page, f"console-invite-{size}")
    page.goto("/admin/pools/worker/")
    expect(page.get_by_role("row", name=re.compile("Crate Agent.*Front desk"))).to_be_visible()
    check(page, f"console-workers-{size}")
    page.goto(pool)
    page.get_by_role("link", name="Write a note").click()
    page.get_by_label("Note").fill("The depot is closed today.")
    check(page, f"console-note-{size}")
    page.get_by_role("button", name="Send the note").click()
    expect(page.get_by_text("The depot is closed today.").first).to_be_visible()
    check(page, f"console-pool-note-{size}")
    page.goto(f"{pool}close/")
    check(page, f"console-pool-close-{size}")


def _open_pool(page: Page, size: str) -> None:
    """Create a pool by the keyboard: `Enter` in a field sends the form, and moves no step."""
    page.get_by_role("link", name="New pool").click()
    check(page, f"console-pool-new-{size}")
    page.get_by_role("button", name="Open the pool").click()
    expect(page.get_by_role("alert")).to_be_focused()
    check(page, f"console-pool-new-problem-{size}")
    page.get_by_role("link", name=re.compile("Name: ")).click()
    expect(page.locator("#id_name")).to_be_focused()
    page.keyboard.type("Front desk")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Front desk")).to_be_visible()


def _change_policy(page: Page, size: str) -> None:
    page.get_by_role("link", name="Change policy").click()
    page.get_by_role("button", name="Add a step").click()
    page.get_by_role("button", name="Add a step").click()
    page.locator("[name=steps-0-after]").fill("10 min")
    page.locator("[name=steps-0-notify]").check()
    page.locator("[name=steps-1-after]").fill("2 min")
    page.locator("[name=steps-1-mode]").select_option("broadcast")
    page.get_by_role("button", name="Earlier 2").click()
    expect(page.locator("[name=steps-0-after]")).to_have_value("2 min")
    check(page, f"console-pool-steps-{size}")
    page.get_by_role("button", name="See the effect").click()
    expect(page.get_by_role("heading", name="What this would do now")).to_be_visible()
    check(page, f"console-pool-effect-{size}")
    page.get_by_role("button", name="Save these changes").first.click()
    expect(page.get_by_text("The pool is changed.")).to_be_visible()
    expect(page.get_by_text("After 2 min")).to_be_visible()


def _create_agent(page: Page, size: str) -> None:
    page.goto("/admin/pools/worker/")
    check(page, f"console-workers-empty-{size}")
    page.get_by_role("link", name="New worker").click()
    page.get_by_label("Name").fill("Crate Agent")
    page.get_by_label("Kind").select_option("agent")
    page.get_by_label("Skills").fill("phone 3")
    page.get_by_label("Create an API key for it").check()
    check(page, f"console-worker-new-{size}")
    page.get_by_role("button", name="Create the worker").click()
    expect(page.locator(".secret")).to_have_text(re.compile("^bl_live_"))
    check(page, f"console-worker-key-{size}")


def _add_to_pool(page: Page, pool: str, size: str) -> None:
    page.goto(f"{pool}add/")
    page.get_by_label("Search workers by name").fill("age cra")
    page.keyboard.press("Enter")
    page.get_by_role("checkbox", name="Choose Crate Agent").check()
    check(page, f"console-pool-add-{size}")
    page.get_by_role("button", name="Add to the pool").click()
    expect(page.get_by_text("1 worker is added.")).to_be_visible()
    check(page, f"console-pool-{size}")


def _change_worker(page: Page, size: str) -> None:
    page.get_by_label("Presence").select_option("available")
    page.get_by_role("button", name="Set presence").click()
    expect(page.get_by_text("The presence is set.")).to_be_visible()
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_role("button", name="Add a certification").click()
    page.locator("[name=mon]").fill("9-17")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_role("alert")).to_be_focused()
    check(page, f"console-worker-problem-{size}")
    page.locator("[name=mon]").fill("09:00-17:00")
    page.locator("[name=certifications-0-code]").fill("first-aid")
    page.get_by_role("button", name="Save").last.click()
    expect(page.get_by_text("The worker is changed.")).to_be_visible()
    expect(page.get_by_text("first-aid")).to_be_visible()
    page.get_by_role("link", name="Deactivate").click()
    check(page, f"console-worker-end-{size}")
