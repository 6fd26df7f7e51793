"""Test that the page of a task loses nothing where its steps meet: edits, files, versions, ends."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.complaints import ABORTED, OFFLINE
from tests.browser.conftest import PHONE, Windows
from tests.browser.desk import Desk, eventually
from tests.browser.steps import sign_in
from tests.browser.test_portal_task import (
    JPEG,
    enter,
    is_stored,
    notes,
    opened,
    path,
    saved,
    texts,
)

PICTURE = {"name": "gate.jpg", "mimeType": "image/jpeg", "buffer": JPEG}
DRAWING = {"name": "gate.svg", "mimeType": "image/svg+xml", "buffer": b"<svg/>"}
FIELDS = "**/state?fields=1"
KEYS = """(kind) => new Promise((resolve) => {
  indexedDB.open('biolayer-portal', 1).onsuccess = ({target}) => {
    const request = target.result.transaction(kind).objectStore(kind).getAllKeys()
    request.onsuccess = () => { target.result.close(); resolve(request.result) }
  }
})"""
PUT = """([kind, key, value]) => new Promise((resolve) => {
  indexedDB.open('biolayer-portal', 1).onsuccess = ({target}) => {
    const transaction = target.result.transaction(kind, 'readwrite')
    transaction.objectStore(kind).put(value, key)
    transaction.oncomplete = () => { target.result.close(); resolve() }
  }
})"""

SAVE_KEPT = """() => new Promise((resolve) => {
  const { owner, run, base } = document.getElementById('task').dataset
  indexedDB.open('biolayer-portal', 1).onsuccess = ({target}) => {
    const request = target.result.transaction('drafts').objectStore('drafts').get(`${owner}/${run}`)
    request.onsuccess = async () => {
      target.result.close()
      const { epoch, revision, form } = request.result
      const token = document.querySelector('[name=csrfmiddlewaretoken]').value
      const answer = await fetch(`${base}draft`, {
        method: 'POST', body: JSON.stringify({ epoch, revision, form }),
        headers: { 'Content-Type': 'application/json', 'X-CSRFToken': token },
      })
      resolve(answer.status)
    }
  }
})"""
ADD_DEVICE = """async (subscription) => {
  const token = document.querySelector('[name=csrfmiddlewaretoken]').value
  const answer = await fetch('/portal/profile/notices/devices/', {
    method: 'POST', body: JSON.stringify(subscription),
    headers: { 'Content-Type': 'application/json', 'X-CSRFToken': token },
  })
  localStorage.setItem('notices-device', (await answer.json()).device_id)
}"""
# A point of the curve P-256, and a secret of 16 bytes (RFC 8291, appendix A).
SUBSCRIPTION = {
    "endpoint": "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-"
        "AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


def filled(windows: Windows, desk: Desk, run: dict[str, Any]) -> Page:
    """Return the page of a run whose form is complete and saved."""
    page = opened(windows, desk, run)
    notes(page).fill("Done")
    page.get_by_role("radiogroup", name="Reached user").get_by_label("Yes").check()
    page.get_by_role("radiogroup", name="User confirmed").get_by_label("Yes").check()
    is_stored(desk, run, "Done")
    saved(page)
    return page


class Held:
    """Hold the requests of an address back."""

    def __init__(self, page: Page, address: Any) -> None:
        self._page, self._address, self._routes = page, address, list[Route]()
        self._is_over = False
        page.route(address, self._hold)

    def _hold(self, route: Route) -> None:
        if self._is_over:
            route.continue_()
        else:
            self._routes.append(route)

    def wait(self) -> None:
        """Wait until the page has sent one."""
        for _ in range(300):
            if self._routes:
                return
            self._page.wait_for_timeout(50)
        raise AssertionError(f"no request to {self._address}")

    def let_go(self) -> None:
        self.wait()
        self._is_over = True
        for route in self._routes:
            route.continue_()


def submit(page: Page) -> None:
    page.get_by_role("button", name="Submit").click()


def is_submitted(page: Page) -> None:
    expect(page.get_by_role("heading", name="What you submitted")).to_be_visible()


def conflict(page: Page) -> Any:
    return page.get_by_role("heading", name="There are two versions")


def keys(page: Page, kind: str) -> list[str]:
    found: list[str] = page.evaluate(KEYS, kind)
    return found


def deleted(page: Page, kind: str) -> None:
    """Wait until the device keeps nothing, whether or not the page loads again meanwhile."""
    page.wait_for_function(f"async (kind) => (await ({KEYS})(kind)).length === 0", arg=kind)


# --- submitting -----------------------------------------------------------------------------------


def test_submission__ends_with_an_edit(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = filled(windows, desk, run)
    held = Held(page, "**/evidence")
    page.locator("#files").set_input_files(PICTURE)
    held.wait()
    submit(page)
    expect(page.locator("#save-status")).to_contain_text("Waiting for your files")
    notes(page).fill("Done, but")
    held.let_go()
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(1)
    is_stored(desk, run, "Done, but")
    assert desk.run(run["run_id"])["status"] == "running"
    submit(page)
    is_submitted(page)


def test_submission__waits_for_the_script_of_files(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = windows.window()
    enter(page, desk)
    held = Held(page, re.compile(r"/portal/evidence[^/]*\.js"))
    page.goto(path(run))
    notes(page).fill("Done")
    for name in ("Reached user", "User confirmed"):
        page.get_by_role("radiogroup", name=name).get_by_label("Yes").check()
    page.locator("#files").set_input_files(PICTURE)
    submit(page)
    expect(page.locator("#save-status")).to_contain_text("Waiting for your files")
    held.let_go()
    is_submitted(page)
    expect(page.get_by_role("link", name="gate.jpg")).to_be_visible()


def test_submission__has_files_chosen_a_moment_before(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = filled(windows, desk, run)
    page.evaluate(
        """() => {
          const chosen = new DataTransfer(), files = document.getElementById('files')
          chosen.items.add(new File(['one'], 'one.txt', {type: 'text/plain'}))
          chosen.items.add(new File(['two'], 'two.txt', {type: 'text/plain'}))
          files.files = chosen.files
          files.dispatchEvent(new Event('change', {bubbles: true}))
          document.getElementById('submit-button').click()
        }"""
    )
    is_submitted(page)
    for name in ("one.txt", "two.txt"):
        expect(page.get_by_role("link", name=name)).to_be_visible()


def test_submission__ends_with_a_refused_file(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = filled(windows, desk, run)
    held = Held(page, "**/evidence")
    page.locator("#files").set_input_files(DRAWING)
    held.wait()
    submit(page)
    held.let_go()
    expect(page.locator("#evidence-list li")).to_be_focused()
    expect(page.locator("#evidence-list .error")).to_contain_text("not accepted")
    assert desk.run(run["run_id"])["status"] == "running"
    page.get_by_role("button", name="Remove gate.svg").click()
    submit(page)
    is_submitted(page)


def test_lost_answer_to_submit__is_no_conflict(desk: Desk, windows: Windows) -> None:
    windows.provoke(ABORTED)
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).fill("Half")
    is_stored(desk, run, "Half")
    saved(page)

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/submit", lose)
    submit(page)
    expect(page.locator("#save-status")).to_contain_text("Not submitted yet")
    notes(page).fill("Half, and more")
    is_stored(desk, run, "Half, and more")
    expect(conflict(page)).to_be_hidden()


# --- two versions ---------------------------------------------------------------------------------


def in_conflict(windows: Windows, desk: Desk, run: dict[str, Any]) -> Page:
    page = opened(windows, desk, run)
    notes(page).fill("Common")
    is_stored(desk, run, "Common")
    phone = opened(windows, desk, run, size=PHONE)
    page.context.set_offline(True)
    notes(page).fill("From the desk")
    notes(phone).fill("From the phone")
    is_stored(desk, run, "From the phone")
    page.context.set_offline(False)
    expect(conflict(page)).to_be_visible()
    return page


def test_other_version__is_not_replaced_where_it_does_not_load(
    desk: Desk, windows: Windows
) -> None:
    windows.provoke(OFFLINE, ABORTED)
    run = desk.accepted()
    page = in_conflict(windows, desk, run)
    page.route(FIELDS, lambda route: route.abort())
    page.get_by_role("button", name="Take the other").click()
    expect(conflict(page)).to_be_visible()
    expect(page.locator("#fields")).to_have_attribute("inert", "")
    page.reload()
    expect(conflict(page)).to_be_visible()
    expect(page.locator("[data-mine]").first).to_have_text("From the desk")
    page.unroute(FIELDS)
    page.get_by_role("button", name="Take the other").click()
    expect(notes(page)).to_have_value("From the phone")
    expect(page.locator("#fields")).not_to_have_attribute("inert", "")
    assert texts(desk, run) == "From the phone"
    deleted(page, "drafts")


def test_kept_text__survives_a_question_during_a_conflict(desk: Desk, windows: Windows) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = in_conflict(windows, desk, run)
    page.reload()
    expect(conflict(page)).to_be_visible()
    page.get_by_label("Your question").fill("Which gate?")
    page.reload()
    expect(conflict(page)).to_be_visible()
    expect(page.get_by_label("Your question")).to_have_value("Which gate?")
    page.get_by_role("button", name="Keep mine").click()
    is_stored(desk, run, "From the desk")


@pytest.mark.parametrize("is_stored_late", [False, True])
def test_text_before_the_script__is_one_of_the_versions(
    desk: Desk, windows: Windows, is_stored_late: bool
) -> None:
    windows.provoke(OFFLINE, ABORTED)
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.context.set_offline(True)
    notes(page).fill("Kept on the device")
    expect(page.locator("#save-status")).to_contain_text("kept on this device")
    if is_stored_late:
        page.context.route("**/draft", lambda route: route.abort())
    page.goto("about:blank")
    page.context.set_offline(False)
    held = Held(page, re.compile(r"/portal/task(\.\w+)?\.js"))
    page.goto(path(run), wait_until="commit")
    notes(page).fill("Typed at once")
    held.let_go()
    expect(conflict(page)).to_be_visible()
    if is_stored_late:
        # As a request that the page before had sent when it ended.
        page.context.unroute("**/draft")
        assert page.evaluate(SAVE_KEPT) == 200
        is_stored(desk, run, "Kept on the device")
    page.get_by_role("button", name="Take the other").click()
    expect(notes(page)).to_have_value("Typed at once")
    is_stored(desk, run, "Typed at once")


def test_text_typed_while_fields_are_loaded__stays(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    other = page.context.new_page()
    other.goto(path(run))
    held = Held(page, FIELDS)
    notes(other).fill("From the other tab")
    held.wait()
    notes(page).fill("From this tab")
    expect(conflict(page)).to_be_visible()
    held.let_go()
    page.get_by_role("button", name="Keep mine").click()
    is_stored(desk, run, "From this tab")
    expect(notes(page)).to_have_value("From this tab")


# --- the end of a run -----------------------------------------------------------------------------


def test_giving_back__saves_before(desk: Desk, windows: Windows) -> None:
    windows.provoke(ABORTED)
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.locator("#cannot summary").click()
    page.locator("#cannot [name=code]").first.check()
    page.route("**/draft", lambda route: route.abort())
    notes(page).fill("Not on the server yet")
    page.get_by_role("button", name="Give the task back").click()
    expect(page.locator("#save-status")).to_contain_text("Not saved yet")
    assert len(keys(page, "drafts")) == 1
    page.unroute("**/draft")
    page.get_by_role("button", name="Give the task back").click()
    expect(page).to_have_url(re.compile("/portal/$"))
    is_stored(desk, run, "Not on the server yet")


def test_giving_back__takes_one_click(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.locator("#cannot summary").click()
    page.locator("#cannot [name=code]").first.check()
    # Nothing is to be saved before.
    page.get_by_role("button", name="Give the task back").click()
    expect(page).to_have_url(re.compile("/portal/$"))


def leave_offline(page: Page, text: str) -> None:
    page.context.set_offline(True)
    notes(page).fill(text)
    expect(page.locator("#save-status")).to_contain_text("kept on this device")
    page.goto("about:blank")
    page.context.set_offline(False)


def test_cancelled_task__gets_what_was_typed_offline(desk: Desk, windows: Windows) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run)
    leave_offline(page, "Typed in the cellar")
    answer = desk.backend.post(f"/v1/tasks/{run['task_id']}/cancel", json={})
    assert answer.status_code == 200, answer.text
    page.goto(path(run))
    expect(page.get_by_role("heading", name="What you typed")).to_be_visible()
    expect(page.get_by_text("Typed in the cellar")).to_be_visible()
    deleted(page, "drafts")


def test_lost_task__gets_what_was_typed_offline(desk: Desk, windows: Windows) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run)
    leave_offline(page, "Typed in the cellar")
    desk.release(run)
    page.goto(path(run))
    expect(page.get_by_text("Typed in the cellar")).to_be_visible()


def test_refused_copy__is_in_the_fields(desk: Desk, windows: Windows) -> None:
    """More text than a draft may have, typed offline, does not lock the worker out."""
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.context.set_offline(True)
    notes(page).evaluate(
        "(e) => { e.value = 'x'.repeat(300000);"
        " e.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    expect(page.locator("#save-status")).to_contain_text("kept on this device")
    page.goto("about:blank")
    page.context.set_offline(False)
    page.goto(path(run))
    expect(page.locator("#fields")).not_to_have_attribute("inert", "")
    expect(page.locator("#save-status")).to_contain_text("Too much text")
    assert notes(page).evaluate("(e) => e.value.length") == 300_000
    notes(page).fill("Shorter")
    is_stored(desk, run, "Shorter")


# --- what stays on the device ---------------------------------------------------------------------


def test_submitted_run__leaves_nothing(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = filled(windows, desk, run)
    page.locator("#files").set_input_files(PICTURE)
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(1)
    eventually(lambda: len(keys(page, "thumbs")) == 1, what="the picture is kept")
    submit(page)
    is_submitted(page)
    deleted(page, "thumbs")


def test_ended_run__leaves_no_file(desk: Desk, windows: Windows) -> None:
    windows.provoke(ABORTED)
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.route("**/evidence", lambda route: route.abort())
    page.locator("#files").set_input_files(PICTURE)
    expect(page.get_by_text("waiting for the connection")).to_be_visible()
    assert len(keys(page, "uploads")) == 1
    answer = desk.backend.post(f"/v1/tasks/{run['task_id']}/cancel", json={})
    assert answer.status_code == 200, answer.text
    page.goto(path(run))
    expect(page.get_by_text("The requester cancelled this task")).to_be_visible()
    deleted(page, "uploads")


def test_old_entries__are_deleted_by_any_page(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    now = page.evaluate("Date.now()")
    for kind in ("drafts", "uploads", "thumbs"):
        for key, at in (("a/old", now - 15 * 86_400_000), ("a/young", now - 86_400_000)):
            page.evaluate(PUT, [kind, key, {"form": {}, "key": key, "at": at}])
    page.goto("/portal/history/")
    page.evaluate("localStorage.removeItem('portal-cleaned')")
    page.keyboard.press("Shift")
    for kind in ("drafts", "uploads", "thumbs"):
        eventually(lambda kind=kind: keys(page, kind) == ["a/young"], what=f"old {kind} are gone")


def test_sign_out__sends_what_is_kept(desk: Desk, windows: Windows) -> None:
    run = desk.accepted()
    page = opened(windows, desk, run)
    notes(page).fill("A moment before")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))
    is_stored(desk, run, "A moment before")
    deleted(page, "drafts")


@pytest.mark.parametrize(
    ("address", "place"), [("/accounts/", "header"), ("/accounts/logout/", "main")]
)
def test_sign_out__on_pages_of_the_account_leaves_nothing(
    desk: Desk, windows: Windows, address: str, place: str
) -> None:
    windows.provoke(OFFLINE)
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.goto("/portal/profile/notices/")
    page.evaluate(ADD_DEVICE, SUBSCRIPTION)
    page.goto(path(run))
    expect(page.locator("#fields")).not_to_have_attribute("inert", "")
    leave_offline(page, "Only on this device")
    page.goto(address)
    assert len(keys(page, "drafts")) == 1
    page.locator(place).get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))
    is_stored(desk, run, "Only on this device")
    assert keys(page, "drafts") == []
    assert page.evaluate("localStorage.getItem('notices-device')") is None
    sign_in(page, desk.person)
    expect(page).to_have_url(re.compile("/portal/$"))
    page.goto("/portal/profile/notices/")
    expect(page.locator("#push")).to_be_visible()
    expect(page.locator("#devices li")).to_have_count(0)


def test_sign_out__on_pages_of_the_account_asks(desk: Desk, windows: Windows) -> None:
    windows.provoke(OFFLINE, ABORTED)
    run = desk.accepted()
    page = opened(windows, desk, run)
    leave_offline(page, "Only on this device")
    page.route("**/draft", lambda route: route.abort())
    page.goto("/accounts/")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog"):
        page.get_by_role("button", name="Sign out").click()
    assert len(keys(page, "drafts")) == 1
    page.goto("/accounts/")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_sign_out__asks_before_it_deletes(desk: Desk, windows: Windows) -> None:
    windows.provoke(ABORTED)
    run = desk.accepted()
    page = opened(windows, desk, run)
    page.route("**/draft", lambda route: route.abort())
    notes(page).fill("Only here")
    # A dialog holds the click until it is answered.
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog"):
        page.get_by_role("button", name="Sign out").click()
    expect(notes(page)).to_have_value("Only here")
    assert len(keys(page, "drafts")) == 1
    page.once("dialog", lambda dialog: dialog.accept())
    with page.expect_event("dialog"):
        page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))
    deleted(page, "drafts")


def test_sign_out__ends_notices_in_this_browser(desk: Desk, windows: Windows) -> None:
    page = windows.window()
    enter(page, desk)
    page.goto("/portal/profile/notices/")
    page.evaluate(ADD_DEVICE, SUBSCRIPTION)
    page.reload()
    expect(page.locator("#devices li")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/accounts/login/"))
    assert page.evaluate("localStorage.getItem('notices-device')") is None
    sign_in(page, desk.person)
    expect(page).to_have_url(re.compile("/portal/$"))
    page.goto("/portal/profile/notices/")
    expect(page.locator("#push")).to_be_visible()
    expect(page.locator("#devices li")).to_have_count(0)
