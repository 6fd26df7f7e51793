"""Make tasks full of a canary, and look for it in all places where the service stores anything."""

import re
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from apps.base import clock
from apps.base.rows import batched
from apps.events.models import Event
from apps.events.selectors import facts
from apps.matching import services as matching
from apps.matching.models import Offer, ParkedRequirement
from apps.reviews import services as reviews
from apps.tasks import services as tasks
from apps.tasks.models import Run, Task
from biolayer import chain
from tests.factories import House, contract, tasks_submission

CANARY = "canary-9f3b1c"


def full_contract(callback_url: str = "https://hooks.example", **changes: Any) -> dict[str, Any]:
    """Return a contract with the canary wherever a caller may write freely."""
    schema = {
        "type": "object",
        "description": f"About {CANARY}",
        "properties": {"notes": {"type": "string", "title": CANARY}},
        "required": ["notes"],
    }
    body = contract(
        title=f"Call {CANARY}",
        instructions=f"Ask {CANARY} for the code.",
        context={"background": CANARY, "constraints": [CANARY], CANARY: {"deep": [CANARY]}},
        origin={"product": "threatlabs", "created_by": f"{CANARY}@example.com"},
        output={"expected_format": "structured_json", "schema": schema},
        handoff={
            "callback_url": f"{callback_url}/{CANARY}?token={CANARY}",
            "callback_auth": {"type": "bearer", "token": f"secret-{CANARY}"},
        },
        audit={"log_required": False, "retain_days": 30},
    )
    return {**body, **changes}


def full_task(house: House, **changes: Any) -> Task:
    """Return a completed task in which everyone has written the canary."""
    made = house.alice.post(
        "/v1/tasks",
        full_contract(**changes),
        **{"Idempotency-Key": f"create-{Task.objects.count()}"},
    )
    assert made.status_code == 201, made.content
    task_id = made.json()["task_id"]
    bob = house.bob.principal
    # A decline, a release and a failed run, each with a reason.
    offer = _offered()
    matching.decline_offer(actor=bob, offer_id=offer.id, reason=CANARY, at=clock.now())
    run = _accepted(house)
    tasks.release_run(actor=bob, run_id=run.id, epoch=run.epoch, reason=CANARY, at=clock.now())
    run = _started(house)
    tasks.fail_run(actor=bob, run_id=run.id, epoch=run.epoch, error=CANARY, at=clock.now())
    run = _started(house)
    uploaded = house.bob.client.post(
        f"/v1/runs/{run.id}/evidence",
        {"epoch": str(run.epoch), "file": _file()},
        headers={"Authorization": f"Bearer {house.bob.key}"},
    )
    assert uploaded.status_code == 201, uploaded.content
    for caller in (house.alice, house.bob):
        caller.post(f"/v1/tasks/{task_id}/messages", {"text": CANARY}, **{"Idempotency-Key": "m"})
    saved = {"output": {"notes": CANARY}, "form": {"output/notes": [CANARY]}}
    house.bob.put(f"/v1/runs/{run.id}/draft", {"epoch": run.epoch, "revision": 0, **saved})
    submission = tasks_submission(run.epoch, {"notes": CANARY}, [uploaded.json()["evidence_id"]])
    tasks.submit_run(actor=bob, run_id=run.id, submission=submission, at=clock.now())
    assert reviews.verify_submitted() == 1
    return Task.objects.get(id=task_id)


def cancelled_tasks(house: House, count: int) -> None:
    """Write tasks that their caller cancelled, with the canary in contract and reason."""
    actor, at = house.alice.principal, clock.now()
    with batched():
        documents = [full_contract() for _ in range(count)]
        made = [tasks.create_task(actor=actor, document=one, at=at).task for one in documents]
    with transaction.atomic(), batched():
        for task in made:
            tasks.cancel_task(actor=actor, task_id=task.id, reason=f"{CANARY} called", at=at)


YEAR = (
    "UPDATE tasks_task SET closed_at = closed_at - interval '366 days' WHERE closed_at IS NOT NULL",
    "UPDATE timers_timer SET due_at = now() - interval '1 minute' WHERE kind = 'retention'",
    "UPDATE api_idempotencykey SET created_at = created_at - interval '366 days'",
)


def pass_a_year() -> None:
    """Make what was written look as old as a year, for drains that read the real clock."""
    with connection.cursor() as cursor:
        for statement in YEAR:
            cursor.execute(statement)


def broken_chains() -> tuple[int, list[UUID]]:
    """Return how many tasks have a log, and those whose chain does not verify."""
    rows = Event.objects.order_by("task_id", "sequence").iterator(chunk_size=5_000)
    chains, broken = 0, []
    for task_id, events in groupby(rows, key=attrgetter("task_id")):
        chains += 1
        log = [
            {
                **facts(event),
                "prev_hash": bytes(event.prev_hash).hex(),
                "hash": bytes(event.hash).hex(),
            }
            for event in events
        ]
        if chain.first_broken(log) is not None:
            broken.append(task_id)
    return chains, broken


def _file() -> Any:
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile(f"{CANARY}.txt", f"Heard from {CANARY}.".encode())


def _offered() -> Any:
    tasks.queue_created()
    # A cooldown lasts as long as the offer could have stayed open.
    Offer.objects.update(expires_at=F("offered_at"))
    ParkedRequirement.objects.all().delete()
    matching.match_queued(at=clock.now())
    return Offer.objects.get(status="open")


def _accepted(house: House) -> Run:
    offer = _offered()
    return matching.accept_offer(actor=house.bob.principal, offer_id=offer.id, at=clock.now())


def _started(house: House) -> Run:
    run = _accepted(house)
    return tasks.start_run(
        actor=house.bob.principal, run_id=run.id, epoch=run.epoch, at=clock.now()
    )


# --- looking --------------------------------------------------------------------------------------


def found(text: str = CANARY) -> list[str]:
    """Return where the text is stored: tables, files, Redis."""
    return [*tables_with(text), *files_with(text), *redis_with(text)]


def tables_with(text: str) -> Iterator[str]:
    """Yield the tables with a row that has the text, also as bytes or in base64."""
    needles = _needles(text)
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(
                f'SELECT count(*) FROM "{table}" t WHERE t::text ~* %s', ["|".join(needles)]
            )
            (count,) = cursor.fetchone()
        if count:
            yield f"{table}: {count} rows"


def _needles(text: str) -> list[str]:
    return [re.escape(text), text.encode().hex()]


def files_with(text: str) -> Iterator[str]:
    for path in Path(settings.MEDIA_ROOT).rglob("*"):
        if path.is_file() and (text.encode() in path.read_bytes() or text in path.name):
            yield str(path)


def redis_with(text: str) -> Iterator[str]:
    """Yield the keys of Redis and of the broker whose name or value has the text."""
    for url in {settings.REDIS_URL, settings.CELERY_BROKER_URL}:
        with redis.Redis.from_url(re.sub(r"^redis\+socket", "unix", url)) as client:
            for key in client.scan_iter():
                if text.encode() in key + (client.dump(key) or b""):
                    yield f"{url} {key!r}"
