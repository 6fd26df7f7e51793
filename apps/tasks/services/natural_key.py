"""Find the task that the same product posted before with the same `request_id`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from django.db import connection

from apps.accounts.principal import Principal
from apps.base import crypto
from apps.tasks.models import Task
from apps.tasks.selectors import with_dependency_ids
from biolayer.contract import TaskContract
from biolayer.errors import RequestIdReused

HASH_VERSION = b"\x02"


class NaturalKey(NamedTuple):
    """What makes a task unique within its organisation."""

    product: str
    request_id: str


def natural_key(contract: TaskContract) -> NaturalKey | None:
    """Return a contract's key; None without a `request_id`: then each post is a new task."""
    if contract.origin.request_id is None:
        return None
    return NaturalKey(contract.origin.product, contract.origin.request_id)


EARLIER = """
SELECT task.id FROM unnest(%s::text[], %s::text[]) AS key (product, request_id)
JOIN tasks_task task ON task.organisation_id = %s
    AND task.product = key.product AND task.request_id = key.request_id
"""


@dataclass(frozen=True, slots=True)
class Earlier:
    """A task that has a natural key already."""

    task: Task
    is_visible: bool

    def replayed(self, contract: TaskContract) -> Task:
        """Return the task for a contract with its key.

        Raise `RequestIdReused` where the contract differs, or the actor may not see the task.
        """
        if not self.is_visible:
            raise RequestIdReused(None)
        if not is_same(self.task, contract):
            raise RequestIdReused(str(self.task.id))
        return self.task


def earlier_tasks(
    *, actor: Principal, keys: Collection[NaturalKey]
) -> Mapping[NaturalKey, Earlier]:
    """Return the tasks of the actor's organisation that have one of the keys."""
    if not keys:
        return {}
    products, request_ids = zip(*keys, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(EARLIER, [list(products), list(request_ids), actor.organisation_id])
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return {}
    visible = Task.objects.visible_to(actor).filter(id__in=ids).values_list("id", flat=True)
    visible_ids = set(visible)
    tasks = with_dependency_ids(Task.objects.filter(id__in=ids))
    return {
        NaturalKey(task.product, str(task.request_id)): Earlier(task, task.id in visible_ids)
        for task in tasks
    }


def request_hash(contract: TaskContract) -> bytes:
    """Return a hash that neither the order of a request's members nor a default changes.

    A field that a later version adds leaves the hashes of requests without it as they are.
    """
    members = contract.model_dump(mode="json", exclude_defaults=True)
    ordered = orjson.dumps(members, option=orjson.OPT_SORT_KEYS)
    return HASH_VERSION + crypto.keyed_hash("task-request", ordered)


def hash_of_0_1(contract: TaskContract) -> bytes:
    """Return the hash that version 0.1 compares, which may run beside this one."""
    # It knows no reviews.
    members = contract.model_dump(mode="json", exclude=set() if contract.review else {"review"})
    return crypto.keyed_hash("task-body", orjson.dumps(members))


def is_same(task: Task, contract: TaskContract) -> bool:
    """Return whether a task was made from this contract."""
    if task.request_hash is None:
        return bytes(task.body_hash) == hash_of_0_1(contract)
    return bytes(task.request_hash) == request_hash(contract)
