"""Define why an operator's call of `/api` is refused."""

from collections.abc import Mapping
from typing import Any

from biolayer.errors.base import BioLayerError
from biolayer.errors.conflicts import Conflict
from biolayer.errors.refusals import Refused


class TransitionRefused(Conflict):
    """The state of a task or a run of `/api` does not allow the call."""

    code = "invalid_transition"
    title = "The state does not allow this"


class OpenRunExists(Conflict):
    code = "open_run_exists"
    title = "The task has an open run"

    def __init__(self, run_id: str) -> None:
        super().__init__(f"Finish or cancel the run {run_id} first.")


class TaskIdTaken(Conflict):
    code = "task_id_taken"
    title = "A task with this id exists"

    def __init__(self) -> None:
        super().__init__("Choose another id, or leave it out.")


class GraphLimit(Conflict):
    code = "graph_limit"
    title = "The graph of tasks has a limit"


class DependencyCycle(Conflict):
    code = "dependency_cycle"
    title = "The dependency would close a cycle"

    def __init__(self) -> None:
        super().__init__("The other task depends on this one, perhaps by others between them.")


class NotOfThisApi(Conflict):
    code = "not_of_this_api"
    title = "The task is not one of this API"

    def __init__(self) -> None:
        super().__init__("It was created by another API, which changes it; here it can be read.")


class OwnedByAnother(Refused):
    """The task's owner is a pool, or another session."""

    code = "owned_by_another"
    title = "The task is for another owner"


class NotTheReviewer(Refused):
    """A session answers a review that is bound to another one, or is of another workspace."""

    code = "not_the_reviewer"
    title = "Another session reviews this"

    def __init__(self) -> None:
        super().__init__("Only the session that the review is bound to may answer it, or a person.")


class SessionNotOpened(Conflict):
    """The session executor opened no session; the run has failed."""

    code = "session_not_opened"
    title = "No session was opened"


class ReasonRequired(BioLayerError):
    """A forced operation needs a reason."""

    code = "force_op_requires_reason"
    title = "The operation needs a reason"

    def __init__(self) -> None:
        super().__init__("Send `reason`: it is kept in the log.")


class ForceRateLimited(BioLayerError):
    code = "force_op_rate_limited"
    title = "Too many forced operations"

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        super().__init__("An agent may force 10 operations a minute on a task.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"limit": 10, "window_seconds": 60, "retry_after_seconds": self.retry_after}


class ForceForbidden(Refused):
    code = "forbidden_operator_action"
    title = "Agents may not force operations here"


class ChainTooDeep(BioLayerError):
    code = "retry_chain_too_deep"
    title = "The run was repeated too often"

    def __init__(self) -> None:
        super().__init__("At most 10 runs repeat each other. Start the task again.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"limit": 10}


class BulkTooLarge(BioLayerError):
    code = "bulk_too_large"
    title = "Too many runs in one call"

    def __init__(self, limit: int, count: int) -> None:
        self.limit, self.count = limit, count
        super().__init__(f"A call takes at most {limit} runs.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"limit": self.limit, "count": self.count}


class WrongStatus(Conflict):
    """The status of a run or a task does not allow a forced operation."""

    def __init__(self, text: str, **facts: str) -> None:
        self._facts = facts
        super().__init__(text)

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._facts


class RunNotReleasable(WrongStatus):
    code = "task_run_not_releasable"
    title = "Only a claimed run can be released"


class RunNotRecoverable(WrongStatus):
    code = "task_run_not_recoverable"
    title = "Only a run that needs attention can be recovered"


class RunStillActive(WrongStatus):
    code = "task_run_still_active"
    title = "The run is still active"


class AlreadyTerminal(WrongStatus):
    code = "task_run_already_terminal"
    title = "It is finished already"


OPERATOR_ERRORS: tuple[type[BioLayerError], ...] = (
    ReasonRequired,
    ForceRateLimited,
    ForceForbidden,
    ChainTooDeep,
    BulkTooLarge,
    RunNotReleasable,
    RunNotRecoverable,
    RunStillActive,
    AlreadyTerminal,
)
"""Those with a code of the contract: their bodies have a diagnostic."""
UNPROCESSABLE: tuple[type[BioLayerError], ...] = (ReasonRequired, ChainTooDeep, BulkTooLarge)
