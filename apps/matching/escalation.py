"""What a policy makes of a task that nobody takes. Pure rules over values.

A policy is a list of steps, each some seconds after the task was first queued, and what happens when
the last of them has not helped either. A step changes what the contract asks for; the changes of all
steps that were taken add up. Certifications and trust are dropped only by a policy that the contract
itself brings: a pool must not weaken what its caller relies on.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from uuid import UUID

import orjson

from biolayer.contract import EscalationPolicy, EscalationStep

ESCALATION = "escalation"
"""The timer of a task's next step; its subject is the task."""


@dataclass(frozen=True, slots=True)
class Relaxed:
    """What the steps taken so far add up to."""

    drops_preferred_skills: bool = False
    drops_certifications: bool = False
    trust_level_less: int = 0
    min_rating_less: float = 0.0
    pools_more: frozenset[UUID] = frozenset()
    # The last that a step named; None: as the pool has it.
    mode: str | None = None
    broadcast_to: int | None = None

    def after(self, step: EscalationStep, *, is_of_contract: bool) -> "Relaxed":
        return Relaxed(
            self.drops_preferred_skills or step.drop_preferred_skills,
            self.drops_certifications or (is_of_contract and step.drop_certifications),
            self.trust_level_less + (step.lower_trust_level_by if is_of_contract else 0),
            self.min_rating_less + step.lower_min_rating_by,
            self.pools_more | frozenset(step.widen_to_pools),
            step.mode or self.mode,
            step.broadcast_to or self.broadcast_to,
        )

    def changes(
        self, *, pool_ids: Sequence[UUID] | None, trust_level: int, min_rating: float
    ) -> dict[str, Any]:
        """How the signature of a contract that asks for these differs now."""
        changed: dict[str, Any] = {}
        if self.drops_preferred_skills:
            changed["preferred"] = ()
        if self.drops_certifications:
            changed["certifications"] = ()
        if self.trust_level_less:
            changed["trust_level"] = max(0, trust_level - self.trust_level_less)
        if self.min_rating_less:
            changed["min_rating"] = max(0.0, round(min_rating - self.min_rating_less, 2))
        if self.pools_more and pool_ids is not None:
            changed["pool_ids"] = tuple(sorted({*pool_ids, *self.pools_more}))
        return changed


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

    def relaxed(self, steps_taken: int) -> Relaxed:
        relaxed = Relaxed()
        for step in self.steps[:steps_taken]:
            relaxed = relaxed.after(step, is_of_contract=self.is_of_contract)
        return relaxed

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
