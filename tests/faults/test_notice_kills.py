"""Senders of notices are killed in the middle: every worker is told, hardly any of them twice.

The senders are real processes, killed by `kill -9`; the mail server and the push service are real
servers. Run one again as it was by `FAULTS_SEED=<the printed seed>`.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction

from apps.matching.services import match_queued
from apps.notices.models import Digest, Notice
from apps.pools.models import Pool, Worker
from apps.tasks.services import queue_created
from tests.factories import House, contract, member_of, worker_in
from tests.faults.installation import PROJECT, eventually, say
from tests.mail_server import serving
from tests.notice_steps import bob_signs_in, choose_notices, subscribed
from tests.receiver import Receiver, Reply

WORKERS = 60
KILLS = 5
SENDER = "tests.faults.notice_worker"


def test_kills__tell_every_worker(house: House, receiver: Receiver, tmp_path: Path) -> None:
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))
    say(f"FAULTS_SEED={seed}")
    chance = random.Random(seed)
    receiver.reply = lambda _: Reply(201)
    # Given workers who all want mails and push messages, and an offer for each
    Pool.objects.filter(id=house.pool.id).update(offer_seconds={"normal": 3600})
    Worker.objects.filter(id=house.bobs_worker.id).update(presence="away")
    for number in range(WORKERS):
        worker, caller = worker_in(house.pool)
        user = member_of(house.organisation, f"worker-{number}@northwind.example").user
        Worker.objects.filter(id=worker.id).update(user=user)
        choose_notices(caller.principal, by_email=True)
        subscribed(caller.principal, receiver)
    house.alice.post("/v1/tasks/batch", [contract()] * WORKERS)
    queue_created()
    while match_queued():
        pass
    assert Notice.objects.count() == WORKERS
    # When the sender is killed again and again, in the middle of its mails
    with serving() as server:

        def slowly(_: int) -> str:
            time.sleep(0.01)
            return "250 kept"

        server.on_mail = slowly
        for kill in range(KILLS):
            with sender(tmp_path / "sender.log", server.port):
                eventually(
                    lambda wanted=(kill + 1) * WORKERS // (KILLS + 2): len(server.mails) >= wanted,
                    seconds=30,
                    every=0.002,
                    what="mails arrive",
                )
                time.sleep(chance.uniform(0, 0.02))
        before = len(server.mails)
        assert before < WORKERS + KILLS, "the last kill came too late to be one"
        with sender(tmp_path / "sender.log", server.port):
            eventually(lambda: not Digest.objects.exists(), seconds=60, what="all are told")
        mails = Counter(str(mail["To"]) for mail in server.mails)
    # Then each was told by mail, a kill repeated one mail at most, and no row is left
    say(f"{KILLS} kills, {before} mails before the last; {mails.total() - WORKERS} mails twice")
    assert len(mails) == WORKERS
    assert mails.total() <= WORKERS + KILLS
    pushes = Counter(request.path for request in receiver.received)
    say(f"{pushes.total() - WORKERS} of {WORKERS} push messages twice")
    assert len(pushes) == WORKERS
    assert max(pushes.values()) <= 1 + KILLS
    assert (Notice.objects.count(), Digest.objects.count()) == (0, 0)


def test_kill_of_the_composer__loses_no_notice(
    house: House, receiver: Receiver, tmp_path: Path
) -> None:
    """A digest and the deletion of its notices are one transaction, which the kill undoes."""
    bob_signs_in(house)
    choose_notices(house.bob.principal, by_email=False)
    subscribed(house.bob.principal, receiver)
    house.offered()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE notices_digest IN EXCLUSIVE MODE")
        with sender(tmp_path / "sender.log", 1):
            eventually(_waits_for_lock, seconds=30, every=0.01, what="the sender waits")
    assert (Notice.objects.count(), Digest.objects.count()) == (1, 0)
    with sender(tmp_path / "sender.log", 1):
        eventually(lambda: len(receiver.received) == 1, seconds=20, what="Bob is told")
        eventually(lambda: not Digest.objects.exists(), seconds=20, what="it is stored")
    assert Notice.objects.count() == 0


def _waits_for_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@contextmanager
def sender(log: Path, port: int) -> Iterator[None]:
    """Run a sender, which ends by `kill -9`."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", SENDER, connection.settings_dict["NAME"], str(port)],
            cwd=PROJECT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
            assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        finally:
            process.kill()
            process.wait()
