"""Test the page of a task in Chromium: a person does the work, on a phone, and loses nothing."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from biolayer.signing import verify
from tests.api.steps import image
from tests.browser.complaints import ABORTED, FORBIDDEN, KILLED, OFFLINE, SIGNED_OUT
from tests.browser.conftest import DESK, PHONE, Windows
from tests.browser.desk import Desk, eventually
from tests.browser.steps import be_signed_in, sign_in
from tests.browser.test_appearance import check
from tests.factories import soon
from tests.receiver import Received, Receiver

JPEG = image("JPEG", (120, 80))

NESTED = {
    "type": "object",
    "title": "Delivery",
    "required": ["received_by", "items", "is_damaged"],
    "properties": {
        "received_by": {"type": "string", "title": "Received by", "minLength": 2},
        "is_damaged": {"type": "boolean", "title": "Damaged"},
        "items": {
            "type": "array",
            "title": "Items",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["sku", "count"],
                "properties": {
                    "sku": {"type": "string", "title": "Article", "pattern": "^[A-Z]-[0-9]+$"},
                    "count": {"type": "integer", "title": "Count", "minimum": 1},
                },
            },
        },
        "remarks": {"type": "string", "title": "Remarks", "maxLength": 5000},
    },
}
OUTPUT = {"expected_format": "structured_json", "schema": NESTED}


def opened(windows: Windows, desk: Desk, run: dict[str, Any], **window: Any) -> Page:
    """Return a window in which the worker is signed in, at the page of a run."""
    page = windows.window(**window)
    enter(page, desk)
    page.goto(path(run))
    expect(page.locator("#fields")).not_to_have_attribute("inert", "")
    return page


def enter(page: Page, desk: Desk) -> None:
    """Open the portal in a browser in which the worker has signed in before."""
    be_signed_in(page, desk.person)
    page.goto("/portal/")
    expect(page).to_have_url(re.compile("/portal/$"))


def path(run: dict[str, Any]) -> str:
    return f"/portal/runs/{run['run_id']}/"


def picture(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_look(desk: Desk, windows: Windows) -> None:
    run = desk.accepted(
        title="Check the delivery at the north gate",
        output=OUTPUT,
        instructions="# Before you start\n\nCall **Mr Okafor**.\n\n1. Count\n2. Write\n\n- a\n- b",
        context={
            "background": "The driver reported a damaged pallet.\nIt is the second this week.",
            "constraints": ["Do not open sealed boxes"],
            "risk_notes": ["Fork lifts in the yard"],
            "gate": {"number": 4, "code": "n/a"},
        },
        sla={"deadline": soon(hours=3).isoformat(), "urgency": "high"},
    )
    for size in (PHONE, DESK):
        page = opened(windows, desk, run, size=size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            check(page, f"task-{size['width']}-{scheme}")


# --- the whole story ------------------------------------------------------------------------------


def fill_by_touch(page: Page) -> None:
    page.get_by_label("Article").fill("A-17")
    page.get_by_label("Count").fill("4")
    page.get_by_role("button", name="Add to Items").click()
    page.get_by_label("Article").nth(1).fill("B-2")
    page.get_by_label("Count").nth(1).fill("1")
    page.get_by_label("Remarks").fill("Pallet wrapped, one corner wet.")
    page.get_by_role("radiogroup", name="Damaged").get_by_label("No").check()
    page.get_by_label("Received by").fill("Ines Carvalho")


FILLED = {
    "received_by": "Ines Carvalho",
    "is_damaged": False,
    "items": [{"sku": "A-17", "count": 4}, {"sku": "B-2", "count": 1}],
    "remarks": "Pallet wrapped, one corner wet.",
}


def test_phone__fills_adds_evidence_and_submits(
    desk: Desk, windows: Windows, receiver: Receiver
) -> None:
    """The requester's callback verifies, and has the output."""
    handoff = {"callback_url": f"{receiver.url}/callback"}
    run = desk.accepted(output={**OUTPUT, "evidence_required": True}, handoff=handoff)
    page = windows.window(size=PHONE)
    sign_in(page, desk.person)
    expect(page).to_have_url(re.compile("/portal/$"))
    page.goto(path(run))
    fill_by_touch(page)
    expect(page.locator("#save-status")).to_contain_text("Saved")
    expect(page.get_by_role("button", name="Start")).to_have_count(0)
    assert desk.run(run["run_id"])["status"] == "running"
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#problems")).to_be_focused()
    expect(page.locator("#problems")).to_contain_text("add at least one file")
    page.locator("#files").set_input_files(
        {"name": "gate.jpg", "mimeType": "image/jpeg", "buffer": JPEG}
    )
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(1)
    expect(page.locator("#evidence-list img.thumb")).to_be_visible()
    picture(page, "phone-filled")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Submitted", exact=False).first).to_be_visible()
    expect(page.get_by_role("heading", name="What you submitted")).to_be_visible()
    picture(page, "phone-submitted")
    found = eventually(lambda: completed(receiver), what="the callback")
    verify(
        secrets=[desk.webhook_secret], headers=found.headers, body=found.body, now=datetime.now(UTC)
    )
    assert json.loads(found.body)["data"]["output"] == FILLED


