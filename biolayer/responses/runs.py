"""Define the responses about runs."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.responses.tasks import Briefing
from biolayer.values import Identifier, Timestamp


class Run(OpenModel):
    """One attempt at a task by one worker. Each call on the run requires its `epoch`."""

    run_id: Identifier
    task_id: Identifier
    status: Literal[
        "queued",
        "claimed",
        "starting",
        "running",
        "completed",
        "failed",
        "canceled",
        "needs_attention",
    ]
    attempt: int
    epoch: int
    lease_until: Timestamp | None
    started_at: Timestamp | None
    ended_at: Timestamp | None


class HeldRun(Run):
    task: Briefing


class RunChanged(OpenModel):
    run: Run


class RunWithTask(RunChanged):
    task: Briefing


class RunPage(Page):
    data: list[HeldRun]
