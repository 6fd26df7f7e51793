"""The transition table, compared with the specification's own."""

import pytest

from biolayer import lifecycle
from biolayer.events import SILENT
from biolayer.lifecycle import TRANSITIONS, Command, EventType, Status

SPECIFIED = {
    ("created", "queued"),
    ("queued", "matched"),
    ("matched", "offered"),
    ("offered", "accepted"),
    ("offered", "queued"),
    ("accepted", "started"),
    ("accepted", "queued"),
    ("started", "queued"),
    ("started", "submitted"),
    ("submitted", "verified"),
    ("submitted", "queued"),
    ("verified", "completed"),
    *((s, "cancelled") for s in ["created", "queued", "matched", "offered", "accepted", "started"]),
    *(
        (s, "failed")
        for s in [
            "created",
            "queued",
            "matched",
            "offered",
            "accepted",
            "started",
            "submitted",
            "verified",
        ]
    ),
}
BEYOND = {
    ("draft", "created"),  # publish
    ("draft", "cancelled"),
    ("queued", "accepted"),  # an agent's claim
    ("completed", "queued"),  # reopen
    ("failed", "queued"),
    # Tasks that only claims hand out.
    ("created", "accepted"),
    ("accepted", "created"),
    ("started", "created"),
    ("submitted", "created"),
    ("completed", "created"),
    ("failed", "created"),
}
"""What this service adds to the transitions of the product's API reference."""
REMARKS = (
    Command.ESCALATE,
    Command.WARN,
    Command.BREACH,
    Command.MESSAGE,
    Command.UPDATE,
    Command.REQUEST_REVIEW,
    Command.DECIDE_REVIEW,
    Command.REPORT_REVIEW,
    Command.OPEN_APPEAL,
    Command.DECIDE_APPEAL,
)
"""Events of a task whose status does not change."""


def test_the_table__is_the_specification_with_the_additions() -> None:
    moves = {
        (row.source, row.target) for row in TRANSITIONS if row.source and row.source != row.target
    }
    assert moves == SPECIFIED | BEYOND


def test_the_twelve_events_are_announced_by_their_names() -> None:
    assert {event.value for event in EventType} - {"task.drafted"} - SILENT == {
        f"task.{name}"
        for name in [
            "created",
            "queued",
            "matched",
            "offered",
            "accepted",
            "started",
            "submitted",
            "verified",
            "completed",
            "failed",
            "cancelled",
            "sla_breached",
        ]
    }


def test_a_transition__has_the_event_of_its_target() -> None:
    for row in TRANSITIONS:
        if row.command not in (*REMARKS, Command.DRAFT, Command.HOLD):
            assert row.event == f"task.{row.target}"


def test_cancelled__has_no_exits() -> None:
    """A verdict of before can be appealed; the status never changes."""
    assert set(lifecycle.allowed(Status.CANCELLED)) <= set(REMARKS)


@pytest.mark.parametrize("command", [Command.OPEN_APPEAL, Command.DECIDE_APPEAL])
def test_appeals__are_of_every_task_that_may_have_had_a_verdict(command: Command) -> None:
    sources = {row.source for row in TRANSITIONS if row.command is command}
    assert sources == set(Status) - {Status.DRAFT}


@pytest.mark.parametrize("status", ["submitted", "verified", "completed", "failed"])
def test_cancel__refused_once_submitted(status: str) -> None:
    assert lifecycle.find(Command.CANCEL, Status(status)) is None


@pytest.mark.parametrize("command", REMARKS)
@pytest.mark.parametrize("status", list(Status))
def test_a_remark_never_changes_the_status(status: Status, command: Command) -> None:
    row = lifecycle.find(command, status)
    assert row is None or row.target is status
