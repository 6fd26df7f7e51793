"""Test the console as a manager sets up, and puts right, an organisation of their own.

From nothing: a pool, invited workers, a key, a task that no worker fits, an endpoint whose receiver
is down. Axe finds nothing on any page, and no page complains.
"""

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
from playwright.sync_api import Locator, Page, Response, expect

from tests.browser.axe import axe_faults
from tests.browser.conftest import DESK, PHONE, Windows
from tests.browser.desk import eventually
from tests.browser.site import PASSWORD, Person, Site
from tests.browser.steps import be_signed_in
from tests.receiver import Receiver, Reply

WORKERS = ("ida", "tove", "nils")
SECONDS_TO_BOARD = 3.0
SECONDS_TO_SEE_A_DEATH = 10.0
MANY = 20
DEAD, ALIVE = {"has_text": "no sign since"}, {"has_not_text": "no sign since"}
# Resolves with the browser's time at which the tile of the board first has a number.
WHEN_OFFERED = """() => {
  const board = document.getElementById('board')
  const tiles = () => [...board.querySelectorAll('.tile')]
  const tile = () => tiles().find((one) => /Offered/.test(one.textContent))
  const has = () => tile().querySelector('.tile-number').textContent.trim() === '1'
  window.offered = new Promise((resolve) => {
    const look = () => has() && resolve(Date.now())
    new MutationObserver(look).observe(board, {subtree: true, childList: true, characterData: true})
    look()
  })
}"""


@dataclass
class Story:
    """Hold what the story has made so far."""

    site: Site
    page: Page
    board: Page
    mara: Person
    key: str = ""
    task: str = ""
    endpoint: str = ""
    delivery: str = ""


def test_manager__sets_up_and_puts_right(
    site: Site, windows: Windows, mara: Person, receiver: Receiver
) -> None:
    page, board = windows.window(), windows.window()
    for window in (page, board):
        be_signed_in(window, mara)
    story = Story(site, page, board, mara)
    open_pool(page)
    invite_workers(story)
    join(story, windows.window())
    story.key = create_key(page)
    post_task(story)
    lower_it(story)
    cancel_many(story)
    replay(story, receiver)
    find_in_audit(story)
    by_keys_alone(story)
    look_at_all(story)


