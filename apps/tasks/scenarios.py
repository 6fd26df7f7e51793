"""Read what the title of a task in a sandbox asks its simulated workers to do.

A title such as `[decline] Verify endpoint owner activity` has a magic word in brackets, anywhere.
Titles of live tasks mean nothing. docs/sandbox.md lists the words.
"""

import re
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from apps.accounts.sandbox_ids import is_of_sandbox


class Scenario(StrEnum):
    """Name what the simulated workers do; the values are the magic words."""

    COMPLETE = "complete"  # at once; so does every task without a magic word
    DECLINE = "decline"  # two workers decline, the third completes
    EXPIRE = "expire"  # the first offer expires, the next worker completes
    FAIL = "fail"  # each attempt fails, and so the task
    BREACH = "breach"  # the SLA clocks run out after seconds, and then the worker submits
    SLOW = "slow"  # the worker starts after a minute, and submits after another
    NO_WORKER = "no-worker"  # no worker is eligible


WORDS = re.compile(rf"\[({'|'.join(Scenario)})\]", re.IGNORECASE)

BREACH_AFTER = timedelta(seconds=2)
"""When the SLA clocks of a `[breach]` run out at the latest."""


def scenario_of(*, organisation_id: UUID, title: str) -> Scenario:
    """Return what a task's title asks for; the first magic word counts."""
    word = WORDS.search(title) if is_of_sandbox(organisation_id) else None
    return Scenario(word[1].lower()) if word else Scenario.COMPLETE
