"""Keys rotate while deliveries go out: whoever knows what is published believes every one of them."""

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections
from django.test import Client

from apps.base import clock
from apps.webhooks import services
from apps.webhooks.models import Delivery, DeliveryStatus, SigningKey
from biolayer import signing
from biolayer.errors import SignatureInvalid
from tests.concurrency.together import queued_up, together
from tests.factories import Caller, House
from tests.receiver import Received, Reply, receiving

ROTATE = "/v1/webhook-keys/rotate"


# --- two calls at a time --------------------------------------------------------------------------


def rotation(caller: Caller, kind: str = "v1", overlap: int = 3600) -> Callable[[], Any]:
    body = {"kind": kind, "overlap_seconds": overlap}
    return lambda: Caller(caller.key).post(ROTATE, body)


def without_end(house: House) -> list[str]:
    rows = SigningKey.objects.filter(organisation=house.organisation, expires_at=None)
    return [str(key_id) for key_id in rows.values_list("id", flat=True)]


def test_two_rotations__happen_one_after_the_other(house: House) -> None:
    rotation(house.alice)()
    both = [rotation(house.alice), rotation(house.alice)]
    ours = house.organisation.id
    with queued_up(*both, behind="accounts_organisation", key=ours) as answers:
        pass
    first, second = (answer.result().json() for answer in answers)
    assert second["earlier"][0]["key_id"] == first["key_id"]
    assert [len(made["earlier"]) for made in (first, second)] == [1, 2]
    assert without_end(house) == [second["key_id"]]
    assert services.keys_of([ours])[ours][:2] == [second["secret"], first["secret"]]


def test_rotations_and_the_first_delivery__leave_one_key_of_a_kind_without_end(
    house: House,
) -> None:
    """Nobody has a key yet: senders make one, and so do rotations."""
    ours = house.organisation.id
    calls = [lambda: services.keys_of([ours]), rotation(house.alice), rotation(house.alice, "v1a")]
    together(*calls, *calls)
    kinds = SigningKey.objects.filter(id__in=without_end(house)).values_list("kind", flat=True)
    assert sorted(kinds) == ["v1", "v1a"]


def test_one_idempotency_key__rotates_once(house: House) -> None:
    """Two at once: one of them rotates; the other is told to wait, or what was answered."""

    def call() -> Any:
        caller = Caller(house.alice.key)
        return caller.post(ROTATE, {"kind": "v1"}, **{"Idempotency-Key": "one"})

    answers = together(call, call)
    told = [answer for answer in answers if "secret" in answer.json()]
    assert len(told) == SigningKey.objects.count() == 1
    assert {answer.status_code for answer in answers} <= {201, 409}


# --- under load -----------------------------------------------------------------------------------

SECONDS = 4.0
PAUSE_SECONDS = 0.15
LATE_SECONDS = 0.1
"""How long a delivery waits before the published keys are read: so a rotation comes between."""

TELLING_SECONDS = 0.3
"""How long the owner of a new secret takes to give it to the receiver: less than the least overlap."""


@dataclass
class Judge:
    """Two receivers in one: what knows the published keys only, and what knows v1 secrets only.

    The second decides: what it does not believe is answered by 401.
    """

    organisation_id: UUID
    # The secrets that the organisation was told, from the moment when it was.
    secrets: list[str] = field(default_factory=list)
    # Why a delivery was not believed by what was published, or told, when it came in.
    unpublished: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    # Many may come in at once; the database has not that many connections.
    readers: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(4))

    def look(self, request: Received) -> Reply:
        told = list(self.secrets)
        time.sleep(LATE_SECONDS)
        self.unpublished += unverified(request, self._published())
        disbelieved = unverified(request, told)
        self.untold += disbelieved
        return Reply(401 if disbelieved else 204)

    def _published(self) -> list[str]:
        path = f"/v1/organisations/{self.organisation_id}/webhook-jwks.json"
        with self.readers:
            try:
                return signing.keys_from_jwks(Client().get(path).json())
            finally:
                connections.close_all()


def unverified(request: Received, keys: list[str]) -> list[str]:
    """The reason why none of `keys` verifies it, if so."""
    try:
        signing.verify(
            secrets=keys, headers=request.headers, body=request.body, now=datetime.now(UTC)
        )
    except SignatureInvalid as error:
        return [f"{request.headers['webhook-id']}: {error}"]
    return []


@dataclass
class Load:
    """Tasks are created, their events delivered and the keys rotated, all at once."""

    house: House
    url: str
    judge: Judge
    overlaps: tuple[int, ...]
    ends: float = 0.0
    created: int = 0
    rotated: int = 0

    def run(self) -> None:
        for kind in ("v1", "v1a"):
            self._rotate(kind, 0)
        self.ends = time.monotonic() + SECONDS
        together(self._create, self._deliver, self._deliver, self._rotate_on)

    def _is_on(self) -> bool:
        return time.monotonic() < self.ends

    def _create(self) -> None:
        policy = {"max_retries": 20, "backoff_seconds": 1}
        while self._is_on():
            self.house.task(handoff={"callback_url": self.url, "retry_policy": policy})
            self.created += 1
            time.sleep(0.01)

    def _deliver(self) -> None:
        while self._is_on():
            services.deliver_due(budget_seconds=0.5)
            time.sleep(0.01)

    def _rotate_on(self) -> None:
        for overlap in itertools.cycle(self.overlaps):
            for kind in ("v1a", "v1"):
                self._rotate(kind, overlap)
                time.sleep(PAUSE_SECONDS)
            if not self._is_on():
                return

    def _rotate(self, kind: str, overlap: int) -> None:
        answer = rotation(self.house.alice, kind, overlap)()
        assert answer.status_code == 201, answer.content
        if kind == "v1":
            time.sleep(TELLING_SECONDS)
            self.reply_to.secrets.append(answer.json()["secret"])
        self.rotated += 1


def loaded(house: House, overlaps: tuple[int, ...]) -> Judge:
    """What a receiver saw of a load, after everything was delivered."""
    judge = Judge(house.organisation.id)
    with receiving() as receiver:
        receiver.reply_to = judge.look
        load = Load(house, f"{receiver.url}/hook", judge, overlaps)
        load.run()
        services.deliver_due()
        # What was refused is due again by now at the latest; time is passed in.
        services.deliver_due(at=clock.now() + timedelta(seconds=60))
    assert load.created >= 50
    assert load.rotated >= 10
    assert Delivery.objects.filter(status=DeliveryStatus.SUCCEEDED).count() == load.created
    assert len(receiver.received) == load.created + len(judge.untold)
    return judge


def test_rotation_with_an_overlap__is_noticed_by_nobody(house: House) -> None:
    judge = loaded(house, overlaps=(1, 2, 5, 1))
    assert (judge.unpublished, judge.untold) == ([], [])


def test_rotation_without_overlap__is_believed_by_the_published_keys(house: House) -> None:
    """Who knows v1 secrets only, cannot know the new one before its owner does: what such a
    receiver refuses in between is sent again (`loaded` sees that everything arrives).
    """
    judge = loaded(house, overlaps=(0,))
    assert judge.unpublished == []
