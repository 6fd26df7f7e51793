"""Test in Chromium: sign-in by password, passkey, app and recovery code; sessions; the switch."""

import re
import secrets

from playwright.sync_api import expect

from tests.browser.conftest import Windows
from tests.browser.site import PASSWORD, Person, Site
from tests.browser.steps import add_app, add_authenticator, confirm, sign_in, totp


def test_invitation__makes_an_account(site: Site, windows: Windows) -> None:
    email = f"invited-{secrets.token_hex(4)}@northwind.example"
    output = site.create_organisation("Northwind Verification", email)
    link = re.search(r"http://\S+/accounts/invitations/\S+", output)
    assert link is not None, output
    page = windows.window()
    page.goto(link[0])
    page.get_by_label("Your name").fill("Mara Lindqvist")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account and join").click()
    expect(page.get_by_role("heading", name="Board", exact=True)).to_be_visible()


def test_password__signs_in(mara: Person, windows: Windows) -> None:
    page = windows.window()
    sign_in(page, mara)
    expect(page.get_by_role("heading", name="Board", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/")


def test_wrong_password__moves_the_focus_to_the_problem(mara: Person, windows: Windows) -> None:
    page = windows.window()
    sign_in(page, Person(mara.email, password="not the password at all"))
    problem = page.get_by_role("alert").filter(has_text="There is a problem")
    expect(problem).to_be_focused()
    expect(page.get_by_label("Email")).to_have_value(mara.email)


def test_demo_admin__signs_in(site: Site, windows: Windows) -> None:
    page = windows.window()
    admin = Person(site.demo["admin_email"], password=site.demo["admin_password"])
    sign_in(page, admin)
    expect(page.get_by_text("Northwind Verification (demo)").first).to_be_visible()


def test_passkey__signs_in_alone(mara: Person, windows: Windows) -> None:
    page = windows.window()
    add_authenticator(page)
    sign_in(page, mara)
    page.goto("/accounts/two-factor/webauthn/add/")
    confirm(page, mara)
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_label("I have stored them").check()
    page.get_by_role("link", name="Continue").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Board", exact=True)).to_be_visible()


def test_passkey__is_a_second_factor(mara: Person, windows: Windows) -> None:
    page = windows.window()
    add_authenticator(page)
    sign_in(page, mara)
    page.goto("/accounts/two-factor/webauthn/add/")
    confirm(page, mara)
    page.get_by_label("Sign in with this passkey alone").uncheck()
    page.get_by_role("button", name="Add the passkey").click()
    page.get_by_label("I have stored them").check()
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, mara)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Board", exact=True)).to_be_visible()


def test_passkey_on_an_address__is_explained(site: Site, windows: Windows) -> None:
    page = windows.window()
    page.goto(site.url.replace("localhost", "127.0.0.1") + "/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("not on an IP address")


def test_app_and_recovery_code__are_second_factors(mara: Person, windows: Windows) -> None:
    page = windows.window()
    sign_in(page, mara)
    secret = add_app(page, mara)
    recovery_code = page.get_by_label("Your codes").input_value().split()[0]
    page.get_by_label("I have stored them").check()
    page.get_by_role("button", name="Sign out").click()
    for code in (totp(secret, steps=1), recovery_code):
        sign_in(page, mara)
        page.get_by_label("Code").fill("000000")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_focused()
        page.get_by_label("Code").fill(code)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Board", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()


def test_organisation__is_changed(site: Site, mara: Person, windows: Windows) -> None:
    site.create_organisation("Contoso Shelves", mara.email)
    page = windows.window()
    sign_in(page, mara)
    expect(page.locator(".bar-organisation")).to_have_text("Northwind Verification")
    page.goto("/accounts/")
    page.get_by_role("button", name="Change to Contoso Shelves").click()
    expect(page.locator(".bar-organisation")).to_have_text("Contoso Shelves")


def test_session__is_revoked(mara: Person, windows: Windows) -> None:
    here, elsewhere = windows.window(), windows.window()
    sign_in(elsewhere, mara)
    expect(elsewhere.get_by_role("heading", name="Board", exact=True)).to_be_visible()
    sign_in(here, mara)
    here.goto("/accounts/sessions/")
    # The third is the one that `mara` has.
    expect(here.get_by_role("button", name="End", exact=False).first).to_be_visible()
    here.get_by_role("button", name="End all other sessions").click()
    expect(here.get_by_text("All other sessions have ended.")).to_be_visible()
    expect(elsewhere.get_by_text("You have been signed out.")).to_be_visible()
    elsewhere.get_by_role("link", name="Sign in").click()
    expect(elsewhere.get_by_role("heading", name="Sign in")).to_be_visible()


def test_password__is_changed(mara: Person, windows: Windows) -> None:
    page = windows.window()
    sign_in(page, mara)
    page.goto("/accounts/password/change/")
    new = "another-horse-battery-10"
    page.get_by_label("Current password").fill(mara.password)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password again").fill(new)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("changed")
