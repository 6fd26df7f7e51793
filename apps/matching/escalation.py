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
from decimal import Decimal
from typing import Any

import orjson

from apps.tasks.requirements import RequirementSpec
from biolayer.contract import EscalationPolicy, EscalationStep

ESCALATION = "escalation"
"""The timer of a task's next step; its subject is the task."""


def relaxed(
    step: EscalationStep, asked: RequirementSpec, *, is_of_contract: bool
) -> RequirementSpec:
    """What is asked for once the step is taken."""
    changed: dict[str, Any] = {}
    if step.lower_min_rating_by:
        # As people subtract: 4.5 - 0.1 is 4.4, and not 4.4000000000000004.
        lower = Decimal(str(asked.min_rating)) - Decimal(str(step.lower_min_rating_by))
        changed["min_rating"] = max(0.0, float(lower))
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

    def steps_after(self, seconds: float) -> int:
        """How many steps are due by then; one more than there are when the end is, too."""
        moments = self._moments()
        if moments and self.at_end != "wait":
            moments.append(self._end())
        return bisect_right(moments, seconds)

    def next_moment(self, steps_taken: int) -> int | None:
        """Seconds after which the next step is due, or the end: as long after the last step as that came
        after the one before. None: nothing comes. A task that took more steps than there are has only a
        `fail` before it.
        """
        if steps_taken < len(self.steps):
            return self._moments()[steps_taken]
        is_told = self.at_end == "notify" and steps_taken > len(self.steps)
        return None if not self.steps or self.at_end == "wait" or is_told else self._end()

    def next_at(self, steps_taken: int, since: datetime) -> datetime | None:
        """When that is for a task that has waited `since` then."""
        seconds = self.next_moment(steps_taken)
        return None if seconds is None else since + timedelta(seconds=seconds)

    def _moments(self) -> list[int]:
        return [step.after_seconds for step in self.steps]

    def _end(self) -> int:
        before_last, last = [0, *self._moments()][-2:]
        return 2 * last - before_last
