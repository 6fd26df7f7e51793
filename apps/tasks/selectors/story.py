"""Read what an operator sees of a task: its runs, and what it waits for or holds up."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import OuterRef, QuerySet, TextField, Value
from django.db.models.functions import Cast, JSONObject

from apps.accounts.models import ApiKey, Member
from apps.accounts.principal import Principal
from apps.base.queries import load_query
from apps.pools.models import Pool, Worker
from apps.tasks.models import Attachment, ReturnedRun, Run, Task

MAX_NODES = 20
MAX_DISTANCE = 4

GRAPH = load_query("apps.tasks", "dependency_graph")


def task_runs(task: Task) -> "QuerySet[Run]":
    """Return the runs of a task that the actor may see, the last one first, with their workers.

    `returned` has how workers gave a run back, or lost it: `name`, `way`, `at`.
    """
    names = Worker.objects.filter(id=OuterRef("worker_id")).values("name")
    returned = ReturnedRun.objects.filter(run_id=OuterRef("id")).order_by("epoch")
    facts = JSONObject(worker_id="worker_id", way="way", at="returned_at", name=names)
    return (
        Run.objects.filter(task_id=task.id)
        .select_related("worker")
        .annotate(returned=ArraySubquery(returned.values(json=facts)))
        .order_by("-attempt")
    )


@dataclass(frozen=True, slots=True)
class Node:
    """Describe a task near another one.

    `level` is how far it is, by the longest way: negative for a task that the other waits for.
    `links` are its dependencies as pairs: the task that waits, and the one that it needs.
    """

    id: UUID
    title: str
    status: str
    level: int
    links: tuple[tuple[UUID, UUID], ...]


def dependency_graph(*, actor: Principal, task: Task) -> Sequence[Node]:
    """Return up to `MAX_NODES` tasks around a task that the actor may see, the nearest first."""
    params: dict[str, Any] = {
        "id": task.id,
        "organisation_id": actor.organisation_id,
        "pool_ids": None if actor.pool_ids is None else list(actor.pool_ids),
        "distance": MAX_DISTANCE,
        "limit": 2 * MAX_NODES,
    }
    with connection.cursor() as cursor:
        cursor.execute(GRAPH, params)
        rows = cursor.fetchall()
    nodes: dict[UUID, Node] = {}
    for waits, needs, level, id_, title, status in rows:
        links = ((waits, needs),)
        if id_ in nodes:
            node = nodes[id_]
            nodes[id_] = Node(id_, title, status, level, (*node.links, *links))
        elif len(nodes) < MAX_NODES:
            nodes[id_] = Node(id_, title, status, level, links)
    return list(nodes.values())


def names_of(*, actor: Principal, ids: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the names of members, API keys, workers, pools and attachments.

    They are named by kind and id, as events name their actors. Others, and those that were removed,
    have none.
    """
    by_kind = {kind: [id_ for one, id_ in ids if one == kind] for kind, _ in ids}
    models: dict[str, tuple[Any, str]] = {
        "member": (Member, "user__name"),
        "api_key": (ApiKey, "name"),
        "worker": (Worker, "name"),
        "pool": (Pool, "name"),
        "attachment": (Attachment, "filename"),
    }
    parts = [
        model.objects.filter(
            organisation_id=actor.organisation_id, id__in=by_kind[kind]
        ).values_list(Value(kind), Cast("id", TextField()), name)
        for kind, (model, name) in models.items()
        if by_kind.get(kind)
    ]
    if not parts:
        return {}
    rows = parts[0].union(*parts[1:], all=True)
    return {(kind, id_): name for kind, id_, name in rows}
