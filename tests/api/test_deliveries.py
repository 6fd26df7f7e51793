"""Test deliveries by HTTP: listed, read with every attempt, what each waits for, and resent."""

import json
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from apps.base import clock
from apps.webhooks import services
from apps.webhooks.models import Attempt, Delivery, Destination, Origin
from biolayer.responses.webhooks import AttemptPage, DeliveryInFull, DeliveryPage
from biolayer.responses.webhooks import Delivery as DeliveryAnswer
from biolayer.times import format_time
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.webhook_steps import manager, restricted
from tests.factories import Caller, House
from tests.integration.test_budgets import statements
from tests.receiver import Receiver, Reply

PATH = "/v1/deliveries"
NOWHERE = "http://127.0.0.1:9/hook"


def callback(url: str, **handoff: Any) -> dict[str, Any]:
    return {"handoff": {"callback_url": url, **handoff}}


def endpoint(house: House, url: str = NOWHERE, **changes: Any) -> UUID:
    made = services.create_endpoint(
        actor=house.alice.principal, document={"url": url, **changes}, at=clock.now()
    )
    return made.id


def listed(caller: Caller, **filters: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={quote(str(value))}" for name, value in filters.items())
    answer = caller.get(f"{PATH}?{query}")
    assert answer.status_code == 200, answer.content
    DeliveryPage.model_validate_json(answer.content, extra="forbid")
    documents: list[dict[str, Any]] = answer.json()["data"]
    return documents


def read(caller: Caller, delivery_id: Any) -> dict[str, Any]:
    answer = caller.get(f"{PATH}/{delivery_id}")
    assert answer.status_code == 200, answer.content
    DeliveryInFull.model_validate_json(answer.content, extra="forbid")
    documents: dict[str, Any] = answer.json()
    return documents


# --- one ------------------------------------------------------------------------------------------


def test_get__shows_every_attempt_of_a_callbacks_delivery(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda number: Reply(503 if number == 0 else 200, {"X-Node": "a"}, b"hello")
    now = clock.now()
    policy = {"max_retries": 2, "backoff_seconds": 100}
    task = house.task(at=now, **callback(receiver.url, retry_policy=policy))
    services.deliver_due(at=now)
    services.deliver_due(at=now + timedelta(minutes=5))
    row = Delivery.objects.get()
    document = read(house.alice, row.id)
    attempts = document.pop("attempts")
    body = document.pop("body")
    assert body == json.loads(receiver.received[0].body)
    assert document == {
        "delivery_id": str(row.id),
        "message_id": receiver.received[0].headers["webhook-id"],
        "endpoint_id": None,
        "task_id": str(task.id),
        "type": "task.created",
        "sequence": 1,
        "is_test": False,
        "url": receiver.url,
        "status": "succeeded",
        "attempt_count": 2,
        "attempts_left": 0,
        "next_attempt_at": None,
        "waiting_for": None,
        "last_outcome": "ok",
        "last_status_code": 200,
        "recovery_id": None,
        "created_at": format_time(now),
        "finished_at": document["finished_at"],
    }
    assert document["finished_at"] is not None
    first, second = attempts
    assert (first["number"], first["outcome"], first["status_code"]) == (1, "status", 503)
    assert (second["number"], second["outcome"], second["status_code"]) == (2, "ok", 200)
    assert first["started_at"] == format_time(now)
    assert first["peer"] == receiver.url.removeprefix("http://")
    assert (first["response_excerpt"], first["response_headers"]["x-node"]) == ("hello", "a")
    assert 0 <= first["first_byte_ms"] <= first["total_ms"]
    stored = {field.name for field in Attempt._meta.get_fields()} - {"id", "delivery"}
    assert set(first) == stored


def test_get__shows_the_thin_body_where_that_is_sent(house: House) -> None:
    endpoint(house, payload="thin")
    task = house.task()
    document = read(house.alice, Delivery.objects.get().id)
    assert document["body"]["data"] == {"task_id": str(task.id), "sequence": 1}
    assert document["endpoint_id"] == str(Destination.objects.get().id)


def test_get__shows_the_last_25_attempts_and_a_list_shows_all(house: House) -> None:
    house.task(**callback(NOWHERE))
    row = Delivery.objects.get()
    Attempt.objects.bulk_create(
        Attempt(
            delivery=row, number=number, started_at=clock.now(), outcome="timeout", total_ms=number
        )
        for number in range(1, 31)
    )
    last = read(house.alice, row.id)["attempts"]
    assert [attempt["number"] for attempt in last] == list(range(6, 31))
    path = f"{PATH}/{row.id}/attempts"
    answer = house.alice.get(f"{path}?limit=20")
    AttemptPage.model_validate_json(answer.content, extra="forbid")
    first = answer.json()
    second = house.alice.get(f"{path}?limit=20&cursor={first['next_cursor']}").json()
    numbers = [attempt["number"] for page in (first, second) for attempt in page["data"]]
    assert (numbers, second["next_cursor"]) == (list(range(1, 31)), None)
    assert faults(house.alice.get(f"{path}?outcome=ok")) == {"/outcome": "unknown_parameter"}


def test_reading__needs_at_most_3_statements(house: House) -> None:
    house.task(**callback(NOWHERE))
    house.task(**callback(NOWHERE))
    row = Delivery.objects.first()
    assert row is not None
    calls = {PATH: 2, f"{PATH}?endpoint_id={row.id}&task_id={row.subject_id}": 2}
    calls |= {f"{PATH}/{row.id}": 3, f"{PATH}/{row.id}/attempts": 3}
    for path, most in calls.items():
        sent = statements(partial(house.alice.get, path), answered=200)
        assert len(sent) == most, sent


# --- lists ----------------------------------------------------------------------------------------


def test_list__is_paged_newest_first(house: House) -> None:
    tasks = [house.task(**callback(NOWHERE)) for _ in range(3)]
    first = house.alice.get(f"{PATH}?limit=2").json()
    second = house.alice.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json()
    documents = [row["task_id"] for page in (first, second) for row in page["data"]]
    assert (documents, second["next_cursor"]) == ([str(task.id) for task in tasks[::-1]], None)
    assert house.charlie.get(PATH).json() == {"data": [], "next_cursor": None}


def test_list__is_filtered(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda number: Reply(500 if number == 0 else 204)
    now = clock.now()
    failing = house.task(at=now, **callback(receiver.url, retry_policy={"max_retries": 0}))
    services.deliver_due()
    later = now + timedelta(seconds=10)
    mine = endpoint(house, receiver.url)
    good = house.task(at=later, **callback(receiver.url))
    services.deliver_due(at=later)
    house.task(at=later + timedelta(seconds=10), **callback(NOWHERE))

    def sequences(**filters: Any) -> list[tuple[str | None, str | None, str]]:
        documents = [
            (d["task_id"], d["endpoint_id"], d["status"]) for d in listed(house.alice, **filters)
        ]
        return sorted(documents, key=str)

    of_failing = (str(failing.id), None, "exhausted")
    to_callback = (str(good.id), None, "succeeded")
    to_endpoint = (str(good.id), str(mine), "succeeded")
    assert sequences(status="exhausted") == [of_failing]
    assert sequences(outcome="status") == [of_failing]
    assert sequences(status="succeeded", endpoint_id=mine) == [to_endpoint]
    assert sequences(task_id=good.id) == sorted([to_callback, to_endpoint], key=str)
    assert sequences(task_id=failing.id) == [of_failing]
    assert sequences(task_id=good.id, endpoint_id=mine, type="task.created") == [to_endpoint]
    assert sequences(type="task.queued") == sequences(task_id=uuid4()) == []
    assert sequences(endpoint_id=good.id) == []  # A callback is not an endpoint.
    assert sequences(until=format_time(later)) == [of_failing]
    since = sequences(since=format_time(later), until=format_time(later + timedelta(seconds=1)))
    assert since == sorted([to_callback, to_endpoint], key=str)
    assert sequences(since="2026-01-01T00:00:00+01:00", status="exhausted") == [of_failing]


def test_list__of_a_task_has_no_tests_and_no_operational_events(house: House) -> None:
    mine = endpoint(house)
    document = services.send_test_event(
        actor=house.alice.principal, endpoint_id=mine, event_type="task.failed", at=clock.now()
    )
    assert listed(house.alice, task_id=document.subject_id) == []
    (document,) = listed(house.alice, type="task.failed")
    assert (document["task_id"], document["is_test"]) == (None, True)


@pytest.mark.parametrize(
    ("query", "codes"),
    [
        ("status=lost", {"/status": "not_one_of"}),
        ("type=task.*", {"/type": "not_one_of"}),
        ("outcome=bad", {"/outcome": "not_one_of"}),
        ("endpoint_id=1", {"/endpoint_id": "wrong_type"}),
        ("task_id=T-1", {"/task_id": "wrong_type"}),
        ("since=yesterday&until=2026-01-01", {"/since": "wrong_type", "/until": "wrong_type"}),
        ("since=2026-01-01T00:00:00", {"/since": "wrong_type"}),
        ("state=held&limit=0", {"/state": "unknown_parameter"}),
        ("limit=101", {"/limit": "out_of_range"}),
        ("cursor=abc", {"/cursor": "invalid_cursor"}),
        (
            "status=&type=&outcome=&endpoint_id=&task_id=&since=&until=",
            {
                "/status": "not_one_of",
                "/type": "not_one_of",
                "/outcome": "not_one_of",
                "/endpoint_id": "wrong_type",
                "/task_id": "wrong_type",
                "/since": "wrong_type",
                "/until": "wrong_type",
            },
        ),
    ],
)
def test_list__names_every_bad_parameter(house: House, query: str, codes: dict[str, str]) -> None:
    assert faults(house.alice.get(f"{PATH}?{query}")) == codes


def test_credential_for_some_pools__sees_deliveries_of_these_only(house: House) -> None:
    front = restricted(house, house.pool.id)
    mine = house.task(requirements={"worker_pool_id": str(house.pool.id)}, **callback(NOWHERE))
    house.task(**callback(NOWHERE))
    (document,) = listed(front)
    assert document["task_id"] == str(mine.id)
    hidden = Delivery.objects.exclude(subject_id=mine.id).get()
    with expect_unchanged():
        expect_problem(front.get(f"{PATH}/{hidden.id}"), 404, "not_found")
        expect_problem(front.post(f"{PATH}/{hidden.id}/resend"), 404, "not_found")
    # It also sees tests of its own endpoint.
    ours = endpoint(house, pool_ids=[str(house.pool.id)])
    tested = front.post(f"/v1/webhook-endpoints/{ours}/test", {"type": "task.failed"}).json()
    assert read(front, tested["delivery_id"])["is_test"] is True


# --- why it waits ---------------------------------------------------------------------------------


def waits(house: House) -> tuple[str | None, str | None]:
    """Return why the only delivery waits, and until when."""
    (document,) = listed(house.alice)
    return document["waiting_for"], document["next_attempt_at"]


def test_waiting_for__is_the_reason_that_ends_last(house: House) -> None:
    now = clock.now()
    house.task(at=now, **callback(NOWHERE))
    assert waits(house) == ("new", format_time(now))
    due, slot, asked, probe = (now + timedelta(minutes=n) for n in range(1, 5))
    Delivery.objects.update(due_at=due, wait="retry")
    assert waits(house) == ("retry", format_time(due))
    Origin.objects.update(rate_per_minute=1, next_slot_at=slot)
    assert waits(house) == ("rate_limit", format_time(slot))
    Origin.objects.update(held_until=asked)
    assert waits(house) == ("receiver_asked", format_time(asked))
    Origin.objects.update(open_until=probe, probe_seconds=30)
    assert waits(house) == ("breaker", format_time(probe))
    Destination.objects.update(status="paused")
    assert waits(house) == ("endpoint_paused", None)
    Destination.objects.update(status="disabled", disabled_reason="gone")
    assert waits(house) == ("endpoint_disabled", None)


def test_waiting_for__ignores_past_times(house: House) -> None:
    now = clock.now()
    long_ago, past = now - timedelta(hours=1), now - timedelta(minutes=1)
    house.task(at=now, **callback(NOWHERE))
    Delivery.objects.update(due_at=long_ago, wait="order")
    Origin.objects.update(rate_per_minute=1, next_slot_at=past, held_until=past)
    assert waits(house) == ("order", format_time(long_ago))
    # A breaker that may be probed still counts: one delivery at a time is sent.
    Origin.objects.update(open_until=past, probe_seconds=30)
    assert waits(house) == ("breaker", format_time(past))


def test_waiting_for__of_an_attempt_under_way(house: House) -> None:
    now = clock.now()
    house.task(at=now, **callback(NOWHERE))
    Delivery.objects.update(claim_token=uuid4(), due_at=now + timedelta(seconds=25))
    assert waits(house) == ("under_way", None)
    # The claim expired: its sender has died.
    lost = now - timedelta(seconds=1)
    Delivery.objects.update(due_at=lost)
    assert waits(house) == ("new", format_time(lost))


def test_waiting_for__of_a_held_delivery_before_its_release(house: House) -> None:
    house.task(**callback(NOWHERE))
    Delivery.objects.update(status="held")
    assert waits(house) == ("resent", None)
    Delivery.objects.update(status="expired", finished_at=clock.now())
    assert waits(house) == (None, None)


@pytest.mark.parametrize(
    ("policy", "made", "forgiven", "left"),
    [
        (None, 0, 0, 12),
        (None, 5, 2, 9),
        ({"max_retries": 2}, 1, 0, 2),
        ({"max_retries": 0}, 3, 0, 0),
    ],
)
def test_attempts_left__are_those_of_the_budget(
    house: House, policy: Any, made: int, forgiven: int, left: int
) -> None:
    house.task(**callback(NOWHERE, **({"retry_policy": policy} if policy else {})))
    Delivery.objects.update(attempt_count=made, forgiven_count=forgiven)
    (document,) = listed(house.alice)
    assert (document["attempt_count"], document["attempts_left"]) == (made, left)


# --- sending again --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [204, 500])
def test_resend__repeats_the_delivery_with_its_whole_budget(
    house: House, receiver: Receiver, status: int
) -> None:
    receiver.reply = lambda _: Reply(status)
    house.task(**callback(receiver.url, retry_policy={"max_retries": 0}))
    services.deliver_due()
    row = Delivery.objects.get()
    assert row.status == ("succeeded" if status == 204 else "exhausted")
    answer = house.alice.post(f"{PATH}/{row.id}/resend")
    assert answer.status_code == 202, answer.content
    DeliveryAnswer.model_validate_json(answer.content, extra="forbid")
    document = answer.json()
    named = ("status", "waiting_for", "attempt_count", "attempts_left", "finished_at")
    assert [document[name] for name in named] == ["pending", "resent", 1, 1, None]
    services.deliver_due()
    ids = [request.headers["webhook-id"] for request in receiver.received]
    assert ids == [document["message_id"]] * 2
    assert receiver.received[0].body == receiver.received[1].body


def test_resend__twice_with_one_key_sends_once(house: House, receiver: Receiver) -> None:
    house.task(**callback(receiver.url))
    services.deliver_due()
    path = f"{PATH}/{Delivery.objects.get().id}/resend"
    first = house.alice.post(path, {}, **{"Idempotency-Key": "k"})
    services.deliver_due()
    again = house.alice.post(path, {}, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert services.deliver_due() == 0
    assert len(receiver.received) == 2


def test_resend__of_an_unknown_delivery(house: House) -> None:
    with expect_unchanged():
        expect_problem(house.alice.post(f"{PATH}/{uuid4()}/resend"), 404, "not_found")
        expect_problem(house.alice.post(f"{PATH}/latest/resend"), 404, "not_found")


def test_resend__by_a_credential_that_may_only_manage(house: House) -> None:
    house.task(**callback(NOWHERE))
    answer = manager(house).post(f"{PATH}/{Delivery.objects.get().id}/resend")
    assert answer.status_code == 202, answer.content


def test_resend__of_a_delivered_one_goes_to_the_present_url(
    house: House, receiver: Receiver
) -> None:
    mine = endpoint(house, receiver.url)
    house.task()
    services.deliver_due()
    # The same receiver with another host name, so another origin.
    url = receiver.url.replace("127.0.0.1", "localhost")
    house.alice.patch(f"/v1/webhook-endpoints/{mine}", {"url": f"{url}/new"})
    row = Delivery.objects.get()
    assert house.alice.post(f"{PATH}/{row.id}/resend").status_code == 202
    row.refresh_from_db()
    assert row.origin.text == url
    services.deliver_due()
    assert [request.path for request in receiver.received] == ["/", "/new"]
