"""Test every state of the pages of a task on a phone and a desk, light and dark.

Axe finds nothing, nothing is wider than the window, and a thumb hits every target.
With SCREENSHOTS=<folder> each state is stored as a picture, for a look with one's own eyes.
"""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.complaints import ABORTED, FORBIDDEN, OFFLINE, SIGNED_OUT
from tests.browser.conftest import Windows
from tests.browser.desk import Desk
from tests.browser.test_appearance import SCHEMES, SIZES, check
from tests.browser.test_portal_task import (
    JPEG,
    OUTPUT,
    enter,
    fill_by_touch,
    is_stored,
    notes,
    opened,
    path,
    saved,
)
from tests.factories import soon

DELIVERY: dict[str, Any] = {
    "title": "Check the delivery at the north gate",
    "output": OUTPUT,
    "instructions": "# Before you start\n\nCall **Mr Okafor**.\n\n1. Count\n2. Write\n\n- a\n- b",
    "context": {
        "background": "The driver reported a damaged pallet.\nIt is the second this week.",
        "constraints": ["Do not open sealed boxes"],
        "risk_notes": ["Fork lifts in the yard"],
        "gate": {"number": 4, "code": "n/a"},
    },
}
# Links in running text, and inputs that a label of 48 px covers, may be smaller (WCAG 2.2, 2.5.8).
SMALL = """() => [...document.querySelectorAll(
    'main :is(input:not([type=hidden]), select, textarea, summary, li > a), .task-bar *')]
  .filter((e) => e.matches('input, select, textarea, summary, a, button'))
  .filter((e) => e.checkVisibility() && !e.classList.contains('visually-hidden'))
  .map((e) => (e.matches('[type=radio], [type=checkbox]') ? e.closest('label') ?? e : e))
  .filter((e) => e.getBoundingClientRect().height < 48 && !e.closest('.prose, dl'))
  .map((e) => e.outerHTML.slice(0, 120))"""


def sound(page: Page, name: str) -> None:
    """Assert that a state is sound in both schemes."""
    size = (page.viewport_size or {})["width"]
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        check(page, f"{name}-{size}-{scheme}")
    assert page.evaluate(SMALL) == [], name


def in_reach(page: Page) -> None:
    """Assert that the button which submits is in view, and that nothing covers it."""
    box = page.get_by_role("button", name="Submit").bounding_box()
    height = (page.viewport_size or {})["height"]
    assert box is not None
    assert box["y"] + box["height"] <= height
    page.get_by_role("button", name="Submit").click(trial=True)


def ready(page: Page) -> None:
    expect(page.locator("#fields")).not_to_have_attribute("inert", "")


@pytest.mark.parametrize("size", SIZES)
def test_form__in_every_state(desk: Desk, windows: Windows, size: str) -> None:
    windows.provoke(SIGNED_OUT, FORBIDDEN)
    run = desk.accepted(**DELIVERY, sla={"deadline": soon(hours=3).isoformat(), "urgency": "high"})
    page = opened(windows, desk, run, size=SIZES[size])
    in_reach(page)
    sound(page, "new")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#problems")).to_be_focused()
    sound(page, "problems")
    page.reload()
    ready(page)
    fill_by_touch(page)
    saved(page)
    in_reach(page)
    sound(page, "filled")
    # As with a keyboard on the screen: what is typed into, and the main action, are in view.
    page.set_viewport_size({"width": SIZES[size]["width"], "height": 400})
    page.get_by_label("Remarks").focus()
    expect(page.get_by_label("Remarks")).to_be_in_viewport(ratio=0.3)
    in_reach(page)
    page.set_viewport_size(SIZES[size])
    page.locator("#cannot > summary").click()
    sound(page, "release")
    page.context.clear_cookies()
    page.get_by_label("Remarks").fill("Typed while signed out")
    expect(page.get_by_role("heading", name="You were signed out")).to_be_visible()
    sound(page, "signed-out")


