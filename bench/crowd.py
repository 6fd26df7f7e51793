"""Write many workers and queued tasks in bulk: for bench/matching.py and others.

Import it when the home of the bench has been made: it needs Django's settings.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - the settings must be there first
from django.db import connection  # noqa: E402

from apps.accounts.models import Organisation  # noqa: E402
from apps.accounts.principal import Principal  # noqa: E402
from apps.accounts.selectors import authenticate_key  # noqa: E402
from apps.accounts.services import create_organisation, issue_key  # noqa: E402
from apps.base import clock, rows  # noqa: E402
from apps.base.wake import send, wake  # noqa: E402
from apps.matching import fair_share  # noqa: E402
from apps.matching.models import Offer  # noqa: E402
from apps.pools.models import Pool, Worker  # noqa: E402
from apps.pools.services import provision_pool  # noqa: E402
from apps.tasks.services import create_task, queue_created  # noqa: E402
from bench.load import LoadFailed  # noqa: E402
from config import celery  # noqa: E402, F401 - hints go to the broker by its settings

SKILLS = [f"skill-{number:02}" for number in range(50)]
SKILLS_OF_A_WORKER = 6
WRITTEN_AT_ONCE = 100

WORKERS = """
INSERT INTO pools_worker (id, organisation_id, kind, name, presence, presence_reason, skills,
    skill_levels, languages, trust_level, rating, rating_count, capacity, load, waiting_since,
    missed_in_row, hours, time_zone, is_on_shift)
SELECT gen_random_uuid(), %(organisation)s, 'human', 'Worker ' || n, 'available', '',
    (SELECT array_agg(skill) FROM (
        SELECT skill FROM unnest(%(skills)s::varchar[]) AS skill
        ORDER BY random() + n * 0 LIMIT %(each)s
    ) AS chosen),
    '{}', '{}', 3, 3 + random() * 2, 20, %(capacity)s, 0, now() - random() * interval '8 hours',
    0, '{}', 'UTC', true
FROM generate_series(1, %(count)s) AS n
"""

MEMBERS = """
INSERT INTO pools_membership (id, organisation_id, pool_id, worker_id, free, load_share, rating,
    trust_level, abilities)
SELECT gen_random_uuid(), w.organisation_id, %(pool)s, w.id, 0, 0, 0, 0, '{}'
FROM pools_worker w LEFT JOIN pools_membership m ON m.worker_id = w.id
WHERE w.organisation_id = %(organisation)s AND m.id IS NULL
"""


START_SECONDS = 30.0
QUIET_SECONDS = 3.0
POLL_SECONDS = 0.004

OFFERED = "SELECT task_id FROM matching_offer WHERE task_id = ANY (%s)"

OFFERED_AGAIN = """
SELECT worker_id FROM matching_offer WHERE worker_id = ANY (%s)
GROUP BY worker_id HAVING count(*) > 1
"""

QUEUED_AT = """
SELECT task_id, extract(epoch FROM occurred_at)::float FROM events_event
WHERE task_id = ANY (%s) AND type = 'task.queued'
"""


def prepare() -> tuple[Organisation, Pool, Principal]:
    """Migrate, and make an organisation with a pool and a credential that posts tasks."""
    organisation, pool, key = prepare_with_key()
    return organisation, pool, caller_of(key)


def prepare_with_key() -> tuple[Organisation, Pool, str]:
    """Do the same, and return the API key instead of its principal."""
    call_command("migrate", verbosity=0)
    organisation = create_organisation(name="bench")
    pool = provision_pool(organisation_id=organisation.id, name="bench")
    return organisation, pool, issue_key(organisation_id=organisation.id, name="bench")


def caller_of(key: str) -> Principal:
    """Return the principal of an API key."""
    known = authenticate_key(key)
    assert known is not None
    return known.principal


def pool_of(pool_id: UUID) -> Pool:
    """Return a pool by its id."""
    return Pool.objects.get(id=pool_id)


def enrol(pool: Pool, *, count: int, capacity: int) -> None:
    """Add available workers to the pool, each with some random skills."""
    values = {
        "organisation": pool.organisation_id,
        "pool": pool.id,
        "skills": SKILLS,
        "each": SKILLS_OF_A_WORKER,
        "capacity": capacity,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(WORKERS, values)
        cursor.execute(MEMBERS, values)
        cursor.execute("VACUUM ANALYZE pools_worker, pools_membership")


def skills_of_tasks(chance: random.Random, *, extra: Sequence[str] = ()) -> Iterator[list[str]]:
    """Yield the skills that tasks require: one or two random ones, and the extra ones."""
    while True:
        yield [*chance.sample(SKILLS, chance.choice((1, 2, 2))), *extra]


def post(
    actor: Principal,
    pool: Pool,
    skills: Iterator[list[str]],
    *,
    count: int,
    at: datetime | None = None,
) -> list[UUID]:
    """Create tasks by the kernel's own service, a batch in one statement. Return their ids."""
    ids = []
    for _ in range(0, count, WRITTEN_AT_ONCE):
        with rows.batched():
            for _ in range(min(WRITTEN_AT_ONCE, count - len(ids))):
                created = create_task(
                    actor=actor, document=_body(pool, next(skills)), at=at or clock.now()
                )
                ids.append(created.task.id)
    return ids


