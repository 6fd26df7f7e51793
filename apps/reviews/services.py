"""Verification: what happens to a submission before its caller may see it.

The schema and the evidence were checked when it was submitted. Where no policy asks for a person's
verdict, that is all: the output is verified and handed off.
"""

from datetime import datetime

from apps.accounts import principal
from apps.base import clock
from apps.base.transactions import atomic
from apps.tasks import services as tasks
from apps.tasks.selectors import next_to_verify
from biolayer.lifecycle import Status


@atomic()
def verify_next(*, at: datetime | None = None) -> int:
    """Verify and complete the oldest submitted task. Answers 0 when there is none."""
    task = next_to_verify()
    if task is None:
        return 0
    moment = at or clock.now()
    actor = principal.system("verification", task.organisation_id)
    if task.status == Status.SUBMITTED:
        tasks.verify_task(task=task, actor=actor, at=moment)
    tasks.complete_task(task=task, actor=actor, at=moment)
    return 1
