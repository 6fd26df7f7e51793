"""Test that a worker has the same navigation on the pages of the portal and of the account."""

import re
from typing import Any

import pytest

from tests.factories import House, member_of
from tests.pages.steps import browser, sign_in
from tests.portal.steps import Desk, desk_of

ACCOUNT_PAGES = (
    "",
    "two-factor/",
    "two-factor/webauthn/",
    "password/change/",
    "sessions/",
    "applications/",
)
PORTAL = ["/portal/", "/portal/history/", "/portal/profile/", "/accounts/"]


@pytest.fixture
def bob(house: House) -> Desk:
    """Provide Bob's browser."""
    return desk_of(house)


def tabs(answer: Any, name: str) -> list[str]:
    """Return the addresses of a navigation, the present one marked."""
    assert answer.status_code == 200, answer
    found = re.search(rf'<nav [^>]*aria-label="{name}">(.*?)</nav>', answer.content.decode(), re.S)
    links = [] if found is None else re.findall(r'href="([^"]+)"( aria-current)?', found[1])
    return [f"{address}{mark}" for address, mark in links]


@pytest.mark.parametrize("page", ACCOUNT_PAGES)
def test_account_pages__have_the_tabs_of_the_portal(bob: Desk, page: str) -> None:
    answer = bob.get(f"/accounts/{page}")
    assert tabs(answer, "Portal") == [*PORTAL[:-1], "/accounts/ aria-current"]
    own = tabs(answer, "Account")
    assert "/portal/" not in own
    assert [one for one in own if one.endswith("aria-current")] == [
        f"/accounts/{'two-factor/' if 'two-factor' in page else page} aria-current"
    ]
    # Keys are of the portal's own script.
    assert b"data-open-keys" not in answer.content


def test_portal__has_the_same_tabs(bob: Desk) -> None:
    assert tabs(bob.get("/portal/"), "Portal") == ["/portal/ aria-current", *PORTAL[1:]]
    assert tabs(bob.get("/portal/profile/hours/"), "Portal")[2] == "/portal/profile/ aria-current"
    assert b"data-open-keys" in bob.get("/portal/").content


def test_account_pages__of_others_do_not(house: House) -> None:
    member_of(house.organisation, "mara@northwind.example")
    client = browser()
    sign_in(client, "mara@northwind.example")
    answer = client.get("/accounts/")
    assert tabs(answer, "Portal") == []
    assert tabs(answer, "Account")[:2] == ["/admin/", "/accounts/ aria-current"]