def completed(receiver: Receiver) -> Received | None:
    for one in receiver.received:
        if json.loads(one.body)["type"] == "task.completed":
            return one
    return None


def test_keyboard__does_the_same(desk: Desk, windows: Windows) -> None:
    run = desk.accepted(output=OUTPUT)
    page = opened(windows, desk, run)
    keys = page.keyboard

    def tab_to(name: str, *, times: int = 60) -> None:
        """Press Tab until the element with this accessible name has the focus."""
        for _ in range(times):
            keys.press("Tab")
            if name in (page.evaluate(FOCUSED) or ""):
                return
        raise AssertionError(f"Tab does not reach {name!r}")

    page.locator("body").focus()
    tab_to("Received by")
    keys.type("Ines Carvalho")
    tab_to("Yes")
    keys.press("ArrowRight")
    tab_to("Article")
    keys.type("A-17")
    tab_to("Count")
    keys.type("4")
    tab_to("Add to Items")
    keys.press("Enter")
    expect(page.get_by_label("Article").nth(1)).to_be_focused()
    keys.type("B-2")
    tab_to("Count")
    keys.type("1")
    tab_to("Remarks")
    keys.type("Pallet wrapped, one corner wet.")
    tab_to("Submit")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="What you submitted")).to_be_visible()
    task = desk.backend.get(f"/v1/tasks/{run['task_id']}").json()
    assert task["status"] in ("submitted", "verified", "completed")
    assert desk.run(run["run_id"])["status"] == "completed"


FOCUSED = """() => {
  const e = document.activeElement
  return [e.getAttribute('aria-label'), ...[...(e.labels ?? [])].map((l) => l.textContent),
    e.textContent].join(' ')
}"""


# --- nothing typed is lost ------------------------------------------------------------------------


def notes(page: Page) -> Locator:
    return page.get_by_label("Notes")


def saved(page: Page) -> None:
    expect(page.locator("#save-status")).to_contain_text("Saved")


def texts(desk: Desk, run: dict[str, Any]) -> str | None:
    """Return what the server has in the field for notes."""
    draft = desk.draft(run["run_id"])
    return None if draft is None else draft["form"].get("output/notes", [""])[0]


def is_stored(desk: Desk, run: dict[str, Any], text: str) -> None:
    eventually(lambda: texts(desk, run) == text, what=f"the server has {text!r}")


def test_draft__survives_a_reload_at_once(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).press_sequentially("The owner ran a patch script")
    page.reload()
    expect(notes(page)).to_have_value("The owner ran a patch script")
    page.goto("/portal/")
    page.go_back()
    expect(notes(page)).to_have_value("The owner ran a patch script")
    is_stored(desk, run, "The owner ran a patch script")


