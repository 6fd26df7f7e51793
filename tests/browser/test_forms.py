"""Test forms of output schemas in Chromium: lists, alternatives, faults, what is sent.

The page is rendered here and given to the browser with the policy of all pages, so that each test
can have a schema of its own.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from apps.tasks.outputs import output_faults
from apps.ui.schema_forms import SchemaForm, parse_form, schema_form
from apps.ui.schema_forms.schema import same
from tests.browser.axe import axe_faults
from tests.browser.conftest import DESK, PHONE
from tests.unit.html_forms import faults_of

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "apps" / "ui" / "static" / "ui"
DATA = sorted((ROOT / "tests" / "data" / "forms").glob("*.json"))
ORIGIN = "http://forms.example"
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'"
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Task</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/ui.css">
<script type="module" src="/page.js"></script></head><body><main><h1>Task</h1>
<form method="post" action="/" novalidate>{}<button class="button">Submit</button></form>
</main></body></html>"""
SCRIPT = """import { attach, showFaults } from '/schema_form.js'
attach(document)
window.faults = (faults) => showFaults(document, faults)
window.inputs = 0
document.addEventListener('input', () => { window.inputs += 1 })"""
FILES = {"/page.js": SCRIPT, "/favicon.ico": ""}
TYPES = {".js": "text/javascript", ".css": "text/css", ".ico": "image/x-icon"}


