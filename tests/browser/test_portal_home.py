"""Test the portal's first page and its offers in Chromium, against the real processes."""

import json
import re
from datetime import datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.complaints import FORBIDDEN, OFFLINE, SIGNED_OUT
from tests.browser.conftest import PHONE, Person, Site, Windows
from tests.browser.portal_steps import World, card, is_live, open_portal, world
from tests.browser.steps import be_signed_in, sign_in
from tests.browser.test_appearance import SCHEMES, SIZES, check
from tests.browser.weight import weigh

RUN = re.compile(r"/portal/runs/[0-9a-f-]{36}/$")


@pytest.fixture
def bob(site: Site) -> World:
    """Provide an organisation with one worker."""
    return world(site)


# --- a person and an offer ------------------------------------------------------------------------


def test_phone__offer_appears_and_is_accepted_by_one_tap(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(size=PHONE), bob.person())
    expect(page.get_by_text("No offer right now")).to_be_visible()
    bob.post("Check the shelf")
    expect(card(page, "Check the shelf")).to_be_visible()
    card(page, "Check the shelf").get_by_role("button", name="Accept").click()
    page.wait_for_url(RUN)
    page.goto("/portal/")
    expect(card(page, "Check the shelf")).to_contain_text("Not started")


def test_keys__accept_without_a_mouse(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    for title in ("First", "Second"):
        bob.post(title)
        expect(card(page, title)).to_be_visible()
    page.keyboard.press("j")
    expect(card(page, "First")).to_be_focused()
    page.keyboard.press("j")
    expect(card(page, "Second")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="First", level=1)).to_be_visible()
    page.keyboard.press("1")
    page.wait_for_url(RUN)


