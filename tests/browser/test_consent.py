"""Test the consent page in Chromium: its policy lets the form return to the client."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from apps.accounts.models import OAuthConsent
from tests.api.oauth_flow import Flow, flowing, parameters
from tests.factories import House
from tests.pages.steps import PASSWORD


@pytest.fixture
def flow(house: House) -> Iterator[Flow]:
    with flowing(house) as flow:
        yield flow


def test_a_person__signs_in_and_allows_a_client(flow: Flow, chromium: Browser) -> None:
    client = flow.client()
    url = flow.request_url(client)
    page = chromium.new_page(viewport={"width": 360, "height": 740})
    back, faults, logged = allow(page, url)
    page.close()
    assert (faults, logged) == ([], [])
    assert (back["state"], back["iss"]) == ("the-state", flow.url)
    assert flow.exchange(client, back["code"]).status_code == 200
    assert OAuthConsent.objects.get().member_id == flow.member.id


def allow(page: Any, url: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Sign in and allow. Return the client's answer, faults of the page, errors of the console."""
    logged: list[str] = []
    page.on("console", lambda line: logged.append(line.text) if line.type == "error" else None)
    page.route("https://partner.example/**", lambda route: route.fulfill(body="Thank you"))
    page.goto(url)
    page.get_by_label("E-mail").or_(page.locator("input[name=login]")).first.fill(
        "mara@northwind.example"
    )
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.get_by_role("heading", name="Allow Partner dashboard?").wait_for()
    found = [fault["id"] for fault in Axe().run(page).response["violations"]]
    width = page.evaluate("document.documentElement.scrollWidth")
    faults = [*found, *([f"{width} px wide"] if width > 360 else [])]
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("https://partner.example/**")
    return parameters(page.url), faults, logged
