"""Measure what PostgreSQL's row-level security would cost, as a second net below the services.

The service's own views run in this process, one request after another, as a role that is no
superuser. In every second turn the tables of tasks, runs, events, messages and deliveries have
row-level security: a row is visible only to its organisation, which the statement that
authenticates the key sets for the session. It prints the time of a request without and with it, and
the ratio.

See docs/adr/0025-no-row-level-security.md for the decision. Exit code 1 when a response is not the
expected one.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first

TABLES = (
    "tasks_task",
    "tasks_run",
    "events_event",
    "webhooks_message",
    "webhooks_delivery",
    "webhooks_destination",
)
ROLE = "biolayer_web"
POLICY = "organisation_id = current_setting('biolayer.organisation')::uuid"
SETS_ORGANISATION = "set_config('biolayer.organisation', k.organisation_id::text, false)::uuid,"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--requests", type=int, default=150, help="of each turn")
    options.add_argument("--tasks", type=int, default=20_000)
    given = options.parse_args()
    with home_for_this_run(BIOLAYER_RATE_LIMIT="100000000", LOG_LEVEL="WARNING"):
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        import django

        django.setup()
        print(_table(_measured(given.rounds, given.requests, given.tasks)))


def _measured(rounds: int, requests: int, tasks: int) -> dict[str, tuple[float, float]]:
    """Return the median milliseconds of each kind of request, without and with the policies."""
    calls = _calls(tasks)
    times: dict[tuple[str, bool], list[float]] = {}
    for number in range(rounds):
        for is_secured in (False, True) if number % 2 else (True, False):
            _secure(is_secured)
            for name, call in calls.items():
                call()  # plans the statements
                began = time.perf_counter()
                for _ in range(requests):
                    call()
                seconds = (time.perf_counter() - began) / requests
                times.setdefault((name, is_secured), []).append(seconds * 1000)
    return {
        name: (statistics.median(times[name, False]), statistics.median(times[name, True]))
        for name in calls
    }


def _calls(tasks: int) -> dict[str, Callable[[], None]]:
    """Create an organisation with tasks, and return the requests by name."""
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from apps.accounts.services import create_organisation, issue_key
    from apps.pools.services import provision_pool

    call_command("migrate", verbosity=0)
    organisation = create_organisation(name="Northwind Verification")
    pools = [provision_pool(organisation_id=organisation.id, name=name) for name in ("A", "B")]
    key = issue_key(organisation_id=organisation.id, name="Bench")
    restricted = issue_key(organisation_id=organisation.id, name="One", pool_ids=[pools[0].id])
    client = Client()

    def call(method: str, path: str, status: int, key: str, body: Any = None) -> Any:
        response = client.generic(
            method,
            path,
            data=json.dumps(body) if body is not None else "",
            content_type="application/json",
            headers={"Authorization": f"Bearer {key}"},
        )
        if response.status_code != status:
            sys.exit(f"{method} {path}: {response.status_code} {response.content[:300]!r}")
        return response.json()

    task_id = call("POST", "/v1/tasks", 201, key, _contract())["task_id"]
    for begin in range(0, tasks, 500):
        contracts = [_contract(pools[number % 2].id) for number in range(begin, begin + 500)]
        call("POST", "/v1/tasks/batch", 200, key, contracts)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        _create_role(cursor)
    return {
        "create": lambda: call("POST", "/v1/tasks", 201, key, _contract()) and None,
        "get by id": lambda: call("GET", f"/v1/tasks/{task_id}", 200, key) and None,
        "list": lambda: call("GET", "/v1/tasks", 200, key) and None,
        "list of a pool": lambda: call("GET", "/v1/tasks", 200, restricted) and None,
        "events": lambda: call("GET", f"/v1/tasks/{task_id}/events", 200, key) and None,
    }


def _contract(pool_id: Any = None) -> dict[str, Any]:
    return {
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner.",
        "origin": {"product": "threatlabs", "request_id": str(uuid4())},
        "requirements": {"worker_pool_id": str(pool_id)} if pool_id else {},
        "output": {"expected_format": "text"},
        "handoff": {"callback_url": "http://127.0.0.1:9/events"},
    }


def _create_role(cursor: Any) -> None:
    """Use a role that owns no table: policies do not hold for a superuser."""
    cursor.execute(f"CREATE ROLE {ROLE}")
    cursor.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
    cursor.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}")
    for table in TABLES:
        cursor.execute(f"CREATE POLICY own ON {table} TO {ROLE} USING ({POLICY})")


def _secure(is_secured: bool) -> None:  # noqa: FBT001
    """Turn the policies on or off, and have the key's statement set the organisation."""
    from django.db import connection

    from apps.accounts.selectors import authentication

    plain = _plain_key_statement()
    setting = plain.replace("k.organisation_id,", SETS_ORGANISATION, 1)
    assert setting != plain
    authentication.KEY = setting if is_secured else plain
    verb = "ENABLE" if is_secured else "DISABLE"
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} {verb} ROW LEVEL SECURITY")
        cursor.execute(f"SET ROLE {ROLE}")


_statements: list[str] = []


def _plain_key_statement() -> str:
    from apps.accounts.selectors import authentication

    if not _statements:
        _statements.append(authentication.KEY)
    return _statements[0]


def _table(medians: dict[str, tuple[float, float]]) -> str:
    lines: Iterable[str] = (
        f"| {name} | {without:.2f} | {secured:.2f} | {secured / without:.3f} |"
        for name, (without, secured) in medians.items()
    )
    head = "| request | ms without | ms with | times |\n|---|---|---|---|"
    return "\n".join([head, *lines])


if __name__ == "__main__":
    main()
