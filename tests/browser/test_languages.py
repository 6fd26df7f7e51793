"""Test in Chromium: the pages in German on a phone, and written from right to left."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import axe_faults
from tests.browser.complaints import NOT_FOUND
from tests.browser.conftest import PHONE, Person, Site, Windows
from tests.browser.portal_steps import World, card, is_live, world
from tests.browser.steps import sign_in

NARROW = {"width": 360, "height": 740}
OPEN = {
    "login": "/accounts/login/",
    "reset": "/accounts/password/reset/",
    "reset-done": "/accounts/password/reset/done/",
    "not-found": "/accounts/unknown/",
    "invitation-closed": "/accounts/invitations/unknown/",
}
OWN = {
    "home": "/accounts/",
    "organisations": "/accounts/organisations/",
    "sessions": "/accounts/sessions/",
    "password": "/accounts/password/change/",
    "second-factor": "/accounts/two-factor/",
    "applications": "/accounts/applications/",
    "logout": "/accounts/logout/",
}


PORTAL = {
    "portal": "/portal/",
    "history": "/portal/history/",
    "profile": "/portal/profile/",
    "hours": "/portal/profile/hours/",
    "certifications": "/portal/profile/certifications/",
    "notices": "/portal/profile/notices/",
    "offline": "/portal/offline/",
}
DELIVERY = {
    "type": "object",
    "required": ["weight", "parcels", "received"],
    "properties": {
        "weight": {"type": "number", "minimum": 0.5, "title": "Gewicht in kg"},
        "received": {"type": "boolean", "title": "Empfangsbestätigung erhalten"},
        "when": {"type": "string", "format": "date-time", "title": "Ankunft"},
        "parcels": {
            "type": "array",
            "minItems": 1,
            "title": "Paketsendungen",
            "items": {"type": "object", "properties": {"label": {"type": "string"}}},
        },
    },
}

CUT = """() => [...document.querySelectorAll('button, .button, label, h1, h2, .tabs a, .badge')]
    .filter((e) => e.offsetParent && !e.closest('.skip, .unseen, .visually-hidden'))
    .filter((e) => {
        const box = e.getBoundingClientRect()
        const overflows = e.scrollWidth > e.clientWidth + 1
        return overflows && getComputedStyle(e).display !== 'inline'
            || box.right > window.innerWidth + 1 || box.left < -1
    })
    .map((e) => e.textContent.trim())"""
"""Return the texts that are wider than their element, or leave the window."""


@pytest.fixture
def bob(site: Site) -> World:
    """Provide an organisation with one worker."""
    return world(site)


def check(page: Page, name: str) -> None:
    """Assert that nothing is cut off or too wide and that axe finds nothing; store a picture."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    assert axe_faults(page) == "", name
    assert_fits(page, name)


def assert_fits(page: Page, name: str) -> None:
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, f"{name} is {width} px wider than the window"
    cut = page.evaluate(CUT)
    assert cut == [], f"{name} has texts that are cut off: {cut}"


def german(windows: Windows, size: Any = None) -> Page:
    page = windows.window(size=size or PHONE)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("heading", name="Anmelden")).to_be_visible()
    return page


def sign_in_in_german(page: Page, person: Person) -> None:
    page.get_by_label("E-Mail").fill(person.email)
    page.get_by_label("Passwort").fill(person.password)
    page.get_by_role("button", name="Anmelden", exact=True).click()
    page.wait_for_url("**/admin/")


def test_german_phone__signs_in(mara: Person, windows: Windows) -> None:
    windows.provoke(NOT_FOUND)
    page = german(windows)
    for name, path in OPEN.items():
        page.goto(path)
        check(page, f"de-{name}")
    page.goto("/accounts/login/")
    sign_in_in_german(page, mara)
    for name, path in OWN.items():
        page.goto(path)
        check(page, f"de-{name}")


def test_narrow_phone__cuts_nothing_off(mara: Person, windows: Windows) -> None:
    windows.provoke(NOT_FOUND)
    page = german(windows, NARROW)
    for name, path in OPEN.items():
        page.goto(path)
        assert_fits(page, name)
    page.goto("/accounts/login/")
    sign_in_in_german(page, mara)
    for name, path in OWN.items():
        page.goto(path)
        assert_fits(page, name)


def test_german_phone__does_a_task(bob: World, windows: Windows) -> None:
    page = german(windows)
    person = bob.person()
    page.get_by_label("E-Mail").fill(person.email)
    page.get_by_label("Passwort").fill(person.password)
    page.get_by_role("button", name="Anmelden", exact=True).click()
    is_live(page)
    check(page, "de-portal-empty")
    bob.post("Zustellung prüfen", output={"schema": DELIVERY, "evidence_required": True})
    expect(card(page, "Zustellung prüfen")).to_be_visible()
    check(page, "de-portal-offer")
    card(page, "Zustellung prüfen").get_by_role("link", name="Einzelheiten").click()
    page.get_by_text("Angebot ablehnen").click()
    check(page, "de-offer")
    page.get_by_role("button", name="Annehmen").click()
    expect(page.get_by_role("heading", name="Ihr Ergebnis")).to_be_visible()
    page.get_by_label("Gewicht in kg").fill("0,25")
    page.get_by_role("button", name="Einreichen").click()
    expect(page.get_by_text("Geben Sie mindestens 0,5 ein.").first).to_be_visible()
    page.get_by_text("Ich kann das nicht erledigen").click()
    check(page, "de-task")
    for name, path in PORTAL.items():
        page.goto(path)
        check(page, f"de-{name}")
    page.goto("/portal/profile/")
    page.get_by_label("Sprache", exact=True).select_option("English")
    page.get_by_role("button", name="Diese Sprache verwenden").click()
    expect(page.get_by_role("heading", name="Language of these pages")).to_be_visible()


def test_portal_from_right_to_left__fits(bob: World, windows: Windows) -> None:
    page = windows.window(size=PHONE)
    sign_in(page, bob.person())
    is_live(page)
    bob.post("Check the shelf", output={"schema": DELIVERY})
    expect(card(page, "Check the shelf")).to_be_visible()
    _turn(page)
    check(page, "rtl-portal-offer")
    card(page, "Check the shelf").get_by_role("link", name="Details").click()
    _turn(page)
    check(page, "rtl-offer")
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", name="Your result")).to_be_visible()
    _turn(page)
    check(page, "rtl-task")
    _check_right_to_left(page, PORTAL)


def test_right_to_left__fits(mara: Person, windows: Windows) -> None:
    windows.provoke(NOT_FOUND)
    page = windows.window(size=PHONE)
    _check_right_to_left(page, OPEN)
    sign_in(page, mara)
    page.wait_for_url("**/admin/")
    _check_right_to_left(page, OWN)


def _check_right_to_left(page: Page, paths: dict[str, str]) -> None:
    for name, path in paths.items():
        page.goto(path)
        _turn(page)
        check(page, f"rtl-{name}")


def _turn(page: Page) -> None:
    """Write the page from right to left, as Django does for Arabic or Hebrew."""
    page.evaluate("document.documentElement.dir = 'rtl'")
