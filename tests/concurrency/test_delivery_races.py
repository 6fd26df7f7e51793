"""Test deliveries under several drains, resends and retention at the same time.

Free races assert what must hold in any order; where the order matters it is forced.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.db import connection, transaction

from apps.base import clock
from apps.base.ids import new_id
from apps.webhooks.http_client import AttemptResult, Outcome
from apps.webhooks.models import Attempt, Delivery, Destination, Origin, Recovery
from apps.webhooks.services import (
    delete_endpoint,
    deliver_due,
    release_recoveries,
    resend,
    start_recovery,
    update_endpoint,
)
from apps.webhooks.services.pipeline import claiming, origin_health, retention
from apps.webhooks.services.pipeline.claiming import ClaimedDelivery, claim
from apps.webhooks.services.pipeline.recording import record
from biolayer.requests.webhooks import RecoveryRequest
from tests.concurrency.together import _run, _wait_for, together
from tests.destinations import counts, emit, emit_many, endpoint
from tests.factories import House
from tests.receiver import Received, Receiver, Reply, receiving

Call = Callable[[], Any]
PATIENCE_SECONDS = 12.0


class Witness:
    """Record what several receivers got, and how many requests each had at the same time."""

    def __init__(self) -> None:
        self.came: list[tuple[str, UUID, int]] = []
        self.most: Counter[str] = Counter()
        self._present: Counter[str] = Counter()
        self._guard = threading.Lock()

    def of(self, host: str, *, fails: Callable[[str, int], bool] = lambda host, nth: False) -> Any:
        """A receiver's `reply_to`. `fails` is called with a delivery's id and the number of its
        attempt, from 0.
        """
        seen: Counter[str] = Counter()

        def judge(request: Received) -> Reply:
            data = orjson.loads(request.body)["data"]
            with self._guard:
                self._present[host] += 1
                self.most[host] = max(self.most[host], self._present[host])
            time.sleep(0.002)
            with self._guard:
                self._present[host] -= 1
                message_id = request.headers["webhook-id"]
                nth, seen[message_id] = seen[message_id], seen[message_id] + 1
                self.came.append((request.path, UUID(data["task_id"]), data["sequence"]))
            return Reply(500 if fails(message_id, nth) else 204)

        return judge

    def lanes(self) -> dict[tuple[str, UUID], list[int]]:
        sequences: dict[tuple[str, UUID], list[int]] = defaultdict(list)
        for path, subject_id, sequence in self.came:
            sequences[path, subject_id].append(sequence)
        return sequences


def until(is_over: Callable[[], bool], call: Call) -> Call:
    """Repeat `call` until it is over (or has taken too long)."""

    def repeat() -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not is_over() and time.monotonic() < ends:
            call()
            time.sleep(0.005)

    return repeat


def all_delivered() -> bool:
    return not Delivery.objects.exclude(status="succeeded").exists()


@contextmanager
def meanwhile(call: Call) -> Iterator[Any]:
    """Run `call` in parallel with the block; raise at the end what it raised."""
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(_run, call)
        yield future
        future.result(timeout=60)


def failed(one: ClaimedDelivery, **values: Any) -> tuple[ClaimedDelivery, AttemptResult]:
    return one, AttemptResult(one.token, Outcome.STATUS, 5, **{"status_code": 500, **values})


def delivered(one: ClaimedDelivery) -> tuple[ClaimedDelivery, AttemptResult]:
    return one, AttemptResult(one.token, Outcome.OK, 5, status_code=204)


def record_patiently(results: Sequence[tuple[ClaimedDelivery, AttemptResult]]) -> None:
    """Record like a drain: pass results again while another transaction holds a lock."""
    while results:
        results = record(results)
        time.sleep(0.01)


# --- drains among themselves ----------------------------------------------------------------------


def test_claim__leaves_other_origins_unlocked(house: House) -> None:
    """Of two drains at the same time, the first locks no origin that it takes nothing of."""
    for number in range(3):
        endpoint(house, f"http://127.0.0.{number + 1}:9/hook")
    emit(house, at=clock.now())
    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        mine = claim(limit=1, at=None).deliveries
        theirs = (
            threads.submit(_run, lambda: claim(limit=10, at=None)).result(timeout=10).deliveries
        )
    assert (len(mine), len(theirs)) == (1, 2)


def test_last_free_slot__goes_to_the_origin_with_the_fewest_under_way(house: House) -> None:
    """A slow receiver with old rows and free slots of its own does not delay an idle one."""
    at = clock.now()
    endpoint(house, "http://127.0.0.1:9/slow")
    emit_many(house, subjects=10, each=1, at=at - timedelta(minutes=1))
    assert len(claim(limit=3, at=at).deliveries) == 3
    idle = endpoint(house, "http://127.0.0.2:9/idle", event_types=["task.completed"])
    emit(house, event_type="task.completed", at=at)
    assert [one.destination_id for one in claim(limit=1, at=at).deliveries] == [idle.id]


def test_four_drains__deliver_each_once_in_order_within_the_limits(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin_health, "MAX_CONCURRENCY", 4.0)
    witness = Witness()
    with ExitStack() as stack:
        for number in range(5):
            host = stack.enter_context(receiving())
            # Every fifth delivery fails at first.
            host.reply_to = witness.of(
                host.url,
                fails=lambda message_id, nth: nth == 0 and int(message_id[-4:], 16) % 5 == 0,
            )
            endpoint(house, f"{host.url}/{number}", max_retries=5, backoff_seconds=0)
        emitted = emit_many(house, subjects=8, each=50, at=clock.now())
        together(*[until(all_delivered, deliver_due)] * 4)
    assert counts() == {"succeeded": 2_000}
    lanes = witness.lanes()
    assert set(lanes) == {(f"/{number}", subject) for number in range(5) for subject in emitted}
    for came in lanes.values():
        assert came == sorted(came)
        assert set(came) == set(range(1, 51))
    # One success each, the expected failures, and nothing else sent twice.
    assert Attempt.objects.filter(outcome="ok").count() == 2_000
    assert len(witness.came) == Attempt.objects.count()
    assert max(witness.most.values()) <= 4


def test_drains__against_resends_and_a_recovery(house: House, receiver: Receiver) -> None:
    """Each is sent once for each resend or recovery, in order; none is missed."""
    endpoint(house, f"{receiver.url}/hook", max_retries=0, backoff_seconds=1)
    emit_many(house, subjects=60, each=5, at=clock.now())
    Delivery.objects.update(
        status="exhausted", finished_at=clock.now(), attempt_count=1, was_exhausted=True
    )
    witness = Witness()
    receiver.reply_to = witness.of("host")
    heads = list(Delivery.objects.filter(sequence=1).values_list("id", flat=True)[:30])
    actor = house.alice.principal
    now = clock.now()
    recovery_request = RecoveryRequest(
        kind="failed", since=now - timedelta(days=1), rate_per_minute=60_000
    )

    def resend_some() -> None:
        for delivery_id in heads:
            resend(actor=actor, delivery_id=delivery_id, at=clock.now())

    together(
        lambda: start_recovery(actor=actor, request=recovery_request, at=clock.now()),
        resend_some,
        until(all_delivered, release_recoveries),
        until(all_delivered, release_recoveries),
        until(all_delivered, deliver_due),
        until(all_delivered, deliver_due),
    )
    assert counts() == {"succeeded": 300}
    resent = {Delivery.objects.get(id=each).subject_id for each in heads}
    for (_, subject_id), came in witness.lanes().items():
        assert list(dict.fromkeys(came)) == [1, 2, 3, 4, 5]
        assert came.count(1) <= 1 + (subject_id in resent)
        assert len(came) - came.count(1) == 4
    recovery = Recovery.objects.get()
    assert recovery.released_at is not None
    assert 270 <= recovery.released_count <= 300


# --- endpoints that change ------------------------------------------------------------------------


def test_deleted_endpoints__fail_no_event(house: House) -> None:
    ending = [endpoint(house, f"http://127.0.0.1:9/{number}") for number in range(4)]
    staying = endpoint(house, "http://127.0.0.1:9/stays")
    is_over = threading.Event()

    def emit_events() -> int:
        emitted = 0
        while not is_over.is_set() and emitted < 500:
            with transaction.atomic():
                subject_id = emit(house, at=clock.now())
                emit(house, subject_id=subject_id, sequence=2, at=clock.now())
            emitted += 2
        return emitted

    def delete() -> float:
        began = time.monotonic()
        try:
            for each in ending:
                delete_endpoint(actor=house.alice.principal, endpoint_id=each.id, at=clock.now())
        finally:
            is_over.set()
        return time.monotonic() - began

    *emitted, took = together(emit_events, emit_events, emit_events, delete)
    assert list(Destination.objects.values_list("id", flat=True)) == [staying.id]
    assert Delivery.objects.filter(destination=staying).count() == sum(emitted)
    assert Delivery.objects.count() == sum(emitted)
    assert took < 5


def test_endpoint_paused_and_enabled__loses_nothing(house: House, receiver: Receiver) -> None:
    hook = endpoint(house, f"{receiver.url}/hook")
    witness = Witness()
    receiver.reply_to = witness.of("host")
    is_over = threading.Event()

    def toggle() -> None:
        try:
            for enabled in [False, True] * 10:
                update_endpoint(
                    actor=house.alice.principal,
                    endpoint_id=hook.id,
                    document={"enabled": enabled},
                    at=clock.now(),
                )
                time.sleep(0.05)
        finally:
            is_over.set()

    def emit_events() -> None:
        subjects = [new_id() for _ in range(10)]
        for sequence in range(1, 21):
            for subject_id in subjects:
                emit(house, subject_id=subject_id, sequence=sequence, at=clock.now())
            time.sleep(0.03)

    def is_done() -> bool:
        return is_over.is_set() and all_delivered()

    together(
        toggle,
        emit_events,
        until(is_done, release_recoveries),
        until(is_done, deliver_due),
        until(is_done, deliver_due),
    )
    assert counts() == {"succeeded": 200}
    assert list(witness.lanes().values()) == [list(range(1, 21))] * 10


def test_delivery_held_while_its_endpoint_is_enabled__is_sent(
    house: House, receiver: Receiver
) -> None:
    """The call waits for the origin's lock: deliveries held meanwhile are newer than the call."""
    hook = endpoint(house, f"{receiver.url}/hook", status="paused")
    asked_at = clock.now()
    emit(house, at=clock.now())
    deliver_due()
    assert counts() == {"held": 1}
    update_endpoint(
        actor=house.alice.principal, endpoint_id=hook.id, document={"enabled": True}, at=asked_at
    )
    release_recoveries()
    deliver_due()
    assert counts() == {"succeeded": 1}


