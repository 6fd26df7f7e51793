"""Test every page on a phone and a desk, light and dark: axe finds nothing, nothing is cut off.

With SCREENSHOTS=<folder> each page is stored as a picture, for a look with one's own eyes.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import axe_faults
from tests.browser.complaints import NOT_FOUND
from tests.browser.conftest import DESK, PHONE, Person, Site, Windows
from tests.browser.steps import add_app, add_authenticator, sign_in

SIZES = {"390": PHONE, "1280": DESK}
SCHEMES = ("light", "dark")
OPEN = {
    "login": "/accounts/login/",
    "signup": "/accounts/signup/",
    "reset": "/accounts/password/reset/",
    "reset-done": "/accounts/password/reset/done/",
    "reset-key": "/accounts/password/reset/key/1-set-password/",
    "not-found": "/accounts/unknown/",
    "invitation-closed": "/accounts/invitations/unknown/",
}
OWN = {
    "home": "/accounts/",
    "organisations": "/accounts/organisations/",
    "sessions": "/accounts/sessions/",
    "password": "/accounts/password/change/",
    "second-factor": "/accounts/two-factor/",
    "passkeys": "/accounts/two-factor/webauthn/",
    "logout": "/accounts/logout/",
}
CONFIRMED = {
    "passkey-add": "/accounts/two-factor/webauthn/add/",
    "codes": "/accounts/two-factor/recovery-codes/generate/",
    "app-remove": "/accounts/two-factor/totp/deactivate/",
}


def check(page: Page, name: str) -> None:
    """Assert that the page is accessible and fits, and store its picture."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    assert axe_faults(page) == "", name
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, f"{name} is {width} px wider than the window"
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, .button, .tabs a')]
        .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 48)
        .map((e) => e.textContent.trim())"""
    )
    assert small == [], f"{name} has targets under 48 px: {small}"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_open_pages__are_sound(site: Site, windows: Windows, size: str, scheme: str) -> None:
    windows.provoke(NOT_FOUND)
    page = windows.window(size=SIZES[size], scheme=scheme)
    for name, path in OPEN.items():
        page.goto(path)
        check(page, f"{name}-{size}-{scheme}")
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="problem")).to_be_focused()
    check(page, f"login-problem-{size}-{scheme}")
    output = site.create_organisation("Northwind Verification", f"new-{size}-{scheme}@a.example")
    link = re.search(r"http://\S+/accounts/invitations/\S+", output)
    assert link is not None
    page.goto(link[0])
    check(page, f"invitation-{size}-{scheme}")


@pytest.mark.parametrize("size", SIZES)
def test_own_pages__are_sound(site: Site, mara: Person, windows: Windows, size: str) -> None:
    site.create_organisation("Contoso Shelves and Audits of Everything International", mara.email)
    page = windows.window(size=SIZES[size])
    add_authenticator(page)
    sign_in(page, mara)
    page.wait_for_url("**/admin/")
    page.goto("/accounts/")
    _check_both(page, f"home-first-{size}")
    page.goto("/accounts/two-factor/")
    _check_both(page, f"second-factor-first-{size}")
    page.goto("/accounts/two-factor/totp/activate/")
    _check_both(page, f"confirm-{size}")
    add_app(page, mara)
    _check_both(page, f"codes-shown-{size}")
    page.get_by_label("I have stored them").check()
    page.goto("/accounts/two-factor/webauthn/add/")
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    for name, path in {**OWN, **CONFIRMED}.items():
        page.goto(path)
        _check_both(page, f"{name}-{size}")
    page.goto("/accounts/two-factor/webauthn/")
    for link, name in (("Rename", "passkey-rename"), ("Remove", "passkey-remove")):
        page.get_by_role("link", name=link).click()
        _check_both(page, f"{name}-{size}")
        page.go_back()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, mara)
    expect(page.get_by_label("Code")).to_be_visible()
    _check_both(page, f"authenticate-{size}")


def _check_both(page: Page, name: str) -> None:
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        check(page, f"{name}-{scheme}")
