"""Test rotation under load: every delivery verifies with the published keys."""

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


# --- two calls at the same time -------------------------------------------------------------------


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
    """There is no key yet: senders create one, and so do rotations."""
    ours = house.organisation.id
    calls = [lambda: services.keys_of([ours]), rotation(house.alice), rotation(house.alice, "v1a")]
    together(*calls, *calls)
    kinds = SigningKey.objects.filter(id__in=without_end(house)).values_list("kind", flat=True)
    assert sorted(kinds) == ["v1", "v1a"]


def test_one_idempotency_key__rotates_once(house: House) -> None:
    """Of two calls one rotates; the other gets a 409 or the stored response."""

    def call() -> Any:
        caller = Caller(house.alice.key)
        return caller.post(ROTATE, {"kind": "v1"}, **{"Idempotency-Key": "one"})

    answers = together(call, call)
    with_secret = [answer for answer in answers if "secret" in answer.json()]
    assert len(with_secret) == SigningKey.objects.count() == 1
    assert {answer.status_code for answer in answers} <= {201, 409}


# --- under load -----------------------------------------------------------------------------------

SECONDS = 4.0
PAUSE_SECONDS = 0.15
# How long a delivery waits before the published keys are read, so that a rotation may intervene.
LATE_SECONDS = 0.1
# How long the owner of a new secret takes to configure the receiver: less than the least overlap.
CONFIGURE_SECONDS = 0.3


@dataclass
class Verifier:
    """Verify deliveries as two receivers: one with the published keys, one with v1 secrets only.

    The second one decides: a delivery that it cannot verify gets a 401.
    """

    organisation_id: UUID
    # The secrets that the organisation has configured so far.
    secrets: list[str] = field(default_factory=list)
    # Why deliveries did not verify with the published keys, or with the configured secrets.
    published_failures: list[str] = field(default_factory=list)
    secret_failures: list[str] = field(default_factory=list)
    # Many deliveries may arrive at once; the database has fewer connections.
    readers: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(4))

    def verify(self, request: Received) -> Reply:
        secrets = list(self.secrets)
        time.sleep(LATE_SECONDS)
        self.published_failures += failures(request, self._published())
        by_secret = failures(request, secrets)
        self.secret_failures += by_secret
        return Reply(401 if by_secret else 204)

    def _published(self) -> list[str]:
        path = f"/v1/organisations/{self.organisation_id}/webhook-jwks.json"
        with self.readers:
            try:
                return signing.keys_from_jwks(Client().get(path).json())
            finally:
                connections.close_all()


def failures(request: Received, keys: list[str]) -> list[str]:
    """Return why none of `keys` verifies a delivery; empty when one does."""
    try:
        signing.verify(
            secrets=keys, headers=request.headers, body=request.body, now=datetime.now(UTC)
        )
    except SignatureInvalid as error:
        return [f"{request.headers['webhook-id']}: {error}"]
    return []


@dataclass
class Load:
    """Create tasks, deliver their events and rotate the keys, all at the same time."""

    house: House
    url: str
    verifier: Verifier
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
            time.sleep(CONFIGURE_SECONDS)
            self.verifier.secrets.append(answer.json()["secret"])
        self.rotated += 1


def loaded(house: House, overlaps: tuple[int, ...]) -> Verifier:
    """Return what a receiver saw of a load, after everything was delivered."""
    verifier = Verifier(house.organisation.id)
    with receiving() as receiver:
        receiver.reply_to = verifier.verify
        load = Load(house, f"{receiver.url}/hook", verifier, overlaps)
        load.run()
        services.deliver_due()
        # Refused deliveries are due again at that time at the latest.
        services.deliver_due(at=clock.now() + timedelta(seconds=60))
    assert load.created >= 50
    assert load.rotated >= 10
    assert Delivery.objects.filter(status=DeliveryStatus.SUCCEEDED).count() == load.created
    assert len(receiver.received) == load.created + len(verifier.secret_failures)
    return verifier


def test_rotation_with_an_overlap__fails_no_verification(house: House) -> None:
    verifier = loaded(house, overlaps=(1, 2, 5, 1))
    assert (verifier.published_failures, verifier.secret_failures) == ([], [])


def test_rotation_without_overlap__verifies_with_the_published_keys(house: House) -> None:
    """A receiver with v1 secrets only refuses deliveries until the new secret is configured.

    They are sent again: `loaded` checks that every delivery succeeds.
    """
    verifier = loaded(house, overlaps=(0,))
    assert verifier.published_failures == []
