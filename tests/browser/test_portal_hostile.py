"""Test that a task which attacks its worker is shown harmlessly: nothing runs, nothing breaks."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, PHONE, Windows
from tests.browser.desk import Desk
from tests.browser.test_appearance import check
from tests.browser.test_portal_task import opened, path

WORD = "W" * 10_000
SCRIPTS = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    "<svg onload='window.hacked = 3'></svg><style>* { display: none }</style>"
    "<iframe srcdoc='<script>top.hacked = 4</script>'></iframe>"
)
LINKS = (
    "[a](javascript:window.hacked=5) <javascript:window.hacked=6> [b](data:text/html,x)\n\n"
    "[c](JaVaScRiPt:window.hacked=7) ![d](https://tracker.example/pixel.gif)\n\n"
    "[e]: javascript:window.hacked=8\n\n[e]\n\n<a href='javascript:window.hacked=9'>f</a>"
)
MARKS = "\u202egnitseretni\u2066 \u202d\u200f\u061c " * 40 + "\u0489" * 300
TABLE = "|" + "wide|" * 60 + "\n|" + "-|" * 60 + "\n|" + "cell|" * 60
CODE = f"```\n{WORD[:2000]}\n```"
TEXT = "\n\n".join((SCRIPTS, LINKS, MARKS, WORD, TABLE, CODE, f"> {WORD[:2000]}"))
SCHEMA = {
    "type": "object",
    "title": SCRIPTS[:100] + WORD[:150],
    "description": LINKS[:200] + WORD[:800],
    "required": ["a", WORD[:100]],
    "properties": {
        "a": {
            "type": "string",
            "title": MARKS[:200],
            "description": SCRIPTS,
            "examples": [WORD[:500]],
        },
        WORD[:100]: {"type": "string", "enum": [WORD[:900], SCRIPTS[:200]]},
        "list": {
            "type": "array",
            "title": WORD[:200],
            "items": {
                "type": "object",
                "properties": {"<b>": {"type": "boolean", "title": WORD[:200]}},
            },
        },
    },
}
SVG = (
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='parent.hacked=10'>"
    b"<script>hacked=11</script></svg>"
)


def harmless(page: Page, name: str) -> None:
    """Assert that nothing of the task ran, and that the page is sound."""
    assert page.evaluate("window.hacked") is None
    expect(page.locator("main")).to_be_visible()
    check(page, name)
    links = page.eval_on_selector_all("main a[href]", "all => all.map((a) => a.protocol)")
    assert set(links) <= {"http:", "https:", "mailto:"}, links


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["390", "1280"])
def test_hostile_task__is_harmless(desk: Desk, windows: Windows, size: dict[str, int]) -> None:
    run = desk.accepted(
        title=f"{SCRIPTS[:90]}\u202e{WORD[:90]}",
        instructions=TEXT,
        context={
            "background": TEXT[:9_000],
            "constraints": [SCRIPTS, WORD[:900]],
            "risk_notes": [MARKS[:900], WORD[:900]],
            WORD[:100]: {SCRIPTS[:100]: [WORD[:900], MARKS[:900]]},
        },
        output={"expected_format": "structured_json", "schema": SCHEMA},
    )
    message = {"text": (SCRIPTS + LINKS + MARKS + WORD)[:4_000]}
    answer = desk.backend.post(f"/v1/tasks/{run['task_id']}/messages", json=message)
    assert answer.status_code == 201, answer.text
    fetched: list[str] = []
    page = opened(windows, desk, run, size=size)
    page.on("request", lambda sent: fetched.append(sent.url))
    page.reload()
    expect(page.locator("#fields")).not_to_have_attribute("inert", "")
    harmless(page, f"hostile-{size['width']}")
    page.locator("#files").set_input_files(
        {
            "name": f"<img src=x onerror=hacked=12>{'W' * 150}.svg",
            "mimeType": "image/svg+xml",
            "buffer": SVG,
        }
    )
    expect(page.get_by_role("alert").filter(has_text="not accepted")).to_be_visible()
    page.locator("#files").set_input_files(
        {"name": f"{'W' * 200}.txt", "mimeType": "text/plain", "buffer": b"A note."}
    )
    expect(page.locator("#evidence-list [data-evidence]")).to_have_count(1)
    harmless(page, f"hostile-files-{size['width']}")
    page.locator("#evidence-list li:not([data-evidence]) [data-remove]").click()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#problems")).to_be_focused()
    harmless(page, f"hostile-problems-{size['width']}")
    assert not [one for one in fetched if "tracker" in one]
    page.goto("/portal/")
    harmless(page, f"hostile-home-{size['width']}")
    desk.release(desk.run(run["run_id"]))
    page.goto(path(run))
    expect(page.get_by_role("heading", name=re.compile("not with you any more"))).to_be_visible()
    harmless(page, f"hostile-lost-{size['width']}")
