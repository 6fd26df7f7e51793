"""Bridges are told of the ends of tasks: at least once, in order, and nothing is lost."""

import json
import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from standardwebhooks import Webhook

from apps.base import clock
from apps.operations import services as operations
from apps.operations.models import (
    BridgeCursor,
    BridgeDue,
    BridgeSubscription,
    LogEntry,
)
from apps.operations.services import notifying, settling
from apps.pools.services import provision_pool
from apps.reviews import services as reviews
from apps.reviews.models import Review
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.webhooks import services as webhooks
from apps.webhooks.models import Attempt, Delivery, Destination, Message
from apps.webhooks.services.pipeline.claiming import claim
from tests import destinations
from tests.bridge_steps import (
    bridge,
    change,
    completed,
    cursor,
    drain,
    notified,
    of_workspace,
    path,
    sequence_of,
    subscribed,
)
from tests.factories import House
from tests.operator_steps import Desk, desk_of
from tests.receiver import Receiver, Reply
from tests.review_steps import decide, reviewer, set_policy

MINUTE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def test_completed_task__is_told_once(house: House, desk: Desk, receiver: Receiver) -> None:
    instance = bridge(desk, f"{receiver.url}/hook")
    task = desk.task(identifier="T-1")
    own = subscribed(desk, task["id"], instance, thread_id="17", delivery_mode="reply")
    drain()
    assert receiver.received == []
    run_id = completed(desk, task["id"])
    drain()
    drain(clock.now() + 2 * MINUTE)
    number = sequence_of(desk, task["id"], "task.run_completed")
    (told,) = notified(receiver)
    name = f"notif:{own['subscription_id']}:{number}"
    assert told["delivery_id"] == name
    assert told["subscription_id"] == own["subscription_id"]
    assert told["bridge_instance_id"] == instance["bridge_instance_id"]
    assert told["delivery_mode"] == "reply"
    assert told["target"] == {"peer_id": "drafter.s-17", "thread_id": "17"}
    assert told["task"] == {
        "id": task["id"],
        "identifier": "T-1",
        "title": "Draft the reply",
        "scope": "global",
        "workspace_id": None,
        "status": "completed",
    }
    assert (told["run"]["id"], told["run"]["status"]) == (run_id, "completed")
    assert (told["run"]["attempt"], told["run"]["session_id"]) == (1, "s-1")
    assert (told["event"]["sequence"], told["event"]["type"]) == (number, "task.run_completed")
    assert told["event"]["payload"]["result"] == {"text": "Done."}
    assert told["text"] == "The task “Draft the reply” is completed."
    now = cursor(desk, task["id"], own["subscription_id"])
    assert (now["last_sequence"], now["last_delivery_id"]) == (number, name)
    assert now["last_delivered_at"]
    assert "last_error" not in now
    assert BridgeDue.objects.count() == 0