def test_draft__keeps_what_was_entered_for_another_alternative(
    desk: Desk, windows: Windows
) -> None:
    by = {
        name: {
            "type": "object",
            "title": name.title(),
            "properties": {
                "by": {"const": name},
                "number": {"type": "string", "title": f"Number of the {name}"},
            },
            "required": ["by", "number"],
        }
        for name in ("card", "bank")
    }
    payment = {"title": "Payment", "oneOf": [*by.values()]}
    schema = {"type": "object", "properties": {"payment": payment}, "required": ["payment"]}
    output = {"expected_format": "structured_json", "schema": schema}
    run = desk.accepted(output=output)
    page = opened(windows, desk, run)
    page.get_by_role("radio", name="Card").check()
    page.get_by_label("Number of the card").fill("4111 1111")
    page.get_by_role("radio", name="Bank").check()
    page.get_by_label("Number of the bank").fill("DE02")
    stored = eventually(lambda: _numbers(desk, run, "DE02"), what="the server has both numbers")
    assert stored == {"number": ["DE02"], "~left/0/number": ["4111 1111"]}
    page.reload()
    expect(page.locator("#fields")).not_to_have_attribute("inert", "")
    expect(page.get_by_label("Number of the bank")).to_have_value("DE02")
    page.get_by_role("radio", name="Card").check()
    expect(page.get_by_label("Number of the card")).to_have_value("4111 1111")


def _numbers(desk: Desk, run: dict[str, Any], last: str) -> Any:
    """Return the numbers in the draft, once it has the last one."""
    form = (desk.draft(run["run_id"]) or {"form": {}})["form"]
    found = {name.removeprefix("output/payment/"): form[name] for name in form if "number" in name}
    return found if [last] in found.values() else None


def test_draft__survives_being_offline_and_a_reload(desk: Desk, windows: Windows) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).fill("Online")
    saved(page)
    page.context.set_offline(True)
    notes(page).fill("Written in the cellar")
    expect(page.locator("#save-status")).to_contain_text("kept on this device")
    picture(page, "offline")
    page.context.set_offline(False)
    is_stored(desk, run, "Written in the cellar")
    page.context.set_offline(True)
    notes(page).fill("Written in the cellar, twice")
    page.goto("about:blank")
    # A page that ends may still have it sent, once there is a network.
    page.context.set_offline(False)
    page.goto(path(run))
    expect(notes(page)).to_have_value("Written in the cellar, twice")
    is_stored(desk, run, "Written in the cellar, twice")


def test_draft__survives_the_end_of_the_session(desk: Desk, windows: Windows) -> None:
    windows.provoke(SIGNED_OUT)
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).fill("Before")
    saved(page)
    cookies = [one for one in page.context.cookies() if not one["name"].startswith("session")]
    page.context.clear_cookies()
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    notes(page).fill("Typed while signed out")
    expect(page.get_by_role("heading", name="You were signed out")).to_be_visible()
    picture(page, "signed-out")
    assert texts(desk, run) == "Before"
    page.get_by_role("link", name="Sign in again").click()
    page.get_by_label("Email").fill(desk.person.email)
    page.get_by_label("Password").fill(desk.person.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"**{path(run)}")
    expect(notes(page)).to_have_value("Typed while signed out")
    is_stored(desk, run, "Typed while signed out")


def test_session__is_renewed_in_another_tab(desk: Desk, windows: Windows) -> None:
    windows.provoke(SIGNED_OUT, FORBIDDEN)
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.context.clear_cookies()
    notes(page).fill("Typed while signed out")
    expect(page.get_by_role("heading", name="You were signed out")).to_be_visible()
    other = page.context.new_page()
    sign_in(other, desk.person)
    expect(other).to_have_url(re.compile("/portal/$"))
    page.bring_to_front()
    page.evaluate("dispatchEvent(new Event('focus'))")
    is_stored(desk, run, "Typed while signed out")
    expect(page.get_by_role("heading", name="You were signed out")).to_be_hidden()


def test_two_tabs__show_each_other_what_is_typed(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    other = page.context.new_page()
    other.goto(path(run))
    notes(page).fill("From the first tab")
    expect(notes(other)).to_have_value("From the first tab")
    notes(other).fill("From the second tab")
    expect(notes(page)).to_have_value("From the second tab")


@pytest.mark.parametrize("is_mine", [True, False])
def test_stale_tab__shows_both_versions(desk: Desk, windows: Windows, is_mine: bool) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).fill("Common")
    saved(page)
    phone = opened(windows, desk, run, size=PHONE)
    page.context.set_offline(True)
    notes(page).fill("From the desk")
    notes(phone).fill("From the phone")
    is_stored(desk, run, "From the phone")
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="There are two versions")).to_be_visible()
    expect(page.locator(".version")).to_have_count(1)
    expect(page.locator("[data-mine]").first).to_have_text("From the desk")
    expect(page.locator("[data-theirs]").first).to_have_text("From the phone")
    picture(page, "conflict")
    assert texts(desk, run) == "From the phone"
    page.get_by_role("button", name="Keep mine" if is_mine else "Take the other").click()
    wanted = "From the desk" if is_mine else "From the phone"
    expect(notes(page)).to_have_value(wanted)
    is_stored(desk, run, wanted)


