"""Secrets of a running installation appear nowhere in clear.

Each kind of secret is planted through the interface that takes or shows it. Then the test looks
into every row, the logs of all processes, everything that was sent to Redis (so also Celery's
messages), the bodies of refused calls, and the OpenAPI document.
"""

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import psycopg
import pytest
import redis

from config import embedded
from tests.factories import contract
from tests.faults.installation import MARKS, PROJECT, Installation, eventually, say
from tests.receiver import Reply, receiving

PASSWORD = "canary-password-5e1d"
CLIENT_SECRET = "canary-client-secret-77aa"
CALLBACK_TOKEN = "canary-callback-token-19c4"
HEADER_VALUE = "canary-header-value-4f02"

# Runs inside the installation: what has no call yet.
PLANT = f"""
from django.contrib.auth import get_user_model
from apps.accounts.models import OAuthApplication, Organisation
get_user_model().objects.create_user("wendy@northwind.example", "{PASSWORD}")
application = OAuthApplication.objects.create(
    organisation=Organisation.objects.first(), name="Reports", client_type="confidential",
    authorization_grant_type="client-credentials", grant_types=["client_credentials"],
    scopes=["tasks:read"], client_secret="{CLIENT_SECRET}")
print(application.client_id)
"""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with Installation.running(LOG_LEVEL="DEBUG") as running:
        yield running


def test_secrets__appear_nowhere_in_clear(installation: Installation) -> None:
    with monitored(installation) as sent_to_redis, installation.backend(timeout=30) as backend:
        secrets, bodies = planted(installation, backend)
        bodies += refused(backend, secrets)
        # An echoed credential is in a receiver's response, of which a part is stored.
        eventually(lambda: attempts(backend) >= 2, seconds=30, what="the callbacks were tried")
    places = {
        "a row": rows(installation),
        "a log": logs(installation),
        "Redis": [" ".join(sent_to_redis)],
        "the body of an error": bodies,
        "OpenAPI": [httpx.get(f"{installation.access['base_url']}/v1/openapi.json").text],
    }
    say(", ".join(f"{len(texts)} texts of {place}" for place, texts in places.items()))
    assert len(sent_to_redis) > 10, "the monitor saw nothing of Redis"
    found = [
        f"{name} is in {place}: …{text[max(0, at - 80) : at + 20]}"
        for name, secret in secrets.items()
        for form in forms(secret)
        for place, texts in places.items()
        for text in texts
        if (at := text.find(form)) >= 0
    ]
    assert not found, "\n".join(found)
    # And what is looked for could be found: the title of a task is in the rows, say.
    assert any("Verify endpoint owner" in row for row in places["a row"])


