"""Define the responses about what a worker did."""

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.events.tasks import StatusName
from biolayer.responses.appeals import OwnVerdict
from biolayer.responses.pages import Page
from biolayer.responses.runs import Run
from biolayer.values import Identifier, Timestamp


class TaskSummary(OpenModel):
    """What a list shows of a task."""

    task_id: Identifier
    status: StatusName
    task_type: str
    domain: str
    title: str


class EndedRun(Run):
    task: TaskSummary
    verdict: OwnVerdict | None = Field(
        description="The verdict by which its output was sent back or rejected; null: none."
    )


class HistoryPage(Page):
    data: list[EndedRun]


class Statistics(OpenModel):
    """What a worker did since a time."""

    since: Timestamp
    completed: int = Field(description="Runs that were submitted.")
    returned: int = Field(description="Runs that the worker released.")
    missed_lease: int = Field(description="Runs whose lease ended without a call.")
    on_time_share: float | None = Field(
        description="Of the submitted runs of tasks with an SLA clock, the share that was in time;"
        " null without any."
    )
    median_seconds: int | None = Field(
        description="The median time from start to submission; null without any."
    )
