"""Keep tasks as lists render them, by the versions of their rows.

Most tasks of a list have not changed since a caller last read it. PostgreSQL shows which ones: each
version of a row has another `xmin`, so a rendered task can never be out of date.
"""

from collections.abc import Sequence
from threading import Lock

from apps.accounts.principal import Principal
from apps.api.http.rendering import dump_json
from apps.api.v1.representations import tasks as representations
from apps.tasks import selectors
from apps.tasks.selectors import TaskVersion

# Of some 2 KB each, in each process.
MAX_KEPT = 5_000

_kept: dict[TaskVersion, bytes] = {}
_lock = Lock()


def rendered_tasks(*, actor: Principal, versions: Sequence[TaskVersion]) -> list[bytes]:
    """Return the tasks of a page as JSON, in its order; the actor may see all of them."""
    kept = {version.id: _kept[version] for version in versions if version in _kept}
    missing = [version.id for version in versions if version.id not in kept]
    for task in selectors.tasks_by_id(actor=actor, ids=missing):
        # The row may have changed since the page was read: it is kept as its present version.
        kept[task.id] = _keep(TaskVersion.of(task), dump_json(representations.task(task)))
    return [kept[version.id] for version in versions if version.id in kept]


def _keep(version: TaskVersion, rendered: bytes) -> bytes:
    with _lock:
        _kept[version] = rendered
        while len(_kept) > MAX_KEPT:
            del _kept[next(iter(_kept))]
    return rendered
