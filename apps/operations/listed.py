"""Hold the SQL of what is listed of tasks, for the folds that write it and the readers.

A reader sees of each task either its row in `ListedTask`, or, where the task was touched since the
row was written, what `listed_fresh.sql` says. Both are of one snapshot, so together they are exact,
however late a fold comes: docs/adr/0041.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from uuid import UUID

from django.db import connection

from apps.base.queries import fill, load_query, load_template
from apps.operations.buckets import ALL_TASKS, FIRST_SECONDS, GROWTH, LAST
from apps.operations.models import ListedTask
from apps.operations.projection import STATUS_SQL
from apps.operations.selectors.sessions import is_lost_sql, session_sql

GLOBAL_TASKS = (UUID(int=1),)
"""Stands for the set of pools in counts of all tasks that name no pool, as `ALL_TASKS` does."""

STUCK_BEFORE_START = "interval '5 minutes'"
STUCK_RUNNING = "interval '30 minutes'"

FIRST_MICROSECONDS = FIRST_SECONDS * 1_000_000
BUCKET_SQL = f"""CASE WHEN us < {FIRST_MICROSECONDS} THEN 0 ELSE least({LAST},
1 + floor(ln(us::float8 / {FIRST_MICROSECONDS}) / ln({GROWTH}::float8)))::int END"""
"""`bucket_of` as SQL, of a duration `us` in microseconds."""

PARTS_SQL = load_query("apps.operations", "listed_parts", bucket=BUCKET_SQL)
COLUMNS = tuple(str(field.column) for field in ListedTask._meta.concrete_fields)
LISTED_COLUMNS = ", ".join(COLUMNS)


@cache
def fresh_sql() -> str:
    """Return the statement of the rows of the tasks in `touched`: its columns are in order."""
    written = fill(
        load_template("apps.operations", "listed_fresh"),
        status=STATUS_SQL,
        session=session_sql(),
        is_lost=is_lost_sql(),
        stuck_before=STUCK_BEFORE_START,
        stuck_running=STUCK_RUNNING,
    )
    return f"SELECT {LISTED_COLUMNS} FROM ({written}) AS row_of_task"


@cache
def statement(name: str) -> str:
    """Return a statement in queries/ that names parts of this module."""
    template = load_template("apps.operations", name)
    updates = ", ".join(f"{column} = excluded.{column}" for column in COLUMNS)
    parts = {"columns": LISTED_COLUMNS, "updates": updates, "parts": PARTS_SQL}
    parts["fresh"] = fresh_sql()
    return fill(
        template, **{key: sql for key, sql in parts.items() if f"{{{{ {key} }}}}" in template}
    )


@cache
def shared_sql() -> str:
    """Return the tables that readers share: `touched` tasks, and the `fresh` rows of these."""
    return statement("listed_shared")


MARKS: dict[str, Any] = {"all_tasks": list(ALL_TASKS), "global_tasks": list(GLOBAL_TASKS)}


# --- reading --------------------------------------------------------------------------------------

Place = Literal["all", "pool", "global", "workspaces"]

ORGANISATION = "l.organisation_id = %(organisation_id)s"
PLACES: Mapping[Place, str] = {
    "all": "",
    "pool": " AND l.pool_id = %(pool_id)s",
    "global": " AND l.pool_id IS NULL",
    # Any of them.
    "workspaces": " AND l.pool_id IS NOT NULL",
}
GRANTED = " AND l.pool_ids <@ %(granted)s::uuid[]"
# Few of those without a pool have a set, and an index finds these.
OF_NO_POOL = " AND l.pool_id IS NULL AND l.pool_ids IS NOT NULL"
# Of each pool by its own index.
OF_GRANTED_POOL = " AND l.pool_id = g.pool_id"

ALL_COUNTED = (
    "c.pool_id IS NULL AND c.pool_ids = %(all_tasks)s::uuid[]"
    " AND hash_array_extended(c.pool_ids, 0) = hash_array_extended(%(all_tasks)s::uuid[], 0)"
)
COUNTED: Mapping[Place, str] = {
    "all": ALL_COUNTED,
    "pool": "c.pool_id = %(pool_id)s",
    "global": ALL_COUNTED.replace("all_tasks", "global_tasks"),
    "workspaces": "c.pool_id IS NOT NULL",
}
SETS_GRANTED = """hash_array_extended(c.pool_ids, 0) = ANY (ARRAY(
SELECT hash_array_extended(ARRAY[pool_id], 0) FROM unnest(%(granted)s::uuid[]) AS pool_id
UNION SELECT hash FROM tasks_poolset
WHERE organisation_id = %(organisation_id)s AND pool_ids <@ %(granted)s::uuid[]))
AND c.pool_ids <@ %(granted)s::uuid[] AND c.pool_ids <> '{}'"""

UNTOUCHED = "l.task_id NOT IN (SELECT task_id FROM touched)"


MAX_TOUCHED = 10_000
"""From more rows of touched tasks on, reading these would take longer than counting all tasks."""

IS_LISTED = "SELECT EXISTS (SELECT FROM operations_recount WHERE listed_at IS NOT NULL)"
IS_READABLE = f"""{IS_LISTED}
AND NOT EXISTS (SELECT FROM operations_touchedtask OFFSET {MAX_TOUCHED})"""


def is_listed() -> bool:
    """Return whether all tasks are listed: after an upgrade it takes a while for those there are."""
    return _is(IS_LISTED)


def is_readable() -> bool:
    """Return whether to read what is listed; else all tasks are counted.

    So it is until all are listed, and where folds are far behind: after a return to the version
    before, which does not fold, or while no process does.
    """
    return _is(IS_READABLE)


def _is(question: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return bool(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class Reach:
    """Say which listed tasks are read: `is_granted` of an actor that is restricted to pools.

    The statements have the values `organisation_id`, and `pool_id` and `granted` where they apply.
    """

    place: Place
    is_granted: bool

    @property
    def values(self) -> dict[str, Any]:
        """Return further values of the statements."""
        return {} if self.is_granted else dict(MARKS)

    @property
    def rows(self) -> str:
        """Return the condition on a row `l` of `ListedTask`."""
        if not self.is_granted:
            return ORGANISATION + PLACES[self.place]
        place = OF_NO_POOL if self.place == "global" else PLACES[self.place]
        return ORGANISATION + place + GRANTED

    @property
    def counts(self) -> str:
        """Return the condition on a row `c` of `ListedCount`."""
        organisation = "c.organisation_id = %(organisation_id)s AND "
        if not self.is_granted:
            return organisation + COUNTED[self.place]
        return organisation + SETS_GRANTED + PLACES[self.place].replace("l.", "c.")

    def first(
        self, columns: str, where: str, *, order: str, limit: str = "1", by_pool: bool = True
    ) -> str:
        """Return a query of the first rows `l` in an order that has an index, and of more rows.

        Those of equal places at the end are all among them: `order` and a limit follow. `by_pool`:
        each pool has an index of this order.
        """
        several = by_pool and self.is_granted and self.place in ("all", "workspaces")
        own = ORGANISATION + OF_GRANTED_POOL + GRANTED
        nameless = ORGANISATION + OF_NO_POOL + GRANTED
        found = [own, nameless][: 2 if self.place == "all" else 1] if several else [self.rows]
        branches = [
            f"""SELECT {columns} FROM operations_listedtask l