@dataclass
class Opened:
    """Hold a page with the form of a schema, and what was posted from it."""

    page: Page
    schema: Any
    zone: str = "Europe/Berlin"
    html: str = ""
    posted: list[SchemaForm] = field(default_factory=list)

    def answer(self, route: Route) -> None:
        """Answer a request of the page."""
        path = route.request.url.removeprefix(ORIGIN)
        headers = {"Content-Security-Policy": POLICY}
        if route.request.method == "POST":
            pairs = parse_qsl(route.request.post_data or "", keep_blank_values=True)
            self.posted.append(parse_form(self.schema, pairs, time_zone=self.zone))
            route.fulfill(body="Sent", content_type="text/plain", headers=headers)
            return
        suffix = Path(path).suffix
        if suffix in TYPES:
            text = FILES[path] if path in FILES else (STATIC / path[1:]).read_text()
            route.fulfill(body=text, content_type=TYPES[suffix], headers=headers)
        else:
            body = PAGE.format(self.html)
            route.fulfill(body=body, content_type="text/html; charset=utf-8", headers=headers)

    def show(self, **arguments: Any) -> Page:
        """Show the form."""
        self.html = schema_form(self.schema, time_zone=self.zone, **arguments).html
        self.page.goto(ORIGIN)
        expect(self.page.locator("[data-schema-form]")).to_have_attribute("data-attached", "")
        return self.page

    def submit(self) -> Any:
        """Post the form. Return the output that it means."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Submit").click()
        return self.posted[-1].output


class Opener:
    """Open forms in one window for all tests, and collect what their pages complain of."""

    def __init__(self, browser: Browser) -> None:
        self.context = browser.new_context(viewport=DESK)
        self.complaints: list[str] = []
        self._page = self.context.new_page()
        self._page.on("console", lambda message: self.complaints.append(message.text))
        self._page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        self._opened.answer(route)

    def open(self, schema: Any, *, size: Any = None, scheme: Any = "light") -> Opened:
        self._page.set_viewport_size(size or DESK)
        self._page.emulate_media(color_scheme=scheme)
        self._opened = Opened(self._page, schema)
        return self._opened


@pytest.fixture(scope="module")
def opener(chromium: Browser) -> Iterator[Opener]:
    opener = Opener(chromium)
    yield opener
    opener.context.close()


@pytest.fixture
def forms(opener: Opener) -> Iterator[Opener]:
    """Open pages. A violation of the policy, or an error of a script, fails the test."""
    yield opener
    complaints, opener.complaints = opener.complaints, []
    assert complaints == []


def document(name: str) -> Any:
    return json.loads((ROOT / "tests" / "data" / "forms" / f"{name}.json").read_text())


CHECKLIST = document("typescript-checklist")["schema"]
CHECKS = document("zod-union")["schema"]


def rows(page: Page, name: str) -> Any:
    return page.get_by_role("group", name=name, exact=True)


def test_lists__are_filled_in_by_hand(forms: Opener) -> None:
    opened = forms.open(CHECKLIST, size=PHONE)
    page = opened.show()
    page.get_by_label("Inspector").fill("Ann")
    page.get_by_role("button", name="Add to Rooms").click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("Hall")
    page.get_by_role("radio", name="Yes").check()
    page.get_by_role("button", name="Add to Rooms").click()
    second = rows(page, "Item 2")
    second.get_by_label("Name").fill("Attic")
    second.get_by_label("Floor").fill("-1")
    second.get_by_role("radio", name="No", exact=True).check()
    second.get_by_role("button", name="Add to Issues").click()
    second.get_by_label("Text").fill("Leak")
    second.get_by_role("button", name="Add to Photos").click()
    expect(page.get_by_label("Item 1").last).to_be_focused()
    page.keyboard.type("a.jpg")
    assert opened.submit() == {
        "inspector": "Ann",
        "rooms": [
            {"name": "Hall", "done": True},
            {
                "name": "Attic",
                "floor": -1,
                "done": False,
                "issues": [{"text": "Leak", "photos": ["a.jpg"]}],
            },
        ],
    }


ROOMS = {
    "inspector": "Ann",
    "rooms": [
        {"name": name, "done": name == "b", "issues": [{"text": f"{name}1"}, {"text": f"{name}2"}]}
        for name in "abc"
    ],
}


def test_rows__are_moved_with_all_that_is_in_them(forms: Opener) -> None:
    opened = forms.open(CHECKLIST)
    page = opened.show(output=ROOMS)
    up = page.locator('[data-row="2"] > .form-row-actions > [data-move="-1"]').first
    up.click()
    expect(page.get_by_role("status")).to_have_text("Moved to place 2 of 3.")
    expect(page.locator(":focus")).to_have_attribute("aria-label", "Move up")
    page.keyboard.press("Enter")
    # Now it is the first, which cannot move up: the focus is on the next button.
    expect(page.locator(":focus")).to_have_attribute("aria-label", "Move down")
    expect(page.get_by_role("status")).to_have_text("Moved to place 1 of 3.")
    names = page.get_by_label("Name")
    names.nth(1).focus()
    page.keyboard.press("Alt+Shift+ArrowDown")
    expect(names.nth(1)).to_have_value("a")  # Keys are off while typing.
    page.get_by_role("radio", name="No", exact=True).nth(1).focus()
    page.keyboard.press("Alt+Shift+ArrowDown")
    expect(page.get_by_role("radio", name="No", exact=True).nth(2)).to_be_focused()
    expect(names.nth(2)).to_have_value("a")
    assert faults_of(page.locator("form > .schema-form").evaluate("(e) => e.outerHTML")) == []
    output = opened.submit()
    by_name = {room["name"]: room for room in ROOMS["rooms"]}  # type: ignore[index]
    assert output == {"inspector": "Ann", "rooms": [by_name["c"], by_name["b"], by_name["a"]]}


def test_a_removed_row__comes_back(forms: Opener) -> None:
    opened = forms.open(CHECKLIST)
    page = opened.show(output=ROOMS)
    first = page.locator('[data-list="output/rooms"] > [data-rows] > [data-row="0"]')
    first.locator("> .form-row-actions > [data-remove]").click()
    expect(page.get_by_role("status")).to_have_text("Removed. There are now 2.")
    expect(page.locator(":focus")).to_have_text("Remove")
    assert [room["name"] for room in _output(opened)["rooms"]] == ["b", "c"]
    page.locator('[data-list="output/rooms"] > .form-list-actions > [data-restore]').click()
    expect(page.get_by_label("Name").first).to_be_focused()
    assert opened.submit() == ROOMS


def _output(opened: Opened) -> Any:
    """Return what the page's fields mean now."""
    script = "[...new FormData(document.querySelector('form'))]"
    pairs = [(name, text) for name, text in opened.page.evaluate(script)]
    return parse_form(opened.schema, pairs, time_zone=opened.zone).output


