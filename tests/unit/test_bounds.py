"""Test how long each kind of process waits for PostgreSQL, also through PgBouncer."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.settings.database import BOUNDS, database

PROJECT = Path(__file__).resolve().parents[2]
URL = (
    "postgresql://biolayer:secret@db.internal:5433/biolayer"
    "?sslmode=require&options=-c%20work_mem%3D8MB"
)


def options_of(**changes: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"kind": "web", "is_pooled": False, **changes}
    found: dict[str, Any] = database(URL, **wanted)["OPTIONS"]
    return found


@pytest.mark.parametrize("kind", BOUNDS)
def test_every_kind__bounds_locks_statements_and_idle_transactions(kind: Any) -> None:
    options = options_of(kind=kind)
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        (value,) = [part for part in options["options"].split() if part.startswith(f"{name}=")]
        assert 0 < int(value.partition("=")[2]) <= 600_000
    assert options["keepalives_idle"] + 3 * options["keepalives_interval"] <= 15
    assert "tcp_keepalives_idle" in options["options"]
    assert options["application_name"] == f"biolayer {kind}"


def test_the_url__may_set_more(settings: Any) -> None:
    options = options_of()
    assert options["sslmode"] == "require"
    assert options["options"].endswith("-c work_mem=8MB")


def test_behind_pgbouncer__nothing_is_kept_on_a_connection() -> None:
    pooled = database(URL, kind="web", is_pooled=True)
    assert pooled["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert pooled["OPTIONS"]["prepare_threshold"] is None
    assert pooled["OPTIONS"]["options"] == "-c work_mem=8MB"
    plain = database(URL.partition("?")[0], kind="web", is_pooled=True)
    assert "options" not in plain["OPTIONS"]


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        ("import config.wsgi", "web"),
        ("import config.asgi", "stream"),
        ("sys.argv = ['celery', '-A', 'config.celery', 'worker']; import config.celery", "worker"),
        ("sys.argv = ['manage.py', 'shell']; import config.celery", "command"),
    ],
)
def test_each_entry_point__names_its_kind_of_process(
    program: str, kind: str, tmp_path: Path
) -> None:
    code = f"import sys; {program}; from config.settings import ENV; print(ENV.BIOLAYER_PROCESS)"
    environment = {**os.environ, "BIOLAYER_HOME": str(tmp_path)}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == kind
