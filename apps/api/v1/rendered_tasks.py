"""Keep tasks as they are rendered, by the versions of their rows.

Most tasks have not changed since a caller last read them. PostgreSQL shows which ones: each version
of a row has another `xmin`. What a rendered task shows and the row does not have, such as the tasks
that it waits for, must be part of `TaskVersion`, or reads show old values.
"""

from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple
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
    """Keep the tasks that were rendered last, each by its last version, up to a number of bytes."""

    def __init__(self) -> None:
        self.rendered: dict[UUID, tuple[TaskVersion, bytes]] = {}
        self.size = 0
        self._lock = Lock()

    def has(self, task_id: UUID) -> bool:
        """Return whether a version of the task is kept."""
        return task_id in self.rendered

    def get(self, version: TaskVersion) -> bytes | None:
        """Return a task as JSON; None where this version is not kept."""
        kept = self.rendered.get(version.id)
        return kept[1] if kept is not None and kept[0] == version else None

    def add(self, version: TaskVersion, rendered: bytes) -> None:
        """Keep a task unless it is large. The oldest are dropped for it."""
        with self._lock:
            self._drop(version.id)
            if len(rendered) > MAX_TASK_BYTES:
                return
            self.rendered[version.id] = (version, rendered)
            self.size += len(rendered)
            while self.size > MAX_KEPT_BYTES:
                self._drop(next(iter(self.rendered)))

    def _drop(self, task_id: UUID) -> None:
        kept = self.rendered.pop(task_id, None)
        self.size -= 0 if kept is None else len(kept[1])


cache = _Cache()


def rendered_tasks(*, actor: Principal, versions: Sequence[TaskVersion]) -> list[bytes]:
    """Return the tasks of a page as JSON, in its order; the actor may see all of them."""
    # Each is looked up once: another thread may drop it at any time.
    found = ((version.id, cache.get(version)) for version in versions)
    tasks = {task_id: rendered for task_id, rendered in found if rendered is not None}
    missing = [version.id for version in versions if version.id not in tasks]
    tasks |= {task_id: task.body for task_id, task in _render(actor, missing).items()}
    return [tasks[version.id] for version in versions if version.id in tasks]


class RenderedTask(NamedTuple):
    """Hold a task as JSON, and its version."""

    version: int
    body: bytes


def rendered_task(*, actor: Principal, task_id: UUID) -> RenderedTask:
    """Return a task as JSON: by one statement, or by two where a kept version has changed.

    Raise `NotFound`, `ScopeMissing`.
    """
    if cache.has(task_id):
        version = selectors.task_version(actor=actor, task_id=task_id)
        kept = cache.get(version)
        if kept is not None:
            return RenderedTask(version.version, kept)
    rendered = _render(actor, [task_id])
    if task_id not in rendered:
        raise NotFound("task")
    return rendered[task_id]


def _render(actor: Principal, task_ids: Sequence[UUID]) -> dict[UUID, RenderedTask]:
    """Read and keep the tasks that the actor may see. Return them as JSON.

    A row may have changed since its version was read: it is kept as its present version.
    """
    rendered = {}
    for task in selectors.tasks_by_id(actor=actor, ids=task_ids):
        body = dump_json(representations.task(task))
        rendered[task.id] = RenderedTask(task.version, body)
        cache.add(TaskVersion.of(task), body)
    return rendered
