"""Each process reports that it runs; one that is killed shows as dead within ten seconds."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from config import embedded
from tests.faults.installation import Installation, eventually

NAMES = {"web", "stream", "lifecycle", "matching", "deliveries", "ticker"}

SEEN = """
SELECT name, pid, version, last_drain,
    clock_timestamp() - seen_at <= interval '8 seconds' AS is_alive,
    extract(epoch FROM clock_timestamp() - last_drain_at)::float AS drained_ago
FROM operations_process ORDER BY started_at
"""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with Installation.running(workforce=False) as running:
        yield running


def rows(installation: Installation) -> list[dict[str, Any]]:
    url = embedded.database_url(installation.home)
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(SEEN).fetchall()


def alive(installation: Installation) -> dict[str, int]:
    """Return the processes that are shown as alive: name -> pid."""
    return {row["name"]: row["pid"] for row in rows(installation) if row["is_alive"]}


def test_every_process__reports_itself(installation: Installation) -> None:
    eventually(lambda: alive(installation).keys() == NAMES, seconds=10, what="all report")
    shown = alive(installation)
    for name in NAMES - {"web"}:
        assert shown[name] == installation.pid(name)
    assert {row["version"] for row in rows(installation)} == {"0.2.0"}
    # What one of them ran last is shown, too: the demo's first task is queued and offered.
    with installation.backend() as backend:
        body = {
            "task_type": "verification", "domain": "x", "title": "x", "instructions": "x",
            "output": {"schema": {"notes": "string"}},
        }  # fmt: skip
        assert backend.post("/v1/tasks", json=body).status_code == 201

    def drains() -> dict[str, str]:
        return {row["name"]: row["last_drain"] for row in rows(installation)}

    def drained_ago() -> float:
        """Return how long ago lifecycle drained. Another test may have had it drain before."""
        found = (row["drained_ago"] for row in rows(installation) if row["name"] == "lifecycle")
        return min((ago for ago in found if ago is not None), default=1e6)

    eventually(lambda: drained_ago() < 10, seconds=8, what="a drain is shown")
    assert drains()["lifecycle"] != ""
    assert drains()["web"] == ""


@pytest.mark.parametrize("name", ["deliveries", "ticker", "web"])
def test_a_killed_process__shows_as_dead_within_10_s(installation: Installation, name: str) -> None:
    eventually(lambda: alive(installation).keys() == NAMES, seconds=10, what="all report")
    pid = alive(installation)[name]
    os.kill(pid, signal.SIGKILL)
    killed_at = time.monotonic()
    eventually(lambda: pid not in alive(installation).values(), seconds=10, what=f"{name} is dead")
    assert time.monotonic() - killed_at < 10
    assert pid in {row["pid"] for row in rows(installation)}, "it is shown, as dead"
    eventually(lambda: alive(installation).keys() == NAMES, seconds=20, what="its successor")


def test_after_an_outage_of_postgresql__all_report_again(installation: Installation) -> None:
    eventually(lambda: alive(installation).keys() == NAMES, seconds=10, what="all report")
    installation.stop_postgres()
    time.sleep(4)
    installation.start_postgres()
    time.sleep(8.5)  # No row is as recent as that unless it was written since.
    # A process that was still starting is started again.
    eventually(lambda: alive(installation).keys() == NAMES, seconds=10, what="all report again")


def test_a_clean_stop__leaves_no_row(installation: Installation) -> None:
    eventually(lambda: alive(installation).keys() == NAMES, seconds=10, what="all report")
    pids = alive(installation)
    for name in ("stream", "lifecycle", "ticker", "web"):
        os.kill(installation.pid(name), signal.SIGTERM)
        eventually(
            lambda name=name: pids[name] not in {row["pid"] for row in rows(installation)},
            seconds=6,
            what=f"the row of {name} is deleted",
        )
