"""Many workers and many queued tasks, written in bulk: the scene of bench/matching.py.

To be imported once a home is there: it needs Django's settings.
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
from apps.matching import turns  # noqa: E402
from apps.matching.models import Offer  # noqa: E402
from apps.pools.models import Pool, Worker  # noqa: E402
from apps.pools.services import provision_pool  # noqa: E402
from apps.tasks.services import create_task, queue_created  # noqa: E402
from bench.load import LoadFailed  # noqa: E402
from config import celery  # noqa: E402, F401 - the hints go to the broker by the service's own

SKILLS = [f"skill-{number:02}" for number in range(50)]
SKILLS_OF_A_WORKER = 6
WRITTEN_AT_ONCE = 100

WORKERS = """
INSERT INTO pools_worker (id, organisation_id, kind, name, presence, presence_reason, skills,
    skill_levels, languages, trust_level, rating, rating_count, capacity, load, waiting_since,
    missed_in_row, hours, time_zone, is_on_shift)
SELECT gen_random_uuid(), %(organisation)s, 'human', 'Worker ' || n, 'available', '',
    (SELECT array_agg(skill) FROM (
        SELECT skill FROM unnest(%(skills)s::varchar[]) AS skill ORDER BY random() + n * 0 LIMIT %(each)s
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
LOOK_SECONDS = 0.004

OFFERED = "SELECT task_id FROM matching_offer WHERE task_id = ANY (%s)"

ASKED_AGAIN = """
SELECT worker_id FROM matching_offer WHERE worker_id = ANY (%s) GROUP BY worker_id HAVING count(*) > 1
"""

QUEUED_AT = """
SELECT task_id, extract(epoch FROM occurred_at)::float FROM events_event
WHERE task_id = ANY (%s) AND type = 'task.queued'
"""


def prepare() -> tuple[Organisation, Pool, Principal]:
    """The tables, and an organisation with a pool and somebody who posts tasks."""
    organisation, pool, key = prepare_with_key()
    return organisation, pool, caller_of(key)


def prepare_with_key() -> tuple[Organisation, Pool, str]:
    call_command("migrate", verbosity=0)
    organisation = create_organisation(name="bench")
    pool = provision_pool(organisation_id=organisation.id, name="bench")
    return organisation, pool, issue_key(organisation_id=organisation.id, name="bench")


def caller_of(key: str) -> Principal:
    known = authenticate_key(key)
    assert known is not None
    return known.principal


def pool_of(pool_id: UUID) -> Pool:
    return Pool.objects.get(id=pool_id)


def enrol(pool: Pool, *, count: int, capacity: int) -> None:
    """So many more workers, each with some skills by chance, all available."""
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


def demands(chance: random.Random, *, extra: Sequence[str] = ()) -> Iterator[list[str]]:
    """What tasks ask for: one skill or two, by chance."""
    while True:
        yield [*chance.sample(SKILLS, chance.choice((1, 2, 2))), *extra]


def post(
    actor: Principal,
    pool: Pool,
    wanted: Iterator[list[str]],
    *,
    count: int,
    at: datetime | None = None,
) -> list[UUID]:
    """So many tasks by the kernel's own `create_task`, a batch in one statement; their ids."""
    ids = []
    for _ in range(0, count, WRITTEN_AT_ONCE):
        with rows.batched():
            for _ in range(min(WRITTEN_AT_ONCE, count - len(ids))):
                created = create_task(
                    actor=actor, document=_body(pool, next(wanted)), at=at or clock.now()
                )
                ids.append(created.task.id)
    return ids


def queue_up(actor: Principal, pool: Pool, wanted: Iterator[list[str]], *, count: int) -> None:
    """So many queued tasks, a moment apart in age."""
    long_ago = clock.now() - timedelta(hours=1)
    post(actor, pool, wanted, count=count, at=long_ago)
    queue_created(at=long_ago + timedelta(seconds=1))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE tasks_task, tasks_run, tasks_requirement")


def others_in_vain(count: int) -> None:
    """So many other organisations, each of which waits for a skill that nobody has, and was looked at."""
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
    while turns.in_turn(at=clock.now()):
        if time.monotonic() > ends:
            raise LoadFailed("the matcher did not come to an end")
        time.sleep(LOOK_SECONDS)


def _body(pool: Pool, skills: Sequence[str]) -> dict[str, object]:
    return {
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
        "requirements": {"skills": list(skills), "worker_pool_id": str(pool.id)},
        "output": {"schema": {"reached_user": "boolean", "notes": "string"}},
    }


def start_anew() -> None:
    """As if all that was offered were done, and nothing queued."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE matching_offer, timers_timer")
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM tasks_task")
        cursor.execute("DELETE FROM tasks_run")
        cursor.execute("SET session_replication_role = DEFAULT")
        cursor.execute("UPDATE pools_worker SET load = 0 WHERE load > 0")
        cursor.execute("VACUUM ANALYZE tasks_task, tasks_run, pools_worker, pools_membership")


def offered_until_quiet() -> tuple[int, float]:
    """Wake the matcher and wait until no more is offered. How many were, and how many a second from
    the first that could be seen on: the worker's start does not count.
    """
    looks = [(time.monotonic(), 0)]
    patience = START_SECONDS
    while time.monotonic() - looks[-1][0] < patience:
        if len(looks) == 1:
            # As the ticker does: an earlier hint may be too old by the time the worker is up.
            send("matching")
        time.sleep(0.02)
        count = Offer.objects.count()
        if count != looks[-1][1]:
            looks.append((time.monotonic(), count))
            patience = QUIET_SECONDS
    if len(looks) < 3:
        raise LoadFailed("hardly anything was offered")
    (first_at, first), (last_at, last) = looks[1], looks[-1]
    return last, (last - first) / (last_at - first_at)


def wait_for_offers(count: int) -> None:
    """Until so many were made. Raises `LoadFailed` after `START_SECONDS`."""
    ends = time.monotonic() + START_SECONDS
    while (made := Offer.objects.count()) < count:
        if time.monotonic() > ends:
            raise LoadFailed(f"only {made} of {count} offers were made")
        time.sleep(LOOK_SECONDS)


def posted_steadily(
    actor: Principal, pool: Pool, wanted: Iterator[list[str]], *, rate: int, seconds: float
) -> list[float]:
    """Post tasks one by one. Milliseconds of each from when it was queued to when its offer could be
    seen by somebody else, who looks every few milliseconds.
    """

    def post_one() -> UUID:
        body = _body(pool, next(wanted))
        return create_task(actor=actor, document=body, at=clock.now()).task.id

    seen = _steadily(post_one, OFFERED, rate=rate, seconds=seconds)
    with connection.cursor() as cursor:
        cursor.execute(QUEUED_AT, [list(seen)])
        return [(seen[task_id] - queued_at) * 1000 for task_id, queued_at in cursor.fetchall()]


def freed_steadily(pool: Pool, *, rate: int, seconds: float) -> list[float]:
    """Workers who have one offer each come free one by one. Milliseconds of each from then to when its
    next offer could be seen.
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

    seen = _steadily(free_one, ASKED_AGAIN, rate=rate, seconds=seconds)
    return [(seen[worker_id] - at) * 1000 for worker_id, at in freed_at.items()]


def _steadily(
    begin: Callable[[], UUID], look: str, *, rate: int, seconds: float
) -> dict[UUID, float]:
    """Begin one after the other; the moments at which each was first found by `look`."""
    began = time.monotonic()
    ids: list[UUID] = []
    seen: dict[UUID, float] = {}
    while time.monotonic() - began < seconds + QUIET_SECONDS:
        if len(ids) < min(rate * seconds, (time.monotonic() - began) * rate):
            ids.append(begin())
        with connection.cursor() as cursor:
            cursor.execute(look, [[one for one in ids if one not in seen]])
            now = time.time()
            seen |= {row[0]: now for row in cursor.fetchall()}
        time.sleep(LOOK_SECONDS)
    if len(seen) != len(ids):
        raise LoadFailed(f"only {len(seen)} of {len(ids)} got an offer")
    return seen
