"""Test what all pages of a worker have: tabs at the thumb, one main action, keys, true counts."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE, Site, Windows
from tests.browser.desk import Desk
from tests.browser.portal_steps import World, card, open_portal, world
from tests.browser.test_portal_task import JPEG, OUTPUT, enter, notes, opened, path, saved


@pytest.fixture
def bob(site: Site) -> World:
    """Provide an organisation with one worker."""
    return world(site)


# --- the bars of a phone --------------------------------------------------------------------------


def box(found: Locator) -> Any:
    place = found.bounding_box()
    assert place is not None
    return place


def bottom(found: Locator) -> float:
    place = box(found)
    return float(place["y"] + place["height"])


def test_tabs__are_at_the_bottom_of_every_page_of_a_phone(desk: Desk, windows: Windows) -> None:
    run = desk.accepted(output=OUTPUT)
    page = opened(windows, desk, run, size=PHONE)
    for address in (path(run), "/portal/", "/portal/history/", "/accounts/", "/accounts/sessions/"):
        page.goto(address)
        tabs = page.get_by_role("navigation", name="Portal")
        assert bottom(tabs) == PHONE["height"], address
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        last = page.locator("main > :last-child").last
        assert bottom(last) <= box(tabs)["y"], address


def test_bars__cover_neither_each_other_nor_what_is_typed_into(
    desk: Desk, windows: Windows
) -> None:
    run = desk.accepted(output=OUTPUT)
    page = opened(windows, desk, run, size=PHONE)
    tabs, bar = page.get_by_role("navigation", name="Portal"), page.locator(".task-bar")
    for name in ("Start", "Submit"):
        button = page.get_by_role("button", name=name)
        assert bottom(button) <= box(tabs)["y"]
        button.click(trial=True)
    page.locator("#cannot > summary").click()
    fields = page.locator("main :is(input:not([type=hidden], .visually-hidden), textarea, summary)")
    for field in fields.all():
        if field.is_visible():
            field.focus()
            assert bottom(field) <= box(bar)["y"], field.evaluate("e => e.outerHTML")
    expect(page.get_by_role("button", name="Give the task back")).to_be_visible()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert bottom(page.get_by_role("button", name="Give the task back")) <= box(bar)["y"]


def test_bars__leave_a_short_window_to_the_fields(desk: Desk, windows: Windows) -> None:
    """As with a keyboard on the screen."""
    page = opened(windows, desk, desk.accepted(), size={"width": 390, "height": 400})
    tabs = page.get_by_role("navigation", name="Portal")
    assert box(tabs)["y"] < box(page.locator("main"))["y"]
    assert bottom(page.locator(".task-bar")) == 400


# --- one main action ------------------------------------------------------------------------------


def looks(page: Page, name: str) -> tuple[str, str]:
    """Return the ground and the border of a button."""
    found: list[str] = page.get_by_role("button", name=name).evaluate(
        "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).borderTopColor]"
    )
    return found[0], found[1]


CLEAR = "rgba(0, 0, 0, 0)"


def test_task__has_one_main_action(desk: Desk, windows: Windows) -> None:
    page = opened(windows, desk, desk.accepted(), size=PHONE)
    assert looks(page, "Submit") == (CLEAR, CLEAR)
    main = looks(page, "Start")
    assert main[0] != CLEAR
    notes(page).fill("Begun by typing")
    saved(page)
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    assert looks(page, "Submit") == main


# --- what is missing ------------------------------------------------------------------------------


def test_missing__follows_the_files(desk: Desk, windows: Windows) -> None:
    run = desk.accepted(output={"schema": {"notes": "string"}, "evidence_required": True})
    page = opened(windows, desk, run, size=PHONE)
    missing = page.locator("#missing")
    line = missing.get_by_role("link", name="Evidence: at least one file")
    line.click()
    expect(page.locator("#evidence")).to_be_focused()
    notes(page).fill("Done")
    saved(page)
    expect(missing.get_by_role("link")).to_have_count(1)
    page.locator("#files").set_input_files(
        {"name": "gate.jpg", "mimeType": "image/jpeg", "buffer": JPEG}
    )
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(1)
    expect(missing).to_be_hidden()
    notes(page).fill("Done, with a picture")
    saved(page)
    expect(missing).to_be_hidden()
    page.get_by_role("button", name="Remove gate.jpg").click()
    expect(line).to_be_visible()


# --- keys of a task -------------------------------------------------------------------------------


def test_keys__of_a_task(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    keys = page.keyboard
    keys.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    expect(sheet.get_by_role("row").filter(has_text="Ask a question").locator("kbd")).to_have_text(
        "q"
    )
    expect(sheet.get_by_role("row").filter(has_text="Submit").locator("kbd")).to_have_text(
        "Ctrl+Enter"
    )
    keys.press("Escape")
    keys.press("q")
    expect(page.get_by_label("Your question")).to_be_focused()
    keys.type("Which question?")
    keys.press("Control+Enter")
    expect(page.locator("#thread")).to_contain_text("Which question?")
    assert desk.run(run["run_id"])["status"] == "claimed"
    page.evaluate("document.activeElement.blur()")
    keys.press("m")
    expect(notes(page)).not_to_be_focused()
    expect(page.locator(":focus")).to_be_visible()
    notes(page).focus()
    keys.type("quick memo?")
    expect(notes(page)).to_have_value("quick memo?")


def test_ctrl_and_enter__submits_what_is_typed_into(desk: Desk, windows: Windows) -> None:
    page = opened(windows, desk, desk.accepted())
    page.get_by_role("radiogroup", name="Reached user").get_by_label("Yes").check()
    page.get_by_role("radiogroup", name="User confirmed").get_by_label("Yes").check()
    page.locator("#cannot > summary").click()
    page.get_by_label("In your words").press("Control+Enter")
    notes(page).fill("Done")
    notes(page).press("Control+Enter")
    expect(page.get_by_role("heading", name="What you submitted")).to_be_visible()


def test_ctrl_and_s__saves_at_once(desk: Desk, windows: Windows) -> None:
    page = opened(windows, desk, desk.accepted())
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    notes(page).fill("Saved by a key")
    with page.expect_response(re.compile("/draft$")) as answered:
        notes(page).press("Control+s")
    assert answered.value.status == 200


def test_key_with_ctrl__is_chosen(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    line = sheet.get_by_role("row").filter(has_text="Submit")
    line.get_by_role("button", name="Change").click()
    page.keyboard.press("Control+m")
    expect(line.locator("kbd")).to_have_text("Ctrl+m")


# --- counts ---------------------------------------------------------------------------------------


def test_offer_that_ends_with_the_focus__is_not_counted(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    tasks = []
    for title in ("First", "Second"):
        tasks.append(bob.post(title))
        # Offers that are made at once are shown in any order.
        expect(card(page, title)).to_be_visible()
    count = page.get_by_role("heading", name="Offers").locator("[data-count]")
    expect(count).to_have_text("2")
    page.keyboard.press("j")
    expect(card(page, "First")).to_be_focused()
    for task_id, left in zip(tasks, ("1", "0"), strict=True):
        bob.call("POST", f"/v1/tasks/{task_id}/cancel", body={})
        expect(count).to_have_text(left)
    expect(count).to_be_hidden()
    expect(card(page, "First")).to_contain_text("This offer has closed.")
    page.keyboard.press("1")
    expect(page).to_have_url(re.compile("/portal/$"))


# --- working hours --------------------------------------------------------------------------------


def test_day__is_copied_to_all_days(desk: Desk, windows: Windows) -> None:
    page = windows.window(size=PHONE)
    enter(page, desk)
    page.goto("/portal/profile/hours/")
    page.locator("#mon-from-1").fill("09:00")
    page.locator("[name=mon-until]").first.fill("17:00")
    page.get_by_text("Copy a day to other days").click()
    page.get_by_role("button", name="Copy to all days").click()
    expect(page.get_by_text("Monday is copied.")).to_be_visible()
    expect(page.locator("#sun-from-1")).to_have_value("09:00")
    page.locator("#sat-from-1").fill("10:00")
    page.locator("#sat-from-1").press("Enter")
    expect(page.get_by_text("Your working hours are saved.")).to_be_visible()
