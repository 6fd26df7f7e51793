"""Verify deliveries with libraries that receivers use, also while keys rotate.

The deliveries are real: caused by a task's events, sent by the drain, received by an HTTP server.
"""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from standardwebhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from apps.base import clock
from apps.timers.services import fire_due
from apps.webhooks import services
from biolayer import signing
from tests.factories import House
from tests.receiver import Received, receiving

VERIFIERS = Path(__file__).parents[1] / "verifiers"
HEADERS = {"webhook-id", "webhook-timestamp", "webhook-signature"}
NOTES = "Grüße, 你好 \N{BAR CHART}"
SIGNATURES = re.compile(r"v1,[A-Za-z0-9+/]{43}=|v1a,[A-Za-z0-9+/]{86}==")


@dataclass(frozen=True)
class Sent:
    """Hold the received requests, and the keys to verify them."""

    received: list[Received]
    # Newest first: the current key, and one that expires.
    secrets: list[str]
    jwks: dict[str, Any]


@pytest.fixture
def sent(house: House) -> Iterator[Sent]:
    """Return a task's first two events, sent while a key of each kind rotates."""
    secrets = [rotated(house, kind).secret for kind in ("v1", "v1a", "v1", "v1a")]
    with receiving() as receiver:
        house.task(title=NOTES, handoff={"callback_url": f"{receiver.url}/hook"})
        services.deliver_due()
        house.task(title=NOTES, handoff={"callback_url": f"{receiver.url}/hook"})
        services.deliver_due()
        assert len(receiver.received) == 2
        path = f"/v1/organisations/{house.organisation.id}/webhook-jwks.json"
        known = [secret for secret in reversed(secrets) if secret]
        yield Sent(receiver.received, known, Client().get(path).json())


def rotated(house: House, kind: str) -> services.Rotation:
    return services.rotate_key(
        actor=house.alice.principal, kind=kind, overlap_seconds=3600, at=clock.now()
    )


def test_every_delivery__is_signed_by_all_active_keys_of_both_kinds(sent: Sent) -> None:
    assert (len(sent.secrets), len(sent.jwks["keys"])) == (2, 2)
    for request in sent.received:
        # Split at each space: two in a row would leave an empty part.
        parts = request.headers["webhook-signature"].split(" ")
        assert all(SIGNATURES.fullmatch(part) for part in parts), parts
        assert [part.partition(",")[0] for part in parts] == ["v1", "v1", "v1a", "v1a"]


@pytest.mark.parametrize("library", [Webhook, SvixWebhook])
def test_python_libraries__believe_it_by_either_secret(sent: Sent, library: Any) -> None:
    for request in sent.received:
        # All received headers, including those of the HTTP client.
        assert set(request.headers) > HEADERS
        assert json.loads(request.body)["data"]["title"] == NOTES
        for secret in sent.secrets:
            library(secret).verify(request.body, request.headers)
        with pytest.raises(Exception, match="No matching signature"):
            library(signing.new_secret()).verify(request.body, request.headers)
        with pytest.raises(Exception, match="No matching signature"):
            library(sent.secrets[0]).verify(request.body + b" ", request.headers)


def test_biolayer__believes_it_by_secret_and_by_published_key(sent: Sent) -> None:
    for request in sent.received:
        for key in [*sent.secrets, *signing.keys_from_jwks(sent.jwks)]:
            signing.verify(
                secrets=[key], headers=request.headers, body=request.body, now=clock.now()
            )


def run_script(node: str, name: str, question: Any) -> str:
    """Return the output of a script of tests/verifiers for an input."""
    done = subprocess.run(
        [node, name],
        cwd=VERIFIERS,
        input=json.dumps(question).encode(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def chain_says(node: str, events: list[Any]) -> str:
    """Return Node's result for a task's log: the sequence of the first break, or `intact`."""
    return run_script(node, "chain.mjs", events).strip()


def test_the_log_of_a_task__is_believed_in_javascript(house: House, node: str) -> None:
    step = {"after_seconds": 60, "lower_min_rating_by": 0.3, "notify": True}
    policy = {"min_rating": 4.796, "escalation": {"steps": [step]}}
    then = clock.now() - timedelta(minutes=5)
    task = house.queued(at=then, title=NOTES, requirements=policy)
    fire_due(at=then + timedelta(seconds=61))
    house.alice.post(f"/v1/tasks/{task.id}/cancel", {"reason": "\N{GRINNING FACE} \u2028 \\u0007"})
    log = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert "task.escalated" in [event["type"] for event in log]
    assert chain_says(node, log) == "intact"
    log[2]["data"]["seconds"] = 1.5
    assert chain_says(node, log) == "3"


def test_the_published_vectors__are_believed_in_javascript(node: str) -> None:
    vectors = json.loads((VERIFIERS.parents[1] / "docs" / "event-chain-vectors.json").read_text())
    assert chain_says(node, [vector["event"] for vector in vectors]) == "intact"


@pytest.fixture
def node() -> str:
    """Require Node with the npm package: skip without it, or fail with `REQUIRE_NODE` (.ci/run)."""
    found = shutil.which("node")
    if found and (VERIFIERS / "node_modules" / "standardwebhooks").is_dir():
        return found
    lacking = "node with the package: `npm ci --prefix tests/verifiers` brings it"
    if os.environ.get("REQUIRE_NODE"):
        pytest.fail(f"needs {lacking}")
    pytest.skip(f"needs {lacking}")


def asked(node: str, **question: Any) -> list[dict[str, list[str]]]:
    """Return Node's result for deliveries."""
    answer: list[dict[str, list[str]]] = json.loads(run_script(node, "verify.mjs", question))
    return answer


def test_the_npm_library__believes_it_by_either_secret_and_published_key(
    sent: Sent, node: str
) -> None:
    stranger = signing.new_secret()
    foreign = signing.jwk(signing.public_key(signing.new_private_key()), key_id="foreign")
    good = [plain(request) for request in sent.received]
    believed = asked(
        node,
        deliveries=[*good, {**good[0], "body": base64.b64encode(b"{}").decode()}],
        secrets=[*sent.secrets, stranger],
        jwks={"keys": [*sent.jwks["keys"], foreign]},
    )
    kids = [key["kid"] for key in sent.jwks["keys"]]
    assert believed[:2] == [{"v1": sent.secrets, "v1a": kids}] * 2
    assert believed[2] == {"v1": [], "v1a": []}


def plain(request: Received) -> dict[str, Any]:
    return {"headers": request.headers, "body": base64.b64encode(request.body).decode()}