def test_changes_of_lists__are_inputs(forms: Opener) -> None:
    opened = forms.open(CHECKLIST)
    page = opened.show(output=ROOMS)
    for number, selector in enumerate(["[data-add]", "[data-remove]", "[data-restore]"], start=1):
        page.locator(f".form-list > * {selector}:visible").first.click()
        assert page.evaluate("window.inputs") == number


def test_alternatives__are_swapped_and_keep_their_texts(forms: Opener) -> None:
    opened = forms.open(CHECKS)
    page = opened.show()
    page.get_by_role("button", name="Add to Checks").click()
    page.get_by_role("radio", name="Failed").check()
    page.get_by_role("button", name="Add to Defects").click()
    page.get_by_label("Part").fill("door")
    page.get_by_role("radio", name="Major").check()
    page.get_by_role("radio", name="Passed").check()
    expect(page.get_by_label("Part")).to_have_count(0)
    page.get_by_label("At").fill("2026-07-01T10:30")
    page.get_by_role("radio", name="Failed").check()
    expect(page.get_by_label("Part")).to_have_value("door")
    page.get_by_role("button", name="Add to Checks").click()
    added = page.locator('[data-list="output/checks"] > [data-rows] > [data-row="1"]')
    added.get_by_role("radio", name="Passed").check()
    added.get_by_label("At").fill("2026-01-01T08:00")
    failed = {"kind": "failed", "defects": [{"part": "door", "grade": "major"}]}
    passed = {"kind": "passed", "at": "2026-01-01T08:00:00+01:00"}
    assert _output(opened) == {"checks": [failed, passed]}
    added.locator("> .form-row-actions > [data-move='-1']").click()
    assert opened.submit() == {"checks": [passed, failed]}


def test_alternatives_that_were_left__come_back_after_the_page_is_loaded_again(
    forms: Opener,
) -> None:
    opened = forms.open(CHECKS)
    page = opened.show()
    page.get_by_role("button", name="Add to Checks").click()
    page.get_by_role("radio", name="Failed").check()
    for part, grade in (("door", "Major"), ("hinge", "Minor")):
        page.get_by_role("button", name="Add to Defects").click()
        page.get_by_label("Part").last.fill(part)
        page.get_by_role("radio", name=grade).last.check()
    page.get_by_role("radio", name="Passed").check()
    page.get_by_label("At").fill("2026-07-01T10:30")
    page.get_by_role("button", name="Add to Checks").click()
    # Its number changes, and the names of what was left with it.
    second = page.locator('[data-list="output/checks"] > [data-rows] > [data-row="1"]')
    second.locator("> .form-row-actions > [data-move='-1']").click()
    assert opened.submit()["checks"][1] == {"kind": "passed", "at": "2026-07-01T10:30:00+02:00"}
    page = opened.show(form=opened.posted[-1].raw)
    moved = page.locator('[data-list="output/checks"] > [data-rows] > [data-row="1"]')
    moved.get_by_role("radio", name="Failed").check()
    expect(moved.get_by_label("Part").first).to_have_value("door")
    expect(moved.get_by_label("Part").last).to_have_value("hinge")
    defects = [{"part": "door", "grade": "major"}, {"part": "hinge", "grade": "minor"}]
    assert _output(opened)["checks"][1] == {"kind": "failed", "defects": defects}
    moved.get_by_role("radio", name="Passed").check()
    expect(moved.get_by_label("At")).to_have_value("2026-07-01T10:30")
    assert opened.submit()["checks"][1] == {"kind": "passed", "at": "2026-07-01T10:30:00+02:00"}


def test_faults__are_shown_at_their_fields(forms: Opener) -> None:
    schema = document("openapi-incident")["schema"]
    opened = forms.open(schema)
    page = opened.show()
    faults = [
        {"pointer": "/output/severity", "text": "Choose an answer."},
        {"pointer": "/output/started_at", "text": "Enter a date and a time."},
        {"pointer": "/output/resolved", "text": "Choose an answer."},
        {"pointer": "/output/started_at/~occurrence", "text": "Say which one it is."},
        {"pointer": "/output/unknown", "text": "This field is not expected here."},
    ]
    assert page.evaluate("(faults) => window.faults(faults)", faults) == faults[-1:]
    severity = page.get_by_label("Severity")
    expect(severity).to_have_attribute("aria-invalid", "true")
    expect(severity).to_have_accessible_description("1 is the worst. Choose an answer.")
    expect(page.get_by_role("radiogroup", name="Resolved")).to_have_attribute(
        "aria-invalid", "true"
    )
    expect(page.get_by_label("Which of the two?").first).to_be_visible()
    assert page.evaluate("window.faults([])") == []
    expect(page.locator("[aria-invalid], .invalid")).to_have_count(0)
    expect(page.locator(".error:visible")).to_have_count(0)


