"""Test endpoints that change while events happen: nothing is misdirected, fails or is lost."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from apps.base import clock
from apps.webhooks import services
from apps.webhooks.models import Delivery, Destination, Origin
from apps.webhooks.services.endpoints import management
from tests.concurrency.together import _run, _wait_for, queued_up
from tests.factories import Caller, House, contract
from tests.receiver import Receiver

Call = Callable[[], Any]
PATH = "/v1/webhook-endpoints"
NOWHERE = "http://127.0.0.1:9/hook"


def call(caller: Caller, method: str, path: str, body: Any = None) -> Call:
    """Return the call, from a client of its own."""
    return lambda: Caller(caller.key).call(method, path, body)


def endpoint(house: House) -> str:
    answer = house.alice.post(PATH, {"url": NOWHERE})
    assert answer.status_code == 201
    return str(answer.json()["endpoint_id"])


def answers(*calls: Call, behind: str, key: Any) -> list[int]:
    with queued_up(*calls, behind=behind, key=key) as futures:
        pass
    return [future.result().status_code for future in futures]


@contextmanager
def held_up(waiter: Call) -> Iterator[list["Future[Any]"]]:
    """Within the block we hold what we touch; at its end, when the call has come to wait for that,
    we commit. Its answer is there afterwards.
    """
    with ThreadPoolExecutor(1) as threads:
        futures: list[Future[Any]] = []
        with transaction.atomic():
            yield futures
            futures.append(threads.submit(_run, waiter))
            _wait_for(1)


def change(house: House, endpoint_id: str, **changes: Any) -> None:
    services.update_endpoint(
        actor=house.alice.principal,
        endpoint_id=UUID(endpoint_id),
        document=changes,
        at=clock.now(),
    )


def test_move__includes_deliveries_of_a_running_transaction(
    house: House, receiver: Receiver
) -> None:
    endpoint_id = endpoint(house)
    move = call(house.alice, "PATCH", f"{PATH}/{endpoint_id}", {"url": receiver.url})
    with held_up(move) as moved:
        house.task()
    assert moved[0].result().status_code == 200
    assert Delivery.objects.get().origin == Origin.objects.get(text=receiver.url)
    assert services.deliver_due() == 1
    assert len(receiver.received) == 1


def test_event__is_sent_to_the_target_of_a_running_move(house: House, receiver: Receiver) -> None:
    endpoint_id = endpoint(house)
    with held_up(call(house.alice, "POST", "/v1/tasks", contract())) as posted:
        change(house, endpoint_id, url=receiver.url)
    assert posted[0].result().status_code == 201
    assert Delivery.objects.get().origin == Origin.objects.get(text=receiver.url)


def test_deletion__includes_deliveries_of_a_running_transaction(house: House) -> None:
    end = call(house.alice, "DELETE", f"{PATH}/{endpoint(house)}")
    with held_up(end) as ended:
        house.task()
    assert ended[0].result().status_code == 204
    assert (Destination.objects.count(), Delivery.objects.count()) == (0, 0)


def test_event__skips_an_endpoint_that_is_being_deleted(house: House) -> None:
    endpoint_id = UUID(endpoint(house))
    with held_up(call(house.alice, "POST", "/v1/tasks", contract())) as posted:
        services.delete_endpoint(
            actor=house.alice.principal, endpoint_id=endpoint_id, at=clock.now()
        )
    assert posted[0].result().status_code == 201
    assert (Destination.objects.count(), Delivery.objects.count()) == (0, 0)


def test_two_changes__both_apply(house: House) -> None:
    endpoint_id = endpoint(house)
    path = f"{PATH}/{endpoint_id}"
    changes = (
        call(house.alice, "PATCH", path, {"headers": {"X-A": "1"}}),
        call(house.alice, "PATCH", path, {"auth": {"type": "bearer", "token": "t"}}),
    )
    assert answers(*changes, behind="webhooks_destination", key=endpoint_id) == [200, 200]
    shown = house.alice.get(path).json()
    assert (shown["headers"], shown["auth"]["type"]) == ({"X-A": "redacted"}, "bearer")


def test_last_free_place__is_taken_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "MAX_ENDPOINTS", 1)
    create = call(house.alice, "POST", PATH, {"url": NOWHERE})
    calls = (create, create)
    found = answers(*calls, behind="accounts_organisation", key=house.organisation.id)
    assert found == [201, 409]
    assert Destination.objects.count() == 1