def open_pool(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_role("link", name="Pools", exact=True).click()
    page.get_by_role("link", name="New pool").click()
    page.get_by_label("Name", exact=True).fill("Front desk")
    page.get_by_role("button", name="Open the pool").click()
    expect(page.get_by_role("heading", name="Front desk")).to_be_visible()


def address_of(story: Story, name: str) -> str:
    return f"{name}-{story.mara.email}"


def invite_workers(story: Story) -> None:
    page = story.page
    page.get_by_role("link", name="Workers", exact=True).click()
    page.get_by_role("link", name="Invite a worker").click()
    for name in WORKERS:
        page.get_by_label("E-mail address").fill(address_of(story, name))
        page.get_by_label("Skills").fill("phone_verification")
        page.get_by_label("Front desk").check()
        page.get_by_role("button", name="Send the invitation").click()
        expect(page.get_by_role("button", name=address_of(story, name)).first).to_be_visible()


def join(story: Story, page: Page) -> None:
    """Let one of the invited follow the link of their mail, and switch to available."""
    email = address_of(story, WORKERS[0])
    link = eventually(lambda: story.site.invitation_link(email), what="the mail")
    page.goto(link)
    page.get_by_label("Your name").fill("Ida Holm")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account and join").click()
    # A worker is led to their work.
    page.get_by_role("button", name="Switch to Available").click()
    expect(page.get_by_role("heading", name="Available")).to_be_visible()


def create_key(page: Page) -> str:
    page.goto("/admin/accounts/member/")
    page.get_by_role("link", name="API keys").click()
    page.get_by_role("link", name="Create an API key").click()
    page.get_by_label("Name", exact=True).fill("Shop")
    for scope in ("tasks:create", "tasks:read"):
        page.locator(f"[name=scopes][value='{scope}']").check()
    page.get_by_role("button", name="Create the key").click()
    key = page.get_by_label("The secret").inner_text()
    page.get_by_role("link", name="I have stored it").click()
    expect(page.get_by_role("heading", name="Shop").first).to_be_visible()
    return key


def post_task(story: Story) -> None:
    """Post the example, changed so that no worker fits, by `curl`; then by the page."""
    page = story.page
    page.goto("/admin/tasks/new/")
    text = page.get_by_label("Contract", exact=True)
    document = json.loads(text.input_value())
    document["requirements"]["skills"] = ["phone_verification", "welding"]
    text.fill(json.dumps({**document, "domain": "No slug"}, indent=2))
    problems = page.locator("#composer-problems")
    expect(problems).to_contain_text("1 problem")
    expect(problems).to_contain_text("/domain")
    # The natural key of the page's task is another one.
    by_curl = {
        **document,
        "title": "Sent by curl",
        "domain": "by_curl",
        "origin": {"product": "shop"},
    }
    text.fill(json.dumps(by_curl, indent=2))
    expect(page.get_by_text("The contract is valid")).to_be_visible()
    expect(page.locator("#curl")).to_contain_text("Sent by curl")
    created = run_in_shell(page.locator("#curl").inner_text(), story.key)
    assert created["status"] in ("created", "queued")
    text.fill(json.dumps({**document, "title": "Weld the gate"}, indent=2))
    expect(page.locator("#curl")).to_contain_text("Weld the gate")
    expect(page.get_by_text("The contract is valid")).to_be_visible()
    page.get_by_role("button", name="Post the task").click()
    expect(page.get_by_role("heading", name="Weld the gate")).to_be_visible()
    story.task = page.url.partition("?")[0]


def run_in_shell(command: str, key: str) -> Any:
    """Return the answer of the command that the composer shows, run as a person would."""
    environment = {**os.environ, "BIOLAYER_KEY": key, "NO_PROXY": "*", "no_proxy": "*"}
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def lower_it(story: Story) -> None:
    """See why no worker takes the task, lower what the page proposes, and see it on the board."""
    page, board = story.page, story.board
    board.goto("/admin/")
    expect(tile(board, "Waiting")).to_have_text("2")
    expect(tile(board, "Offered")).to_have_text("0")
    board.evaluate(WHEN_OFFERED)
    why = page.locator("#part-why")
    expect(why).to_contain_text("Drop the skill Welding")
    why.get_by_role("link", name="Lower this").click()
    page.get_by_label("Reason").fill("The gate is glued")
    with page.expect_response(is_of_form) as answered:
        page.get_by_role("button", name="Lower the requirements").click()
    timing = answered.value.request.timing
    seconds = board.evaluate("() => window.offered") / 1000 - ended_at(timing)
    print(f"offered on the board {seconds:.2f} s after the answer")
    assert seconds <= SECONDS_TO_BOARD
    expect(page.locator(".state-line")).to_contain_text("Offered")
    story.task = page.url.partition("?")[0]


def is_of_form(response: Response) -> bool:
    return response.request.method == "POST" and "/lower/" in response.url


def ended_at(timing: Any) -> float:
    """Return when the answer to a request came, in seconds since 1970."""
    return float(timing["startTime"] + timing["responseStart"]) / 1000


def tile(page: Page, title: str) -> Locator:
    return page.get_by_role("link", name=re.compile(rf"^\S+ {title}$")).locator(".tile-number")


def cancel_many(story: Story) -> None:
    """Cancel twenty tasks, which a program has posted, by the boxes of the list."""
    headers = {"Authorization": f"Bearer {story.key}"}
    with httpx.Client(
        base_url=story.site.url, headers=headers, timeout=30, trust_env=False
    ) as backend:
        for number in range(MANY):
            body = {
                "task_type": "verification",
                "domain": "returns",
                "title": f"Ask for parcel {number + 1}",
                "instructions": "Ask.",
                "requirements": {"skills": ["welding"]},
                "output": {"schema": {"answer": "string"}},
            }
            assert backend.post("/v1/tasks", json=body).status_code == 201
    page = story.page
    page.goto("/admin/tasks/task/?status=open&domain=returns")
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Cancel the tasks").click()
    expect(page.get_by_role("heading", name=f"{MANY} tasks")).to_be_visible()
    page.get_by_label("Reason").fill("The carrier has found them")
    page.get_by_role("button", name="Cancel the tasks").click()
    expect(page.get_by_text(f"{MANY} of {MANY}: cancelled.")).to_be_visible()


def replay(story: Story, receiver: Receiver) -> None:
    """Send again what a receiver refused while it was down."""
    page = story.page
    receiver.reply = lambda number: Reply(503 if number == 0 else 204)
    page.goto("/admin/webhooks/endpoint/new")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_label("Description").fill("Shop")
    page.get_by_label("Retries").fill("0")
    page.get_by_label("Seconds before the first retry").fill("1")
    page.get_by_role("button", name="Create the endpoint").click()
    expect(page.get_by_text("The endpoint was created.")).to_be_visible()
    story.endpoint = page.url
    page.goto(f"{story.task}cancel/")
    page.get_by_label("Reason").fill("The customer has called")
    page.get_by_role("button", name="Cancel the task").click()
    expect(page.locator(".state-line")).to_contain_text("Cancelled")
    page.goto("/admin/webhooks/delivery/")
    row = page.locator("[data-row]").filter(has_text="task.cancelled")
    expect(row).to_contain_text("Given up", timeout=20_000)
    row.get_by_role("link").first.click()
    expect(page.locator("[data-fragment]")).to_contain_text("503")
    story.delivery = page.url
    page.get_by_role("button", name="Send it again").click()
    expect(page.locator("[data-fragment]")).to_contain_text("Succeeded", timeout=20_000)
    assert len(receiver.received) == 2
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def find_in_audit(story: Story) -> None:
    page = story.page
    page.goto("/admin/")
    page.get_by_role("link", name="Audit", exact=True).click()
    page.get_by_label("Action").select_option("task.cancelled")
    page.get_by_role("button", name="Search").click()
    rows = page.locator("[data-row]").filter(has_text=story.mara.name)
    expect(rows).to_have_count(MANY + 1)
    rows.nth(1).get_by_role("link", name=re.compile("^Open")).click()
    expect(page.get_by_text("The carrier has found them").first).to_be_visible()


def by_keys_alone(story: Story) -> None:
    """Go from a number of the board to an action of a task without a pointer."""
    page = story.page
    page.goto("/admin/")
    expect(tile(page, "Waiting")).to_have_text("1")
    press_until(page, "Tab", page.get_by_role("link", name=re.compile(r"^\d+ Waiting$")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Sent by curl")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sent by curl")).to_be_visible()
    press_until(page, "Tab", page.get_by_role("link", name="Move ahead"))
    page.keyboard.press("Enter")
    press_until(page, "Tab", page.get_by_label("Reason"))
    page.keyboard.type("They have called twice")
    press_until(page, "Tab", page.get_by_role("button", name="Move ahead"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("The task has moved in the queue.")).to_be_visible()
    story.task = page.url.partition("?")[0]


def press_until(page: Page, key: str, wanted: Locator, most: int = 40) -> None:
    """Press a key until the focus is where it is wanted."""
    expect(wanted).to_be_visible()
    for _ in range(most):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{most} times {key} do not reach {wanted}")


def look_at_all(story: Story) -> None:
    """Assert that each page is accessible and fits, at both sizes and in both schemes."""
    page = story.page
    page.goto("/admin/pools/worker/")
    worker = page.get_by_role("link", name="Ida Holm").get_attribute("href")
    page.goto("/admin/pools/pool/")
    pool = page.get_by_role("link", name="Front desk").get_attribute("href")
    paths = (
        *("/admin/", "/admin/tasks/task/", story.task, "/admin/tasks/new/"),
        *("/admin/pools/pool/new/", str(pool), "/admin/pools/worker/", str(worker)),
        *("/admin/webhooks/destination/", story.endpoint, "/admin/webhooks/delivery/"),
        *(story.delivery, "/admin/accounts/apikey/", "/admin/accounts/member/"),
        "/admin/accounts/auditevent/",
    )
    for path in paths:
        page.goto(path)
        for size in (DESK, PHONE):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            assert page.evaluate("document.documentElement.scrollWidth") == size["width"], path
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                assert axe_faults(page) == "", f"{path} {size} {scheme}"


def test_killed_process__is_shown_on_the_board(site: Site, windows: Windows, mara: Person) -> None:
    page = windows.window()
    be_signed_in(page, mara)
    page.goto("/admin/")
    processes = page.get_by_role("region", name="Processes")
    named = processes.locator("li").filter(has=page.get_by_text("matching", exact=True))
    dead, alive = (named.filter(**one) for one in (DEAD, ALIVE))
    expect(alive).to_have_count(1)
    # What an earlier test has killed is shown for some minutes.
    before = dead.count()
    killed_at = time.monotonic()
    kill(site, "matching@")
    expect(dead).to_have_count(before + 1, timeout=2_000 * SECONDS_TO_SEE_A_DEATH)
    seconds = time.monotonic() - killed_at
    print(f"the board shows a killed process after {seconds:.1f} s")
    assert seconds <= SECONDS_TO_SEE_A_DEATH
    assert axe_faults(page) == ""
    # `up` starts it again: what comes after this test finds it.
    expect(alive).to_have_count(1, timeout=60_000)


def kill(site: Site, mark: str) -> None:
    """Kill a process of the installation by SIGKILL, with what it has started."""
    killed = 0
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("BIOLAYER_HOME") == str(site.home)
            if is_ours and any(mark in word for word in process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    assert killed > 0