def planted(installation: Installation, backend: httpx.Client) -> tuple[dict[str, str], list[str]]:
    """Plant a secret of each kind. Return them by name, and the bodies that must not show them."""
    client_id = shell(installation, PLANT)
    token = backend.post(
        "/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(client_id, CLIENT_SECRET),
        headers={"Authorization": basic(client_id, CLIENT_SECRET)},
    ).json()["access_token"]
    assert backend.get("/v1/tasks", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    signing = backend.post("/v1/webhook-keys/rotate", json={"kind": "v1"}).json()["secret"]
    with receiving() as receiver:
        # It echoes what it gets: a part of each response is stored.
        receiver.reply = lambda number: Reply(
            500, body=str(receiver.received[number].headers).encode()
        )
        auth = {"type": "bearer", "token": CALLBACK_TOKEN}
        handoff = {"callback_url": receiver.url, "callback_auth": auth}
        made = backend.post(
            "/v1/tasks", json=contract(handoff=handoff), headers={"Idempotency-Key": "planted"}
        )
        endpoint = backend.post(
            "/v1/webhook-endpoints",
            json={"url": receiver.url, "headers": {"X-Team": HEADER_VALUE}},
        )
        assert (made.status_code, endpoint.status_code) == (201, 201), endpoint.text
        task = backend.get(f"/v1/tasks/{made.json()['task_id']}")
        eventually(lambda: len(receiver.received) >= 2, seconds=30, what="callbacks arrive")
    secrets = {
        "an API key": installation.access["api_key"],
        "an OAuth token": token,
        "an OAuth secret": CLIENT_SECRET,
        "a callback's token": CALLBACK_TOKEN,
        "a header of an endpoint": HEADER_VALUE,
        "a signing secret": signing,
        "a password": PASSWORD,
    }
    return secrets, [made.text, endpoint.text, task.text]


def refused(backend: httpx.Client, secrets: dict[str, str]) -> list[str]:
    """Return the bodies of calls that are refused while they have a secret in them."""
    bodies = []
    for secret in secrets.values():
        wrong = {"Authorization": f"Bearer {secret}x"}
        auth = {"type": "bearer", "token": secret, "unknown": secret}
        calls = [
            backend.get("/v1/tasks", headers=wrong),
            backend.post("/v1/tasks", json=contract(handoff={"callback_auth": auth})),
            backend.post("/v1/tasks", content=f'{{"token": "{secret}"'),
            backend.post("/v1/tasks", json={}, headers={"Content-Type": "text/plain"}),
            backend.get("/v1/tasks/7"),
            backend.request("PUT", "/v1/tasks", json={"secret": secret}),
            backend.post("/v1/webhook-endpoints", json={"url": "x", "headers": {"Host": secret}}),
            backend.post("/oauth/token", data={"grant_type": "x", "client_secret": secret}),
        ]
        assert all(call.status_code >= 400 for call in calls), [c.status_code for c in calls]
        bodies += [call.text + str(call.headers) for call in calls]
    return bodies


def attempts(backend: httpx.Client) -> int:
    deliveries = backend.get("/v1/deliveries", params={"limit": 100}).json()["data"]
    return sum(delivery["attempt_count"] for delivery in deliveries)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def forms(secret: str) -> list[str]:
    """Return a secret as it may be written: in clear, hexadecimal, in base64."""
    raw = secret.encode()
    encoded = base64.b64encode(raw).decode().rstrip("=")
    # The last character of base64 depends on what follows.
    return [secret, raw.hex(), encoded[:-2]]


# --- places ---------------------------------------------------------------------------------------


def shell(installation: Installation, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", code],
        cwd=PROJECT,
        env={**os.environ, "BIOLAYER_HOME": str(installation.home), "DATABASE_URL": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1]


def rows(installation: Installation) -> list[str]:
    """Return every row of every table as text."""
    with psycopg.connect(embedded.database_url(installation.home)) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        return [
            str(row[0])
            for (table,) in tables
            for row in connection.execute(f'SELECT t::text FROM "{table}" t').fetchall()
        ]


def logs(installation: Installation) -> list[str]:
    """Return the logs of all processes, without what `up` shows to its user at the start."""
    files = [path for path in installation.home.rglob("*.log") if path != installation.log]
    # The lines of `up` itself have no label: it shows the demo's key once. The inbox is a receiver.
    names = "|".join(MARKS.keys() - {"inbox"})
    labelled = re.compile(rf"^({names})\b.*$", re.MULTILINE)
    lines = [match[0] for match in labelled.finditer(installation.log.read_text())]
    assert any("/v1/tasks" in line for line in lines), "no line of a process was found"
    return [path.read_text(errors="replace") for path in files] + lines


@contextmanager
def monitored(installation: Installation) -> Iterator[list[str]]:
    """Collect every command that is sent to Redis within the block, and its values in the end."""
    commands: list[str] = []
    url = embedded.redis_url(installation.home)
    client = redis.Redis.from_url(url)

    def listen() -> None:
        # It ends when the installation does.
        with suppress(redis.ConnectionError), client.monitor() as monitor:
            commands.extend(str(command["command"]) for command in monitor.listen())

    threading.Thread(target=listen, daemon=True).start()
    yield commands
    values: Any = redis.Redis.from_url(url)
    commands.extend(repr(key) + repr(values.dump(key)) for key in values.scan_iter())