@pytest.mark.parametrize("size", SIZES)
def test_trouble__in_every_state(desk: Desk, windows: Windows, size: str) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run, size=SIZES[size])
    notes(page).fill("Common")
    saved(page)
    other = opened(windows, desk, run)
    page.context.set_offline(True)
    notes(page).fill("From here, in the cellar")
    expect(page.locator("#save-status")).to_contain_text("kept on this device")
    sound(page, "offline")
    notes(other).fill("From the other device")
    is_stored(desk, run, "From the other device")
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="There are two versions")).to_be_visible()
    sound(page, "conflict")
    page.get_by_role("button", name="Keep mine").click()
    is_stored(desk, run, "From here, in the cellar")
    desk.release(run)
    notes(page).fill("From here, and more")
    expect(page.get_by_role("heading", name="Your time for this task ended")).to_be_visible()
    is_stored(desk, run, "From here, and more")
    sound(page, "lost-lease")
    page.reload()
    expect(page.get_by_role("heading", name="not with you any more")).to_be_visible()
    sound(page, "lost")


@pytest.mark.parametrize("size", SIZES)
def test_files_and_thread__in_every_state(desk: Desk, windows: Windows, size: str) -> None:
    windows.provoke(ABORTED)
    run = desk.accepted(title="Photograph the gate", output={**OUTPUT, "evidence_required": True})
    page = opened(windows, desk, run, size=SIZES[size])
    page.route("**/evidence", lambda route: route.abort())
    page.locator("#files").set_input_files(
        [
            {"name": f"gate-{n}.jpg", "mimeType": "image/jpeg", "buffer": JPEG}
            for n in ("north-side-with-the-damaged-pallet", "south")
        ]
    )
    expect(page.get_by_text("waiting for the connection").first).to_be_visible()
    sound(page, "uploading")
    page.unroute("**/evidence")
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(2, timeout=30_000)
    # The first file has started the run.
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    page.locator("#files").set_input_files(
        {"name": "plan.svg", "mimeType": "image/svg+xml", "buffer": b"<svg/>"}
    )
    expect(page.get_by_role("alert").filter(has_text="not accepted")).to_be_visible()
    page.get_by_label("Your question").fill("Which gate is meant: the one at the road?")
    page.get_by_role("button", name="Send the question").click()
    expect(page.locator("#thread")).to_contain_text("the one at the road?")
    expect(page.get_by_label("Your question")).to_have_value("")
    answer = {"text": "The one at the road.\nThe other one is closed until Monday."}
    desk.backend.post(f"/v1/tasks/{run['task_id']}/messages", json=answer).raise_for_status()
    expect(page.locator("#thread")).to_contain_text("closed until Monday", timeout=15_000)
    sound(page, "files-and-thread")


@pytest.mark.parametrize("size", SIZES)
def test_end__in_every_state(desk: Desk, windows: Windows, size: str) -> None:
    page = windows.window(size=SIZES[size])
    enter(page, desk)
    page.goto("/portal/history/")
    sound(page, "history-empty")
    run, following = desk.accepted(**DELIVERY), desk.accepted(title="Call the owner of the car")
    page.goto(path(run))
    ready(page)
    fill_by_touch(page)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="What you submitted")).to_be_visible()
    expect(page.get_by_role("link", name="Next task")).to_be_visible()
    sound(page, "submitted")
    page.get_by_role("link", name="Next task").click()
    ready(page)
    notes(page).fill("Half of it")
    saved(page)
    answer = desk.backend.post(f"/v1/tasks/{following['task_id']}/cancel", json={})
    assert answer.status_code == 200, answer.text
    page.reload()
    expect(page.get_by_text("The requester cancelled this task")).to_be_visible()
    sound(page, "closed")
    for number in range(3):
        one = desk.accepted(title=f"Count the pallets in hall {number + 1}")
        output = {"notes": "Counted.", "reached_user": True, "user_confirmed": True}
        body = {"epoch": one["epoch"], "output": output, "evidence": []}
        for step, content in (("start", {"epoch": one["epoch"]}), ("submit", body)):
            answer = desk.worker.post(f"/v1/runs/{one['run_id']}/{step}", json=content)
            assert answer.status_code == 200, answer.text
    page.goto("/portal/history/")
    expect(page.locator(".row")).to_have_count(5)
    sound(page, "history-full")