def test_next_event__is_unparked_although_its_endpoint_moved(
    house: House, receiver: Receiver
) -> None:
    """The result of a claim at the old origin unparks the next event at the new one."""
    hook = endpoint(house, "http://127.0.0.1:9/hook")
    (task_id,) = emit_many(house, subjects=1, each=2, at=clock.now())
    first = claim(limit=1, at=None).deliveries
    assert [one.sequence for one in first] == [1]
    Delivery.objects.filter(sequence=2).update(due_at=clock.now(), wait="new")
    update_endpoint(
        actor=house.alice.principal,
        endpoint_id=hook.id,
        document={"url": f"{receiver.url}/hook"},
        at=clock.now(),
    )
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            assert list(claim(limit=1, at=None).deliveries) == []  # It parks the second.
            recording = threads.submit(_run, lambda: record_patiently([delivered(first[0])]))
            time.sleep(0.3)
        recording.result(timeout=10)
    deliver_due()
    assert Delivery.objects.filter(subject_id=task_id, status="succeeded").count() == 2


def test_deletion_of_an_endpoint__does_not_deadlock_with_its_recovery(house: House) -> None:
    """A transaction with the recovery waits for the origin, never the other way round."""
    hook = endpoint(house, "http://127.0.0.1:9/hook")
    emit(house, at=clock.now())
    Delivery.objects.update(status="exhausted", finished_at=clock.now())
    actor = house.alice.principal
    recovery_request = RecoveryRequest(
        kind="failed", since=clock.now() - timedelta(days=1), endpoint_id=hook.id
    )
    recovery = start_recovery(actor=actor, request=recovery_request, at=clock.now())
    end: Call = lambda: delete_endpoint(  # noqa: E731
        actor=actor, endpoint_id=hook.id, at=clock.now()
    )
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            Recovery.objects.select_for_update(no_key=True).get(id=recovery.id)
            ending = threads.submit(_run, end)
            _wait_for(1)
            # The next lock of a page: it must not wait for the transaction that waits for us.
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '500ms'")
                cursor.execute(
                    "SELECT 1 FROM webhooks_origin WHERE id = %s FOR NO KEY UPDATE",
                    [hook.origin_id],
                )
        ending.result(timeout=10)
    assert not Destination.objects.exists()


