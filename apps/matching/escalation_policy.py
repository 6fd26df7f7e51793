"""Decide what an escalation policy does with a task that no worker takes. Pure rules over values.

A policy is a list of steps, each some seconds after the task was first queued, and an end, for when
the last of them has not helped either. A step changes what the contract asks for; the changes of
all steps that were taken add up. Certifications and trust are dropped only by a policy that the
contract itself brings: a pool must not weaken what its caller relies on.
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


def relaxed(
    step: EscalationStep, requirement: RequirementSpec, *, is_of_contract: bool
) -> RequirementSpec:
    """Return what the task asks for once the step is taken."""
    changed: dict[str, Any] = {}
    if step.lower_min_rating_by:
        # In decimals: 4.5 - 0.1 is 4.4, and not 4.4000000000000004.
        lower = Decimal(str(requirement.min_rating)) - Decimal(str(step.lower_min_rating_by))
        changed["min_rating"] = max(0.0, float(lower))
    if step.drop_preferred_skills:
        changed["preferred"] = ()
    if requirement.pool_ids is not None:
        changed["pool_ids"] = tuple(sorted({*requirement.pool_ids, *step.widen_to_pools}))
    if is_of_contract:
        changed["trust_level"] = max(0, requirement.trust_level - step.lower_trust_level_by)
        if step.drop_certifications:
            changed["certifications"] = ()
    return replace(requirement, **changed)


@dataclass(frozen=True, slots=True)
class Policy:
    """Hold a policy, and whether the contract brought it."""

    steps: Sequence[EscalationStep] = ()
    at_end: str = "wait"
    is_of_contract: bool = False

    @staticmethod
    def of(task: Mapping[str, Any] | None, pool: Mapping[str, Any] | None) -> "Policy":
        """Return the task's own policy, else its pool's, else one without steps.

        Both were validated when they were written.
        """
        document = task or pool
        if not document:
            return Policy()
        policy = EscalationPolicy.model_validate_json(orjson.dumps(document))
        return Policy(policy.steps, policy.at_end, is_of_contract=bool(task))

    def offer_mode(self, steps_taken: int) -> tuple[str | None, int | None]:
        """Return the offer mode and the number of offers at once that the steps taken set last.

        None: as the pool has it.
        """
        mode: str | None = None
        broadcast_to: int | None = None
        for step in self.steps[:steps_taken]:
            mode, broadcast_to = step.mode or mode, step.broadcast_to or broadcast_to
        return mode, broadcast_to

    def steps_due(self, waited: timedelta) -> int:
        """Return how many steps are due after that wait; one more than there are: so is the end."""
        moments = self._moments()
        if moments and self.at_end != "wait":
            moments.append(self._end())
        return bisect_right(moments, waited.total_seconds())

    def next_after(self, steps_taken: int) -> int | None:
        """Return the seconds of waiting after which the next step or the end is due.

        The end comes as long after the last step as that came after the one before. None: nothing
        more is due. A task that took more steps than there are has had its `notify`, and only a
        `fail` is left for it.
        """
        if steps_taken < len(self.steps):
            return self._moments()[steps_taken]
        has_notified = self.at_end == "notify" and steps_taken > len(self.steps)
        if not self.steps or self.at_end == "wait" or has_notified:
            return None
        return self._end()

    def next_at(self, steps_taken: int, since: datetime) -> datetime | None:
        """Return when that is for a task that has waited since then."""
        seconds = self.next_after(steps_taken)
        return None if seconds is None else since + timedelta(seconds=seconds)

    def _moments(self) -> list[int]:
        return [step.after_seconds for step in self.steps]

    def _end(self) -> int:
        before_last, last = [0, *self._moments()][-2:]
        return 2 * last - before_last
