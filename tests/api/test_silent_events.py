"""A silent event is delivered only to readers that name its type; its task's log always has it."""

from datetime import timedelta
from typing import Any

import pytest

from apps.events.feed_watcher import watcher
from apps.timers.services import fire_due
from apps.webhooks.models import Delivery
from biolayer import chain
from tests.api.test_events import feed, types
from tests.api.test_streams import names, next_events
from tests.api.webhook_steps import made
from tests.factories import House
from tests.streaming import listening, stream_server

AT_RISK = "task.sla_at_risk"
CONSUMER = "/v1/event-consumers/ledger"


@pytest.fixture(autouse=True)
def watcher_at_rest() -> Any:
    """Close its connection, which would block the removal of the test database."""
    yield
    watcher.close()


def at_risk(house: House) -> str:
    """Create a task, report it at risk, and return its ID."""
    task = house.task(sla={"target_latency_seconds": 60})
    assert fire_due(at=task.created_at + timedelta(seconds=48)) == 1
    return str(task.id)


def test_its_tasks_log__has_it(house: House) -> None:
    log = house.alice.get(f"/v1/tasks/{at_risk(house)}/events").json()["data"]
    assert [event["type"] for event in log] == ["task.created", AT_RISK]
    assert (log[1]["status"], log[1]["previous_status"]) == ("created", "created")
    assert chain.first_broken(log) is None


@pytest.mark.parametrize(
    ("event_types", "expected"),
    [
        (["*"], ["task.created"]),
        (["task.*"], ["task.created"]),
        ([AT_RISK], [AT_RISK]),
        (["task.*", AT_RISK], ["task.created", AT_RISK]),
        (["task.sla_breached"], []),
    ],
)
def test_an_endpoint__gets_it_by_name(
    house: House, event_types: list[str], expected: list[str]
) -> None:
    endpoint = made(house.alice, event_types=event_types)
    at_risk(house)
    mine = Delivery.objects.filter(destination_id=endpoint["endpoint_id"]).order_by("sequence")
    assert [delivery.event_type for delivery in mine] == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["created"]),
        ("types=*", ["created"]),
        ("types=task.*", ["created"]),
        (f"types={AT_RISK}", ["sla_at_risk"]),
        (f"types=task.*,{AT_RISK}", ["created", "sla_at_risk"]),
    ],
)
def test_the_feed__shows_it_by_name(house: House, query: str, expected: list[str]) -> None:
    at_risk(house)
    body = feed(house.alice, query)
    assert types(body) == expected
    assert feed(house.alice, f"{query}&after={body['next_cursor']}")["data"] == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, ["created"]),
        (["task.*"], ["created"]),
        ([AT_RISK], ["sla_at_risk"]),
    ],
)
def test_a_consumer__gets_it_by_name(
    house: House, wanted: list[str] | None, expected: list[str]
) -> None:
    at_risk(house)
    feed(house.alice)
    shown = house.alice.call("PUT", CONSUMER, {"types": wanted}).json()
    assert shown["lag"] == len(expected)
    assert types(feed(house.alice, path=f"{CONSUMER}/events")) == expected


def test_a_stream__shows_it_by_name(house: House) -> None:
    at_risk(house)
    everything = {"after": "beginning", "types": "*"}
    both = {"after": "beginning", "types": f"task.created,{AT_RISK}"}
    with (
        stream_server() as server,
        listening(server.url, house.alice.key, **everything) as all_but_silent,
        listening(server.url, house.alice.key, **both) as named,
    ):
        assert names(next_events(named, 2)) == ["created", "sla_at_risk"]
        assert names(next_events(all_but_silent, 1)) == ["created"]
        house.task()
        # No event was between them.
        assert names(next_events(all_but_silent, 1)) == ["created"]


def test_its_webhooks_body__is_in_the_feed_by_name(house: House) -> None:
    task_id = at_risk(house)
    (item,) = feed(house.alice, f"types={AT_RISK}&payload=webhook")["data"]
    body = item["webhook"]
    assert (body["type"], body["data"]["task_id"]) == (AT_RISK, task_id)
    assert body["data"]["clock"] == "target_latency"
