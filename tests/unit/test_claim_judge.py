"""The judge of bench/claims_contest.py finds what must not be in the log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.claims_contest import Entry, judge

BEGAN = datetime(2026, 11, 30, 12, tzinfo=UTC)


def entry(kind: str, session: str, second: float, **payload: Any) -> Entry:
    return Entry("run", f"task.{kind}", session, payload, BEGAN + timedelta(seconds=second))


def claimed(session: str, second: float, *, until: float = 10) -> Entry:
    return entry(
        "run_claimed",
        session,
        second,
        claimed_by={"kind": "agent_session", "ref": session},
        claim_token_hash=f"hash of {session}",
        lease_until=(BEGAN + timedelta(seconds=until)).isoformat(),
    )


def completed(session: str, second: float) -> Entry:
    return entry("run_completed", session, second, claim_token_hash=f"hash of {session}")


def expired(second: float) -> Entry:
    return entry("run_lease_expired", "system:leases", second)


def faults(*entries: Entry) -> list[str]:
    return list(judge(entries))


def test_right__a_lease_that_ended_and_another_session_that_completes() -> None:
    renewed = entry(
        "run_lease_extended",
        "b",
        20,
        claim_token_hash="hash of b",
        lease_until=(BEGAN + timedelta(seconds=40)).isoformat(),
    )
    assert faults(claimed("a", 0), expired(10), claimed("b", 15, until=25), renewed,
                  completed("b", 30)) == []  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        ([claimed("a", 0), claimed("b", 1), completed("b", 2)], "while a holds it"),
        ([claimed("a", 0), completed("b", 2), completed("a", 3)], "while a holds it"),
        ([claimed("a", 0), completed("a", 11)], "too late"),
        ([claimed("a", 0), completed("a", 1), completed("a", 2)], "after the completion"),
        ([claimed("a", 0), expired(5), claimed("b", 6), completed("b", 7)], "had ended"),
        ([claimed("a", 0)], "completed 0 times"),
        ([claimed("a", 0), entry("run_failed", "a", 1), completed("a", 2)], "not expected"),
        (
            [claimed("a", 0), entry("run_completed", "a", 1, claim_token_hash="another")],
            "another claim",
        ),
    ],
)
def test_wrong__is_found(entries: list[Entry], fault: str) -> None:
    assert any(fault in one for one in faults(*entries))