def test_a_full_list__offers_no_more(forms: Opener) -> None:
    opened = forms.open(document("suite-items-bounds")["schema"])
    page = opened.show()
    expect(page.get_by_label("Item")).to_have_count(2)
    button = page.get_by_role("button", name="Add to Witnesses")
    button.click()
    button.click()
    expect(button).to_be_hidden()
    page.get_by_role("button", name="Remove").first.click()
    expect(button).to_be_visible()


def test_without_scripts__fixed_fields_work(chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    schema = document("zod-address")["schema"]
    opened = Opened(page, schema)
    page.route("**/*", opened.answer)
    opened.html = schema_form(schema).html
    page.goto(ORIGIN)
    expect(page.locator(".form-scripted:visible")).to_have_count(0)
    page.get_by_label("Street").fill("Torstr. 1")
    page.get_by_label("2", exact=True).check()
    page.get_by_label("Yes").check()
    output = opened.submit()
    context.close()
    assert output == {"version": 2, "street": "Torstr. 1", "verified": True}


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_the_browser__sends_what_was_shown(forms: Opener, path: Path) -> None:
    each = json.loads(path.read_text())
    opened = forms.open(each["schema"])
    value = each["values"][0]
    opened.show(output=value)
    output = opened.submit()
    assert output_faults(output, each["schema"], "json") == []
    assert same(_sorted(output), _sorted(value))


def _sorted(value: Any) -> Any:
    """Return a value whose lists are in order: checkboxes have that of the schema."""
    if isinstance(value, dict):
        return {name: _sorted(part) for name, part in value.items()}
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=lambda part: json.dumps(part, sort_keys=True))
    return value


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["390", "1280"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forms__are_accessible_and_fit(forms: Opener, size: Any, scheme: str) -> None:
    for name in ("pydantic-order", "zod-union", "openapi-incident", "suite-additional-only"):
        each = document(name)
        opened = forms.open(each["schema"], size=size, scheme=scheme)
        texts = schema_form(each["schema"])
        faults = output_faults(texts.output, each["schema"], "json")
        for arguments in ({}, {"output": each["values"][0]}, {"faults": faults}):
            page = opened.show(**arguments)
            assert axe_faults(page) == "", name
            width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert width <= 0
            assert _small_targets(page) == []


LONG = "Donaudampfschifffahrt" * 14
WORDS = {
    "type": "object",
    "properties": {
        LONG: {"type": "string", "description": LONG, "examples": [LONG]},
        "pick": {"enum": [LONG, "b"]},
        "menu": {"enum": [LONG, *"bcdef"]},
        "kept": {"type": "string", "readOnly": True},
        "rows": {
            "type": "array",
            "items": {
                "title": LONG,
                "type": "object",
                "properties": {
                    "in": {"type": "array", "items": {"type": "array", "items": {"enum": [LONG]}}}
                },
            },
        },
    },
}


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_long_words__fit_a_small_telephone(forms: Opener, direction: str) -> None:
    opened = forms.open(WORDS, size={"width": 360, "height": 640})
    value = {LONG: LONG, "pick": LONG, "kept": LONG * 30, "rows": [{"in": [[LONG]]}]}
    page = opened.show(output=value)
    page.evaluate(f"document.documentElement.dir = '{direction}'")
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"form-words-{direction}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.evaluate("document.scrollingElement.scrollLeft") == 0


def _small_targets(page: Page) -> Any:
    return page.evaluate(
        """() => [...document.querySelectorAll('button, select, .form-option')]
        .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 48)
        .map((e) => e.textContent.trim())"""
    )
