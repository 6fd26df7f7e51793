"""Find tasks by an id, by a request's id, or by words of their titles.

1. A text that is the id of a task, or the `request_id` of some, finds these.
2. Else its words are those of titles (`websearch_to_tsquery`): all of them, quoted ones in this
   order, without those that begin with a minus. The last word may be the beginning of one.
3. Frequent words are found soonest where the newest tasks are read in order, and rare ones by the
   index of words (GIN), which returns every match. The newest `SAMPLE` titles tell which they are:
   PostgreSQL's statistics do not know which words are of the past only, and nearly all tasks would
   be read in order for those. Words of most titles are counted in this order, too.

docs/benches.md says what that takes with 1,000,000 tasks.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import BooleanField, F, Func, Q
from django.db.models.expressions import RawSQL
from psycopg import sql

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import id_of
from apps.base.queries import load_query
from apps.base.together import Query, read_together
from apps.tasks.list_filters import ANY_POOL
from apps.tasks.models import BREACHED, OPEN_AT_RISK, Task, TaskQuerySet, TitleWords
from biolayer.errors import Fault, InvalidInput

SAMPLE = 1_000
FREQUENT = 6
"""Matches among the newest `SAMPLE` titles by which words are frequent."""
OF_MOST = SAMPLE // 2
"""Matches among them by which most titles have the words."""
MAX_NAMED = 100

PARSE = load_query("apps.tasks", "parse_search", sample=str(SAMPLE), max_named=str(MAX_NAMED))

POOLS = """
SELECT id, name FROM pools_pool WHERE organisation_id = %(organisation_id)s
    AND (%(granted)s::uuid[] IS NULL OR id = ANY (%(granted)s::uuid[]))
ORDER BY id DESC LIMIT %(limit)s
"""
CHOICES = {
    "pools": Query(POOLS, columns=2),
    "domains": Query(load_query("apps.tasks", "domains"), columns=1),
}

# `foo-ba` begins the title word `foo-bar`, which is also stored as `foo` and `bar`.
HYPHEN = re.compile(r"(?<=\w)-(?=[^\W\d])")

SLA_STATES = {"at_risk": OPEN_AT_RISK, "breached": BREACHED}


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Select tasks by columns, each with any of its values, and by the rest.

    `sla` has names of `SLA_STATES`: a clock of an open task is at risk and none breached; a clock
    was breached.
    """

    columns: "dict[str, Sequence[Any]]"
    sla: Sequence[str] = ()
    # Created then or later; created before.
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    # May be offered to this pool; `ANY_POOL`: to every one.
    candidate_pool: UUID | str | None = None

    def narrow(self, rows: TaskQuerySet) -> TaskQuerySet:
        """Return those of the rows that have what is asked for beside columns and SLA."""
        if self.candidate_pool == ANY_POOL:
            rows = rows.filter(pool_ids=None)
        elif self.candidate_pool is not None:
            rows = rows.filter(pool_ids__contains=[self.candidate_pool])
        if self.since is not None:
            rows = rows.filter(created_at__gte=self.since)
        return rows if self.until is None else rows.filter(created_at__lt=self.until)


@dataclass(frozen=True, slots=True)
class FilterChoices:
    """Hold what a list of tasks can be filtered by: pools, newest first, and domains, by name."""

    pools: list[tuple[str, str]]
    domains: list[str]


def filter_choices(*, actor: Principal, limit: int) -> FilterChoices:
    """Return the first pools that the actor may see, and the first domains of tasks."""
    granted = None if actor.pool_ids is None else list(actor.pool_ids)
    found = read_together(
        CHOICES, {"organisation_id": actor.organisation_id, "granted": granted, "limit": limit}
    )
    return FilterChoices(
        pools=[(id_, name) for id_, name in found["pools"]],
        domains=[domain for (domain,) in found["domains"]],
    )


@dataclass(frozen=True, slots=True)
class Search:
    """Hold the condition by which a text finds tasks; the words of it, unless these are ids."""

    condition: Any
    # Whether the newest tasks are to be read in order.
    is_frequent: bool = False
    # Whether they are to be counted in order, too: `condition` uses no index then.
    is_of_most: bool = False
    words: str = ""

    def narrow(self, rows: TaskQuerySet) -> TaskQuerySet:
        """Return those of the rows that the text finds."""
        return rows.filter(self.condition)


def search_tasks(*, actor: Principal, search: Search) -> TaskQuerySet:
    """Return the tasks that the actor may see and a search finds, in no order."""
    rows = Task.objects.visible_to(actor)
    if search.is_frequent or not search.words:
        return search.narrow(rows)
    # An array is read once, by the index of words, whatever order is asked for around it.
    found = Task.objects.filter(search.condition, organisation_id=actor.organisation_id)
    return rows.filter(IsIn(F("id"), ArraySubquery(found.values("id"))))


def search_of(*, actor: Principal, text: str) -> Search:
    """Return how a text finds tasks. Raise `InvalidInput`, `ScopeMissing`."""
    actor.require(Scope.TASKS_READ)
    wanted = text.strip()
    if "\0" in wanted:
        raise InvalidInput([Fault("/q", "nul_character", "must not contain the character U+0000")])
    named, words, hits = _parsed(actor, wanted)
    if named:
        return Search(Q(id__in=named))
    is_of_most = hits >= OF_MOST
    return Search(
        (TitleMatchesOfMost if is_of_most else TitleMatches)(words),
        is_frequent=hits >= FREQUENT,
        is_of_most=is_of_most,
        words=words,
    )


class TitleMatches(Func):
    """Express that the words of the title match a query of text search.

    The query is part of the SQL: the plan for a parameter that may be any query fits none.
    """

    template = "(%(expressions)s)"
    arg_joiner = " @@ "
    output_field = BooleanField()
    conditional = True

    def __init__(self, words: str, **extra: Any) -> None:
        query = RawSQL(_literal(words), ())  # noqa: S611 - quoted by psycopg
        super().__init__(TitleWords(F("title")), query, **extra)


class TitleMatchesOfMost(TitleMatches):
    """Express the same so that the index of words is not used, which would return every match."""

    template = "((%(expressions)s) IS TRUE)"


class IsIn(Func):
    """Express that a value is in an array, which Django's lookups take for a value to compare."""

    template = "(%(expressions)s))"
    arg_joiner = " = ANY("
    output_field = BooleanField()
    conditional = True


def _parsed(actor: Principal, text: str) -> tuple[list[UUID], str, int]:
    """Return the tasks that a text names, else its words, and their matches among newest titles.

    Raise `InvalidInput` where it names none and has no words to look for.
    """
    given: dict[str, Any] = {
        "organisation_id": actor.organisation_id,
        "id": id_of(text),
        "text": text,
        "phrase": HYPHEN.sub(" ", text),
        "is_open": not text.endswith('"'),
    }
    with connection.cursor() as cursor:
        cursor.execute(PARSE, given)
        named, words, indexable, hits = cursor.fetchone()
    if not named and indexable in ("", "T"):
        raise InvalidInput([Fault("/q", "no_word", "must have a word to look for")])
    return named, words, hits


def _literal(words: str) -> str:
    return sql.Literal(words).as_string().strip().replace("%", "%%") + "::tsquery"
