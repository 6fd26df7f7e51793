"""Test how a manager decides an appeal in the console, on a phone and a desk."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.desk import Desk
from tests.browser.review_steps import inbox_of
from tests.browser.steps import be_signed_in
from tests.browser.test_appearance import SIZES
from tests.browser.test_console_pools import check
from tests.browser.test_portal_appeals import WORDS, reviewer, sent_back


def appealed(desk: Desk, rita: httpx.Client) -> None:
    """Have the worker appeal the verdict on a new output."""
    run = sent_back(desk, rita)
    (review,) = rita.get("/v1/reviews", params={"task_id": run["task_id"]}).json()["data"]
    answer = desk.worker.post(f"/v1/reviews/{review['review_id']}/appeal", json={"reason": WORDS})
    assert answer.status_code == 201, answer.text


def approved(desk: Desk, rita: httpx.Client, inbox: Any) -> None:
    """Have an output approved, and drawn for a second look."""
    task_id = inbox.submit("Call the second owner")
    (review,) = rita.get("/v1/reviews", params={"task_id": task_id}).json()["data"]
    verdict = {"version": review["version"], "verdict": "approve"}
    answer = rita.post(f"/v1/reviews/{review['review_id']}/verdict", json=verdict)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("size", SIZES)
def test_manager__decides_an_appeal(windows: Windows, desk: Desk, size: str) -> None:
    inbox = inbox_of(desk, second_look_share=1)
    rita = reviewer(desk, "Rita Key")
    page: Page = windows.window(size=SIZES[size])
    be_signed_in(page, inbox.rita)
    page.goto("/admin/reviews/appeal/")
    expect(page.get_by_text("No worker has appealed a verdict yet.")).to_be_visible()
    check(page, f"console-appeals-empty-{size}")
    appealed(desk, rita)
    approved(desk, rita, inbox)
    page.reload()
    page.get_by_role("link", name="Find the owner").click()
    expect(page.get_by_text(WORDS)).to_be_visible()
    check(page, f"console-appeal-{size}")
    page.get_by_role("button", name="Decide the appeal").click()
    expect(page.get_by_role("alert")).to_be_focused()
    check(page, f"console-appeal-problem-{size}")
    page.get_by_label("Overturn").check()
    page.get_by_label("Reason").fill("The ticket is there.")
    page.get_by_label("New rating").select_option("5")
    page.get_by_role("button", name="Decide the appeal").click()
    expect(page.get_by_text("The appeal is decided.")).to_be_visible()
    expect(page.get_by_text("The ticket is there.")).to_be_visible()
    check(page, f"console-appeal-decided-{size}")
    for name, text in (("Second looks", "Call the second owner"), ("Reviewers", "Rita Key")):
        page.locator(".subtabs").get_by_role("link", name=name).click()
        expect(page.get_by_text(text)).to_be_visible()
        check(page, f"console-{name.lower().replace(' ', '-')}-{size}")
    page.locator(".subtabs").get_by_role("link", name="Appeals").click()
    expect(page.get_by_text("Overturned")).to_be_visible()
    check(page, f"console-appeals-{size}")
    rita.close()