def test_lost_lease__keeps_what_was_typed(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).fill("Half of the answer")
    saved(page)
    desk.release(run)
    notes(page).fill("Half of the answer, and more")
    expect(page.get_by_role("heading", name="Your time for this task ended")).to_be_visible()
    is_stored(desk, run, "Half of the answer, and more")
    picture(page, "lost")
    page.reload()
    expect(page.get_by_role("heading", name="not with you any more")).to_be_visible()
    expect(page.get_by_text("Half of the answer, and more")).to_be_visible()
    picture(page, "lost-page")
    again = desk.accept(run["task_id"])
    page.goto(path(again))
    expect(notes(page)).to_have_value("Half of the answer, and more")


def test_killed_web__loses_nothing(desk: Desk, windows: Windows) -> None:
    windows.provoke(KILLED)
    run = desk.accepted()
    page = opened(windows, desk, run)
    desk.kill_web()
    try:
        notes(page).press_sequentially("Typed while the service was away")
        expect(page.locator("#save-status")).to_contain_text(re.compile("Not saved yet|Saved"))
        is_stored(desk, run, "Typed while the service was away")
    finally:
        # The tests after this one need it.
        desk.wait_for_web()


def test_submission__waits_for_the_connection(desk: Desk, windows: Windows) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).fill("Done")
    page.get_by_role("radiogroup", name="Reached user").get_by_label("Yes").check()
    page.get_by_role("radiogroup", name="User confirmed").get_by_label("Yes").check()
    saved(page)
    page.context.set_offline(True)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#save-status")).to_contain_text("Not submitted yet")
    page.context.set_offline(False)
    expect(page.get_by_role("heading", name="What you submitted")).to_be_visible()
    assert desk.run(run["run_id"])["status"] == "completed"


def test_upload__goes_on_after_a_reload(desk: Desk, windows: Windows) -> None:
    windows.provoke(ABORTED)
    run = desk.accepted()
    page = opened(windows, desk, run, size=PHONE)
    page.locator("#files").set_input_files([])
    page.evaluate("document.querySelector('#task').dataset.evidenceScript")
    page.route("**/evidence", lambda route: route.abort())
    page.locator("#files").set_input_files(
        [{"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": JPEG} for n in ("a", "b")]
    )
    expect(page.get_by_text("waiting for the connection")).to_be_visible()
    picture(page, "uploading")
    page.unroute("**/evidence")
    page.reload()
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(2)
    page.reload()
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(2)
    page.get_by_role("button", name="Remove a.jpg").click()
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(1)
    page.locator("#files").set_input_files(
        {"name": "page.svg", "mimeType": "image/svg+xml", "buffer": b"<svg onload='x()'/>"}
    )
    expect(page.get_by_role("alert").filter(has_text="not accepted")).to_be_visible()
    picture(page, "refused-file")
    page.locator("#files").set_input_files(
        {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": JPEG + bytes(11_000_000)}
    )
    expect(page.get_by_role("alert").filter(has_text="larger than 10 MB")).to_be_visible()


def test_faults__are_shown_at_fields_that_were_left(desk: Desk, windows: Windows) -> None:
    run = desk.accepted(output=OUTPUT)
    page = opened(windows, desk, run)
    page.get_by_label("Article").fill("wrong")
    saved(page)
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    page.get_by_label("Count").focus()
    expect(page.get_by_label("Article")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("[aria-invalid]")).to_have_count(1)
    page.get_by_label("Article").fill("A-1")
    expect(page.locator("[aria-invalid]")).to_have_count(0)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#problems")).to_be_focused()
    page.locator("#problems a").filter(has_text="Count").click()
    expect(page.get_by_label("Count")).to_be_focused()
    picture(page, "problems")
