"""Run threads that accept, decline, expire, cancel, release, start and submit: for bench/races.py.

They do so as fast as they can, sometimes with old epochs. A refusal by a conflict (409 over HTTP)
counts as an operation; any other error, and a stale write that is accepted, is written to the file
of failures.
"""

import argparse
import os
import random
import threading
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import OperationalError, connection  # noqa: E402 - the settings must be there first

from apps.accounts.principal import Principal  # noqa: E402
from apps.accounts.scopes import Scope  # noqa: E402
from apps.base import clock  # noqa: E402
from apps.base.transactions import retry_races  # noqa: E402
from apps.matching import services as matching  # noqa: E402
from apps.tasks import services as tasks  # noqa: E402
from apps.tasks.models import RUN_HELD, Run, Task  # noqa: E402
from bench import crowd  # noqa: E402
from biolayer.errors import Conflict, NotFound  # noqa: E402
from biolayer.requests.runs import Submission  # noqa: E402

OUTPUT = {"reached_user": True, "notes": "Owner ran a patch script."}
WAITING_TASKS = 200
COUNTED_EVERY = 20

OPEN_OFFERS = (
    "SELECT id, worker_id FROM matching_offer WHERE status = 'open' ORDER BY id DESC LIMIT 60"
)


class Racer(threading.Thread):
    def __init__(
        self, caller: Principal, pool_id: UUID, chance: random.Random, counts: Path
    ) -> None:
        super().__init__(daemon=True)
        self._caller, self._pool_id, self._chance, self._counts = caller, pool_id, chance, counts
        self._stale: list[tuple[UUID, UUID, int]] = []
        self._operations: list[Callable[[], None]] = [
            *[self._accept] * 6, *[self._decline] * 3, *[self._expire] * 2, *[self._cancel],
            *[self._release] * 3, *[self._start] * 2, *[self._submit] * 2, *[self._use_stale] * 2,
            *[self._match] * 2,
        ]  # fmt: skip

    def run(self) -> None:
        done = 0
        while True:
            try:
                retry_races(self._chance.choice(self._operations))
            except (Conflict, NotFound):
                pass
            except OperationalError:
                connection.close()
            except Exception:
                _append(self._counts, "failures", traceback.format_exc())
            done += 1
            if done % COUNTED_EVERY == 0:
                _append(self._counts, "operations", "." * COUNTED_EVERY)

    def _offer(self) -> tuple[UUID, Principal] | None:
        with connection.cursor() as cursor:
            cursor.execute(OPEN_OFFERS)
            found = cursor.fetchall()
        if not found:
            return None
        offer_id, worker_id = self._chance.choice(found)
        return offer_id, self._as(worker_id)

    def _as(self, worker_id: UUID) -> Principal:
        return Principal(
            kind="key",
            id="racer",
            name="racer",
            organisation_id=self._caller.organisation_id,
            role=self._caller.role,
            scopes=frozenset({Scope.WORK}),
            worker_id=worker_id,
        )

    def _accept(self) -> None:
        if found := self._offer():
            offer_id, actor = found
            matching.accept_offer(actor=actor, offer_id=offer_id, at=clock.now())

    def _decline(self) -> None:
        if found := self._offer():
            offer_id, actor = found
            matching.decline_offer(actor=actor, offer_id=offer_id, reason="busy", at=clock.now())

    def _expire(self) -> None:
        if found := self._offer():
            matching.expire_offer(offer_id=found[0], at=clock.now() + timedelta(hours=1))

    def _cancel(self) -> None:
        task = Task.objects.exclude(status__in=["completed", "failed", "cancelled"]).order_by("-id")
        ids = list(task.values_list("id", flat=True)[:50])
        if ids:
            tasks.cancel_task(
                actor=self._caller, task_id=self._chance.choice(ids), reason="", at=clock.now()
            )

    def _held(self) -> Run | None:
        held = list(Run.objects.filter(status__in=RUN_HELD).order_by("-claimed_at")[:40])
        return self._chance.choice(held) if held else None

    def _release(self) -> None:
        if run := self._held():
            assert run.worker_id is not None
            actor = self._as(run.worker_id)
            tasks.release_run(
                actor=actor, run_id=run.id, epoch=run.epoch, reason="", at=clock.now()
            )
            self._stale.append((run.id, run.worker_id, run.epoch))

    def _start(self) -> None:
        if run := self._held():
            assert run.worker_id is not None
            tasks.start_run(
                actor=self._as(run.worker_id), run_id=run.id, epoch=run.epoch, at=clock.now()
            )

    def _submit(self) -> None:
        if run := self._held():
            assert run.worker_id is not None
            submission = Submission(epoch=run.epoch, output=OUTPUT, evidence=[])
            tasks.submit_run(
                actor=self._as(run.worker_id), run_id=run.id, submission=submission, at=clock.now()
            )

    def _use_stale(self) -> None:
        """Write with an old epoch, which must be refused."""
        if not self._stale:
            return
        run_id, worker_id, epoch = self._chance.choice(self._stale[-20:])
        tasks.heartbeat_run(
            actor=self._as(worker_id),
            run_id=run_id,
            epoch=epoch,
            lease_seconds=None,
            at=clock.now(),
        )
        _append(self._counts, "failures", f"epoch {epoch} of {run_id} was accepted\n")

    def _match(self) -> None:
        missing = WAITING_TASKS - Task.objects.filter(status="queued").count()
        if missing > 0:
            pool = crowd.pool_of(self._pool_id)
            crowd.post(
                self._caller, pool, crowd.skills_of_tasks(self._chance), count=min(missing, 50)
            )
            tasks.queue_created()
        matching.match_queued()


def _append(folder: Path, what: str, text: str) -> None:
    """Append at once: a process that is killed loses only the operation in progress."""
    with (folder / what).open("a") as file:
        file.write(text)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--key", required=True)
    options.add_argument("--pool", type=UUID, required=True)
    options.add_argument("--threads", type=int, required=True)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--counts", type=Path, required=True)
    arguments = options.parse_args()
    caller = crowd.caller_of(arguments.key)
    racers = [
        Racer(
            caller,
            arguments.pool,
            random.Random(f"{arguments.seed}-{number}"),
            arguments.counts,
        )
        for number in range(arguments.threads)
    ]
    for racer in racers:
        racer.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
