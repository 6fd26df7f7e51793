"""Check the sandbox of `make run`: the example task with the test key, by real processes."""

import time
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from biolayer.client import Backend
from tests.acceptance.test_installation import NINE, completed, example
from tests.faults.installation import Installation, eventually, say
from tests.receiver import receiving

SECONDS = 5.0
"""The life of a task takes about a second; a busy machine needs longer."""


def test_test_key__completes_the_example_with_signed_and_marked_callbacks(
    installation: Installation,
) -> None:
    access = installation.access
    with receiving() as receiver, Backend(access["base_url"], access["test_api_key"]) as backend:
        began = time.monotonic()
        made = backend.create_task(**example(installation, f"{receiver.url}/hook", "IR-sandbox"))
        done = completed(backend, made["task_id"])
        took = time.monotonic() - began
        eventually(lambda: len(receiver.received) >= 9, seconds=15, what="nine callbacks")
        log = list(backend.events(made["task_id"]))
    say(f"completed after {took:.2f} s")
    assert took < SECONDS
    assert done["requirements"]["worker_pool_id"] == access["pool_id"]
    assert [event["status"] for event in log] == NINE
    secret = Webhook(access["test_webhook_secret"])
    bodies = [secret.verify(one.body, one.headers) for one in receiver.received]
    assert all(body["data"]["sandbox"] is True for body in bodies)
    assert {one.headers["biolayer-sandbox"] for one in receiver.received} == {"true"}


def test_offer__expires_and_is_replaced(installation: Installation) -> None:
    access = installation.access
    with Backend(access["base_url"], access["test_api_key"]) as backend:
        body = example(installation, "http://127.0.0.1:9/", "IR-expire")
        made = backend.create_task(**{**body, "title": "[expire] Verify it"})
        done = completed(backend, made["task_id"])
        log = [event["type"] for event in backend.events(made["task_id"])]
    assert done["status"] == "completed"
    assert log.count("task.offered") == 2
    created = datetime.fromisoformat(done["created_at"])
    assert (datetime.now(UTC) - created).total_seconds() >= 5


def test_inbox__verifies_callbacks_of_both_sides(installation: Installation) -> None:
    access = installation.access
    with Backend(access["base_url"], access["test_api_key"]) as backend:
        body = example(installation, f"{access['inbox_url']}/hook", "IR-inbox")
        made = backend.create_task(**body)
        completed(backend, made["task_id"])

    def verified() -> list[bool]:
        shown = httpx.get(f"{access['inbox_url']}/callbacks.json", trust_env=False).json()["data"]
        return [one["verified"] for one in shown if one["task_id"] == made["task_id"]]

    eventually(lambda: len(verified()) == 9, seconds=15, what="nine callbacks in the inbox")
    assert all(verified())
