"""Test the console's pages of tasks as an operator uses them: compose, see why, put right."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import axe_faults
from tests.browser.conftest import DESK, PHONE, Site, Windows
from tests.browser.site import Person
from tests.browser.steps import be_signed_in

SIZES = {"desk": DESK, "phone": PHONE}
LIST = "/admin/tasks/task/"


@pytest.fixture
def page(site: Site, mara: Person, windows: Windows) -> Page:
    """Provide the window of an admin, who is the worker of her own organisation."""
    site.make("worker", email=mara.email, traits={"skills": ["phone"]}, columns={})
    return opened(windows, mara)


def opened(windows: Windows, person: Person, size: Any = None) -> Page:
    page = windows.window(size=size)
    be_signed_in(page, person)
    return page


def sound(page: Page, name: str) -> None:
    """Check that a page has no faults of accessibility, and fits, in both schemes."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert axe_faults(page) == "", f"{name}-{scheme}"
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(fits), f"{name} is wider than the window"


def document_of(page: Page) -> Any:
    return json.loads(page.get_by_label("Contract", exact=True).input_value())


def compose(page: Page, **changes: Any) -> None:
    """Post a task from the composer, and wait for its page."""
    page.goto("/admin/tasks/new/")
    document = {**document_of(page), **changes}
    page.get_by_label("Contract", exact=True).fill(json.dumps(document, indent=2))
    expect(page.get_by_text("The contract is valid")).to_be_visible()
    page.get_by_role("button", name="Post the task").click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()


def needs(page: Page, *skills: str) -> dict[str, Any]:
    page.goto("/admin/tasks/new/")
    return {**document_of(page)["requirements"], "skills": [*skills]}


def test_operator__composes_sees_why_and_lowers(page: Page) -> None:
    page.goto("/admin/tasks/new/")
    text = page.get_by_label("Contract", exact=True)
    document = document_of(page)
    text.fill(json.dumps({**document, "domain": "No slug"}, indent=2))
    expect(page.get_by_role("heading", name="1 problem")).to_be_visible()
    expect(page.locator("#curl")).to_contain_text("No slug")
    page.get_by_role("button", name=re.compile("Line")).click()
    expect(text).to_be_focused()
    chosen = "e => e.value.slice(e.selectionStart, e.selectionEnd)"
    assert '"domain": "No slug"' in text.evaluate(chosen)
    compose(page, title="Weld the gate", requirements=needs(page, "phone", "welding"))
    why = page.locator("#part-why")
    expect(why).to_contain_text("Drop the skill Welding")
    expect(why).to_contain_text("1 worker more could be offered it now.")
    why.get_by_role("link", name="Lower this").click()
    expect(page.get_by_label("Welding")).not_to_be_checked()
    page.get_by_label("Reason").fill("The gate is glued")
    page.get_by_role("button", name="Lower the requirements").click()
    # The page is told of the offer.
    expect(page.locator(".state-line")).to_contain_text("Offered", timeout=15_000)
    expect(page.locator("#part-timeline")).to_contain_text("“The gate is glued”")
    expect(page.locator("#part-audit")).to_contain_text("Task updated")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("It is as it was before.")).to_be_visible()
    expect(page.locator("#part-contract")).to_contain_text("Phone, Welding")


def test_page__follows_the_task_and_keeps_what_is_typed(
    page: Page, mara: Person, windows: Windows
) -> None:
    compose(page, title="Call back", requirements=needs(page, "welding"))
    path = page.url
    other = opened(windows, mara)
    other.goto(f"{path}boost/")
    other.get_by_label("Minutes ahead").fill("5")
    other.get_by_label("Reason").fill("Sooner")
    message = page.get_by_label("Message to the worker")
    message.fill("Half a sen")
    page.locator("#part-contract summary").click()
    message.focus()
    page.locator("#part-timeline").hover()
    other.get_by_role("button", name="Move ahead").click()
    expect(other.get_by_text("The task has moved in the queue.")).to_be_visible()
    # Its rows do not move under the pointer.
    news = page.get_by_role("button", name="1 new event")
    expect(news).to_be_visible(timeout=15_000)
    expect(page.locator("#part-timeline")).not_to_contain_text("Sooner")
    expect(page.locator("#part-facts")).to_contain_text(re.compile(r"Version\s*3"))
    expect(message).to_be_focused()
    expect(message).to_have_value("Half a sen")
    expect(page.locator("#part-contract pre")).to_be_visible()
    news.click()
    expect(page.locator("#part-timeline")).to_contain_text("“Sooner”")


def test_stale_form__is_refused_with_what_changed(
    page: Page, mara: Person, windows: Windows
) -> None:
    compose(page, title="Call back", requirements=needs(page, "welding"))
    path = page.url
    page.goto(f"{path}cancel/")
    other = opened(windows, mara)
    other.goto(f"{path}boost/")
    other.get_by_label("Reason").fill("Sooner")
    other.get_by_role("button", name="Move ahead").click()
    expect(other.get_by_text("The task has moved in the queue.")).to_be_visible()
    page.get_by_label("Reason").fill("Not needed")
    page.get_by_role("button", name="Cancel the task").click()
    expect(page.get_by_role("alert")).to_contain_text("“Sooner”")
    expect(page.get_by_label("Reason")).to_have_value("Not needed")
    sound(page, "stale")
    page.get_by_role("button", name="Cancel the task").click()
    expect(page.locator(".state-line")).to_contain_text("Cancelled")


def test_many__are_cancelled_by_keys(page: Page) -> None:
    for number in range(3):
        compose(page, title=f"Task {number}", requirements=needs(page, "welding"))
    page.goto(f"{LIST}?status=open")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Task 2")).to_be_focused()
    page.get_by_label("Choose all on this page").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Cancel the tasks").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="3 tasks")).to_be_visible()
    sound(page, "bulk")
    page.get_by_label("Reason").focus()
    page.keyboard.type("False alarm")
    page.get_by_role("button", name="Cancel the tasks").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 of 3: cancelled.")).to_be_visible()
    sound(page, "bulk results")
    page.get_by_role("link", name="Back to the list").click()
    expect(page.get_by_text("Nothing here has these properties.")).to_be_visible()


@pytest.mark.parametrize("size", SIZES)
def test_pages__are_sound(page: Page, mara: Person, windows: Windows, size: str) -> None:
    page = opened(windows, mara, SIZES[size])
    page.goto(LIST)
    sound(page, f"empty-{size}")
    compose(page, title="Needed first", requirements=needs(page, "welding"))
    needed = page.url.rstrip("/").rpartition("/")[2]
    compose(
        page,
        title="Weld the gate, which has a title of some length",
        requirements={**needs(page, "welding", "phone"), "trust_level": 3, "min_rating": 4.5},
        depends_on=[needed],
        instructions="# Steps\n\n1. Look\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    )
    sound(page, f"waits-{size}")
    path = page.url
    page.goto(f"{LIST}{needed}/")
    sound(page, f"why-{size}")
    for name in ("boost", "extend", "lower", "reassign", "cancel"):
        page.goto(f"{LIST}{needed}/{name}/")
        sound(page, f"{name}-{size}")
    page.goto(f"{path}lower/")
    page.get_by_role("button", name="Lower the requirements").click()
    expect(page.locator("html")).to_be_attached()
    page.goto(LIST)
    sound(page, f"list-{size}")
    page.goto(f"/admin/tasks/new/?copy={needed}")
    sound(page, f"copy-{size}")
    page.get_by_label("Contract", exact=True).fill("{")
    expect(page.get_by_role("heading", name="1 problem")).to_be_visible()
    sound(page, f"problem-{size}")
