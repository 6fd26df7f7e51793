"""Test that the portal's pages are small over the wire, in few requests, and from one host."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Windows
from tests.browser.desk import Desk
from tests.browser.portal_steps import is_live
from tests.browser.review_steps import inbox_of
from tests.browser.steps import be_signed_in
from tests.browser.test_portal_task import OUTPUT, path
from tests.browser.weight import weigh

MAX_REQUESTS = 8
MAX_BYTES = 60_000


def test_cold_load__of_home_and_task_is_small(desk: Desk, windows: Windows) -> None:
    long = {"instructions": "Count the pallets, then call the driver. " * 100}
    runs = [desk.accepted(output=OUTPUT, **long) for _ in range(5)]
    host = re.sub(r":\d+$", "", desk.site.url)
    for address in ("/portal/", path(runs[0])):
        page = windows.window(size=PHONE)
        be_signed_in(page, desk.person)
        weight = weigh(page)
        page.goto(address)
        is_live(page)
        if address != "/portal/":
            expect(page.locator("#fields")).not_to_have_attribute("inert", "")
        print(f"{address}: {len(weight.requests)} requests, {weight.bytes} bytes\n{weight.table()}")
        assert all(one.startswith(host) for one in weight.requests), weight.table()
        assert len(weight.requests) <= MAX_REQUESTS, weight.table()
        assert weight.bytes <= MAX_BYTES, weight.table()


def test_cold_load__of_the_reviewers_pages_is_small(desk: Desk, windows: Windows) -> None:
    inbox = inbox_of(desk)
    for number in range(10):
        inbox.submit(f"Call the owner of pump {number}")
    address = "/portal/reviews/"
    for step in ("list", "review"):
        page = windows.window(size=PHONE)
        be_signed_in(page, inbox.rita)
        weight = weigh(page)
        page.goto(address)
        is_live(page)
        if step == "list":
            expect(page.locator(".review-row")).to_have_count(10)
            address = page.locator(".review-row a").first.get_attribute("href") or ""
        print(f"{step}: {len(weight.requests)} requests, {weight.bytes} bytes\n{weight.table()}")
        assert len(weight.requests) <= MAX_REQUESTS, weight.table()
        assert weight.bytes <= MAX_BYTES, weight.table()