WHERE {rows} AND {where} AND {UNTOUCHED} ORDER BY {order} FETCH FIRST ({limit}) ROWS WITH TIES"""
            for rows in found
        ]
        if several:
            branches[0] = f"""SELECT s.* FROM unnest(%(granted)s::uuid[]) AS g (pool_id)
CROSS JOIN LATERAL ({branches[0]}) AS s"""
        branches.append(f"SELECT {columns} FROM fresh l WHERE {self.rows} AND {where}")
        return " UNION ALL ".join(f"({branch})" for branch in branches)

    def number(self, where: str) -> str:
        """Return a query of the number of rows `l`, which an index counts without their tasks."""
        rows = f"{self.rows} AND {where}"
        return f"""SELECT (SELECT count(*) FROM operations_listedtask l WHERE {rows})
- (SELECT count(*) FROM touched JOIN operations_listedtask l USING (task_id) WHERE {rows})
+ (SELECT count(*) FROM fresh l WHERE {rows})"""

    def figures(self, names: str) -> str:
        """Return a query of figures: `names` is a condition on `part`, a row of their parts."""
        counts = names.replace("part.", "c.")
        return f"""SELECT figure, name, sum(number)::bigint AS number FROM (
SELECT c.figure, c.name, c.number FROM operations_listedcount c WHERE {self.counts} AND {counts}
UNION ALL
SELECT part.figure, part.name, part.number * l.sign FROM (
    SELECT 1 AS sign, fresh.* FROM fresh
    UNION ALL
    SELECT -1, {LISTED_COLUMNS} FROM operations_listedtask
    WHERE task_id IN (SELECT task_id FROM touched)) l
CROSS JOIN LATERAL ({PARTS_SQL}) AS part WHERE {self.rows} AND {names}) found
GROUP BY figure, name HAVING sum(number) <> 0"""
