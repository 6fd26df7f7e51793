"""Test the webhooks of the console in a browser: set up, looked at, sent again, signed again."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import axe_faults
from tests.browser.conftest import PHONE, Windows
from tests.browser.site import Person
from tests.browser.steps import be_signed_in
from tests.receiver import Receiver, Reply

LISTS = "/admin/webhooks/"
DELIVERIES = "/admin/webhooks/delivery/"
KEYS = "/admin/webhooks/keys/"


def opened(windows: Windows, person: Person, **look: str) -> Page:
    page = windows.window(**look)
    be_signed_in(page, person)
    return page


def created(page: Page, receiver: Receiver) -> str:
    """Create an endpoint that gives up at once, from the list. Return its address."""
    page.goto("/admin/")
    page.get_by_role("link", name="Webhooks", exact=True).click()
    page.get_by_role("link", name="New endpoint").click()
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_label("Description").fill("Billing")
    page.get_by_label("Retries").fill("0")
    page.get_by_label("Seconds before the first retry").fill("1")
    page.get_by_role("button", name="Create the endpoint").click()
    expect(page.get_by_text("The endpoint was created.")).to_be_visible()
    return page.url


def probe(page: Page, address: str, event: str, result: str) -> None:
    """Send a test from the endpoint's page, which shows its result by itself."""
    page.goto(address)
    page.get_by_label("Event").select_option(event)
    page.get_by_role("button", name="Send the test").click()
    expect(page.locator("#test")).to_contain_text(result)


def test_story__what_failed_while_a_receiver_was_down_arrives(
    windows: Windows, mara: Person, receiver: Receiver
) -> None:
    page = opened(windows, mara)
    address = created(page, receiver)
    receiver.reply = lambda _: Reply(503, body=b"down for maintenance")
    probe(page, address, "task.completed", "Given up")
    probe(page, address, "task.failed", "Given up")
    assert axe_faults(page) == ""
    expect(page.locator("[data-fragment]")).to_contain_text("Refused by a status (503)")
    page.get_by_role("link", name="Request and answer in full").click()
    expect(page.get_by_text("down for maintenance")).to_be_visible()
    assert axe_faults(page) == ""
    receiver.reply = lambda _: Reply()
    page.goto(address)
    page.get_by_role("link", name="Send again what failed").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Endpoint")).to_have_value(re.compile("-"))
    assert axe_faults(page) == ""
    page.get_by_role("button", name="Count what it would send").press("Enter")
    expect(page.get_by_role("heading", name="2 deliveries would be sent")).to_be_visible()
    page.get_by_role("button", name="Start it").press("Enter")
    progress = page.locator("[data-fragment]")
    expect(progress).to_contain_text("Done", timeout=20_000)
    expect(progress).to_contain_text(re.compile(r"Delivered\s*2"))
    assert axe_faults(page) == ""
    types = sorted(b"task.failed" in request.body for request in receiver.received[-2:])
    assert types == [False, True]
    page.goto(DELIVERIES)
    expect(page.locator("[data-row]").filter(has_text="Succeeded")).to_have_count(2)
    assert axe_faults(page) == ""


def test_log__counts_what_is_new_and_moves_nothing(
    windows: Windows, mara: Person, receiver: Receiver
) -> None:
    page = opened(windows, mara)
    address = created(page, receiver)
    receiver.reply = lambda _: Reply(503)
    probe(page, address, "task.completed", "Given up")
    log = page.context.new_page()
    log.goto(DELIVERIES)
    row = log.locator("[data-row]").first
    expect(row).to_contain_text("Given up")
    receiver.reply = lambda _: Reply()
    page.get_by_role("link", name="Request and answer in full").click()
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_text("It is sent again")).to_be_visible()
    log.bring_to_front()
    expect(row).to_contain_text("Succeeded", timeout=15_000)
    page.bring_to_front()
    probe(page, address, "task.failed", "Succeeded")
    log.bring_to_front()
    new = log.get_by_role("link", name="1 new")
    expect(new).to_be_visible(timeout=15_000)
    expect(log.locator("[data-row]")).to_have_count(1)
    log.get_by_role("button", name="Pause").click()
    expect(log.get_by_role("button", name="Follow")).to_be_visible()
    expect(log.get_by_text("Live", exact=True)).to_be_hidden()
    new.click()
    expect(log.locator("[data-row]")).to_have_count(2)
    log.get_by_label("Choose all on this page").check()
    log.get_by_role("button", name="Resend the chosen ones").click()
    expect(log.get_by_text("2 of 2 are sent again")).to_be_visible()
    assert axe_faults(log) == ""


def test_endpoint__form_shows_its_fields_and_its_faults(windows: Windows, mara: Person) -> None:
    page = opened(windows, mara)
    page.goto("/admin/webhooks/endpoint/new")
    secret = page.get_by_label("Token, password, or value of the header")
    expect(secret).to_be_hidden()
    page.get_by_label("Credentials").select_option("basic")
    expect(secret).to_be_visible()
    page.get_by_label("URL").fill("http://example.com/hook")
    page.get_by_role("button", name="Create the endpoint").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("Begin with https://.")
    assert axe_faults(page) == ""
    summary.get_by_role("link", name=re.compile("^URL")).press("Enter")
    expect(page.get_by_label("URL")).to_be_focused()


def test_keys__show_a_new_secret_once(windows: Windows, mara: Person) -> None:
    page = opened(windows, mara)
    page.goto(KEYS)
    panel = page.get_by_role("region", name=re.compile("^v1: "))
    panel.get_by_text("Replace the key").click()
    panel.get_by_role("button", name="Replace the v1 key").click()
    created = page.locator("#created")
    expect(created).to_be_focused()
    secret = page.locator("[data-secret]").inner_text()
    assert secret.startswith("whsec_")
    assert axe_faults(page) == ""
    assert secret not in page.url
    page.goto(KEYS)
    expect(page.locator("[data-secret]")).to_have_count(0)
    assert secret not in page.content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages__fit_a_phone(
    windows: Windows, mara: Person, receiver: Receiver, scheme: str
) -> None:
    page = opened(windows, mara)
    address = created(page, receiver)
    probe(page, address, "task.completed", "Succeeded")
    delivery = page.get_by_role("link", name="Request and answer in full").get_attribute("href")
    phone = opened(windows, mara, size=PHONE, scheme=scheme)
    lists = [f"{LISTS}{name}/" for name in ("destination", "origin", "delivery", "recovery")]
    pages = [*lists, KEYS, address, str(delivery), f"{address}settings", f"{address}delete"]
    for path in [*pages, "/admin/webhooks/recovery/new"]:
        phone.goto(path)
        assert axe_faults(phone) == "", path
        assert phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path
