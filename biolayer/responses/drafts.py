"""Define the responses about drafts."""

from typing import Any

from biolayer.events.envelope import OpenModel
from biolayer.values import Identifier, Timestamp


class Draft(OpenModel):
    """What a worker has typed for a task and not submitted. Only that worker can read it."""

    run_id: Identifier
    task_id: Identifier
    revision: int
    epoch: int
    output: Any
    form: dict[str, list[str]] | None
    saved_at: Timestamp