# --- a drain and one other ------------------------------------------------------------------------


def test_claim__skips_what_retention_is_expiring(house: House) -> None:
    endpoint(house, "http://127.0.0.1:9/hook")
    emit(house, at=clock.now() - timedelta(days=31))
    young = emit(house, at=clock.now())
    with ThreadPoolExecutor(1) as threads, transaction.atomic():
        assert retention._run(retention.EXPIRE_DELIVERIES, house.organisation.id, clock.now()) == 1
        claiming_ = threads.submit(_run, lambda: claim(limit=10, at=None))
        assert [one.subject_id for one in claiming_.result(timeout=10).deliveries] == [young]


def test_claim__respects_a_retry_after_that_arrived_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading all origins takes time; an origin may have changed when it is locked."""
    endpoint(house, "http://127.0.0.1:9/hook")
    emit_many(house, subjects=10, each=1, at=clock.now())
    (first, *_rest) = claim(limit=1, at=None).deliveries
    slow = claiming.LOCK_ORIGINS.replace(
        "FROM ready JOIN", "FROM (SELECT pg_sleep(0.4)) late, ready JOIN"
    )
    assert slow != claiming.LOCK_ORIGINS
    monkeypatch.setattr(claiming, "LOCK_ORIGINS", slow)
    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(_run, lambda: claim(limit=10, at=None))
        time.sleep(0.2)
        record([failed(first, status_code=429, retry_after_seconds=3600.0)])
        assert Origin.objects.get().held_until is not None
        assert list(looking.result(timeout=10).deliveries) == []


def test_resend__during_the_last_attempt_counts(house: House) -> None:
    endpoint(house, "http://127.0.0.1:9/hook", max_retries=1, backoff_seconds=1)
    emit(house, at=clock.now())
    Delivery.objects.update(attempt_count=1, wait="retry")
    (under_way,) = claim(limit=1, at=None).deliveries
    resend(actor=house.alice.principal, delivery_id=under_way.id, at=clock.now())
    record([failed(under_way)])
    assert counts() == {"pending": 1}
    assert not Delivery.objects.filter(event_type="delivery.exhausted").exists()


def test_recovery__during_an_attempt_counts(house: House) -> None:
    """The attempt fails then: it must not wait for the hours of its old schedule."""
    hook = endpoint(house, "http://127.0.0.1:9/hook")
    emit(house, at=clock.now())
    Delivery.objects.update(attempt_count=10, wait="retry")
    (under_way,) = claim(limit=1, at=None).deliveries
    now = clock.now()
    recovery_request = RecoveryRequest(
        kind="failed", since=now - timedelta(days=1), endpoint_id=hook.id
    )
    start_recovery(actor=house.alice.principal, request=recovery_request, at=now)
    release_recoveries()
    record([failed(under_way)])
    assert Delivery.objects.get().due_at < now + timedelta(minutes=1)


def test_operational_event__reaches_an_endpoint_that_fails_in_the_same_batch(house: House) -> None:
    endpoint(house, "http://127.0.0.1:9/one", max_retries=0, backoff_seconds=1)
    asks = endpoint(
        house,
        "http://127.0.0.1:9/two",
        event_types=["task.*", "delivery.*"],
        max_retries=5,
        backoff_seconds=600,
    )
    emit(house, at=clock.now())
    claims = claim(limit=10, at=None).deliveries
    assert len(claims) == 2
    record([failed(one) for one in claims])
    assert Delivery.objects.get(event_type="delivery.exhausted").destination_id == asks.id


def test_parked_event__does_not_overtake_one_under_way(house: House) -> None:
    """Its 15 minutes end while the retry of the one before it is being sent."""
    endpoint(house, "http://127.0.0.1:9/hook")
    at = clock.now()
    emit_many(house, subjects=1, each=2, at=at)
    retry_at = at + timedelta(minutes=14, seconds=59)
    Delivery.objects.filter(sequence=1).update(wait="retry", due_at=retry_at)

    def taken(moment: timedelta) -> list[int]:
        return [one.sequence for one in claim(limit=10, at=at + moment).deliveries]

    assert taken(timedelta()) == []
    assert taken(timedelta(minutes=14, seconds=59.5)) == [1]
    assert taken(timedelta(minutes=15)) == []


def test_locked_origin__delays_no_other(house: House, receiver: Receiver) -> None:
    """A result for it cannot be recorded yet; all other events are sent."""
    receiver.reply = lambda _: Reply(204) if time.sleep(0.3) is None else Reply()
    held = endpoint(house, f"{receiver.url}/hook", event_types=["task.failed"])
    is_over = threading.Event()

    def drain() -> None:
        deliver_due(budget_seconds=None, is_stopping=is_over.is_set)

    with receiving() as other:
        endpoint(house, f"{other.url}/hook", event_types=["task.created"])
        emit(house, event_type="task.failed", at=clock.now())
        with meanwhile(drain):
            time.sleep(0.15)
            with transaction.atomic():
                Origin.objects.select_for_update(no_key=True).get(id=held.origin_id)
                time.sleep(0.5)  # The response has arrived.
                with meanwhile(lambda: emit(house, at=clock.now())):
                    pass
                ends = time.monotonic() + 1
                while not other.received and time.monotonic() < ends:
                    time.sleep(0.01)
                was_served = bool(other.received)
            is_over.set()
    assert was_served
    assert counts() == {"succeeded": 2}
