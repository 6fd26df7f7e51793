"""An unreachable database is one line in the log, and its return another."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.db import InterfaceError, OperationalError, connection

from apps.base.outages import Outage, outage
from apps.base.transactions import is_unreachable
from tests.factories import House

PROJECT = Path(__file__).resolve().parents[2]


def test_outage__is_logged_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    unreachable = Outage()
    for _ in range(5):
        unreachable.report(OperationalError("connection refused\nIs the server running?"))
    unreachable.end()
    unreachable.end()
    assert [record.getMessage() for record in caplog.records] == [
        "the database does not answer: connection refused",
        "the database answers again",
    ]


def test_outage__of_calls_leaves_no_traceback(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    host, connection.settings_dict["HOST"] = connection.settings_dict["HOST"], "/nowhere"
    connection.close()
    try:
        for _ in range(3):
            assert house.alice.get("/v1/tasks").status_code == 503
    finally:
        connection.settings_dict["HOST"] = host
        connection.close()
    assert house.alice.get("/v1/tasks").status_code == 200
    logged = [record for record in caplog.records if record.name == "apps.base.outages"]
    assert len(logged) == 2
    assert "Traceback" not in caplog.text
    outage.end()


def test_is_unreachable(house: House) -> None:
    assert is_unreachable(OperationalError("gone"))
    assert is_unreachable(InterfaceError("closed"))
    assert not is_unreachable(ValueError("x"))
    with pytest.raises(OperationalError) as timeout, connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 1; SELECT pg_sleep(1)")
    connection.close()
    assert not is_unreachable(timeout.value)


@pytest.mark.parametrize(
    "command",
    [
        ["create_organisation", "Northwind"],
        ["migrate"],
        ["reencrypt"],
        ["create_key", "019abf3c-7d2e-7a10-9c55-2f6a1b0c8d41"],
    ],
)
def test_command__without_a_database_says_so_in_a_line(command: list[str], tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "BIOLAYER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    assert "PostgreSQL does not answer" in shown.stderr.splitlines()[-1]
