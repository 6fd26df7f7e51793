"""Test how a worker reads a verdict on its work, and appeals, on a phone and a desk."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.desk import Desk, eventually
from tests.browser.steps import be_signed_in
from tests.browser.test_appearance import SIZES
from tests.browser.test_portal_states import sound
from tests.factories import OUTPUT

WORDS = "The ticket is in the notes, at the end. The owner gave it when I called back."


def reviewer(desk: Desk, name: str) -> httpx.Client:
    key = desk.site.make("review_key", pool_id=desk.pool_id, name=name)["key"]
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=desk.site.url, headers=headers, timeout=30, trust_env=False)


def sent_back(desk: Desk, rita: httpx.Client) -> dict[str, Any]:
    """Return a run whose output was sent back."""
    run = desk.accepted(title="Find the owner", review={"mode": "all"})
    path = f"/v1/runs/{run['run_id']}"
    for name, body in (("start", {}), ("submit", {"output": OUTPUT, "evidence": []})):
        answer = desk.worker.post(f"{path}/{name}", json={"epoch": run["epoch"], **body})
        assert answer.status_code == 200, answer.text
    (review,) = rita.get("/v1/reviews", params={"task_id": run["task_id"]}).json()["data"]
    verdict = {
        "version": 1,
        "verdict": "reject",
        "reason": "Ask for the ticket's number, too.\nWithout it the case cannot be closed.",
        "pointers": ["/notes"],
        "rating": 2,
    }
    answer = rita.post(f"/v1/reviews/{review['review_id']}/verdict", json=verdict)
    assert answer.status_code == 200, answer.text
    return run


@pytest.mark.parametrize("size", SIZES)
def test_appeal__from_the_history_to_the_decision(windows: Windows, desk: Desk, size: str) -> None:
    rita, mona = reviewer(desk, "Rita"), reviewer(desk, "Mona")
    sent_back(desk, rita)
    page: Page = windows.window(size=SIZES[size])
    be_signed_in(page, desk.person)
    page.goto("/portal/history/")
    expect(page.locator(".badge").first).to_have_text("Refused")
    sound(page, "history-refused")
    page.get_by_role("link", name="Find the owner").click()
    expect(page.get_by_role("heading", name="A reviewer refused it")).to_be_visible()
    sound(page, "verdict")
    page.locator("#appeal summary").press("Enter")
    page.get_by_label("Why is it wrong?").fill(WORDS)
    sound(page, "appeal-form")
    page.get_by_role("button", name="Send the appeal").press("Enter")
    expect(page.get_by_text("Your appeal was sent.")).to_be_visible()
    expect(page.get_by_text(WORDS)).to_be_visible()
    sound(page, "appeal-open")
    appeals = eventually(lambda: mona.get("/v1/appeals").json()["data"], what="the appeal")
    ruling = {"version": 1, "decision": "overturn", "reason": "It is there.", "rating": 5}
    path = f"/v1/appeals/{appeals[0]['appeal_id']}/decision"
    assert mona.post(path, json=ruling).status_code == 200
    page.reload()
    expect(page.get_by_text("the verdict was overturned")).to_be_visible()
    sound(page, "appeal-overturned")
    rita.close()
    mona.close()
