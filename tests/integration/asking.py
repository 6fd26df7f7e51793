"""Small words for tests of who is asked."""

from typing import Any

from apps.base import clock
from apps.matching.models import Offer
from apps.matching.services import decline_offer
from apps.pools.models import Worker
from apps.tasks.models import Task
from tests.factories import Caller, House


def asked(task: Task) -> set[Any]:
    return set(Offer.objects.filter(task=task, status="open").values_list("worker_id", flat=True))


def alone(house: House) -> None:
    """Bob goes home: only those whom a test brings are there."""
    Worker.objects.filter(id=house.bobs_worker.id).update(presence="offline")


def decline(offer: Offer, by: Caller) -> None:
    decline_offer(actor=by.principal, offer_id=offer.id, reason="", at=clock.now())


def policy(*steps: dict[str, Any], at_end: str = "wait") -> dict[str, Any]:
    return {"escalation": {"steps": list(steps), "at_end": at_end}}
