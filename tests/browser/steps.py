"""Do in a browser what people do: sign in, confirm, add factors."""

import base64
import hashlib
import hmac
import struct
import time
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.site import Person


def sign_in(page: Page, person: Person) -> None:
    """Send the sign-in form."""
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def be_signed_in(page: Page, person: Person) -> None:
    """Let the browser be one in which the person has signed in before."""
    cookie = {"domain": "localhost", "path": "/", "sameSite": "Lax", **person.session}
    page.context.add_cookies([cookie])  # type: ignore[list-item]


def confirm(page: Page, person: Person) -> None:
    """Confirm the password, where a page asks for it."""
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Confirm").click()


def add_authenticator(page: Page) -> Any:
    """Plug a virtual authenticator into the browser: a platform's, with a screen lock."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session


def totp(secret: str, *, steps: int = 0) -> str:
    """Return the code of an authenticator app (RFC 6238), some steps of 30 seconds from now."""
    counter = int(time.time()) // 30 + steps
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", counter), hashlib.sha1)
    offset = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


def add_app(page: Page, person: Person) -> str:
    """Add an authenticator app. Return its secret; the page then shows recovery codes."""
    page.goto("/accounts/two-factor/totp/activate/")
    confirm(page, person)
    secret = page.locator("#authenticator_secret").inner_text()
    page.get_by_label("Authenticator code").fill(totp(secret))
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    return secret