def test_keys__sheet_and_other_keys(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    bob.post("Call the owner")
    expect(card(page, "Call the owner")).to_be_visible()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    expect(sheet).to_be_visible()
    line = sheet.get_by_role("row").filter(has_text="Accept the offer")
    line.get_by_role("button", name="Change").click()
    page.keyboard.press("j")
    expect(sheet.get_by_role("status")).to_have_text("Another action has this key.")
    line.get_by_role("button", name="Change").click()
    page.keyboard.press("a")
    expect(line.locator("kbd")).to_have_text("a")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    page.reload()
    is_live(page)
    page.keyboard.press("1")
    page.keyboard.press("h")
    expect(page.get_by_role("button", name="15 minutes")).to_be_focused()
    page.keyboard.press("a")
    page.wait_for_url(RUN)


def test_keys__are_off_while_typing(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    bob.post("Call the owner")
    page.get_by_role("link", name="Details").click()
    page.get_by_text("Decline the offer").click()
    words = page.get_by_label("In your own words")
    words.press_sequentially("1 j ? a")
    expect(words).to_have_value("1 j ? a")
    page.get_by_label("I have no time for it now").check()
    page.get_by_role("button", name="Decline", exact=True).click()
    expect(page.get_by_text("You declined the offer.")).to_be_visible()


def test_broadcast__one_gets_it_and_the_other_is_told(site: Site, windows: Windows) -> None:
    both = world(site, workers=2, mode="broadcast")
    first = open_portal(windows.window(size=PHONE), both.person(0))
    second = open_portal(windows.window(), both.person(1))
    both.post("Call the owner")
    expect(card(first, "Call the owner")).to_be_visible()
    expect(card(second, "Call the owner")).to_be_visible()
    address = card(second, "Call the owner").get_by_role("heading").get_by_role("link")
    path = address.get_attribute("href")
    assert path is not None
    card(first, "Call the owner").get_by_role("button", name="Accept").click()
    first.wait_for_url(RUN)
    expect(card(second, "Call the owner")).to_have_count(0)
    second.goto(path)
    expect(second.get_by_role("heading", name="Another worker accepted it first")).to_be_visible()
    second.get_by_role("link", name="See your offers").click()
    expect(second.get_by_text("No offer right now")).to_be_visible()


def test_offer__that_another_worker_accepts_is_closed_where_it_is_shown(
    site: Site, windows: Windows
) -> None:
    both = world(site, workers=2, mode="broadcast")
    page = open_portal(windows.window(size=PHONE), both.person(0))
    both.post("Call the owner")
    link = card(page, "Call the owner").get_by_role("heading").get_by_role("link")
    address = link.get_attribute("href")
    (offer,) = both.as_worker("GET", "/v1/offers", number=1)["data"]
    weight = weigh(page)
    page.goto(str(address))
    is_live(page)
    expect(page.get_by_text("Offered to several workers: the first to accept")).to_be_visible()
    assert len(weight.requests) <= 8, weight.table()
    both_schemes(page, "portal-offer-several")
    page.get_by_text("Decline the offer").click()
    page.get_by_label("In your own words").fill("It is too far")
    page.get_by_role("button", name="Accept", exact=True).focus()
    both.as_worker("POST", f"/v1/offers/{offer['offer_id']}/accept", {}, number=1)
    gone = page.get_by_role("heading", name="Another worker accepted it first")
    page.evaluate("scrollTo(0, 0)")
    expect(gone).to_be_in_viewport()
    expect(page.get_by_role("button", name="Accept", exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name="Decline", exact=True)).to_be_hidden()
    expect(page.get_by_role("timer")).to_have_count(0)
    expect(page.get_by_role("link", name="See your offers")).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text("Another worker accepted it first")
    # What was typed is still there.
    expect(page.get_by_label("In your own words")).to_have_value("It is too far")
    both_schemes(page, "portal-offer-gone")
    page.get_by_role("link", name="See your offers").click()
    expect(page.get_by_text("No offer right now")).to_be_visible()


def test_offer__that_expires_is_closed_where_it_is_shown(bob: World, windows: Windows) -> None:
    (pool,) = bob.call("GET", "/v1/pools")["data"]
    bob.call("PATCH", f"/v1/pools/{pool['pool_id']}", body={"offer_seconds": {"low": 12}})
    page = open_portal(windows.window(), bob.person())
    bob.post("Call the owner")
    card(page, "Call the owner").get_by_role("link", name="Details").click()
    expect(page.get_by_role("timer")).to_be_visible()
    expect(page.get_by_role("heading", name="This offer has expired")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Accept", exact=True)).to_have_count(0)


def test_presence__is_switched_and_shown_in_another_tab(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(size=PHONE), bob.person())
    page.get_by_role("button", name="Offline").click()
    expect(page.get_by_role("heading", name="Offline")).to_be_visible()
    page.get_by_role("button", name="Switch to Available").click()
    expect(page.get_by_role("heading", name="Available")).to_be_visible()
    page.get_by_role("button", name="1 hour").click()
    expect(page.get_by_role("heading", name="Offers are paused")).to_be_visible()
    page.get_by_role("button", name="Get offers again now").click()
    is_live(page)
    bob.as_worker("PATCH", "/v1/workers/me", {"presence": "away"})
    expect(page.get_by_role("heading", name="Away")).to_be_visible(timeout=15_000)


# --- live -----------------------------------------------------------------------------------------

SEEN = """() => {
  window.seen = {}
  new MutationObserver(() => {
    for (const row of document.querySelectorAll('.offer')) {
      window.seen[row.dataset.title] ??= Date.now()
    }
  }).observe(document.body, { subtree: true, childList: true })
}"""


def test_offer__is_visible_within_a_second_of_its_commit(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    page.evaluate(SEEN)
    seconds = []
    for number in range(20):
        task_id = bob.post(f"Call {number}")
        expect(card(page, f"Call {number}").first).to_be_visible()
        events = bob.call("GET", f"/v1/tasks/{task_id}/events")["data"]
        (offered,) = (one["timestamp"] for one in events if one["type"] == "task.offered")
        seen = page.evaluate("(title) => window.seen[title]", f"Call {number}") / 1000
        seconds.append(seen - datetime.fromisoformat(offered).timestamp())
        bob.call("POST", f"/v1/tasks/{task_id}/cancel", body={})
        expect(card(page, f"Call {number}")).to_have_count(0)
    seconds.sort()
    print(f"offers were visible after {seconds[10]:.2f} s (median), {seconds[18]:.2f} s (p95)")
    assert seconds[18] <= 1.0, seconds


def test_rows__do_not_move_under_the_pointer(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    bob.post("First")
    expect(card(page, "First")).to_be_visible()
    card(page, "First").hover()
    before = card(page, "First").bounding_box()
    bob.post("Second")
    bar = page.get_by_role("button", name="New offer: Second")
    expect(bar).to_be_visible()
    expect(card(page, "Second")).to_have_count(0)
    assert card(page, "First").bounding_box() == before
    bar.click()
    expect(card(page, "Second")).to_be_focused()
    expect(bar).to_be_hidden()


def test_click__during_which_the_page_changes_counts(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    bob.post("Call the owner")
    button = card(page, "Call the owner").get_by_role("button", name="Accept")
    button.hover()
    page.mouse.down()
    # Another tab of the browser tells of a change, as the stream does.
    with page.expect_response("**/fragments/home") as answer:
        page.context.new_page().goto("/portal/profile/")
        page.context.pages[-1].evaluate(
            "new BroadcastChannel('portal').postMessage({ offers: [], runs: [] })"
        )
    answer.value.finished()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    page.mouse.up()
    page.wait_for_url(RUN)


def test_row__that_ends_under_the_pointer_is_closed_in_its_place(
    bob: World, windows: Windows
) -> None:
    page = open_portal(windows.window(), bob.person())
    task_id = bob.post("First")
    card(page, "First").hover()
    bob.call("POST", f"/v1/tasks/{task_id}/cancel", body={})
    expect(card(page, "First")).to_contain_text("This offer has closed.")
    expect(card(page, "First").get_by_role("button", name="Accept")).to_be_hidden()
    page.mouse.move(0, 0)
    expect(card(page, "First")).to_have_count(0)


def test_tabs__share_one_stream(bob: World, windows: Windows) -> None:
    one = open_portal(windows.window(), bob.person())
    streams: list[Any] = []
    one.context.on("request", lambda sent: "/portal/stream" in sent.url and streams.append(sent))
    two = one.context.new_page()
    two.goto("/portal/")
    is_live(two)
    # The second took it over.
    expect(one.locator("html[data-live=true]")).to_have_count(0)
    bob.post("For both tabs")
    for page in (one, two):
        expect(card(page, "For both tabs")).to_be_visible()
    assert len(streams) == 1
    two.close()
    is_live(one)
    bob.post("For the one that is left")
    expect(card(one, "For the one that is left")).to_be_visible()


def test_stream__returns_after_a_lost_network(bob: World, windows: Windows) -> None:
    windows.provoke(OFFLINE)
    page = open_portal(windows.window(), bob.person())
    page.context.set_offline(True)
    expect(page.locator("html[data-live=true]")).to_have_count(0)
    bob.post("While away")
    page.context.set_offline(False)
    expect(card(page, "While away")).to_be_visible(timeout=15_000)


def test_session__that_ends_is_said(bob: World, windows: Windows) -> None:
    windows.provoke(SIGNED_OUT)
    here = open_portal(windows.window(), bob.person())
    elsewhere = windows.window()
    sign_in(elsewhere, bob.person())
    elsewhere.goto("/accounts/sessions/")
    elsewhere.get_by_role("button", name="End all other sessions").click()
    expect(here.get_by_role("alert")).to_contain_text("signed out", timeout=15_000)


def test_countdown__runs_on_the_servers_clock(bob: World, windows: Windows) -> None:
    page = windows.window()
    page.clock.install(time="2031-01-01T00:00:00Z")
    be_signed_in(page, bob.person())
    bob.post("Call the owner")
    page.goto("/portal/")
    # Low urgency: five minutes, whatever the time of this computer is.
    expect(card(page, "Call the owner").get_by_role("timer")).to_contain_text(
        re.compile(r"(4:5\d|5:00)")
    )


# --- its weight, and its looks --------------------------------------------------------------------


def test_first_load__is_small(bob: World, windows: Windows) -> None:
    bob.post("Call the owner")
    fresh = windows.window(size=PHONE)
    be_signed_in(fresh, bob.person())
    weight = weigh(fresh)
    fresh.goto("/portal/")
    is_live(fresh)
    expect(card(fresh, "Call the owner")).to_be_visible()
    host = re.sub(r":\d+$", "", bob.site.url)
    print(f"{len(weight.requests)} requests, {weight.bytes} bytes\n{weight.table()}")
    assert all(url.startswith(host) for url in weight.requests), weight.table()
    assert len(weight.requests) <= 8, weight.table()
    assert weight.bytes <= 60_000


def both_schemes(page: Page, name: str) -> None:
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        check(page, f"{name}-{scheme}")


@pytest.mark.parametrize("size", SIZES)
def test_pages__are_sound(bob: World, windows: Windows, size: str) -> None:
    page = open_portal(windows.window(size=SIZES[size]), bob.person())
    both_schemes(page, f"portal-empty-{size}")
    bob.post("Audit the shelf", requirements={"skills": ["shelf_audit", "photo_evidence"]})
    page.reload()
    expect(page.get_by_text("1 task waits for skills that you lack")).to_be_visible()
    both_schemes(page, f"portal-why-{size}")
    _fill(bob, page)
    both_schemes(page, f"portal-full-{size}")
    page.get_by_role("link", name=re.compile("Details.*Verify the endpoint")).click()
    both_schemes(page, f"portal-offer-{size}")
    page.get_by_text("Decline the offer").click()
    both_schemes(page, f"portal-decline-{size}")
    page.get_by_role("button", name="Decline", exact=True).scroll_into_view_if_needed()
    path = page.url
    bob.as_worker(
        "POST", f"/v1/offers/{path.rstrip('/').rpartition('/')[2]}/decline", {"reason": ""}
    )
    page.goto(path)
    both_schemes(page, f"portal-declined-{size}")
    page.goto("/portal/")
    page.get_by_role("button", name="Busy").click()
    both_schemes(page, f"portal-busy-{size}")
    page.goto("/portal/offline/")
    both_schemes(page, f"portal-offline-{size}")


def _fill(bob: World, page: Page) -> None:
    """Give the worker offers and work of all kinds."""
    held = bob.post("Document check for the new supplier in Lisbon")
    expect(card(page, "Document check")).to_be_visible()
    (offer,) = bob.as_worker("GET", "/v1/offers")["data"]
    assert offer["task"]["task_id"] == held
    bob.as_worker("POST", f"/v1/offers/{offer['offer_id']}/accept", {})
    bob.post(
        "Verify the endpoint owner and the activity of last night with a rather long title",
        sla={"urgency": "critical", "target_latency_seconds": 900},
        context={"risk_notes": ["Potential active compromise"], "constraints": ["Name no case"]},
        output={"schema": {"reached": "boolean"}, "evidence_required": True},
    )
    bob.post("W" * 200)
    page.goto("/portal/")
    expect(page.locator(".offer")).to_have_count(2)


@pytest.mark.parametrize("size", SIZES)
def test_expired_and_no_worker__are_sound(
    site: Site, mara: Person, windows: Windows, size: str
) -> None:
    windows.provoke(FORBIDDEN)
    both = world(site, workers=2, mode="broadcast")
    page = open_portal(windows.window(size=SIZES[size]), both.person(0))
    both.post("Call the owner")
    path = card(page, "Call the owner").get_by_role("heading").get_by_role("link")
    address = path.get_attribute("href")
    (offer,) = both.as_worker("GET", "/v1/offers", number=1)["data"]
    both.as_worker("POST", f"/v1/offers/{offer['offer_id']}/accept", {}, number=1)
    page.goto(str(address))
    both_schemes(page, f"portal-too-late-{size}")
    admin = windows.window(size=SIZES[size])
    be_signed_in(admin, mara)
    admin.goto("/portal/")
    expect(admin.get_by_role("heading", name="You are not a worker here")).to_be_visible()
    both_schemes(admin, f"portal-no-worker-{size}")


def test_sheet__is_sound(bob: World, windows: Windows) -> None:
    page = open_portal(windows.window(), bob.person())
    page.get_by_role("button", name="Keys").click()
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    both_schemes(page, "portal-keys")


# --- the demo -------------------------------------------------------------------------------------


def test_demo__its_worker_gets_the_example_first(site: Site, windows: Windows) -> None:
    person = Person(site.demo["worker_email"], password=site.demo["worker_password"])
    page = windows.window(size=PHONE)
    page.goto(site.demo["portal_url"])
    page.get_by_label("Email").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Offline")).to_be_visible()
    page.get_by_role("button", name="Switch to Available").click()
    is_live(page)
    task = json.loads((site.home / "example-task.json").read_text())
    httpx.post(
        f"{site.url}/v1/tasks",
        json=task,
        headers={"Authorization": f"Bearer {site.demo['api_key']}"},
        timeout=30,
    ).raise_for_status()
    expect(card(page, task["title"])).to_be_visible()
    expect(card(page, task["title"])).to_contain_text("Has risk notes")