def test_notification__is_signed_as_other_deliveries(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    auth = {"type": "bearer", "token": "s3cret-token"}
    instance = bridge(desk, receiver.url, auth=auth, headers={"X-Tenant": "northwind"})
    task = desk.task()
    subscribed(desk, task["id"], instance)
    completed(desk, task["id"])
    drain()
    (request,) = receiver.received
    ours = house.organisation.id
    secret, _ = webhooks.keys_of([ours])[ours]
    assert Webhook(secret).verify(request.body, request.headers)
    assert request.headers["authorization"] == "Bearer s3cret-token"
    assert request.headers["x-tenant"] == "northwind"


def test_ordinary_events__do_not_go_to_bridges(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    bridge(desk, receiver.url)
    endpoint = destinations.endpoint(house, f"{receiver.url}/events", event_types=["*"])
    instance = bridge(desk, receiver.url)
    task = desk.task()
    subscribed(desk, task["id"], instance)
    completed(desk, task["id"])
    drain()
    sent = [(one.path, json.loads(one.body)["type"]) for one in receiver.received]
    assert [kind for place, kind in sent if place == "/"] == ["task.notification"]
    assert "task.notification" not in [kind for place, kind in sent if place != "/"]
    # Nor does a recovery send notifications to an endpoint.
    Delivery.objects.filter(destination_id=endpoint.id).delete()
    missed = {"kind": "missed", "since": "2026-01-01T00:00:00Z", "endpoint_id": str(endpoint.id)}
    assert desk.caller.post("/v1/recoveries", missed).status_code == 202
    webhooks.release_recoveries()
    again = Delivery.objects.filter(destination_id=endpoint.id).values_list("event_type", flat=True)
    assert "task.completed" in again
    assert "task.notification" not in again


def test_deliveries_of_v1__show_notifications(house: House, desk: Desk, receiver: Receiver) -> None:
    instance = bridge(desk, receiver.url)
    task = desk.task()
    subscribed(desk, task["id"], instance)
    completed(desk, task["id"])
    drain()
    place = instance["endpoint_id"]
    found = desk.caller.get(f"/v1/deliveries?type=task.notification&endpoint_id={place}").json()
    (shown,) = found["data"]
    assert (shown["status"], shown["endpoint_id"], shown["task_id"]) == ("succeeded", place, None)
    whole = desk.caller.get(f"/v1/deliveries/{shown['delivery_id']}").json()
    assert whole["body"]["data"]["task"]["id"] == task["id"]


def test_task_that_had_finished__is_told(house: House, desk: Desk, receiver: Receiver) -> None:
    task = desk.task()
    completed(desk, task["id"])
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    drain()
    (told,) = notified(receiver)
    number = sequence_of(desk, task["id"], "task.run_completed")
    assert told["delivery_id"] == f"notif:{own['subscription_id']}:{number}"


def test_failed_attempts__are_told_when_the_task_has_failed_in_their_order(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    task = desk.task(max_attempts=2)
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    agent = desk.agent()
    for number in range(2):
        run_id = desk.started(task["id"], idempotency_key=f"k-{number}")["id"]
        agent.claimed()
        assert agent.on(run_id, "fail", error=f"No line {number}").status_code == 200
        drain()
        assert len(receiver.received) == 2 * number
    assert [told["text"] for told in notified(receiver)] == [
        "The task “Draft the reply” has failed: No line 0",
        "The task “Draft the reply” has failed: No line 1",
    ]
    sequences = [told["event"]["sequence"] for told in notified(receiver)]
    assert sequences == sorted(sequences)
    assert cursor(desk, task["id"], own["subscription_id"])["last_sequence"] == sequences[-1]


def test_event_that_tells_another_end__is_passed_over_and_noted(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    task = desk.task(max_attempts=2)
    instance = bridge(desk, receiver.url)
    own = subscribed(desk, task["id"], instance)
    agent = desk.agent()
    run_id = desk.started(task["id"], idempotency_key="k-1")["id"]
    agent.claimed()
    assert agent.on(run_id, "fail", error="No line").status_code == 200
    drain()
    number = sequence_of(desk, task["id"], "task.run_failed")
    assert cursor(desk, task["id"], own["subscription_id"])["last_sequence"] == 0
    change(desk, instance, enabled=False)
    second = desk.started(task["id"], idempotency_key="k-2")["id"]
    agent.claimed()
    assert agent.on(second, "complete", result={}).status_code == 200
    assert operations.notify_due() == 1
    passed = BridgeCursor.objects.get()
    assert passed.last_sequence == number
    change(desk, instance, enabled=True)
    drain(clock.now() + MINUTE)
    (told,) = notified(receiver)
    assert told["event"]["type"] == "task.run_completed"


def test_output_that_was_sent_back__is_not_told(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    set_policy(house.pool)
    task = desk.task(scope="workspace", workspace=house.pool.name)
    where = of_workspace(house)
    subscribed(desk, task["id"], bridge(desk, receiver.url, **where), **where)
    agent = desk.agent(house)
    desk.started(task["id"])
    first = agent.claimed()["run"]["id"]
    assert agent.on(first, "complete", result={"text": "Refused"}).status_code == 200
    decide(reviewer(house).principal, Review.objects.get(), "rework")
    drain()
    second = agent.claimed()["run"]["id"]
    assert agent.on(second, "complete", result={"text": "Done"}).status_code == 200
    decide(reviewer(house).principal, Review.objects.get(run_id=second))
    assert reviews.verify_submitted() == 1
    assert operations.notify_due() == 1
    passed = BridgeCursor.objects.get()
    assert f"Event {passed.last_sequence} (task.run_completed)" in passed.last_error
    drain()
    told = notified(receiver)
    assert {one["run"]["id"] for one in told} == {second}
    assert "Refused" not in str(told)


def test_bridge_of_a_workspace__is_told_no_ids_of_other_workspaces(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    hidden = desk.task(scope="workspace", workspace=other.name)
    own, anywhere = desk.task(scope="workspace", workspace=house.pool.name), desk.task()
    where = of_workspace(house)
    subscribed(desk, own["id"], bridge(desk, receiver.url, **where), **where)
    subscribed(desk, anywhere["id"], bridge(desk, receiver.url))
    runs = [
        completed(desk, own["id"], "s-1", workspace_id=str(house.pool.id)),
        completed(desk, anywhere["id"], "s-2"),
    ]
    LogEntry.objects.filter(run_id__in=runs, type="task.run_completed").update(
        payload={"parent_task_id": hidden["id"], "result": {}}
    )
    drain()
    told = {one["task"]["id"]: one["event"]["payload"] for one in notified(receiver)}
    assert told == {
        own["id"]: {"result": {}},
        anywhere["id"]: {"parent_task_id": hidden["id"], "result": {}},
    }


def test_skipped_end__is_noted(house: House, desk: Desk, receiver: Receiver) -> None:
    """A task that failed once and was canceled then."""
    task = desk.task(max_attempts=2)
    own = subscribed(desk, task["id"], bridge(desk, receiver.url, muted=True))
    agent = desk.agent()
    run_id = desk.started(task["id"])["id"]
    agent.claimed()
    assert agent.on(run_id, "fail", error="No line").status_code == 200
    assert desk.post(f"/tasks/{task['id']}/cancel").status_code == 200
    LogEntry.objects.filter(type="task.canceled").delete()
    drain()
    shown = cursor(desk, task["id"], own["subscription_id"])
    number = sequence_of(desk, task["id"], "task.run_failed")
    assert shown["last_sequence"] == number
    assert shown["last_error"] == (
        f"Event {number} (task.run_failed) is passed over: the task is canceled."
    )
    assert receiver.received == []


def test_canceled_task__is_told_of_task_and_run(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    task = desk.task()
    subscribed(desk, task["id"], bridge(desk, receiver.url))
    desk.started(task["id"])
    assert desk.post(f"/tasks/{task['id']}/cancel", reason="Done by phone").status_code == 200
    drain()
    told = notified(receiver)
    assert [one["event"]["type"] for one in told] == ["task.canceled", "task.run_canceled"]
    assert told[0]["text"] == "The task “Draft the reply” was canceled: Done by phone"
    assert told[0]["run"] is None
    assert told[1]["run"]["status"] == "canceled"


def test_forced_failure__is_told(house: House, desk: Desk, receiver: Receiver) -> None:
    task = desk.task(max_attempts=1)
    subscribed(desk, task["id"], bridge(desk, receiver.url))
    run_id = desk.started(task["id"])["id"]
    assert desk.post(f"/runs/{run_id}/fail", reason="Stalled").status_code == 200
    drain()
    (told,) = notified(receiver)
    assert told["event"]["type"] == "task.run_operator_forced_fail"
    assert told["run"]["failure_kind"] == "operator_forced"


def test_task_of_v1__is_told(house: House, desk: Desk, receiver: Receiver) -> None:
    requirements = {"worker_pool_id": str(house.pool.id)}
    run = house.submitted(requirements=requirements)
    task_id = str(run.task_id)
    instance = bridge(desk, receiver.url, **of_workspace(house))
    own = subscribed(desk, task_id, instance, **of_workspace(house))
    drain()
    assert receiver.received == []
    assert reviews.verify_submitted() == 1
    drain()
    (told,) = notified(receiver)
    assert (told["event"]["type"], told["task"]["status"]) == ("task.run_completed", "completed")
    assert told["task"]["id"] == task_id
    shown = cursor(desk, task_id, own["subscription_id"])
    assert shown["last_sequence"] == told["event"]["sequence"]


def test_cancelled_task_of_v1__is_told(house: House, desk: Desk, receiver: Receiver) -> None:
    task = house.task()
    subscribed(desk, str(task.id), bridge(desk, receiver.url))
    tasks.cancel_task(actor=house.alice.principal, task_id=task.id, reason="", at=clock.now())
    drain()
    (told,) = notified(receiver)
    assert told["event"]["type"] == "task.canceled"


def test_secrets__are_redacted(house: House, desk: Desk, receiver: Receiver) -> None:
    task = desk.task(title="Rotate agh_claim_abc123")
    subscribed(desk, task["id"], bridge(desk, receiver.url))
    run_id = desk.started(task["id"])["id"]
    agent = desk.agent()
    agent.claimed()
    result = {"note": "agh_claim_abc123", "api_key": "k-1", "in": [{"password": "p"}], "tokens": 3}
    assert agent.on(run_id, "complete", result=result).status_code == 200
    drain()
    (request,) = receiver.received
    assert b"agh_claim_" not in request.body
    (told,) = notified(receiver)
    assert told["event"]["payload"]["result"] == {
        "note": "[redacted]",
        "api_key": "[redacted]",
        "in": [{"password": "[redacted]"}],
        "tokens": 3,
    }


def test_result_that_is_very_deep__is_told(house: House, desk: Desk, receiver: Receiver) -> None:
    deep: Any = {"password": "p"}
    for _ in range(60):
        deep = [deep]
    task = desk.task()
    subscribed(desk, task["id"], bridge(desk, receiver.url))
    run_id = desk.started(task["id"])["id"]
    agent = desk.agent()
    agent.claimed()
    done = agent.on(run_id, "complete", result=deep)
    assert done.status_code == 200, done.content
    drain()
    assert len(receiver.received) == 1
    assert b'{"password":"[redacted]"}' in receiver.received[0].body


# --- failure --------------------------------------------------------------------------------------


def test_failing_bridge__is_tried_every_minute_and_says_why(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    receiver.reply = lambda number: Reply(500 if number < 3 else 204)
    task = desk.task()
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    completed(desk, task["id"])
    at = clock.now() + SECOND
    drain(at)
    for attempt in range(1, 4):
        assert len(receiver.received) == attempt
        shown = cursor(desk, task["id"], own["subscription_id"])
        assert (shown["last_sequence"], shown["last_error"]) == (0, "The bridge answered HTTP 500.")
        at += timedelta(seconds=55)
        drain(at)
        assert len(receiver.received) == attempt
        at += timedelta(seconds=10)
        drain(at)
        # One more look, as long as it is under way.
        assert BridgeDue.objects.count() == (attempt < 3)
    assert len(receiver.received) == 4
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert "last_error" not in shown
    assert shown["last_sequence"] == sequence_of(desk, task["id"], "task.run_completed")
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 1


def test_notification_that_was_given_up__is_made_again(
    house: House, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.webhooks.retry_schedule.NOTIFICATION_RETRIES", 1)
    receiver.reply = lambda number: Reply(500 if number < 2 else 204)
    task = desk.task()
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    completed(desk, task["id"])
    at = clock.now() + SECOND
    drain(at)
    drain(at + MINUTE + SECOND)
    assert Delivery.objects.get().status == "exhausted"
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_error"] == "The bridge answered HTTP 500."
    drain(at + 3 * MINUTE)
    first, _, third = notified(receiver)
    assert first["delivery_id"] == third["delivery_id"]
    assert len({request.headers["webhook-id"] for request in receiver.received}) == 2
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_delivery_id"] == third["delivery_id"]
    assert not Message.objects.filter(event_type__startswith="delivery.").exists()


def test_bridge_that_is_gone__is_disabled_and_goes_on_when_it_is_enabled(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    receiver.reply = lambda number: Reply(410 if number == 0 else 204)
    task = desk.task()
    instance = bridge(desk, receiver.url)
    own = subscribed(desk, task["id"], instance)
    completed(desk, task["id"])
    at = clock.now() + SECOND
    drain(at)
    drain(at + 2 * MINUTE)
    assert len(receiver.received) == 1
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_error"] == "The bridge is disabled."
    found = desk.caller.get(f"/v1/bridge-instances/{instance['bridge_instance_id']}").json()
    assert (found["status"], found["disabled_reason"]) == ("disabled", "gone")
    change(desk, instance, enabled=True)
    drain(at + 4 * MINUTE)
    assert len(receiver.received) == 2
    assert cursor(desk, task["id"], own["subscription_id"])["last_sequence"] > 0


def test_disabled_bridge__is_an_error_and_the_cursor_stays(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    instance = bridge(desk, receiver.url, enabled=False)
    task = desk.task()
    own = subscribed(desk, task["id"], instance)
    drain()
    assert "last_error" not in cursor(desk, task["id"], own["subscription_id"])
    completed(desk, task["id"])
    at = clock.now() + SECOND
    drain(at)
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert (shown["last_sequence"], shown["last_error"]) == (0, "The bridge is disabled.")
    assert Delivery.objects.filter(event_type="task.notification").count() == 0
    drain(at + 2 * MINUTE)
    change(desk, instance, enabled=True)
    drain(at + 4 * MINUTE)
    assert len(receiver.received) == 1
    assert "last_error" not in cursor(desk, task["id"], own["subscription_id"])


def test_bridge_disabled_while_a_notification_waits__sends_it_when_it_is_enabled(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    instance = bridge(desk, receiver.url)
    task = desk.task()
    own = subscribed(desk, task["id"], instance)
    completed(desk, task["id"])
    assert operations.notify_due() == 1
    change(desk, instance, enabled=False)
    at = clock.now() + SECOND
    drain(at)
    drain(at + 11 * MINUTE)
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_error"] == "The bridge is disabled."
    assert receiver.received == []
    change(desk, instance, enabled=True)
    webhooks.release_recoveries(at=at + 12 * MINUTE)
    drain(at + 13 * MINUTE)
    assert len(receiver.received) == 1
    assert "last_error" not in cursor(desk, task["id"], own["subscription_id"])


def test_notification_under_way__is_looked_at_after_ten_minutes(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    task = desk.task()
    subscribed(desk, task["id"], bridge(desk, receiver.url))
    completed(desk, task["id"])
    at = clock.now()
    for look in range(2):
        assert operations.notify_due(at=at) == 1
        due = BridgeDue.objects.get()
        assert (due.due_at, due.is_retry) == (at + 10 * MINUTE, True), look
        at = due.due_at


def test_disabled_bridge__is_put_off_by_one_row_and_delays_no_other(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    still = bridge(desk, receiver.url, enabled=False)
    waiting, other = desk.task(), desk.task()
    names = [subscribed(desk, waiting["id"], still)["subscription_id"] for _ in range(2)]
    own = subscribed(desk, other["id"], bridge(desk, receiver.url))
    completed(desk, waiting["id"])
    at = clock.now() + SECOND
    assert operations.notify_due(at=at) == 3
    completed(desk, other["id"], session_id="s-2")
    rows = list(BridgeSubscription.objects.filter(wire_id__in=names))
    later = at + MINUTE
    for row in rows:
        for _ in range(3):
            notifying.mark_due(row, at)
    assert operations.notify_due(at=later) == 3
    for row in rows:
        (due,) = BridgeDue.objects.filter(subscription_id=row.id)
        assert (due.due_at, due.is_retry) == (later + MINUTE, True)
    told = BridgeSubscription.objects.get(wire_id=own["subscription_id"])
    assert told.delivery_id is not None
    # Rows that come later are put off with the one that waits.
    notifying.mark_due(rows[0], later + SECOND)
    assert operations.notify_due(at=later + SECOND) == 1
    (due,) = BridgeDue.objects.filter(subscription_id=rows[0].id)
    assert due.due_at == later + SECOND + MINUTE


def test_muted_bridge__passes_silently(house: House, desk: Desk, receiver: Receiver) -> None:
    instance = bridge(desk, receiver.url, muted=True)
    task = desk.task()
    own = subscribed(desk, task["id"], instance)
    completed(desk, task["id"])
    drain()
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_sequence"] == sequence_of(desk, task["id"], "task.run_completed")
    assert {"last_error", "last_delivery_id", "last_delivered_at"}.isdisjoint(shown)
    change(desk, instance, muted=False)
    drain(clock.now() + 2 * MINUTE)
    assert receiver.received == []


def test_bridge_muted_while_a_notification_waits__takes_it_back(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    instance = bridge(desk, receiver.url)
    task = desk.task()
    own = subscribed(desk, task["id"], instance)
    completed(desk, task["id"])
    at = clock.now() + SECOND
    drain(at)
    change(desk, instance, muted=True)
    drain(at + 2 * MINUTE)
    attempts = len(receiver.received)
    drain(at + 9 * MINUTE)
    assert len(receiver.received) == attempts
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_sequence"] == sequence_of(desk, task["id"], "task.run_completed")
    assert "last_error" not in shown
    assert Delivery.objects.filter(event_type="task.notification").count() == 0
    assert Message.objects.filter(event_type="task.notification").count() == 0
    assert Attempt.objects.filter(delivery__event_type="task.notification").count() == 0


# --- crashes and races ----------------------------------------------------------------------------


def test_crash_between_delivery_and_cursor__loses_and_repeats_nothing(
    house: House, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = desk.task()
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    completed(desk, task["id"])
    assert operations.notify_due() == 1
    assert webhooks.deliver_due() > 0

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(notifying, "advance_delivered", die)
        assert operations.notify_due() == 0
    assert cursor(desk, task["id"], own["subscription_id"])["last_sequence"] == 0
    drain()
    assert len(receiver.received) == 1
    assert cursor(desk, task["id"], own["subscription_id"])["last_sequence"] > 0


def test_crash_after_the_receiver_answered__sends_it_again_with_the_same_ids(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    task = desk.task()
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    completed(desk, task["id"])
    operations.notify_due()
    # A process that has claimed the delivery, and dies before it records what came of it.
    at = clock.now()
    claimed = claim(limit=100, at=at).deliveries
    assert [one.event_type for one in claimed].count("task.notification") == 1
    drain(at + SECOND)
    assert receiver.received == []
    drain(at + 2 * MINUTE)
    (told,) = notified(receiver)
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_delivery_id"] == told["delivery_id"]


def test_result_recorded_by_the_previous_version__is_found_after_ten_minutes(
    house: House, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It records attempts, and has no one look at the subscription."""
    task = desk.task()
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    completed(desk, task["id"])
    at = clock.now() + SECOND
    operations.notify_due(at=at)
    with monkeypatch.context() as patch:
        patch.setattr("apps.webhooks.services.pipeline.recording._listeners", [])
        webhooks.deliver_due(at=at)
    assert operations.notify_due(at=at + 9 * MINUTE) == 0
    drain(at + 10 * MINUTE)
    assert BridgeDue.objects.count() == 0
    assert cursor(desk, task["id"], own["subscription_id"])["last_sequence"] > 0


def test_two_drains_at_once__send_each_notification_once(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    instance = bridge(desk, receiver.url)
    names = []
    for number in range(20):
        task = desk.task()
        names.append(subscribed(desk, task["id"], instance)["subscription_id"])
        completed(desk, task["id"], session_id=f"s-{number}")
    start = threading.Barrier(3)

    def run() -> None:
        start.wait()
        try:
            drain()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    drain()
    told = [one["subscription_id"] for one in notified(receiver)]
    assert sorted(told) == sorted(names)
    assert BridgeSubscription.objects.filter(delivery_id__isnull=False).count() == 0
    assert BridgeCursor.objects.filter(last_sequence=0).count() == 0


def test_number_that_commits_after_a_greater_one__is_not_passed(
    house: House, desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "PATIENCE_SECONDS", 0.1)
    task = desk.task()
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    row = Task.objects.get()
    run_id = UUID(completed(desk, task["id"]))
    drain()
    first = len(receiver.received)
    taken, may_commit = threading.Event(), threading.Event()

    def write_late() -> None:
        try:
            with transaction.atomic():
                entry(row, run_id)
                taken.set()
                assert may_commit.wait(30)
        finally:
            connection.close()

    late = threading.Thread(target=write_late)
    late.start()
    assert taken.wait(30)
    entry(row, run_id)
    drain()
    assert len(receiver.received) == first
    may_commit.set()
    late.join(30)
    drain()
    sequences = [told["event"]["sequence"] for told in notified(receiver)]
    assert len(sequences) == first + 2
    assert sequences == sorted(sequences)
    assert cursor(desk, task["id"], own["subscription_id"])["last_sequence"] == sequences[-1]


def entry(task: Task, run_id: UUID) -> None:
    LogEntry.objects.create(
        organisation_id=task.organisation_id,
        task=task,
        run_id=run_id,
        type="task.run_review_approved",
        actor_kind="human",
        actor_ref="mara",
        origin_kind="http",
        origin_ref="tasks.review",
        payload={},
        occurred_at=clock.now(),
    )


def test_transaction_that_stands_still__delays_its_own_subscription_only(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    instance = bridge(desk, receiver.url)
    one, other = desk.task(), desk.task()
    held = subscribed(desk, one["id"], instance)
    free = subscribed(desk, other["id"], instance)
    drain()
    completed(desk, one["id"])
    completed(desk, other["id"], session_id="s-2")
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                rows = BridgeSubscription.objects.select_for_update()
                assert rows.get(wire_id=held["subscription_id"])
                locked.set()
                assert done.wait(60)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(30)
    drain()
    assert [told["subscription_id"] for told in notified(receiver)] == [free["subscription_id"]]
    # Events of its task wait for no one either.
    assert desk.patch(f"/tasks/{one['id']}", title="Drafted").status_code == 200
    done.set()
    holder.join(30)
    drain()
    assert len(receiver.received) == 2


def test_more_events_than_a_page__are_read_in_several_passes(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    task = desk.task()
    for number in range(250):
        desk_entry(Task.objects.get(), number)
    completed(desk, task["id"])
    own = subscribed(desk, task["id"], bridge(desk, receiver.url))
    assert [operations.notify_due() for _ in range(3)] == [1, 1, 1]
    assert BridgeSubscription.objects.get().delivery_id is not None
    drain()
    (told,) = notified(receiver)
    shown = cursor(desk, task["id"], own["subscription_id"])
    assert shown["last_sequence"] == told["event"]["sequence"]


def desk_entry(task: Task, number: int) -> None:
    LogEntry.objects.create(
        organisation_id=task.organisation_id,
        task=task,
        type="task.updated",
        actor_kind="human",
        actor_ref="mara",
        origin_kind="http",
        origin_ref="tasks.update",
        payload={"number": number},
        occurred_at=clock.now(),
    )


# --- ends -----------------------------------------------------------------------------------------


def test_deleted_subscription__leaves_its_cursor_to_the_same_id(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    instance = bridge(desk, receiver.url)
    task = desk.task()
    subscribed(desk, task["id"], instance, subscription_id="mine")
    completed(desk, task["id"])
    drain()
    before = cursor(desk, task["id"], "mine")
    assert desk.delete(path(task["id"], "mine")).status_code == 204
    again = subscribed(desk, task["id"], instance, subscription_id="mine")
    assert again["cursor"] == before
    drain()
    assert len(receiver.received) == 1
    subscribed(desk, task["id"], instance, subscription_id="other")
    drain()
    assert len(receiver.received) == 2


def test_subscription_deleted_while_it_fails__sends_nothing_more_until_it_is_there_again(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    receiver.reply = lambda number: Reply(500 if number == 0 else 204)
    instance = bridge(desk, receiver.url)
    task = desk.task()
    subscribed(desk, task["id"], instance, subscription_id="mine")
    completed(desk, task["id"])
    at = clock.now() + SECOND
    drain(at)
    assert desk.delete(path(task["id"], "mine")).status_code == 204
    drain(at + 5 * MINUTE)
    assert len(receiver.received) == 1
    assert BridgeDue.objects.count() == 0
    subscribed(desk, task["id"], instance, subscription_id="mine", group_id="room", peer_id="")
    drain(at + 5 * MINUTE)
    first, second = notified(receiver)
    assert first["delivery_id"] == second["delivery_id"]
    assert second["target"] == {"group_id": "room"}


def test_subscription_deleted_after_the_delivery__has_it_counted(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    instance = bridge(desk, receiver.url)
    task = desk.task()
    subscribed(desk, task["id"], instance, subscription_id="mine")
    completed(desk, task["id"])
    operations.notify_due()
    webhooks.deliver_due()
    assert desk.delete(path(task["id"], "mine")).status_code == 204
    subscribed(desk, task["id"], instance, subscription_id="mine")
    drain()
    assert len(receiver.received) == 1


def test_changed_subscription__is_sent_as_it_is_now(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    receiver.reply = lambda number: Reply(500 if number == 0 else 204)
    task = desk.task()
    one, other = bridge(desk, f"{receiver.url}/one"), bridge(desk, f"{receiver.url}/other")
    subscribed(desk, task["id"], one, subscription_id="mine")
    completed(desk, task["id"])
    drain()
    subscribed(desk, task["id"], other, subscription_id="mine")
    drain(clock.now() + SECOND)
    assert [request.path for request in receiver.received] == ["/one", "/other"]
    assert BridgeSubscription.objects.count() == 1


def test_deleted_task__takes_its_subscriptions_along(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(500)
    task = desk.task()
    subscribed(desk, task["id"], bridge(desk, receiver.url))
    completed(desk, task["id"])
    at = clock.now() + SECOND
    drain(at)
    assert desk.delete(f"/tasks/{task['id']}").status_code == 204
    drain(at + 5 * MINUTE)
    assert len(receiver.received) == 1
    assert BridgeSubscription.objects.count() == BridgeDue.objects.count() == 0
    assert Delivery.objects.filter(event_type="task.notification").count() == 0


def test_purged_task__takes_what_bridges_were_told_along(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    task = desk.task()
    instance = bridge(desk, receiver.url)
    subscribed(desk, task["id"], instance)
    subscribed(desk, task["id"], instance, subscription_id="mine")
    completed(desk, task["id"])
    drain()
    assert desk.delete(path(task["id"], "mine")).status_code == 204
    assert Message.objects.filter(event_type="task.notification").count() == 2
    row = Task.objects.get()
    with transaction.atomic():
        assert list(operations.purge_details([row.id])) == []
    assert Message.objects.filter(event_type="task.notification").count() == 0
    assert BridgeSubscription.objects.count() == BridgeCursor.objects.count() == 0


def test_deleted_bridge__takes_its_subscriptions_along_but_not_their_cursors(
    house: House, desk: Desk, receiver: Receiver
) -> None:
    instance = bridge(desk, receiver.url)
    task = desk.task()
    subscribed(desk, task["id"], instance, subscription_id="mine")
    completed(desk, task["id"])
    operations.notify_due()
    webhooks.deliver_due()
    gone = desk.caller.delete(f"/v1/bridge-instances/{instance['bridge_instance_id']}")
    assert gone.status_code == 204, gone.content
    assert desk.get(path(task["id"], "mine")).status_code == 404
    assert Destination.objects.filter(kind="bridge").count() == 0
    drain()
    assert BridgeDue.objects.count() == 0
    subscribed(desk, task["id"], bridge(desk, receiver.url), subscription_id="mine")
    drain()
    assert len(receiver.received) == 1


def test_cursor__moves_only_forward(house: House, desk: Desk) -> None:
    task = desk.task()
    subscribed(desk, task["id"], bridge(desk))
    row = BridgeSubscription.objects.get()
    at = clock.now()
    notifying.advance_delivered(row, sequence=9, delivered_at=at, at=at)
    notifying.advance_passed(row, sequence=5, error="late", at=at)
    found = BridgeCursor.objects.get()
    assert (found.last_sequence, found.last_error) == (9, "")


def test_task_without_subscriptions__costs_no_row(house: House, desk: Desk) -> None:
    completed(desk, desk.task()["id"])
    assert BridgeDue.objects.count() == 0