def queue_up(actor: Principal, pool: Pool, skills: Iterator[list[str]], *, count: int) -> None:
    """Create and queue tasks, as if an hour ago."""
    long_ago = clock.now() - timedelta(hours=1)
    post(actor, pool, skills, count=count, at=long_ago)
    queue_created(at=long_ago + timedelta(seconds=1))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE tasks_task, tasks_run, tasks_requirement")


def add_others_with_parked_tasks(count: int) -> None:
    """Add organisations, each with a task that no worker can do and whose requirement is parked."""
    for _ in range(count):
        organisation = create_organisation(name="other")
        pool = provision_pool(organisation_id=organisation.id, name="other")
        actor = caller_of(issue_key(organisation_id=organisation.id, name="other"))
        post(actor, pool, iter([["unheard-of"]]), count=1)
    queue_created()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE tasks_task, tasks_run, tasks_requirement, pools_pool")
    ends = time.monotonic() + START_SECONDS
    send("matching")
    while fair_share.queued_organisations(at=clock.now()):
        if time.monotonic() > ends:
            raise LoadFailed("the matcher did not come to an end")
        time.sleep(POLL_SECONDS)


def _body(pool: Pool, skills: Sequence[str]) -> dict[str, object]:
    return {
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
        "requirements": {"skills": list(skills), "worker_pool_id": str(pool.id)},
        "output": {"schema": {"reached_user": "boolean", "notes": "string"}},
    }


def reset() -> None:
    """Delete all tasks and offers, and free all workers."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE matching_offer, matching_parkedrequirement, timers_timer")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM tasks_task")
        cursor.execute("DELETE FROM tasks_run")
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("UPDATE pools_worker SET load = 0 WHERE load > 0")
        cursor.execute("VACUUM ANALYZE tasks_task, tasks_run, pools_worker, pools_membership")


def offered_until_quiet() -> tuple[int, float]:
    """Wake the matcher and wait until no more offers are made.

    Return how many were made, and how many a second after the first that was read: the start of the
    process does not count.
    """
    readings = [(time.monotonic(), 0)]
    patience = START_SECONDS
    while time.monotonic() - readings[-1][0] < patience:
        if len(readings) == 1:
            # As the ticker does: an earlier hint may have expired by the time the process is up.
            send("matching")
        time.sleep(0.02)
        count = Offer.objects.count()
        if count != readings[-1][1]:
            readings.append((time.monotonic(), count))
            patience = QUIET_SECONDS
    if len(readings) < 3:
        raise LoadFailed("hardly anything was offered")
    (first_at, first), (last_at, last) = readings[1], readings[-1]
    return last, (last - first) / (last_at - first_at)


def wait_for_offers(count: int) -> None:
    """Wait until that many offers were made. Raise `LoadFailed` after `START_SECONDS`."""
    ends = time.monotonic() + START_SECONDS
    while (made := Offer.objects.count()) < count:
        if time.monotonic() > ends:
            raise LoadFailed(f"only {made} of {count} offers were made")
        time.sleep(POLL_SECONDS)


def posted_steadily(
    actor: Principal, pool: Pool, skills: Iterator[list[str]], *, rate: int, seconds: float
) -> list[float]:
    """Post tasks one by one. Return for each the milliseconds from when it was queued to when
    another connection, which polls every few milliseconds, could read its offer.
    """

    def post_one() -> UUID:
        body = _body(pool, next(skills))
        return create_task(actor=actor, document=body, at=clock.now()).task.id

    offered_at = _steadily(post_one, OFFERED, rate=rate, seconds=seconds)
    with connection.cursor() as cursor:
        cursor.execute(QUEUED_AT, [list(offered_at)])
        return [
            (offered_at[task_id] - queued_at) * 1000 for task_id, queued_at in cursor.fetchall()
        ]


def freed_steadily(pool: Pool, *, rate: int, seconds: float) -> list[float]:
    """Free workers who have one offer each, one by one. Return for each the milliseconds until its
    next offer could be read.
    """
    members = Worker.objects.filter(memberships__pool=pool, load__gt=0).order_by("?")
    full = iter(list(members.values_list("id", flat=True)[: int(rate * seconds)]))
    freed_at: dict[UUID, float] = {}

    def free_one() -> UUID:
        worker_id = next(full)
        Worker.objects.filter(id=worker_id).update(load=0)
        freed_at[worker_id] = time.time()
        wake("matching")
        return worker_id

    offered_at = _steadily(free_one, OFFERED_AGAIN, rate=rate, seconds=seconds)
    return [(offered_at[worker_id] - at) * 1000 for worker_id, at in freed_at.items()]


def _steadily(
    begin: Callable[[], UUID], poll: str, *, rate: int, seconds: float
) -> dict[UUID, float]:
    """Begin one after the other. Return when `poll` first returned each id (Unix time)."""
    began = time.monotonic()
    ids: list[UUID] = []
    offered_at: dict[UUID, float] = {}
    while time.monotonic() - began < seconds + QUIET_SECONDS:
        if len(ids) < min(rate * seconds, (time.monotonic() - began) * rate):
            ids.append(begin())
        with connection.cursor() as cursor:
            cursor.execute(poll, [[one for one in ids if one not in offered_at]])
            now = time.time()
            offered_at |= {row[0]: now for row in cursor.fetchall()}
        time.sleep(POLL_SECONDS)
    if len(offered_at) != len(ids):
        raise LoadFailed(f"only {len(offered_at)} of {len(ids)} got an offer")
    return offered_at
