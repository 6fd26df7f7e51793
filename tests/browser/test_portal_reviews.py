"""Test the reviewer's story in a browser: by keyboard alone on a desk, and by touch on a phone."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import axe_faults
from tests.browser.complaints import OFFLINE, SIGNED_OUT, UNAVAILABLE
from tests.browser.conftest import PHONE, Windows
from tests.browser.desk import Desk
from tests.browser.portal_steps import is_live
from tests.browser.review_steps import OUTPUT, Inbox, inbox_of, is_open, row
from tests.browser.steps import be_signed_in
from tests.browser.test_portal_task import JPEG


@pytest.fixture
def inbox(desk: Desk) -> Inbox:
    """Provide a reviewer whose organisation has everything reviewed."""
    return inbox_of(desk)


def message(page: Page) -> Any:
    return page.locator(".message.success")


def fits(page: Page) -> bool:
    """Return whether nothing is wider than the window."""
    found: bool = page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    return found


# --- by keyboard alone ----------------------------------------------------------------------------


def test_keyboard__approve_send_back_and_reject(inbox: Inbox, windows: Windows) -> None:
    """The first is sent back with a mark and a reason, the next is approved, the last rejected."""
    inbox.submit("Check the gate")
    pump, valve = inbox.submit("Call about the pump"), inbox.submit("Call about the valve")
    page = inbox.open(windows)
    keys = page.keyboard
    for key in ("j", "Enter"):
        keys.press(key)
    is_open(page, "Check the gate")
    expect(page.get_by_text("Yours until")).to_be_visible()
    for key in ("j", "j", "c"):
        keys.press(key)
    expect(page.locator("#marked")).to_have_text("Marked: What happened?")
    keys.press("r")
    expect(page.get_by_label("Reason")).to_be_focused()
    expect(page.get_by_text("Write a reason first")).to_be_visible()
    assert axe_faults(page) == ""
    keys.type("Ask for the ticket. Approve nothing: a, r and x are only typed.")
    keys.press("Control+Enter")

    is_open(page, "Call about the pump")
    expect(message(page)).to_have_text("Sent back: Check the gate")
    keys.press("a")

    is_open(page, "Call about the valve")
    expect(message(page)).to_have_text("Approved: Call about the pump")
    keys.press("e")
    keys.type("The call was invented.")
    for key in ("Escape", "x"):
        keys.press(key)
    dialog = page.get_by_role("dialog", name="Reject this output?")
    expect(dialog).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    keys.press("x")
    expect(dialog.get_by_role("button", name="Reject")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Nothing waits for a review")).to_be_visible()
    expect(message(page)).to_have_text("Rejected: Call about the valve")
    inbox.becomes(pump, "completed")
    assert inbox.status(valve) == "failed"


def test_keyboard__the_next_attempt_comes_with_what_changed(inbox: Inbox, windows: Windows) -> None:
    gate = inbox.submit("Check the gate", {**OUTPUT, "notes": "The owner ran a script."})
    page = inbox.open(windows)
    keys = page.keyboard
    for key in ("j", "Enter"):
        keys.press(key)
    is_open(page, "Check the gate")
    keys.press("e")
    keys.type("Ask for the ticket.")
    keys.press("Control+Enter")
    expect(message(page)).to_have_text("Sent back: Check the gate")
    is_live(page)
    inbox.submit_again(gate, OUTPUT)
    expect(row(page, "Check the gate")).to_be_visible()
    for key in ("j", "Enter"):
        keys.press(key)
    is_open(page, "Check the gate")
    expect(page.get_by_role("heading", name="The attempt before")).to_be_visible()
    expect(page.get_by_text("Ask for the ticket.")).to_be_visible()
    expect(page.locator(".line.is-changed ins").first).to_contain_text("patch")
    assert axe_faults(page) == ""
    keys.press("a")
    inbox.becomes(gate, "completed")


def test_keyboard__the_sheet_lists_the_keys(inbox: Inbox, windows: Windows) -> None:
    page = inbox.open(windows)
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    for name, key in (("Approve", "a"), ("Send back", "r"), ("Reject", "x")):
        line = sheet.get_by_role("row").filter(has_text=name)
        expect(line.locator("kbd")).to_have_text(key)
    assert axe_faults(page) == ""


def test_keyboard__several_that_are_alike(inbox: Inbox, windows: Windows) -> None:
    tasks = [inbox.submit(f"Pump {number}") for number in range(3)]
    inbox.submit("Something else", task_type="survey")
    page = inbox.open(windows)
    keys = page.keyboard
    keys.press("j")
    keys.press("c")
    expect(page.locator("#chosen")).to_have_text("Chosen: 1")
    expect(row(page, "Something else").get_by_role("checkbox")).to_be_disabled()
    page.get_by_role("button", name="All that are alike: 3").press("Enter")
    expect(page.locator("#chosen")).to_have_text("Chosen: 3")
    assert axe_faults(page) == ""
    keys.press("d")
    expect(page.get_by_role("heading", name="Decide 3 reviews together")).to_be_visible()
    is_live(page)
    assert axe_faults(page) == ""
    keys.press("a")
    expect(page.get_by_role("heading", name="3 of 3 decided")).to_be_visible()
    for task in tasks:
        inbox.becomes(task, "completed")


def test_keyboard__several_sent_back_for_the_last_time(inbox: Inbox, windows: Windows) -> None:
    policy = {"mode": "all", "max_rework": 0}
    tasks = [inbox.submit(f"Pump {number}", review=policy) for number in range(2)]
    page = inbox.open(windows)
    keys = page.keyboard
    for key in ("j", "c"):
        keys.press(key)
    page.get_by_role("button", name="All that are alike: 2").press("Enter")
    keys.press("d")
    expect(page.get_by_role("heading", name="Decide 2 reviews together")).to_be_visible()
    is_live(page)
    keys.press("e")
    keys.type("Invented.")
    keys.press("Control+Enter")
    dialog = page.get_by_role("dialog", name="Send them back?")
    expect(dialog).to_contain_text("2 of them cannot be tried again")
    assert axe_faults(page) == ""
    dialog.get_by_role("button", name="Send back").press("Enter")
    expect(page.get_by_role("heading", name="2 of 2 decided")).to_be_visible()
    assert [inbox.status(task) for task in tasks] == ["failed", "failed"]


# --- by touch -------------------------------------------------------------------------------------


def test_touch__the_whole_story_on_a_phone(inbox: Inbox, windows: Windows) -> None:
    first = inbox.desk.accepted(title="Check the gate", output={"schema": SCHEMA_OF_NOTES})
    files = (("gate.jpg", JPEG, "image/jpeg"), ("note.txt", b"Seen at noon.", "text/plain"))
    inbox.submit_run(first, {"notes": "Long " * 300}, files=files)
    second = inbox.submit("Call about the pump")
    page = inbox.open(windows, size=PHONE)
    assert fits(page)
    assert axe_faults(page) == ""
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    assert fits(page)
    assert axe_faults(page) == ""

    # The evidence is an image that really loads, and opens larger.
    image = page.get_by_role("img", name="gate.jpg")
    image.scroll_into_view_if_needed()
    expect(image).to_have_js_property("complete", True)  # noqa: FBT003
    assert image.evaluate("e => e.naturalWidth") > 0
    image.click()
    viewer = page.get_by_role("dialog", name="Evidence")
    expect(viewer.get_by_role("img")).to_be_visible()
    assert axe_faults(page) == ""
    viewer.get_by_role("button", name="Close").click()

    # A tap marks, another unmarks.
    page.locator("label.point").first.click()
    expect(page.locator("#marked")).to_have_text("Marked: Notes")
    page.locator("label.point").first.click()
    expect(page.locator("#marked")).to_have_text("No field is marked.")
    page.get_by_role("radio", name="4").check()
    page.get_by_role("button", name="Send back").click()
    page.get_by_label("Reason").fill("Shorter, please.")
    page.get_by_role("button", name="Send back").click()
    is_open(page, "Call about the pump")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", name="Nothing waits for a review")).to_be_visible()
    inbox.becomes(second, "completed")
    assert inbox.status(str(first["task_id"])) != "completed"


SCHEMA_OF_NOTES = {"notes": "string"}


@pytest.mark.parametrize("height", [844, 400])
def test_bars__cover_nothing_that_is_typed_into(
    inbox: Inbox, windows: Windows, height: int
) -> None:
    inbox.submit("Check the gate")
    page = inbox.open(windows, size={"width": 390, "height": height})
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    bar = page.locator(".task-bar")
    reason = page.get_by_label("Reason")
    reason.focus()
    shown, covering = reason.bounding_box(), bar.bounding_box()
    assert shown is not None
    assert covering is not None
    assert shown["y"] + shown["height"] <= covering["y"]
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    leave = page.locator("#leave").bounding_box()
    assert leave is not None
    assert leave["y"] + leave["height"] <= covering["y"]


# --- nothing is lost ------------------------------------------------------------------------------


def test_reload__keeps_what_was_typed_and_marked(inbox: Inbox, windows: Windows) -> None:
    inbox.submit("Check the gate")
    page = inbox.open(windows)
    # It is still marked as new after the list has been read again.
    page.wait_for_timeout(1500)
    expect(row(page, "Check the gate").get_by_text("New", exact=True)).to_be_visible()
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    page.get_by_label("Reason").fill("Half a sentence")
    page.get_by_label("What happened?").check()
    page.reload()
    is_open(page, "Check the gate")
    expect(page.get_by_label("Reason")).to_have_value("Half a sentence")
    expect(page.get_by_label("What happened?")).to_be_checked()


def test_session__that_ends_loses_nothing(inbox: Inbox, windows: Windows) -> None:
    inbox.submit("Check the gate")
    page = inbox.open(windows)
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    page.get_by_label("Reason").fill("Typed before the session ended.")
    page.context.clear_cookies(name=inbox.rita.session["name"])
    page.get_by_role("button", name="Send back").click()
    page.get_by_label("Email").fill(inbox.rita.email)
    page.get_by_label("Password").fill(inbox.rita.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    is_open(page, "Check the gate")
    expect(page.get_by_label("Reason")).to_have_value("Typed before the session ended.")


def test_claim__that_cannot_be_renewed_is_said_and_comes_back(
    inbox: Inbox, windows: Windows
) -> None:
    windows.provoke(OFFLINE)
    inbox.submit("Check the gate")
    page = inbox.open(windows)
    page.clock.install()
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    page.context.set_offline(True)
    page.clock.run_for(200_000)
    page.keyboard.press("Shift")
    expect(page.locator("#claim-trouble")).to_have_text("No connection. What you typed is kept.")
    page.context.set_offline(False)
    page.clock.run_for(200_000)
    page.keyboard.press("Shift")
    expect(page.get_by_text("Yours until")).to_be_visible()


def test_claim__is_kept_while_the_service_is_away(inbox: Inbox, windows: Windows) -> None:
    windows.provoke(UNAVAILABLE)
    inbox.submit("Check the gate")
    page = inbox.open(windows)
    page.clock.install()
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    version = page.locator("[name=version]").input_value()
    page.route("**/renew", lambda route: route.fulfill(status=503, body=""))
    page.clock.run_for(200_000)
    page.keyboard.press("Shift")
    expect(page.locator("#claim-trouble")).to_have_text("No connection. What you typed is kept.")
    # What is no answer of the service, either, though it comes with 200.
    page.unroute("**/renew")
    page.route("**/renew", lambda route: route.fulfill(status=200, json={}))
    with page.expect_response(lambda answer: answer.url.endswith("/renew")):
        page.clock.run_for(31_000)
        page.keyboard.press("Shift")
    expect(page.locator("#claim-trouble")).to_have_text("No connection. What you typed is kept.")
    assert page.locator("[name=version]").input_value() == version
    page.unroute("**/renew")
    page.clock.run_for(31_000)
    page.keyboard.press("Shift")
    expect(page.get_by_text("Yours until")).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(message(page)).to_have_text("Approved: Check the gate")


@pytest.mark.parametrize("is_redirect", [False, True])
def test_claim__of_whom_is_signed_out_says_so(
    inbox: Inbox, windows: Windows, *, is_redirect: bool
) -> None:
    windows.provoke(SIGNED_OUT)
    inbox.submit("Check the gate")
    page = inbox.open(windows)
    page.clock.install()
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    headers = {"Location": "/accounts/login/"} if is_redirect else {}
    status = 302 if is_redirect else 401
    page.route("**/renew", lambda route: route.fulfill(status=status, headers=headers))
    page.clock.run_for(200_000)
    page.keyboard.press("Shift")
    expect(page.locator("#claim-trouble")).to_contain_text("You were signed out.")


def test_other_reviewer__is_named_and_a_verdict_is_refused_with_all_that_was_typed(
    inbox: Inbox, windows: Windows
) -> None:
    inbox.submit("Check the gate")
    page = inbox.open(windows)
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    other = inbox_of(inbox.desk).open(windows)
    other.goto(page.url)
    expect(other.get_by_text("Rita Sommer has this review now.")).to_be_visible()
    expect(other.get_by_role("button", name="Approve")).to_have_count(0)
    assert axe_faults(other) == ""

    # The first one gives it back in another tab, and the other one takes it.
    tab = page.context.new_page()
    tab.goto(page.url)
    tab.get_by_role("button", name="Leave it to others").click()
    expect(tab.get_by_role("heading", level=1, name="Reviews")).to_be_visible()
    other.reload()
    expect(other.get_by_text("Yours until")).to_be_visible()
    page.get_by_label("Reason").fill("Typed for long.")
    page.get_by_role("button", name="Send back").click()
    expect(page.get_by_role("heading", name="Nothing was decided")).to_be_visible()
    expect(page.locator("#typed-reason")).to_have_text("Typed for long.")
    assert axe_faults(page) == ""


def test_claim__is_renewed_while_the_page_is_used(inbox: Inbox, windows: Windows) -> None:
    inbox.submit("Check the gate")
    page = inbox.open(windows)
    page.clock.install()
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    before = page.locator("#until").get_attribute("datetime")
    with page.expect_response(lambda answer: answer.url.endswith("/renew")) as found:
        page.clock.run_for(200_000)
        page.mouse.move(10, 10)
        page.keyboard.press("Shift")
    assert found.value.status == 200
    expect(page.locator("#until")).not_to_have_attribute("datetime", str(before))


# --- the list is live -----------------------------------------------------------------------------


def test_list__follows_what_is_submitted_and_decided_elsewhere(
    inbox: Inbox, windows: Windows
) -> None:
    page = inbox.open(windows)
    expect(page.get_by_role("heading", name="Nothing waits for a review")).to_be_visible()
    assert axe_faults(page) == ""
    inbox.submit("Check the gate")
    expect(row(page, "Check the gate")).to_be_visible()
    other = inbox_of(inbox.desk).open(windows)
    row(other, "Check the gate").click()
    is_open(other, "Check the gate")
    other.get_by_role("button", name="Approve").click()
    expect(row(page, "Check the gate")).to_have_count(0)


def test_dark_and_german__without_faults(inbox: Inbox, windows: Windows) -> None:
    inbox.submit("Check the gate")
    page = windows.window(size=PHONE, scheme="dark")
    page.set_extra_http_headers({"Accept-Language": "de"})
    be_signed_in(page, inbox.rita)
    page.goto("/portal/reviews/")
    is_live(page)
    assert axe_faults(page) == ""
    row(page, "Check the gate").click()
    is_open(page, "Check the gate")
    for name in ("Ablehnen", "Zurückgeben", "Annehmen"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 48
    assert fits(page)
    assert axe_faults(page) == ""
