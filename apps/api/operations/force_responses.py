"""Define the bodies that calls on runs by force return."""

from apps.api.operations.responses import ErrorBody, Shape, TaskRun


class RepeatedRunAnswer(Shape):
    previous_run: TaskRun
    run: TaskRun


class BulkForceResult(Shape):
    run_id: str
    ok: bool
    run: TaskRun | None = None
    error: ErrorBody | None = None


class BulkForceAnswer(Shape):
    results: list[BulkForceResult]
