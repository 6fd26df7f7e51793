"""Find workers by the words of their names, and say when they were last seen."""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from apps.accounts.models import Member
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.selectors import members as organisation_members
from apps.pools.models import Membership, Worker
from apps.pools.selectors import members, visible_workers

WORD = re.compile(r"[^\W_]+")
MAX_WORDS = 8


def named(workers: "QuerySet[Worker]", text: str) -> "QuerySet[Worker]":
    """Return those with a name whose words begin with the words of the text; or with that id.

    The index `worker_name_words` serves it. A text without a word finds none.
    """
    try:
        return workers.filter(id=UUID(text.strip()))
    except ValueError:
        pass
    words = WORD.findall(text)[:MAX_WORDS]
    if not words:
        return workers.none()
    query = SearchQuery(
        " & ".join(f"{word}:*" for word in words), search_type="raw", config="simple"
    )
    return workers.annotate(words=SearchVector("name", config="simple")).filter(words=query)


def candidates(*, actor: Principal, pool_id: UUID, text: str, most: int) -> list[Worker]:
    """Return workers by name who are no members of the pool, at most `most` of them.

    Raise `ScopeMissing`.
    """
    actor.require(Scope.POOLS_MANAGE)
    inside = Membership.objects.filter(pool_id=pool_id, worker_id=OuterRef("id"))
    found = named(visible_workers(actor).exclude(Exists(inside)), text)
    return list(found.order_by("name", "id")[:most])


def members_page(
    *, actor: Principal, pool_id: UUID, text: str = "", after: UUID | None = None, count: int
) -> list[Membership]:
    """Return up to `count` memberships of a pool, those after a worker's, or with that name.

    Raise `NotFound`, `ScopeMissing`.
    """
    rows = members(actor=actor, pool_id=pool_id)
    if text.strip():
        rows = rows.filter(worker__in=named(visible_workers(actor), text).values("id"))
    if after is not None:
        rows = rows.filter(worker_id__gt=after)
    return list(rows[:count])


def members_without_worker(*, actor: Principal, most: int) -> list[Member]:
    """Return members who are no worker, newest first, at most `most`.

    Raise `RoleTooLow`, `ScopeMissing`.
    """
    own = Worker.objects.filter(
        user_id=OuterRef("user_id"), organisation_id=OuterRef("organisation_id")
    )
    return list(organisation_members(actor=actor).exclude(Exists(own))[:most])


LAST_SEEN = """
SELECT w.id, greatest(session.seen_at, key.used_at)
FROM pools_worker w
LEFT JOIN LATERAL (
    SELECT max(s.last_seen_at) AS seen_at FROM accounts_browsersession s WHERE s.user_id = w.user_id
) session ON true
LEFT JOIN (
    SELECT k.worker_id, max(k.last_used_at) AS used_at FROM accounts_apikey k
    WHERE k.organisation_id = %(organisation_id)s AND k.worker_id = ANY (%(ids)s)
    GROUP BY k.worker_id
) key ON key.worker_id = w.id
WHERE w.id = ANY (%(ids)s) AND w.organisation_id = %(organisation_id)s
"""


def last_seen(*, organisation_id: UUID, worker_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Return when each worker was last seen: a page of the person, or a call with a key.

    To the minute. One that was never seen is left out.
    """
    params: dict[str, Any] = {"organisation_id": organisation_id, "ids": list(worker_ids)}
    with connection.cursor() as cursor:
        cursor.execute(LAST_SEEN, params)
        return {worker_id: seen_at for worker_id, seen_at in cursor.fetchall() if seen_at}
