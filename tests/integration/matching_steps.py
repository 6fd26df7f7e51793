"""Steps of tests about matching."""

from typing import Any

from apps.base import clock
from apps.matching.models import Offer
from apps.matching.services import decline_offer
from apps.pools.models import Worker
from apps.tasks.models import Task
from tests.factories import Caller, House


def offered_to(task: Task) -> set[Any]:
    """Return the ids of the workers to whom the task is offered now."""
    return set(Offer.objects.filter(task=task, status="open").values_list("worker_id", flat=True))


def bob_is_offline(house: House) -> None:
    """Set Bob offline: only the workers that a test adds are available."""
    Worker.objects.filter(id=house.bobs_worker.id).update(presence="offline")


def decline(offer: Offer, by: Caller) -> None:
    """Decline an offer now."""
    decline_offer(actor=by.principal, offer_id=offer.id, reason="", at=clock.now())


def policy(*steps: dict[str, Any], at_end: str = "wait") -> dict[str, Any]:
    """Return an escalation policy, as a part of a pool or of a contract's requirements."""
    return {"escalation": {"steps": list(steps), "at_end": at_end}}
