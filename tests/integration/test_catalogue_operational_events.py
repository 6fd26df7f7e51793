"""Test that the bodies of operational events match their models in the catalogue."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from apps.base import clock, rows
from apps.webhooks import changes, services
from apps.webhooks.models import Delivery, Destination, DestinationKind, Message
from apps.webhooks.origins import origin_id, origin_of
from biolayer.events import CATALOGUE
from tests.factories import House
from tests.receiver import Receiver, Reply, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def endpoint(house: House, url: str) -> Destination:
    """Create an endpoint for every event of a task."""
    organisation_id, origin = house.organisation.id, origin_of(url)
    rows.write([changes.origin_insert(organisation_id=organisation_id, text=origin)])
    return Destination.objects.create(
        organisation_id=organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=origin_id(organisation_id, origin),
        url=url,
        event_types=["*"],
        auth_type="none",
    )


def checked_data(event_type: str) -> list[dict[str, Any]]:
    """Return the data of each event of a type, after validating its bodies by their models."""
    kind = CATALOGUE[event_type]
    data = []
    for message in Message.objects.filter(event_type=event_type).order_by("created_at", "id"):
        body, thin = bytes(message.body), bytes(message.thin_body)
        kind.model.model_validate_json(body, extra="forbid")
        kind.thin_model.model_validate_json(thin, extra="forbid")
        data.append(json.loads(body)["data"])
    return data


def test_exhausted_and_recovered_delivery__matches_the_catalogue(
    house: House, receiver: Receiver
) -> None:
    receiver.reply = lambda number: Reply(500 if number == 0 else 200)
    handoff = {"callback_url": receiver.url, "retry_policy": {"max_retries": 0}}
    task = house.task(handoff=handoff)
    assert services.deliver_due() == 1
    (exhausted,) = checked_data("delivery.exhausted")
    delivery = Delivery.objects.get(subject_id=task.id)
    services.resend(actor=house.alice.principal, delivery_id=delivery.id, at=clock.now())
    assert services.deliver_due() == 1
    (recovered,) = checked_data("delivery.recovered")
    assert (exhausted["endpoint_id"], exhausted["task_id"]) == (None, str(task.id))
    assert (exhausted["event_type"], exhausted["attempts"]) == ("task.created", 1)
    assert "500" in exhausted["last_error"]
    assert recovered == {**exhausted, "attempts": 2, "last_error": None}


def test_failing_endpoint__matches_the_catalogue(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500)
    failing = endpoint(house, receiver.url)
    now = clock.now()
    house.task(at=now)
    assert services.deliver_due(at=now) == 1
    assert checked_data("endpoint.failing") == []
    assert services.deliver_due(at=now + timedelta(minutes=61)) == 1
    (warning,) = checked_data("endpoint.failing")
    assert (warning["endpoint_id"], warning["url"]) == (str(failing.id), receiver.url)
    assert (warning["hours"], warning["failed_attempts"]) == (1, 2)
    assert "500" in warning["last_error"]


def test_gone_endpoint__matches_the_catalogue(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(410)
    gone = endpoint(house, receiver.url)
    house.task()
    assert services.deliver_due() == 1
    (notice,) = checked_data("endpoint.disabled")
    assert (notice["endpoint_id"], notice["reason"]) == (str(gone.id), "gone")
