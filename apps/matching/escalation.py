"""What a policy makes of a task that nobody takes. Pure rules over values.

A policy is a list of steps, each some seconds after the task was first queued, and what happens when
the last of them has not helped either. A step changes what the contract asks for; the changes of all
steps that were taken add up. Certifications and trust are dropped only by a policy that the contract
itself brings: a pool must not weaken what its caller relies on.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import orjson

from apps.tasks.requirements import Signature
from biolayer.contract import EscalationPolicy, EscalationStep

ESCALATION = "escalation"
"""The timer of a task's next step; its subject is the task."""


def after(step: EscalationStep, asked: Signature, *, is_of_contract: bool) -> Signature:
    """What is asked for once the step is taken."""
    changed: dict[str, Any] = {
        "min_rating": max(0.0, round(asked.min_rating - step.lower_min_rating_by, 2))
    }
    if step.drop_preferred_skills:
        changed["preferred"] = ()
    if asked.pool_ids is not None:
        changed["pool_ids"] = tuple(sorted({*asked.pool_ids, *step.widen_to_pools}))
    if is_of_contract:
        changed["trust_level"] = max(0, asked.trust_level - step.lower_trust_level_by)
        if step.drop_certifications:
            changed["certifications"] = ()
    return replace(asked, **changed)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, and whether the contract brought it."""

    steps: Sequence[EscalationStep] = ()
    at_end: str = "wait"
    is_of_contract: bool = False

    @staticmethod
    def of(task: Mapping[str, Any] | None, pool: Mapping[str, Any] | None) -> "Policy":
        """The task's own, else its pool's, else none. Both were checked when they were given."""
        found = task or pool
        if not found:
            return Policy()
        policy = EscalationPolicy.model_validate_json(orjson.dumps(found))
        return Policy(policy.steps, policy.at_end, is_of_contract=bool(task))

    def asking(self, steps_taken: int) -> tuple[str | None, int | None]:
        """The mode, and how many are asked at once, that the steps name last; None: as the pool has it."""
        mode: str | None = None
        broadcast_to: int | None = None
        for step in self.steps[:steps_taken]:
            mode, broadcast_to = step.mode or mode, step.broadcast_to or broadcast_to
        return mode, broadcast_to

    def began(self, since: datetime, *, steps_taken: int, was_held: bool) -> datetime:
        """From when the steps count for a task that has waited `since` then. One that came back from whoever
        held it has the steps behind it that were taken before.
        """
        passed = self.moments()[:steps_taken]
        return since - timedelta(seconds=passed[-1]) if was_held and passed else since

    def steps_after(self, seconds: float) -> int:
        """How many steps are due by then; one more than there are when the end is, too."""
        return bisect_right(self.moments(), seconds)

    def moments(self) -> list[int]:
        """Seconds after which each step is due, and the end, where one comes."""
        waits = (self.seconds_until(step) for step in range(len(self.steps) + 1))
        return list(accumulate(wait for wait in waits if wait is not None))

    def seconds_until(self, step: int) -> int | None:
        """From the step before (or from when the task was queued) to the one of that index. The end
        comes as long after the last step as that came after the one before. None: nothing comes.
        """
        if step < len(self.steps):
            return self._seconds(step)
        if step == len(self.steps) and self.steps and self.at_end != "wait":
            return self._seconds(step - 1)
        return None

    def _seconds(self, step: int) -> int:
        before = self.steps[step - 1].after_seconds if step else 0
        return self.steps[step].after_seconds - before
