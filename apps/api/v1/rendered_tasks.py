"""Keep tasks as they are rendered, by the versions of their rows.

Most tasks have not changed since a caller last read them. PostgreSQL shows which ones: each version
of a row has another `xmin`. What a rendered task shows and the row does not have, such as the tasks
that it waits for, must be part of `TaskVersion`, or reads show old values.
"""

from collections.abc import Sequence
from threading import Lock
from uuid import UUID

from apps.accounts.principal import Principal
from apps.api.http.rendering import dump_json
from apps.api.v1.representations import tasks as representations
from apps.tasks import selectors
from apps.tasks.selectors import TaskVersion
from biolayer.errors import NotFound

# Bytes of what is kept in each process, and of one task: most have some 2 KB.
MAX_KEPT_BYTES = 16 * 1024 * 1024
MAX_TASK_BYTES = 16 * 1024


class _Cache:
    """Keep the tasks that were rendered last, up to a number of bytes."""

    def __init__(self) -> None:
        self.rendered: dict[TaskVersion, bytes] = {}
        self.size = 0
        self._lock = Lock()

    def get(self, version: TaskVersion) -> bytes | None:
        """Return a task as JSON; None where it is not kept, or no more."""
        return self.rendered.get(version)

    def add(self, version: TaskVersion, rendered: bytes) -> None:
        """Keep a task unless it is large. The oldest are dropped for it."""
        if len(rendered) > MAX_TASK_BYTES:
            return
        with self._lock:
            self.size += len(rendered) - len(self.rendered.get(version, b""))
            self.rendered[version] = rendered
            while self.size > MAX_KEPT_BYTES:
                self.size -= len(self.rendered.pop(next(iter(self.rendered))))


cache = _Cache()


def rendered_tasks(*, actor: Principal, versions: Sequence[TaskVersion]) -> list[bytes]:
    """Return the tasks of a page as JSON, in its order; the actor may see all of them."""
    # Each is looked up once: another thread may drop it at any time.
    found = ((version.id, cache.get(version)) for version in versions)
    tasks = {task_id: rendered for task_id, rendered in found if rendered is not None}
    missing = [version.id for version in versions if version.id not in tasks]
    for task in selectors.tasks_by_id(actor=actor, ids=missing):
        tasks[task.id] = dump_json(representations.task(task))
        # The row may have changed since the page was read: it is kept as its present version.
        cache.add(TaskVersion.of(task), tasks[task.id])
    return [tasks[version.id] for version in versions if version.id in tasks]


def rendered_task(*, actor: Principal, task_id: UUID) -> bytes:
    """Return a task as JSON. Raise `NotFound`, `ScopeMissing`."""
    version = selectors.task_version(actor=actor, task_id=task_id)
    for rendered in rendered_tasks(actor=actor, versions=[version]):
        return rendered
    # It was deleted after its version was read.
    raise NotFound("task")
