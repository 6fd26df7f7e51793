"""Test changes of endpoints: single fields, another URL, paused, enabled, deleted."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from apps.base import clock
from apps.webhooks import services
from apps.webhooks.models import Attempt, Delivery, Destination, Origin
from apps.webhooks.services.endpoints import management
from tests.api.expect import count, expect_problem, expect_unchanged, faults
from tests.api.webhook_steps import URL, changed, made, path_of
from tests.factories import House
from tests.receiver import Receiver

OTHER_URL = "http://127.0.0.1:8/events"


def test_patch__changes_only_the_fields_of_the_body(house: House) -> None:
    before = made(
        house.alice,
        headers={"X-A": "1"},
        auth={"type": "bearer", "token": "t"},
        retry_policy={"max_retries": 1},
        domains=["security"],
    )
    after = changed(house.alice, before, description="New", domains=None)
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == {**before, "description": "New", "domains": None}
    nothing = changed(house.alice, before)
    assert {**nothing, "updated_at": ""} == {**after, "updated_at": ""}


def test_patch__replaces_credentials_and_headers_as_a_whole_each(
    house: House, receiver: Receiver
) -> None:
    endpoint = made(
        house.alice,
        url=receiver.url,
        headers={"X-A": "1", "X-B": "2"},
        auth={"type": "bearer", "token": "old"},
    )
    changed(house.alice, endpoint, auth={"type": "header", "name": "X-Key", "value": "new"})
    changed(house.alice, endpoint, headers={"X-C": "3"})
    house.task()
    assert services.deliver_due() == 1
    (request,) = receiver.received
    assert (request.headers["x-c"], request.headers["x-key"]) == ("3", "new")
    assert not {"x-a", "x-b", "authorization"} & set(request.headers)


def test_patch__refused_when_a_stored_header_and_new_credentials_clash(house: House) -> None:
    endpoint = made(house.alice, headers={"X-Key": "1"})
    path = path_of(endpoint)
    auth = {"type": "header", "name": "x-key", "value": "v"}
    with expect_unchanged():
        assert faults(house.alice.patch(path, {"auth": auth})) == {"/auth/name": "duplicate"}
    document = changed(house.alice, endpoint, auth=auth, headers={})
    assert (document["auth"]["type"], document["headers"]) == ("header", {})


def test_patch__with_another_url_sends_undelivered_events_there(
    house: House, receiver: Receiver
) -> None:
    endpoint = made(house.alice, url=OTHER_URL, rate_limit_per_minute=60)
    house.task()
    old = Origin.objects.get()
    assert (Delivery.objects.get().origin_id, old.rate_per_minute) == (old.id, 60)
    document = changed(house.alice, endpoint, url=f"{receiver.url}/new")
    new = Origin.objects.get(text=document["origin"])
    old.refresh_from_db()
    assert (Delivery.objects.get().origin_id, document["origin"]) == (new.id, receiver.url)
    assert (old.rate_per_minute, new.rate_per_minute) == (None, 60)
    assert services.deliver_due() == 1
    assert [request.path for request in receiver.received] == ["/new"]


def test_origin__has_the_least_limit_of_its_endpoints(house: House) -> None:
    fast = made(house.alice, url=f"{URL}/fast", rate_limit_per_minute=600)
    assert Origin.objects.get().rate_per_minute == 600
    made(house.alice, url=f"{URL}/free")
    slow = made(house.alice, url=f"{URL}/slow", rate_limit_per_minute=30)
    made(house.charlie, rate_limit_per_minute=1)

    def rate() -> int | None:
        mine = Origin.objects.get(organisation_id=house.organisation.id)
        return mine.rate_per_minute

    assert rate() == 30
    Origin.objects.update(next_slot_at=clock.now() + timedelta(seconds=50))
    house.alice.call("DELETE", path_of(slow))
    assert rate() == 600
    changed(house.alice, fast, rate_limit_per_minute=None)
    assert rate() is None
    # No delivery waits for a slot of the former limit.
    mine = Origin.objects.get(organisation_id=house.organisation.id)
    assert mine.next_slot_at is None


def test_pausing__holds_events_and_enabling_sends_them_in_order(
    house: House, receiver: Receiver
) -> None:
    endpoint = made(house.alice, url=receiver.url)
    document = changed(house.alice, endpoint, enabled=False)
    assert (document["status"], document["enabled"]) == ("paused", False)
    house.completed()
    assert services.deliver_due() == 0
    assert house.alice.get(path_of(endpoint)).json()["health"]["held"] == 9
    assert changed(house.alice, endpoint, enabled=True)["status"] == "enabled"
    assert services.release_recoveries() == 9
    services.deliver_due(at=clock.now() + timedelta(seconds=5))
    sequences = [json.loads(request.body)["data"]["sequence"] for request in receiver.received]
    assert sequences == list(range(1, 10))


def test_enabling__clears_the_failures_of_a_disabled_endpoint(house: House) -> None:
    endpoint = made(house.alice)
    Destination.objects.update(
        status="disabled",
        disabled_reason="failing",
        failing_since=clock.now(),
        failure_count=40,
        warned_hours=72,
    )
    # Pausing it does not hide why it is disabled.
    assert changed(house.alice, endpoint, enabled=False)["disabled_reason"] == "failing"
    document = changed(house.alice, endpoint, enabled=True)
    named = ("status", "disabled_reason", "failing_since", "failure_count")
    assert [document[name] for name in named] == ["enabled", None, None, 0]
    assert Destination.objects.get().warned_hours == 0


def test_enabling__an_enabled_endpoint_recovers_nothing(house: House) -> None:
    endpoint = made(house.alice)
    changed(house.alice, endpoint, enabled=True)
    assert count("webhooks_recovery") == 0


def test_delete__deletes_its_own_deliveries_only(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management, "DELETE_BATCH", 4)
    gone, kept = made(house.alice, url=receiver.url), made(house.alice, url=receiver.url)
    house.completed()
    services.deliver_due()
    house.task()
    path = path_of(gone)
    answer = house.alice.call("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(Delivery.objects.values_list("destination_id", flat=True)) == {
        UUID(kept["endpoint_id"])
    }
    assert (Delivery.objects.count(), Attempt.objects.count()) == (10, 9)
    with expect_unchanged():
        expect_problem(house.alice.get(path), 404, "not_found")
        expect_problem(house.alice.call("DELETE", path), 404, "not_found")
    assert services.deliver_due() == 1
