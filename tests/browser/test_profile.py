"""Test the pages of a worker's profile in Chromium: a phone and a desk, light and dark.

Axe finds nothing, nothing is cut off. With SCREENSHOTS=<folder> each page is stored as a picture.
"""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Person, Site, Windows
from tests.browser.steps import be_signed_in
from tests.browser.test_appearance import SCHEMES, SIZES, check

PDF = b"%PDF-1.4\n% a certificate\n"

FULL_TRAITS = {
    "skills": ["phone_verification", "a_very_long_name_of_a_skill_that_does_not_end_for_a_while"],
    "skill_levels": {"phone_verification": 4},
    "languages": ["de", "en", "ar"],
    "certifications": {"soc-operator": None, "forklift": "2024-01-01T00:00:00Z"},
    "rating": 4.6,
    "capacity": 3,
}
FULL_COLUMNS = {
    "hours": {"mon": [["08:00", "12:00"], ["13:00", "17:00"]], "sat": [["22:00", "24:00"]]},
    "time_zone": "Europe/Berlin",
}


def make_worker(site: Site, person: Person, *, is_full: bool) -> None:
    """Make a person a worker of their organisation, with everything that a profile shows."""
    traits, columns = (FULL_TRAITS, FULL_COLUMNS) if is_full else ({}, {})
    site.make("worker", email=person.email, traits=traits, columns=columns)


def check_both(page: Page, name: str) -> None:
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        check(page, f"{name}-{scheme}")


@pytest.mark.parametrize("kind", ["full-390", "full-1280", "empty-390", "empty-1280"])
def test_profile_pages__are_sound(
    site: Site, mara: Person, windows: Windows, kind: str, tmp_path: Path
) -> None:
    is_full = kind.startswith("full")
    make_worker(site, mara, is_full=is_full)
    page = windows.window(size=SIZES[kind.partition("-")[2]])
    be_signed_in(page, mara)
    if is_full:
        send_certificate(page, tmp_path)
    for name in ("", "hours/", "certifications/", "notices/"):
        page.goto(f"/portal/profile/{name}")
        check_both(page, f"profile-{name.strip('/') or 'home'}-{kind}")


@pytest.mark.parametrize("size", SIZES)
def test_problems__are_sound(site: Site, mara: Person, windows: Windows, size: str) -> None:
    make_worker(site, mara, is_full=True)
    page = windows.window(size=SIZES[size])
    be_signed_in(page, mara)
    page.goto("/portal/profile/hours/")
    page.locator("[name=mon-until]").first.fill("07:00")
    page.get_by_role("button", name="Save working hours").click()
    expect(page.get_by_role("alert")).to_be_focused()
    check_both(page, f"profile-hours-problem-{size}")
    page.get_by_role("link", name=re.compile("Monday")).click()
    expect(page.locator("#mon-from-1")).to_be_focused()
    page.goto("/portal/profile/certifications/")
    page.get_by_role("button", name="Send for a check").click()
    expect(page.get_by_role("alert")).to_be_focused()
    check_both(page, f"profile-certifications-problem-{size}")
    page.goto("/portal/profile/notices/")
    page.locator("#id_quiet_from").fill("22:00")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_be_focused()
    check_both(page, f"profile-notices-problem-{size}")


def send_certificate(page: Page, folder: Path) -> None:
    document = folder / "certificate.pdf"
    document.write_bytes(PDF)
    page.goto("/portal/profile/certifications/")
    page.get_by_label("Certification", exact=True).fill("First aid")
    page.get_by_label("Issued by").fill("Red Cross")
    page.get_by_label("Valid until").fill("2031-03-31")
    page.get_by_label("Document").set_input_files(document)
    page.get_by_role("button", name="Send for a check").click()
    expect(page.get_by_text("waits for a check")).to_be_visible()


def test_settings__are_saved_by_keyboard(site: Site, mara: Person, windows: Windows) -> None:
    make_worker(site, mara, is_full=False)
    page = windows.window()
    be_signed_in(page, mara)
    page.goto("/portal/profile/notices/")
    mails = page.get_by_label(f"Send mails to {mara.email}")
    mails.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Save", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your choice is saved.")).to_be_visible()
    expect(mails).to_be_checked()
    page.get_by_role("button", name="Send a test notice").press("Enter")
    expect(page.get_by_text("A test notice is on its way.")).to_be_visible()


def test_language__is_changed(site: Site, mara: Person, windows: Windows) -> None:
    make_worker(site, mara, is_full=False)
    page = windows.window()
    be_signed_in(page, mara)
    page.goto("/portal/profile/")
    page.get_by_label("Language", exact=True).select_option("de")
    page.get_by_role("button", name="Use this language").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")


def test_browser_that_blocks_notifications__is_told_why(
    site: Site, mara: Person, windows: Windows
) -> None:
    make_worker(site, mara, is_full=False)
    page = windows.window()
    page.context.clear_permissions()
    page.add_init_script("Object.defineProperty(Notification, 'permission', {value: 'denied'})")
    be_signed_in(page, mara)
    page.goto("/portal/profile/notices/")
    expect(page.locator("#push-state")).to_contain_text("blocks notifications of this site")
    expect(page.get_by_role("button", name="Show notices in this browser")).to_be_hidden()


def test_visible_page__is_reported_where_notices_are_on(
    site: Site, mara: Person, windows: Windows
) -> None:
    make_worker(site, mara, is_full=False)
    page = windows.window()
    be_signed_in(page, mara)
    page.goto("/portal/profile/notices/")
    page.get_by_label(f"Send mails to {mara.email}").check()
    page.get_by_role("button", name="Save", exact=True).click()
    with page.expect_response("**/portal/seen/", timeout=30_000) as answered:
        page.goto("/portal/profile/")
    assert answered.value.status == 204


def test_push__is_shown_where_no_page_is_visible(
    site: Site, mara: Person, windows: Windows
) -> None:
    make_worker(site, mara, is_full=False)
    page = windows.window()
    page.context.grant_permissions(["notifications"], origin=site.url)
    be_signed_in(page, mara)
    session = page.context.new_cdp_session(page)
    registrations: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(
            one["registrationId"] for one in event["registrations"] if not one["isDeleted"]
        ),
    )
    session.send("ServiceWorker.enable")
    page.goto("/portal/profile/notices/")
    page.evaluate(
        "navigator.serviceWorker.register('/portal/sw.js', {scope: '/portal/'})"
        ".then(() => navigator.serviceWorker.ready).then(() => true)"
    )
    notice = {"title": "A task is offered to you", "body": "Check the shelf", "url": "/portal/"}

    def push(**changes: str) -> None:
        session.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": site.url,
                "registrationId": registrations[0],
                "data": json.dumps({**notice, **changes}),
            },
        )

    push(title="Shown by the page itself", tag="visible")
    page.goto("about:blank")
    push()
    page.goto("/portal/profile/notices/")
    shown = page.evaluate(
        """async () => {
            const registration = await navigator.serviceWorker.getRegistration('/portal/')
            for (let tries = 0; tries < 100; tries++) {
                const shown = await registration.getNotifications()
                if (shown.length) return shown.map(({title, body, data}) => [title, body, data.url])
                await new Promise((resolve) => setTimeout(resolve, 50))
            }
            return []
        }"""
    )
    assert shown == [[notice["title"], notice["body"], notice["url"]]]
