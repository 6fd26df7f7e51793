"""Define the bodies of calls that force operations on runs."""

from typing import Any

from apps.agents.services import Order
from apps.api.operations.errors import redacted
from apps.api.operations.requests import Body, Name
from apps.api.operations.task_requests import Reason, check_metadata
from biolayer.errors import BulkTooLarge, Fault, InvalidInput, pointer

MAX_RUNS = 50
"""Of one call."""


class ForceBody(Body):
    """Why the run is changed by force."""

    reason: Reason = ""
    metadata: Any = None

    def order(self) -> Order:
        """Return what the service takes. Raise `InvalidInput`, `TooLarge` for the metadata."""
        check_metadata(self.metadata)
        return Order(redacted(self.reason), self.metadata)


class RetryBody(Body):
    """What the new run is queued with."""

    metadata: Any = None

    def order(self) -> Order:
        """Return what the service takes. Raise `InvalidInput`, `TooLarge` for the metadata."""
        check_metadata(self.metadata)
        return Order(metadata=self.metadata)


class BulkForceBody(ForceBody):
    """The runs that are changed by force, one after another."""

    run_ids: list[Name]

    def ids(self) -> list[str]:
        """Return the ids. Raise `BulkTooLarge`, `InvalidInput` for none or a blank one."""
        if len(self.run_ids) > MAX_RUNS:
            raise BulkTooLarge(MAX_RUNS, len(self.run_ids))
        if not self.run_ids:
            raise InvalidInput([Fault("/run_ids", "empty", "must name a run")])
        blank = [number for number, run_id in enumerate(self.run_ids) if not run_id]
        if blank:
            faults = (Fault(pointer("run_ids", n), "empty", "must not be blank") for n in blank)
            raise InvalidInput(list(faults))
        return self.run_ids
