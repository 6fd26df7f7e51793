"""Let workers be told: people who are workers, their chosen, and browsers that receive pushes."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from apps.accounts.principal import Principal
from apps.base import clock
from apps.notices import services
from apps.notices.models import Device
from apps.notices.services import NoticeSettings
from apps.pools.models import Worker
from tests.factories import House, member_of
from tests.receiver import Received, Receiver

BOB = "bob@northwind.example"


def bob_signs_in(house: House, email: str = BOB) -> None:
    """Make the worker Bob a member, with an address for mails."""
    user = member_of(house.organisation, email).user
    Worker.objects.filter(id=house.bobs_worker.id).update(user=user)


def choose_notices(actor: Principal, *, language: str = "en", **chosen: Any) -> None:
    services.save_settings(
        actor=actor, chosen=NoticeSettings(**chosen), language=language, at=clock.now()
    )


def send_all(**options: Any) -> int:
    """Send until nothing is due. Return how many rows were handled."""
    handled = 0
    while count := services.send_due(**options):
        handled += count
    return handled


@dataclass
class Browser:
    """A browser that has subscribed: it can decrypt what it is sent."""

    endpoint: str
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = b"sixteen-bytes-ok"

    @property
    def subscription(self) -> dict[str, Any]:
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return {
            "endpoint": self.endpoint,
            "expirationTime": None,
            "keys": {"p256dh": encoded(point), "auth": encoded(self.auth)},
        }

    def opened(self, request: Received) -> dict[str, Any]:
        """Return what a push message says, after checking who signed it, and for whom."""
        assert request.headers["content-encoding"] == "aes128gcm"
        authorization = request.headers["authorization"]
        assert Vapid02.verify(authorization)
        parts = dict(part.split("=", 1) for part in authorization.split(" ", 1)[1].split(","))
        assert parts["k"] == services.public_push_key()
        claims = json.loads(_decoded(parts["t"].split(".")[1]))
        target = urlsplit(self.endpoint)
        assert claims["aud"] == f"{target.scheme}://{target.netloc}"
        plain = http_ece.decrypt(
            request.body, private_key=self.private, auth_secret=self.auth, version="aes128gcm"
        )
        said: dict[str, Any] = json.loads(plain)
        return said


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def subscribed(actor: Principal, receiver: Receiver, name: str = "Chrome on Android") -> Browser:
    """Return a browser of the actor's worker, whose push service is the receiver."""
    browser = Browser(f"{receiver.url}/push/{uuid4().hex}")
    services.add_device(actor=actor, subscription=browser.subscription, name=name, at=clock.now())
    return browser


def device_of(browser: Browser) -> Device:
    from apps.notices.selectors import endpoint_hash

    return Device.objects.get(endpoint_hash=endpoint_hash(browser.endpoint))
